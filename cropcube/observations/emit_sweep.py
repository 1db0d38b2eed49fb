"""One pass through an EMIT granule: reflectance, uncertainty and quality of tiles on the 60 m lattice."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.domain.emit import Seen
from cropcube.errors import InvalidInputError
from cropcube.kernels import empty_planes, gather_spectra
from cropcube.observations.emit_granule import (
    BAND_MASK,
    FLAGS,
    MASK,
    REFLECTANCE,
    UNCERTAINTY,
    fill_of,
    opened,
    reading,
)
from cropcube.observations.emit_lines import Need, Span, open_lines
from cropcube.observations.emit_ortho import RESOLUTION_M

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cropcube.domain.lattice import Tile
    from cropcube.observations.emit_granule import EmitGranule
    from cropcube.observations.emit_lines import Lines
    from cropcube.observations.emit_ortho import OrthoIndex

MASK_LINES = 128
"""Lines of the mask read at a time."""


BITS = dict(
    zip(FLAGS, (Seen.CLOUD, Seen.CIRRUS, Seen.WATER, Seen.SPACECRAFT, Seen.DILATED_CLOUD, Seen.AGGREGATE), strict=True)
)


@dataclass(frozen=True)
class SweepOptions:
    """What is wanted of a granule, and how it is read."""

    uncertainty: bool = True
    quality: bool = True
    drop_marked: bool = False
    "Whether reflectance is NaN in bands that the band mask marks for a pixel (interpolated ones)."
    mapped: bool = True
    "Whether files that hold their spectra in one piece are mapped into memory; see `open_lines`."
    reuse: bool = False
    "Whether each tile overwrites the arrays of the one before: faster, for those who have written a tile by then."
    threads: int = 1
    "Any number gives the same."


@dataclass(frozen=True, eq=False)
class OrthoTile:
    """What a granule shows of one tile."""

    tile: Tile
    reflectance: NDArray[np.float32]
    "(bands, y, x), as a fraction; NaN = none. -0.01 in windows of water vapour: `EmitHeader.good` says which."
    uncertainty: NDArray[np.float32] | None
    "Likewise."
    quality: NDArray[np.uint8] | None
    "(y, x) Bits of `Seen`."


@dataclass(frozen=True, eq=False)
class _Part:
    """A tile that the granule shows something of."""

    tile: Tile
    line_N: NDArray[np.int32]
    sample_N: NDArray[np.int32]
    filled_N: NDArray[np.bool_]
    first: int
    stop: int
    "Of its lines."


def sweep(
    granule: EmitGranule, index: OrthoIndex, tiles: Sequence[Tile], options: SweepOptions | None = None
) -> Iterator[OrthoTile]:
    """Read a granule once and yield its tiles, each as soon as its last line is read.

    Only the lines and samples that the tiles need are read. Tiles that the granule shows nothing of are left out.

    Parameters
    ----------
    granule
        Where to read.
    index
        Pixels of the cells, over a box that holds all tiles.
    tiles
        Any of the lattice.
    options
        See there.

    Raises
    ------
    InvalidInputError
        If a tile lies outside of the index.
    ReadError
        If a file is cut short or damaged.
    """
    options = options or SweepOptions()
    parts = sorted((part for tile in tiles if (part := _part(index, tile))), key=lambda part: (part.stop, part.first))
    if not parts:
        return
    span = _span(parts)
    quality = _Flags(granule, span, options)
    with ExitStack() as stack:
        reflectance = _Variable(stack, granule.header.path, REFLECTANCE, span, options)
        uncertainty = _Variable(stack, granule.uncertainty, UNCERTAINTY, span, options) if options.uncertainty else None
        for part, need in zip(parts, span.needs, strict=True):
            yield OrthoTile(
                part.tile,
                reflectance.tile(part, need, quality.marked(part)),
                uncertainty.tile(part, need) if uncertainty else None,
                quality.tile(part),
            )


def _part(index: OrthoIndex, tile: Tile) -> _Part | None:
    box = tile.box(RESOLUTION_M)
    if box.intersection(index.box) != box:
        raise InvalidInputError(
            f"tile {tile.lattice.name}/{tile.name} does not lie within the index, which covers {index.box.bounds} m of "
            f"{index.box.lattice.name}",
            "Make the index over a box that holds all tiles.",
        )
    inside = box.slices_in(index.box)
    line = np.ascontiguousarray(index.line[inside]).ravel()
    held = line[line >= 0]
    if not len(held):
        return None
    first, stop = int(held.min()), int(held.max()) + 1
    return _Part(tile, line, index.sample[inside].ravel(), index.filled[inside].ravel(), first, stop)


def _span(parts: Sequence[_Part]) -> Span:
    """Return what parts need in their order, and the samples that any of them needs."""
    keep = np.minimum.accumulate([part.first for part in reversed(parts)])[::-1]
    needs = tuple(Need(part.stop, int(first)) for part, first in zip(parts, keep, strict=True))
    low = min(int(part.sample_N[part.line_N >= 0].min()) for part in parts)
    return Span(needs, slice(low, max(int(part.sample_N.max()) for part in parts) + 1))


class _Variable:
    """Spectra of one file."""

    def __init__(self, stack: ExitStack, path: Path, name: str, span: Span, options: SweepOptions) -> None:
        dataset = stack.enter_context(opened(path))[name]
        self._lines: Lines = open_lines(path, dataset, span, options.mapped)
        stack.callback(self._lines.close)
        self._path, self._options = path, options
        self._fill, self._bands = fill_of(dataset), dataset.shape[2]
        self._planes: NDArray[np.float32] | None = None

    def tile(self, part: _Part, need: Need, marked: NDArray[np.uint8] | None = None) -> NDArray[np.float32]:
        """Return the spectra of a tile, (bands, y, x)."""
        with reading(self._path):  # several files are open: it is this one that fails
            self._lines.step(need)
        planes = self._planes
        if planes is None:
            planes = empty_planes(self._bands, len(part.line_N))
            self._planes = planes if self._options.reuse else None
        pixel = self._lines.pixels(part.line_N, part.sample_N)
        gather_spectra(self._lines.spectra_PB, pixel, planes, marked, fill=self._fill, threads=self._options.threads)
        return planes.reshape(self._bands, *part.tile.box(RESOLUTION_M).shape)


class _Flags:
    """What the mask file says of the lines and samples needed: a byte of flags a pixel, and its marked bands."""

    def __init__(self, granule: EmitGranule, span: Span, options: SweepOptions) -> None:
        self._first, self._low = span.first, span.samples.start
        self._flags: NDArray[np.uint8] | None = None
        self._marks: NDArray[np.uint8] | None = None
        if not (options.quality or options.drop_marked):
            return
        with opened(granule.mask) as file:
            if options.quality:
                self._flags = _read_flags(granule, file[MASK], span)
            if options.drop_marked:
                self._marks = file[BAND_MASK][span.first : span.stop, span.samples]

    def tile(self, part: _Part) -> NDArray[np.uint8] | None:
        """Return a tile's quality, (y, x)."""
        if self._flags is None:
            return None
        seen = self._flags[self._pixels(part)] | np.uint8(Seen.OBSERVED)
        seen |= np.where(part.filled_N, np.uint8(Seen.FILLED), np.uint8(0))
        seen[part.line_N < 0] = 0
        return np.asarray(seen.reshape(part.tile.box(RESOLUTION_M).shape))

    def marked(self, part: _Part) -> NDArray[np.uint8] | None:
        """Return the bits of the bands that are marked in each cell."""
        if self._marks is None:
            return None
        marks: NDArray[np.uint8] = self._marks[self._pixels(part)]
        return marks

    def _pixels(self, part: _Part) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return places in the arrays; the first pixel stands for none."""
        return np.maximum(part.line_N - self._first, 0), np.maximum(part.sample_N - self._low, 0)


def _read_flags(granule: EmitGranule, dataset: Any, span: Span) -> NDArray[np.uint8]:
    """Return the bits of the mask's flags, (lines, samples). A pixel that it says nothing of is not to be believed."""
    fill, found = fill_of(dataset), []
    for first in range(span.first, span.stop, MASK_LINES):
        block = dataset[first : min(span.stop, first + MASK_LINES), span.samples]
        seen = np.zeros(block.shape[:2], np.uint8)
        for flag, layer in granule.flags.items():
            values = block[..., layer]
            seen |= np.where(values > 0, np.uint8(BITS[flag]), np.uint8(0))
            seen |= np.where((values == fill) | np.isnan(values), np.uint8(Seen.AGGREGATE), np.uint8(0))
        found.append(seen)
    return np.concatenate(found)
