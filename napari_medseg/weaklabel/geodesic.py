"""Geodesic scribbles: every voxel takes the class of the stroke it reaches at least cost.

A step costs sqrt(mm^2 + (edge dI)^2) (Criminisi et al., GeoS, ECCV 2008, eq. 2; Wang et al., DeepIGeoS, PAMI 2019), in mm, so that anisotropic voxels and
intensity edges are in one unit and no path is shorter than its length. Where a pixel classifier says how likely each class is, a class moves the slower
the less it belongs: its steps are longer by `DOUBT` times what the class lacks to certainty. A class passes only through what it holds.

Large regions are raced for in coarse voxels first, then again near the borders between classes in voxels half as large, down to the scan's. Everything is
worked out anew from the strokes, which costs a few milliseconds and depends on nothing but them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.volume import BoolArray, LabelArray, Spacing
from napari_medseg.weaklabel import race
from napari_medseg.weaklabel.features import smoothed
from napari_medseg.weaklabel.levels import Level, Levels, any_of
from napari_medseg.weaklabel.marked import held_by_classes, marked
from napari_medseg.weaklabel.path_kernels import CLOSED, UNIT_MM, WAITING, IntArray
from napari_medseg.weaklabel.scribble_region import Region

EDGE_MM = 200.0
DOUBT = 20.0
CAP = 4.0  # times the reach: what costs more to reach is background
CHUNK = 200_000  # voxels a race goes on from before the next look at whether somebody waits; well under 100 ms
COARSEN = 20_000  # voxels within reach above which a race is run in coarser ones first
RINGS = 3  # coarse voxels on either side of a border that are raced for again
ROUNDING = 1.2  # standard deviation, in finest voxels, with which outlines are smoothed; measured in docs/weaklabel.md

LEVELS = 256  # of doubt
HARDNESS = np.asarray(1 + DOUBT * np.arange(LEVELS) / (LEVELS - 1), np.float32)


class Doubts(Protocol):
    """How unlikely classes are."""

    def doubts(self, level: int, places: IntArray) -> tuple[tuple[int, ...], LabelArray]:
        """The classes, and for each of some voxels of a level (flat indices) 0 sure to 255 out of the question: uint8 (voxels, classes)."""


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """Who holds what on a level; arrays with a rim of one voxel."""

    cost: IntArray
    label: LabelArray


class Geodesic:
    """Nearest strokes over a region.

    Parameters
    ----------
    reach_mm : float
        The farther this is, the dearer paths may be.
    """

    def __init__(self, region: Region, reach_mm: float) -> None:
        self._cap, self._region, self._levels = int(CAP * reach_mm / UNIT_MM), region, Levels(region)
        self._held: _Held | None = None

    def follow(self, region: Region, marks: LabelArray, near: BoolArray, scale: float, looks: Doubts | None = None) -> Iterator[float]:
        """Find who is nearest; leaving early does no harm.

        Parameters
        ----------
        marks : uint8 (z, y, x)
            Strokes as they are now; 0 none.
        near : bool (z, y, x)
            Where paths go.
        scale : float
            Contrast that counts as an edge of 1.
        looks : Doubts, optional
            What the classifier says.

        Yields
        ------
        float
            Share of the work done, 0-1.
        """
        if region is not self._region:
            self._region, self._levels = region, Levels(region)
        within = [near]
        while np.count_nonzero(within[-1]) > COARSEN and max(self._levels[len(within)].times) > 1:
            within.append(any_of(within[-1], self._levels[len(within)].times))
        strokes = _on_levels(marks, [self._levels[index].times for index in range(len(within))])
        held = None
        for index in range(len(within) - 1, -1, -1):
            opened = self._opened(index, within[index], strokes, held)
            held = opened.held
            for share in self._raced(index, opened, strokes[index], scale, looks):
                yield (len(within) - 1 - index + share) / len(within)
        self._held = held

    @property
    def labels(self) -> LabelArray:
        """The nearest stroke's class, uint8 (z, y, x); 0 where none reaches."""
        if self._held is None:
            return np.zeros(self._region.shape, np.uint8)
        return self._held.label[1:-1, 1:-1, 1:-1].copy()

    def _opened(self, index: int, near: BoolArray, strokes: list[_Strokes], coarse: _Held | None) -> _Opened:
        """A level with what is raced for; where coarser voxels were raced for before, only what they leave in doubt."""
        level = self._levels[index]
        cost = np.full(level.contrast.shape, CLOSED, np.int32)
        label, row = np.zeros(cost.shape, np.uint8), np.full(cost.shape, race.NOBODY, np.int32)
        nodes, places = np.empty(near.size, np.int32), np.empty(near.size, np.int32)
        if coarse is None:
            count = race.enter(near, level.closed, cost, row, nodes, places)
        else:
            times = self._levels[index + 1].times
            again = np.zeros(coarse.label.shape, bool)
            again.ravel()[_rimmed(strokes[index + 1].places, self._levels[index + 1])] = True
            z, y, x = (RINGS - 1 if t > 1 else 0 for t in times)
            race.doubtful(coarse.cost, coarse.label, (z, y, x), again)
            count = race.refine(near, level.closed, times, coarse.cost, coarse.label, again, cost, label, row, nodes, places)
        return _Opened(_Held(cost, label), row, nodes[:count], places[:count])

    def _raced(self, index: int, opened: _Opened, strokes: _Strokes, scale: float, looks: Doubts | None) -> Iterator[float]:
        level, cost, label = self._levels[index], opened.held.cost, opened.held.label
        nodes = _rimmed(strokes.places, level)
        cost.ravel()[nodes], label.ravel()[nodes] = 0, strokes.values
        column, doubts = np.zeros(256, np.int32), np.zeros((0, 1), np.uint8)
        if looks is not None:
            classes, doubts = looks.doubts(index, opened.places)
            column[list(classes)] = np.arange(len(classes))
        width = max(1, int(min(level.spacing) / UNIT_MM))
        z, y, x = cost.shape
        ways, queue = race.around((z, y, x), level.spacing), race.queue_for(cost.size, self._cap, width)
        track = race.Track(cost.ravel(), label.ravel(), opened.row.ravel(), level.contrast.ravel())
        toll = race.Toll(doubts, column, HARDNESS, EDGE_MM / scale, self._cap)
        race.line_up(opened.nodes, nodes, track, queue, ways, width)
        done = 0
        while queue.state[WAITING]:
            done += race.run(CHUNK, track, queue, toll, ways, width)
            yield min(1.0, done / max(opened.nodes.size, 1))


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """A level about to be raced for: flat indices of what is, with the rim and without, and each one's row."""

    held: _Held
    row: IntArray
    nodes: IntArray
    places: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class _Strokes:
    """Strokes on a level: flat indices (z, y, x) and classes; the last of several on one voxel counts."""

    places: npt.NDArray[np.intp]
    values: LabelArray


