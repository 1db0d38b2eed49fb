import json
import pickle
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cropcube.domain.feature_spec import KINDS, FeatureSpec
from cropcube.domain.season import Season
from cropcube.errors import InvalidInputError, UsageError


def season(days):
    return Season(date(2018, 12, 1), date.fromordinal(date(2018, 12, 1).toordinal() + days))


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (FeatureSpec(), "median-5d"),
        (FeatureSpec(window_days=15), "median-15d"),
        (FeatureSpec("annual-median"), "annual-median"),
        (FeatureSpec("harmonic"), "harmonic-2"),
        (FeatureSpec("harmonic", order=3), "harmonic-3"),
        (FeatureSpec("geomedian", window_days=30), "geomedian-30d"),
        (FeatureSpec("percentiles"), "percentiles-10-25-50-75-90"),
        (FeatureSpec("percentiles", percentiles=(97.5, 2.5)), "percentiles-2.5-97.5"),
        (FeatureSpec("statistics"), "statistics-ndvi"),
        (FeatureSpec("statistics", indices=("EVI", "lswi")), "statistics-evi-lswi"),
    ],
)
def test_names_of_plain_features(spec, name):
    assert spec.name == name
    assert FeatureSpec.parse(name) == spec


def test_other_options_add_a_digest_of_their_own():
    specs = [
        FeatureSpec(),
        FeatureSpec(classes=(4, 5)),
        FeatureSpec(dilate_m=20),
        FeatureSpec(indices=("NDVI",)),
        FeatureSpec("harmonic", ridge=1.0),
        FeatureSpec("harmonic", ridge=2.0),
        FeatureSpec("geomedian", indices=("NDVI",)),
        FeatureSpec("percentiles", dilate_m=20),
        FeatureSpec("statistics", classes=(4,)),
    ]
    assert len({spec.name for spec in specs}) == len(specs)
    assert specs[1].name.startswith("median-5d-")
    with pytest.raises(InvalidInputError):
        FeatureSpec.parse(specs[1].name)


def test_names_do_not_grow_without_end():
    many = FeatureSpec("percentiles", percentiles=tuple(range(101)))
    assert many.name.startswith("percentiles-101-")
    assert many.name != FeatureSpec("percentiles", percentiles=tuple(range(100))).name
    assert len(many.name) < 40
    indices = ("NDVI", "GCVI", "NDWI", "EVI", "SAVI", "GNDVI", "LSWI", "MNDWI", "NBR", "BSI", "PSRI", "NDRE", "NDTI")
    assert FeatureSpec("statistics", indices=indices).name.startswith("statistics-13-")


def test_specifications_from_before_there_were_percentiles_are_read():
    values = FeatureSpec(window_days=15).as_dict()
    del values["percentiles"]
    assert FeatureSpec.from_dict(values) == FeatureSpec(window_days=15)


def test_options_that_a_kind_does_not_use_make_no_difference():
    assert FeatureSpec("median", order=4, ridge=2.0) == FeatureSpec("median")
    assert FeatureSpec("annual-median", window_days=9).name == "annual-median"
    assert FeatureSpec("harmonic", window_days=9).name == "harmonic-2"
    assert FeatureSpec(classes=(7, 5, 4, 6, 4)).name == "median-5d"
    assert FeatureSpec(indices=("ndvi", "NDVI")).indices == ("NDVI",)
    assert FeatureSpec("median", percentiles=(1,)) == FeatureSpec("median")
    assert FeatureSpec("percentiles", percentiles=(90, 10, 10.0)).percentiles == (10.0, 90.0)


@given(
    st.sampled_from(KINDS),
    st.integers(1, 400),
    st.integers(1, 10),
    st.floats(0, 1e6),
    st.sets(st.integers(1, 253), min_size=1),
    st.integers(0, 500),
    st.sets(st.integers(0, 1000), min_size=1, max_size=5),
)
def test_round_trips(kind, window_days, order, ridge, classes, dilate_m, thousandths):
    percentiles = tuple(number / 10 for number in thousandths)
    spec = FeatureSpec(kind, window_days, order, ridge, tuple(classes), dilate_m, percentiles=percentiles)
    again = FeatureSpec.from_dict(json.loads(json.dumps(spec.as_dict())))
    assert again == spec
    assert again.name == spec.name
    assert pickle.loads(pickle.dumps(spec)) == spec


