"""What the attributes of a map say about its classes."""

from __future__ import annotations

import json

import pytest

from cropcube.domain.legend import Legend
from cropcube.domain.map_product import clear_count_attrs, confidence_attrs, crop_attrs, legend_of
from cropcube.errors import InvalidInputError

LEGEND = Legend.of([(1110, "Winter wheat", "#aa0000"), (7, "winter_wheat!", "#00aa00"), (9, "稻", "#0000aa")])


def test_flags_are_in_step_with_the_legend():
    attrs = crop_attrs(LEGEND)
    assert attrs["flag_values"] == [1, 2, 3]
    assert attrs["flag_codes"] == [1110, 7, 9]
    assert attrs["flag_colors"] == "#aa0000 #00aa00 #0000aa"
    assert len(attrs["flag_meanings"].split()) == 3


def test_meanings_are_single_words_and_no_two_alike():
    alike = Legend.of([(1, "a b", "#000001"), (2, "a&b", "#000002"), (3, "!!", "#000003")])
    assert crop_attrs(alike)["flag_meanings"].split() == ["a_b", "a_b_2", "class_3"]


def test_the_legend_comes_back_through_json():
    assert legend_of(json.loads(json.dumps(crop_attrs(LEGEND)))) == LEGEND


@pytest.mark.parametrize("attrs", [{}, {"legend": None}, {"legend": [{"code": 1}]}, {"legend": "wheat"}])
def test_attributes_without_a_legend_are_refused(attrs):
    with pytest.raises(InvalidInputError, match="cropcube predict"):
        legend_of(attrs)


def test_attributes_are_plain_json_and_do_not_make_readers_decode():
    for attrs in (crop_attrs(LEGEND), confidence_attrs(), clear_count_attrs()):
        json.dumps(attrs, allow_nan=False)
        assert not {"_FillValue", "scale_factor", "add_offset", "missing_value"} & attrs.keys()
