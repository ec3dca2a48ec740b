"""Connected pieces of a mask from its runs along x: the work is that of reading the mask once.

Two runs belong together when they touch (He, Chao and Suzuki, IEEE Trans. Image Process. 2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import BoolArray
from napari_medseg.weaklabel.compiled import compiled, in_parts

IntArray = npt.NDArray[np.intp]
Joins = Literal["corners", "faces", "slice"]

_ROWS = {"corners": [(-1, -1), (-1, 0), (-1, 1), (0, -1)], "faces": [(-1, 0), (0, -1)], "slice": [(0, -1)]}


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """The pieces of a mask.

    Attributes
    ----------
    shape : (z, y, x)
    first : intp
        Number of the first run of every row (z, y), and how many runs there are.
    starts, stops : intp
        Of every run, along x.
    numbers : intp
        Of the piece each run belongs to, from 0 in the order in which they are met.
    count : int
    """

    shape: tuple[int, int, int]
    first: IntArray
    starts: IntArray
    stops: IntArray
    numbers: IntArray
    count: int

    def sizes(self) -> IntArray:
        """Voxels of each piece, intp (count,)."""
        return np.bincount(self.numbers, self.stops - self.starts, self.count).astype(np.intp)

    def at(self, z: int, y: int, x: int) -> int:
        """The piece at a voxel of the mask."""
        row = z * self.shape[1] + y
        runs = slice(self.first[row], self.first[row + 1])
        return int(self.numbers[runs][np.searchsorted(self.stops[runs], x, side="right")])

    def at_edges(self, axes: tuple[int, ...]) -> BoolArray:
        """Which pieces touch an end of these axes, bool (count,)."""
        z, y = np.divmod(np.repeat(np.arange(len(self.first) - 1), np.diff(self.first)), self.shape[1])
        ends = np.zeros(len(self.numbers), bool)
        for axis, (low, high) in enumerate(((z, z + 1), (y, y + 1), (self.starts, self.stops))):
            if axis in axes:
                ends |= (low == 0) | (high == self.shape[axis])
        out = np.zeros(self.count, bool)
        out[self.numbers[ends]] = True
        return out

    def mask(self, chosen: BoolArray) -> BoolArray:
        """The chosen pieces, bool (z, y, x)."""
        out = np.zeros(self.shape, bool)
        in_parts(_paint, self.shape[0], self.first, self.starts, self.stops, chosen[self.numbers], out, least=8)
        return out


def pieces(mask: BoolArray, joins: Joins = "corners") -> Pieces:
    """Find the pieces of a mask, bool (z, y, x).

    Voxels join through faces, edges and corners (26 neighbours), through faces (6), or in their slice through faces (4).
    """
    mask = np.ascontiguousarray(mask)
    counts = np.concatenate(in_parts(_count, len(mask), mask, least=8))
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
    starts, stops = np.empty(first[-1], np.intp), np.empty(first[-1], np.intp)
    in_parts(_find, len(mask), mask, first, starts, stops, least=8)
    numbers, count = _join(mask.shape[1], first, starts, stops, np.array(_ROWS[joins], np.intp), int(joins == "corners"))
    return Pieces((mask.shape[0], mask.shape[1], mask.shape[2]), first, starts, stops, numbers, count)


@compiled
def _count(start: int, stop: int, mask: BoolArray) -> IntArray:
    rows = mask.shape[1]
    out = np.zeros((stop - start) * rows, np.intp)
    for row in range(len(out)):
        line, before = mask[start + row // rows, row % rows], False
        for x in range(len(line)):
            out[row] += line[x] and not before
            before = line[x]
    return out


@compiled
def _find(start: int, stop: int, mask: BoolArray, first: IntArray, starts: IntArray, stops: IntArray) -> None:
    rows = mask.shape[1]
    for z in range(start, stop):
        for y in range(rows):
            line, run, x = mask[z, y], first[z * rows + y], 0
            last = first[z * rows + y + 1]
            while run < last:
                while not line[x]:
                    x += 1
                starts[run] = x
                while x < len(line) and line[x]:
                    x += 1
                stops[run] = x
                run += 1


@compiled
def _join(rows: int, first: IntArray, starts: IntArray, stops: IntArray, others: IntArray, reach: int) -> tuple[IntArray, int]:
    """Number the runs by piece; `others` are the rows before (dz, dy) that a row may touch, `reach` how many voxels apart runs may end to touch."""
    roots = np.arange(len(starts))
    for row in range(len(first) - 1):
        z, y = row // rows, row % rows
        for which in range(len(others)):
            above, beside = z + others[which, 0], y + others[which, 1]
            if above < 0 or not 0 <= beside < rows:
                continue
            run, last = first[row], first[row + 1]
            other, end = first[above * rows + beside], first[above * rows + beside + 1]
            while run < last and other < end:
                if starts[run] < stops[other] + reach and starts[other] < stops[run] + reach:
                    a, b = run, other
                    while roots[a] != a:
                        roots[a] = roots[roots[a]]
                        a = roots[a]
                    while roots[b] != b:
                        roots[b] = roots[roots[b]]
                        b = roots[b]
                    if a < b:
                        roots[b] = a
                    else:
                        roots[a] = b
                if stops[run] < stops[other]:
                    run += 1
                else:
                    other += 1
    numbers, count = np.empty(len(starts), np.intp), 0
    for run in range(len(starts)):
        if roots[run] == run:
            numbers[run] = count
            count += 1
        else:
            numbers[run] = numbers[roots[run]]
    return numbers, count


@compiled
def _paint(start: int, stop: int, first: IntArray, starts: IntArray, stops: IntArray, chosen: BoolArray, out: BoolArray) -> None:
    rows = out.shape[1]
    for z in range(start, stop):
        for y in range(rows):
            for run in range(first[z * rows + y], first[z * rows + y + 1]):
                if chosen[run]:
                    out[z, y, starts[run]:stops[run]] = True
