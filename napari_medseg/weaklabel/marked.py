"""Looks at label arrays in one pass each: where something is drawn, what classes hold, what changed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.volume import BoolArray, LabelArray
from napari_medseg.weaklabel.compiled import compiled
from napari_medseg.weaklabel.scene import Box

Counts = npt.NDArray[np.int64]


def marked(labels: LabelArray) -> npt.NDArray[np.intp]:
    """Flat indices of what is not 0, ascending: intp (n,)."""
    out = np.empty(_count(labels), np.intp)
    _gather(labels, out)
    return out


def held_by_classes(labels: LabelArray) -> tuple[list[int], Box | None]:
    """The classes in a label map, ascending, and the smallest box around them; background (0 or 255) is none.

    The labels are uint8 (z, y, x); the box is None where no class is.
    """
    counts, bounds = np.zeros(256, np.int64), _no_bounds()
    _hold(labels, counts, bounds)
    return [int(v) for v in np.flatnonzero(counts[:BACKGROUND])], _box(bounds)


def hemmed(marks: LabelArray, near: BoolArray, closed: BoolArray) -> LabelArray:
    """Strokes, and background wherever nothing is near or all is closed: uint8; all arrays are (z, y, x) of one shape."""
    out = np.empty(marks.shape, np.uint8)
    _hem(marks, near, closed, out)
    return out


def settle(labels: LabelArray, found: LabelArray, near: BoolArray, drawn: LabelArray) -> tuple[int, Box | None]:
    """Write an answer into labels: what was found where it is near, strokes over it, background as 0.

    Returns
    -------
    int, box or None
        Voxels that are labelled now, and the smallest box around those that changed; all arrays are (z, y, x) of one shape.
    """
    bounds = _no_bounds()
    return int(_settle(labels, found, near, drawn, bounds)), _box(bounds)


def _no_bounds() -> Counts:
    return np.array([np.iinfo(np.int64).max, -1] * 3, np.int64)


def _box(bounds: Counts) -> Box | None:
    if bounds[1] < 0:
        return None
    z, y, x = (slice(int(low), int(high) + 1) for low, high in bounds.reshape(3, 2))
    return z, y, x


@compiled
def _count(labels: LabelArray) -> int:
    count = 0
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            row = labels[z, y]
            for x in range(row.size):
                count += row[x] != 0
    return count


@compiled
def _gather(labels: LabelArray, out: npt.NDArray[np.intp]) -> None:
    count = place = 0
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            row, most = labels[z, y], np.uint8(0)
            for x in range(row.size):
                most |= row[x]
            if most:
                for x in range(row.size):
                    if row[x]:
                        out[count] = place + x
                        count += 1
            place += row.size


@compiled
def _hem(marks: LabelArray, near: BoolArray, closed: BoolArray, out: LabelArray) -> None:
    rest = np.uint8(BACKGROUND)
    for z in range(marks.shape[0]):
        for y in range(marks.shape[1]):
            for x in range(marks.shape[2]):
                here = marks[z, y, x]
                out[z, y, x] = rest if here == 0 and (closed[z, y, x] or not near[z, y, x]) else here


@compiled
def _widen(bounds: Counts, z: int, y: int, first: int, last: int) -> None:
    bounds[0], bounds[1] = min(bounds[0], z), max(bounds[1], z)
    bounds[2], bounds[3] = min(bounds[2], y), max(bounds[3], y)
    bounds[4], bounds[5] = min(bounds[4], first), max(bounds[5], last)


@compiled
def _hold(labels: LabelArray, counts: Counts, bounds: Counts) -> None:
    rest = np.uint8(BACKGROUND)
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            row, any_class = labels[z, y], False
            for x in range(row.size):
                any_class |= (row[x] != 0) & (row[x] != rest)
            if any_class:
                first, last = -1, -1
                for x in range(row.size):
                    if row[x] != 0 and row[x] != rest:
                        counts[row[x]] += 1
                        first, last = (x if first < 0 else first), x
                _widen(bounds, z, y, first, last)


@compiled
def _settle(labels: LabelArray, found: LabelArray, near: BoolArray, drawn: LabelArray, bounds: Counts) -> int:
    count, rest = 0, np.uint8(BACKGROUND)
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            first, last = -1, -1
            for x in range(labels.shape[2]):
                value = drawn[z, y, x] if drawn[z, y, x] else (found[z, y, x] if near[z, y, x] else np.uint8(0))
                if value == rest:
                    value = np.uint8(0)
                count += value != 0
                if labels[z, y, x] != value:
                    labels[z, y, x] = value
                    first, last = (x if first < 0 else first), x
            if first >= 0:
                _widen(bounds, z, y, first, last)
    return count
