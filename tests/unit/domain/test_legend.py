"""Legends: what is read, what is matched, what is refused."""

import numpy as np
import pytest

from cropcube.domain.legend import MAX_CLASSES, Legend
from cropcube.errors import InvalidInputError


def test_default_is_the_papers_six_and_other():
    assert Legend.default().names == ("maize", "soybean", "rice", "wheat", "sugarcane", "cotton", "other")
    assert Legend.default().codes == (1, 2, 3, 4, 5, 6, 7)


def test_csv_with_heading_blank_lines_comments_and_a_byte_order_mark():
    legend = Legend.parse("\ufeffcode,name,colour\n\n# ours\n1200, Maize ,#F5C542\n1110,Winter wheat\n")
    assert legend.codes == (1200, 1110)
    assert legend.names == ("Maize", "Winter wheat")
    assert legend.classes[0].colour == "#f5c542"
    assert legend.classes[0].rgb == (0xF5, 0xC5, 0x42)


def test_columns_without_colour_get_distinct_ones_for_254_classes():
    legend = Legend.parse("\n".join(f"{i},class {i}" for i in range(1, MAX_CLASSES + 1)))
    assert len({entry.colour for entry in legend.classes}) == MAX_CLASSES


def test_a_chosen_colour_avoids_those_given():
    first = Legend.parse("1,a").classes[0].colour
    legend = Legend.parse(f"1,a,{first}\n2,b")
    assert legend.classes[1].colour != first


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "holds no class"),
        ("code,name\n", "holds no class"),
        ("1,a\n2,b\n1,c", "a code more than once: 1 a, 1 c"),
        ("1,Winter wheat\n2,winter-WHEAT", "a name more than once: 1 Winter wheat, 2 winter-WHEAT"),
        ("0,nothing", "code 0"),
        ("-3,nothing", "line 1: code '-3' is not a positive whole number"),
        ("1.5,nothing", "line 1: code '1.5' is not a positive whole number"),
        ("1,a\nx,b", "line 2: code 'x'"),
        ("1", "line 1 has 1 columns"),
        ("1,a,#fff,more", "line 1 has 4 columns"),
        ("1,a,red", "colour 'red'"),
        ("1,", "class 1 has no name"),
        ("\n".join(f"{i},class {i}" for i in range(1, MAX_CLASSES + 2)), "has 255 classes"),
    ],
)
def test_what_is_refused_names_file_and_place(text, part):
    with pytest.raises(InvalidInputError) as caught:
        Legend.parse(text, "crops.csv")
    assert caught.value.what.startswith("crops.csv")
    assert part in caught.value.what
    assert caught.value.next_step


def test_advice_is_about_what_is_repeated():
    for text, wanted, other in (("1,a\n1,b", "A code stands", "case"), ("1,a\n2,A", "without case", "code")):
        with pytest.raises(InvalidInputError) as caught:
            Legend.parse(text)
        assert wanted in caught.value.next_step
        assert other not in caught.value.next_step


@pytest.mark.parametrize(
    ("value", "row"),
    [
        (1200, 1),
        (1200.0, 1),
        ("1200", 1),
        (" 1200.0 ", 1),
        (np.uint16(1200), 1),
        ("WINTER_wheat", 2),
        ("winter  wheat", 2),
        ("Winter-Wheat", 2),
        (1200.5, 0),
        ("rye", 0),
        (True, 0),
        (float("nan"), 0),
        ("", 0),
    ],
)
def test_values_match_by_code_or_by_name(value, row):
    legend = Legend.parse("1200,Maize\n1110,Winter wheat\n1,one")
    assert legend.row_of(value.item() if isinstance(value, np.generic) else value) == row


def test_arrays_match_as_their_elements_do():
    legend = Legend.parse("1200,Maize\n1110,Winter wheat")
    assert legend.rows_of(np.array([[1110, 0], [1200, 7]], dtype=np.uint16)).tolist() == [[2, 0], [1, 0]]
    assert legend.rows_of(np.array(["maize", "1110", "?"])).tolist() == [1, 2, 0]
    assert legend.rows_of(np.array([[1110]])).dtype == np.uint8


def test_json_round_trip():
    legend = Legend.parse("3301010100,Größe,#010203\n2,b")
    assert Legend.from_json(legend.as_json()) == legend