@pytest.mark.parametrize(
    ("days", "window_days", "windows"), [(362, 5, 73), (360, 5, 72), (1, 5, 1), (365, 400, 1), (6, 1, 6)]
)
def test_the_last_window_may_be_shorter(days, window_days, windows):
    spec = FeatureSpec(window_days=window_days)
    assert spec.windows(season(days)) == windows == len(spec.steps(season(days)))
    assert spec.steps(season(days))[0] == "2018-12-01"
    assert spec.window_starts(season(days))[-1] == date.fromordinal(
        date(2018, 12, 1).toordinal() + (windows - 1) * window_days
    )


def test_steps_of_the_other_kinds():
    assert FeatureSpec("annual-median").steps(season(362)) == ("2018-12-01",)
    assert FeatureSpec("harmonic").steps(season(362)) == ("constant", "cos1", "sin1", "cos2", "sin2")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "mean"}, "mean"),
        ({"window_days": 0}, "window"),
        ({"kind": "harmonic", "order": 0}, "order"),
        ({"kind": "harmonic", "ridge": -1.0}, "ridge"),
        ({"kind": "harmonic", "ridge": float("nan")}, "ridge"),
        ({"kind": "harmonic", "indices": ("NDVI",)}, "indices"),
        ({"classes": ()}, "mask"),
        ({"classes": (0, 4)}, "mask"),
        ({"classes": (254,)}, "mask"),
        ({"dilate_m": -1}, "dilation"),
    ],
)
def test_bad_options_are_named(values, said):
    with pytest.raises(InvalidInputError, match=said):
        FeatureSpec(**values)


def words(kind, mask="scl:4,5,6,7", dilate=0, **own):
    every = dict.fromkeys(("window", "order", "ridge", "index"))
    return FeatureSpec.of_words(kind, mask, dilate, every | own)


def test_the_command_lines_words_become_a_specification():
    assert words("median") == FeatureSpec()
    assert words("harmonic", order=3, ridge=0.5) == FeatureSpec("harmonic", order=3, ridge=0.5)
    asked = words("median", "scl:4,5", 20, window=9, index=["ndvi,EVI", "LSWI"])
    assert asked == FeatureSpec("median", 9, classes=(4, 5), dilate_m=20, indices=("NDVI", "EVI", "LSWI"))


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("median", {"order": 2}),
        ("median", {"ridge": 0.0}),
        ("annual-median", {"window": 5}),
        ("annual-median", {"order": 3}),
        ("harmonic", {"window": 5}),
        ("harmonic", {"index": ["NDVI"]}),
    ],
)
def test_an_option_that_the_kind_does_not_have_is_refused_even_with_its_default(kind, own):
    (option,) = own
    with pytest.raises(UsageError, match=f"--{option} belongs to --kind .*, not to {kind}"):
        words(kind, **own)


def test_an_unknown_kind_is_said_before_its_options():
    with pytest.raises(InvalidInputError, match="unknown kind of features 'mean'") as caught:
        words("mean", order=3)
    assert not isinstance(caught.value, UsageError)


def test_masks():
    assert FeatureSpec.parse_mask("scl:4,5") == (4, 5)
    assert FeatureSpec.parse_mask(" SCL:11 ") == (11,)
    for text in ("4,5", "scl:", "scl:4,", "scl:12", "scl:0", "qa:1"):
        with pytest.raises(InvalidInputError, match="mask"):
            FeatureSpec.parse_mask(text)


@pytest.mark.parametrize("name", ["median", "median-d", "median-5", "harmonic", "median-0d", "harmonic-99", "../x"])
def test_names_that_are_none(name):
    with pytest.raises(InvalidInputError):
        FeatureSpec.parse(name)


@pytest.mark.parametrize("change", [{"kind": None}, {"extra": 1}, {"window_days": "x"}, {"classes": 4}])
def test_damaged_specifications_are_refused(change):
    with pytest.raises(InvalidInputError):
        FeatureSpec.from_dict(FeatureSpec().as_dict() | change)
