"""The page: whatever texts it is given, it stays one valid page that loads nothing."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from cropcube.model.metrics import scores
from cropcube.report.accuracy import Accuracy
from cropcube.report.page import Illustration, Page, Section, render
from cropcube.report.pictures import Swatch
from cropcube.report.style import STYLE

NASTY = "<script>alert('x')</script> & \"quotes\" `cropcube predict`"
COUNTS = np.array([[40, 2, 0], [5, 30, 0], [0, 0, 0]])


def accuracy(counts=COUNTS, name="CropNet", blocks=3) -> Accuracy:
    return Accuracy(
        name, f"basis of {name}", scores(np.asarray(counts), ("wheat", NASTY, "rye")), blocks, "blocks of 160 m"
    )


def page(*accuracies: Accuracy) -> Page:
    picture = Illustration(b"png bytes", NASTY, NASTY)
    swatch = Swatch(NASTY, "#ff0000", NASTY)
    section = Section(NASTY, (NASTY,), (picture,), (swatch,), (picture,), ((NASTY, NASTY),), (NASTY,), (NASTY,))
    return Page(NASTY, NASTY, (NASTY,), accuracies or (accuracy(),), (section,), (section,), NASTY)


class Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack, self.tags, self.words, self.attributes = [], [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "img"):
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.words += data


def test_texts_are_escaped_and_tags_closed():
    read = Reader(render(page()))
    assert read.stack == []
    assert "script" not in read.tags
    assert "<script>alert('x')</script>" in read.words
    assert ("alt", NASTY) in read.attributes


def test_nothing_is_loaded_from_elsewhere():
    read = Reader(render(page()))
    loaded = [value for name, value in read.attributes if name in ("src", "href", "srcset", "action")]
    assert len(loaded) == 4
    assert all(value.startswith("data:image/png;base64,") for value in loaded)
    assert not {"link", "script", "iframe", "object", "embed", "video", "audio", "base"} & set(read.tags)
    styles = " ".join(value for name, value in read.attributes if name == "style")
    assert "url(" not in STYLE + styles
    assert "@import" not in STYLE
    assert not any(name.startswith("on") for name, _ in read.attributes)


def test_figures_are_those_of_the_matrix():
    words = Reader(render(page())).words
    assert "90.9 %" in words  # 70 of 77
    assert "2 of 3" in words
    for wanted in ("0.889", "0.952", "0.938", "0.857"):  # precision and recall of both classes
        assert wanted in words


def test_classes_without_test_pixels_have_dashes_and_a_remark():
    said = accuracy()
    assert "No test pixel at all for: rye" in said.remarks()[0]
    assert any("Fewer than 100" in remark for remark in said.remarks())
    assert any("only 3 places (blocks of 160 m)" in remark for remark in said.remarks())
    assert "nan" not in render(page()).lower().replace("nanmedian", "")
    assert "–" in Reader(render(page())).words


def test_a_large_test_over_many_blocks_has_no_remarks():
    assert accuracy([[4000, 9, 1], [9, 3000, 1], [1, 2, 500]], blocks=40).remarks() == ()


def test_labels_without_map_are_counted():
    assert any("7 labelled pixels have no data" in remark for remark in replace(accuracy(), unmapped=7).remarks())


def test_classifiers_are_set_side_by_side():
    words = Reader(render(page(accuracy(), accuracy([[42, 0, 0], [0, 35, 0], [0, 0, 0]], "Random forest")))).words
    assert "100.0 %" in words
    assert "The same test pixels" in words
    assert "basis of Random forest" in words


def test_the_figures_for_machines_hold_no_nan():
    import json

    figures = accuracy().as_dict()
    assert json.loads(json.dumps(figures, allow_nan=False))["confusion"] == COUNTS.tolist()
    assert figures["classes"][2]["recall"] is None
    assert figures["overall_accuracy"] == pytest.approx(70 / 77)


def test_intervals_over_the_folds_stand_beside_their_scores():
    folds = tuple(
        accuracy(counts).scores for counts in ([[20, 2, 0], [5, 10, 0], [0, 0, 0]], [[20, 0, 0], [0, 20, 0], [0, 0, 0]])
    )
    whole = replace(accuracy(), folds=folds)
    words = Reader(render(page(whole))).words
    found = whole.intervals
    assert "95 % interval" in words
    assert f"{100 * found.overall_accuracy.low:.0f} to {100 * found.overall_accuracy.high:.0f} %" in words
    for between in (found.macro_f1, found.f1[0], found.f1[1]):
        assert str(between) in words
    assert f"{found.macro_f1.mean:.3f}, standard deviation {found.macro_f1.deviation:.3f}" in words
    assert whole.as_dict()["intervals"]["macro_f1"]["low"] == found.macro_f1.low
    assert "interval" not in Reader(render(page())).words
    assert accuracy().as_dict()["intervals"] is None


def test_several_seeds_are_told_apart_from_folds():
    first, second = accuracy().scores, accuracy([[42, 0, 0], [0, 35, 0], [0, 0, 0]]).scores
    repeated = replace(accuracy(), repeats=(first, second), folds=(first, first, second, second))
    other = replace(repeated, classifier="Random forest")
    words = Reader(render(page(repeated, other))).words
    assert "Over 2 seeds" in words
    assert str(repeated.macro_f1) in words
    assert repeated.intervals.folds == 2
