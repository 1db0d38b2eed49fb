"""What users say in options."""

from __future__ import annotations

import pytest

from cropcube.domain.words import given_options, names_in, size_bytes
from cropcube.errors import InvalidInputError, UsageError

OWNERS = {"window": ("median",), "index": ("median", "annual-median")}


@pytest.mark.parametrize("said", ["B02,B03", "B02 B03", ("B02", "B03"), ["B02,B03"], " B02 , B03 "])
def test_names_come_in_lists_and_in_text(said: str) -> None:
    assert names_in(said) == ("B02", "B03")


@pytest.mark.parametrize(
    ("said", "wanted"), [("6GiB", 6 * 2**30), ("800MB", 8 * 10**8), ("1.5k", 1500), (" 12 ", 12), (2**31, 2**31)]
)
def test_sizes(said: str | int, wanted: int) -> None:
    assert size_bytes(said) == wanted


@pytest.mark.parametrize("said", ["", "6X", "GiB", "-1", "6 GiB of it", -1])
def test_what_is_no_size_is_wrong_usage(said: str | int) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        size_bytes(said)


def test_options_that_go_with_the_choice_are_returned_and_those_not_given_left_out() -> None:
    said = {"window": 5, "index": None, "seed": 0}
    assert given_options(("kind", "median"), OWNERS, said) == {"window": 5, "seed": 0}
    assert given_options(("kind", "harmonic"), OWNERS, {"window": None, "index": None}) == {}


def test_an_option_of_other_choices_is_named_with_them() -> None:
    with pytest.raises(UsageError) as caught:
        given_options(("kind", "harmonic"), OWNERS, {"index": ("NDVI",)})
    assert caught.value.what == "--index belongs to --kind median or annual-median, not to harmonic"
    assert "Leave --index out" in caught.value.next_step
    assert isinstance(caught.value, InvalidInputError)