def _on_levels(marks: LabelArray, times: list[tuple[int, int, int]]) -> list[_Strokes]:
    """Strokes on each level; on a coarse voxel a class survives before background."""
    places = marked(marks)
    values = marks.ravel()[places]
    order = np.argsort(np.where(values == BACKGROUND, 0, values), kind="stable")
    places, values, shape = places[order], values[order], marks.shape
    found = [_Strokes(places, values)]
    for factor in times[1:]:
        where = np.unravel_index(places, shape)
        shape = tuple(-(-n // f) for n, f in zip(shape, factor, strict=True))
        places = np.ravel_multi_index(tuple(i // f for i, f in zip(where, factor, strict=True)), shape)
        found.append(_Strokes(places, values))
    return found


def _rimmed(places: npt.NDArray[np.intp], level: Level) -> IntArray:
    """Flat indices of voxels in arrays with a rim."""
    return np.ravel_multi_index(tuple(i + 1 for i in np.unravel_index(places, level.shape)), level.contrast.shape).astype(np.int32)


def rounded(labels: LabelArray, spacing: Spacing) -> LabelArray:
    """Labels, uint8 (z, y, x), whose outlines are smooth at the scale of a voxel; background (0 or 255) becomes 0.

    Paths leave outlines as rough as the noise. Each voxel takes the class that prevails around it, weighed by a Gaussian.
    """
    out, (classes, held) = np.zeros(labels.shape, np.uint8), held_by_classes(labels)
    if held is None:
        return out
    margins = [int(np.ceil(3 * ROUNDING * min(spacing) / step)) for step in spacing]
    z, y, x = (slice(max(0, s.start - m), min(n, s.stop + m)) for s, m, n in zip(held, margins, labels.shape, strict=True))
    box = z, y, x
    part = labels[box]
    rest, best, winner = np.ones(part.shape, np.float32), np.zeros(part.shape, np.float32), np.zeros(part.shape, np.uint8)
    for value in classes:
        votes = smoothed((part == value).astype(np.float32), spacing, ROUNDING * min(spacing))
        more = votes > best
        best[more], winner[more] = votes[more], value
        rest -= votes
    winner[rest >= best] = 0
    out[box] = winner
    return out
