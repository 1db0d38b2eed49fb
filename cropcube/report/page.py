"""The report: one plain HTML page that needs nothing beside itself."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from cropcube.report.style import STYLE
from cropcube.report.tables import accuracy_section, headline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cropcube.report.accuracy import Accuracy
    from cropcube.report.pictures import Swatch


@dataclass(frozen=True)
class Illustration:
    """A picture with its words."""

    png: bytes
    "The picture."
    caption: str
    "Under the picture."
    alt: str
    "For those who do not see it."
    title: str = ""
    "Above it."


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it, in this order."""

    heading: str
    "One line."
    text: tuple[str, ...] = ()
    "Paragraphs."
    illustrations: tuple[Illustration, ...] = ()
    "Pictures, one below the other."
    key: tuple[Swatch, ...] = ()
    "What the colours of the picture mean."
    strip: tuple[Illustration, ...] = ()
    "Small pictures, side by side as far as there is room."
    facts: tuple[tuple[str, str], ...] = ()
    "Name and value, one a line."
    commands: tuple[str, ...] = ()
    "As they are typed."
    closing: tuple[str, ...] = ()
    "Paragraphs below all that."


@dataclass(frozen=True)
class Page:
    """All that the report says."""

    title: str
    "What was mapped."
    subtitle: str
    "Where and when."
    remarks: tuple[str, ...]
    "What a reader must know before believing the figures."
    accuracies: tuple[Accuracy, ...]
    "The first is the map's or the model's own; others are set beside it."
    opening: tuple[Section, ...]
    "Above the accuracy: the map."
    closing: tuple[Section, ...]
    "Below it: how it was made."
    credit: str
    "At the foot."


def render(page: Page) -> str:
    """Return the page as HTML; every text is escaped, nothing is loaded from elsewhere."""
    body = "\n".join(
        [
            f"<header><h1>{escape(page.title)}</h1><p class=sub>{escape(page.subtitle)}</p></header>",
            headline(page.accuracies[0]),
            _remarks(page.remarks),
            *(_section(section) for section in page.opening),
            accuracy_section(page.accuracies),
            *(_section(section) for section in page.closing),
            f"<footer>{escape(page.credit)}</footer>",
        ]
    )
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{STYLE}</style>"
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body><main>\n{body}\n</main></body></html>\n'


def data_uri(png: bytes) -> str:
    """Return a PNG as a URI that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def words(text: str) -> str:
    """Return a text as HTML: escaped, and what stands between backticks set as a command."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _remarks(remarks: Sequence[str]) -> str:
    if not remarks:
        return ""
    lines = "".join(f"<li>{words(remark)}</li>" for remark in remarks)
    return f"<aside><h2>Before you rely on these figures</h2><ul>{lines}</ul></aside>"


def _section(section: Section) -> str:
    parts = [f"<section><h2>{escape(section.heading)}</h2>", *_paragraphs(section.text)]
    pictures = "".join(_figure(picture) for picture in section.illustrations)
    parts.append(f"<div class=keyed>{pictures}{_key(section.key)}</div>" if section.key else pictures)
    if section.strip:
        parts.append(f"<div class=strip>{''.join(_figure(picture) for picture in section.strip)}</div>")
    if section.facts:
        rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in section.facts)
        parts.append(f"<dl>{rows}</dl>")
    if section.commands:
        parts.append(f"<pre>{escape(chr(10).join(section.commands))}</pre>")
    return "".join([*parts, *_paragraphs(section.closing), "</section>"])


def _paragraphs(texts: Sequence[str]) -> list[str]:
    return [f"<p>{words(text)}</p>" for text in texts]


def _figure(picture: Illustration) -> str:
    title = f"<b>{escape(picture.title)}</b>" if picture.title else ""
    caption = f"<figcaption>{words(picture.caption)}</figcaption>" if picture.caption else ""
    return f'<figure>{title}<img src="{data_uri(picture.png)}" alt="{escape(picture.alt)}">{caption}</figure>'


def _key(swatches: Sequence[Swatch]) -> str:
    rows = "".join(
        f'<li><i style="background:{escape(swatch.colour)}"></i>{escape(swatch.name)}'
        f"<span>{escape(swatch.note)}</span></li>"
        for swatch in swatches
    )
    return f"<ul class=key>{rows}</ul>"
