"""Legends: what is read, what is matched, what is refused."""

import numpy as np
import pytest

from cropcube.domain.legend import MAX_CLASSES, Legend, LegendClass
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
        ("1,a\n2,b\n2,B", "a code more than once: 2 b"),
        ("code,name\n1|x,a\nX,b", "a code more than once: 1 a, 2 b"),
        ("code,name\n-1,a", "line 2: code '-1' is not a positive whole number"),
        ("code,name\n,a", "line 2: there is no code"),
        ("name,code\na", "line 2 has 1 columns, fewer than the heading"),
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
    with pytest.raises(InvalidInputError) as caught:
        Legend.parse("1,a\n1,b")
    assert "A code stands" in caught.value.next_step
    with pytest.raises(InvalidInputError) as caught:
        Legend((LegendClass(1, "a", "#000000"), LegendClass(2, "A", "#111111")))
    assert "without case" in caught.value.next_step


def test_several_codes_mean_one_class():
    text = """region;hcat_code;name;ewoc_code;colour
Flanders;3301010500|3301010501;Maize;11-01-06-000-0;#F5C542
Flanders;3301010101;Winter wheat;11-01-01-000-1;
Wallonia;MAI;maize;;
"""
    legend = Legend.parse(text)
    assert legend.names == ("Maize", "Winter wheat")
    assert legend.codes == (3301010500, 3301010101)
    assert legend.classes[0].colour == "#f5c542"
    for value, row in (
        (3301010501, 1), ("1101060000", 1), ("11-01-06-000-0", 1), (1101060000.0, 1), ("mai", 1), ("maize", 1),
        (1101010001, 2), ("11-01-01-000-1", 2), ("11-01-01-000-2", 0), ("Flanders", 0),
    ):  # fmt: skip
        assert legend.row_of(value) == row, value
    assert Legend.from_json(legend.as_json()) == legend
    assert legend.rows_of(np.array([1101010001, 5, 3301010500])).tolist() == [2, 0, 1]


def test_codes_in_words_get_numbers_of_their_own():
    legend = Legend.parse("code,name\nWW,winter wheat\n7,maize\nGR,grass")
    assert legend.codes == (8, 7, 9)
    assert [legend.row_of(value) for value in ("ww", "WW ", "grass", 7, "gr", 8)] == [1, 1, 3, 2, 3, 1]


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
