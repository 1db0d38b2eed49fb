"""The report of an evaluation: what it says, and that it needs nothing beside itself."""

from __future__ import annotations

import html
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from cropcube.cube.ledger import Ledger, Record
from cropcube.model.checkpoint import CARD_NAME, load_samples, read_card
from cropcube.pipeline.evaluate import EvaluateOptions, evaluate
from cropcube.pipeline.report_sections import detail_box, label_picture
from cropcube.pipeline.report_words import hectares_text
from tests.support.small_map import known_classes


class Tags(HTMLParser):
    """Collects what a browser would load, and checks that tags are balanced."""

    VOID = ("meta", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open, self.loads, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.loads += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_the_report_needs_nothing_beside_itself_and_says_what_it_must(project):
    summary = evaluate(project.root)
    text = summary.files.report.read_text(encoding="utf-8")
    page = Tags()
    page.feed(text)
    assert page.open == []
    assert len(page.loads) == 9  # map, composite, labels, map; three crops; confidence, clear observations
    assert all(link.startswith("data:image/png;base64,") for link in page.loads)
    assert "url(" not in text
    assert len(text) < 3_000_000
    assert str(project.root) not in text
    words = " ".join(page.texts)
    for wanted in ("Maize & more", "Confusion matrix", "overall accuracy", "macro-F1", "median-10d", "fields.gpkg",
                   "2019-03-01/2019-05-10", "Random forest", "blocks of 160 m", "12 overlapping classes", "NDVI",
                   "How sure the map is", "cropcube features --kind median --window 10", "cropcube predict",
                   "cropcube evaluate"):  # fmt: skip
        assert wanted in words
    assert "Maize &amp; more" in text
    assert summary.files.picture.read_bytes().startswith(b"\x89PNG")


def test_the_figures_of_the_page_are_those_for_machines(project):
    summary = evaluate(project.root, EvaluateOptions(folds=3, seeds=2))
    page = Tags()
    page.feed(summary.files.report.read_text(encoding="utf-8"))
    words, figures = " ".join(page.texts), summary.as_dict()
    assert f"{100 * figures['overall_accuracy']:.1f} %" in words
    spread = figures["spread"]
    assert figures["overall_accuracy"] == pytest.approx(np.mean(spread["overall_accuracy"]["values"]))
    assert figures["macro_f1"] == pytest.approx(spread["macro_f1"]["mean"])
    assert f"± {100 * spread['overall_accuracy']['deviation']:.1f} over the seeds" in words
    assert "pixels summed over 2 seeds" in words
    assert np.sum(figures["confusion"]) == 2 * figures["samples"]
    for row, entry in zip(figures["confusion"], figures["classes"], strict=True):
        assert " ".join([entry["name"], *(f"{count:,}" for count in row)]) in words
        assert figures["samples"] >= entry["support"] == sum(row) // 2
        of_class = spread["f1"][entry["name"]]
        assert entry["f1"] == pytest.approx(of_class["mean"])
        scores = [f"{entry[score]:.3f}" for score in ("precision", "recall", "f1")]
        assert " ".join([entry["name"], *scores, "±", f"{of_class['deviation']:.3f}"]) in words
    macro = figures["intervals"]["macro_f1"]
    assert len(macro["values"]) == 6
    assert f"{macro['low']:.2f} to {macro['high']:.2f}" in words
    assert "cropcube evaluate --folds 3 --seeds 2" in words


def commands_of(project, **options):
    page = evaluate(project.root, EvaluateOptions(**options)).files.report.read_text()
    told = html.unescape(page[page.index("cropcube build") :]).split("</pre>")[0]
    return {line.split()[1]: line for line in told.splitlines() if line.startswith("cropcube ")}


def test_commands_of_another_model_name_it(project, tmp_path):
    folder = tmp_path / "other model"
    shutil.copytree(project.model_path, folder)
    told = commands_of(project, model=folder)
    assert told["predict"] == "cropcube predict --model 'other model'"
    assert told["evaluate"] == "cropcube evaluate --model 'other model'"
    card = replace(read_card(folder), command="cropcube train --labels fields.gpkg")
    (folder / CARD_NAME).write_text(card.to_json())
    told = commands_of(project, model=folder)
    assert told["train"] == "cropcube train --labels fields.gpkg --model 'other model'"
    assert not any("--model" in line for line in commands_of(project).values())


def test_failed_reads_are_told_without_folders_and_secrets(project):
    failed = {"scene": "S2A_31UES_20190302", "band": "B04", "error": "https://host/private/B04.tif?sig=secret refused"}
    key = "build/utm31n/s000/r0000c0000"
    details = {"failed": [failed], "failed_reads": 3}
    Ledger(project.ledger_path).write(Record(key, "digest", "incomplete", details))
    text = evaluate(project.root).files.report.read_text(encoding="utf-8")
    assert "<dt>Failed reads</dt><dd>3</dd>" in text
    assert "<dt>S2A_31UES_20190302 B04</dt><dd>B04.tif refused</dd>" in text
    assert "secret" not in text


def test_the_same_evaluation_writes_the_same_report(project):
    first = evaluate(project.root).files.report.read_bytes()
    assert evaluate(project.root).files.report.read_bytes() == first


def test_labels_are_drawn_where_they_are(made):
    index = load_samples(made.model_path, read_card(made.model_path))
    box = detail_box(made, index)
    image = label_picture(index, box)
    drawn = image > 0
    np.testing.assert_array_equal(image[drawn], known_classes(box)[drawn])
    assert drawn.sum() > 100
    assert max(box.shape) <= 512


def test_areas_are_written_as_people_read_them():
    told = ["0.0 ha", "0.04 ha", "13.8 ha", "1,380 ha", "2.31 Mha"]
    assert [hectares_text(x) for x in (0.0, 0.04, 13.84, 1380.2, 2_310_000)] == told
