"""Shortest paths from strokes to every voxel, kept up to date while strokes come and go.

One map holds for each voxel the cost of its cheapest path from a stroke, that stroke's class and the neighbour the path comes from. Paths spread in the order
of their cost (Dijkstra) out of a queue of buckets (Dial, CACM 1969), so that no sorting is needed. Where lengths cost little beside edges, buckets are wider
than the least step, and what is reached again at less cost spreads again (delta-stepping: Meyer and Sanders, J. Algorithms 2003). A new stroke spreads only
where it is nearer than what is there; what hung on an erased one is cut off along the paths and spread again from its rim (Ramalingam and Reps, J. Algorithms
1996). Costs are whole numbers, 1/1000 mm, so that sums are exact and the map does not depend on the order in which strokes came; of two paths of one cost the
lower class wins.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import BoolArray, FloatArray, LabelArray, Shape, Spacing
from napari_medseg.weaklabel import path_kernels as kernels
from napari_medseg.weaklabel.path_kernels import CLOSED, FAR, FREE, UNIT_MM, WAITING, IntArray, Map, Queue, Ways

__all__ = ["CLOSED", "FAR", "UNIT_MM", "Paths", "Steps"]

BUCKETS = 1000  # over a contrast of 1, at most


@dataclass(frozen=True, slots=True)
class Steps:
    """What a path pays from voxel to voxel: `length` times the mm between them, and `edge` times the change of contrast.

    Attributes
    ----------
    spacing : mm per voxel (z, y, x)
    edge : float
        Cost of a contrast of 1, in mm.
    length : float
        Cost of a mm, in mm.
    cap : float
        mm; paths dearer than this are not followed.
    """

    spacing: Spacing
    edge: float
    length: float
    cap: float


class Paths:
    """The map of cheapest paths over one box of voxels, each taking the class of its nearest stroke.

    Parameters
    ----------
    contrast : float32 (z, y, x)
    closed : bool (z, y, x)
        Where no path goes.
    """

    def __init__(self, contrast: FloatArray, closed: BoolArray, steps: Steps) -> None:
        self.steps = steps
        self.shape: Shape = (contrast.shape[0], contrast.shape[1], contrast.shape[2])
        self._contrast = np.pad(contrast, 1)
        self._closed = np.pad(closed, 1, constant_values=True)
        self._marks = np.zeros(self._closed.shape, np.uint8)
        self._cost = np.full(self._closed.shape, FAR, np.int32)
        self._cost[self._closed] = CLOSED
        self._label = np.zeros(self._closed.shape, np.uint8)
        self._from = np.zeros(self._closed.shape, np.uint8)
        self._ways = _ways(self._closed.shape, steps)
        self._width = max(int(self._ways.lengths.min()), int(steps.edge / UNIT_MM / BUCKETS))
        self._queue = self._empty_queue()

    @property
    def cost(self) -> IntArray:
        """Cost of the cheapest path to each voxel, int32 (z, y, x) in `UNIT_MM`: `FAR` where none leads, `CLOSED` where none may."""
        return self._cost[1:-1, 1:-1, 1:-1]

    @property
    def label(self) -> LabelArray:
        """Class of the stroke that path comes from, uint8 (z, y, x)."""
        return self._label[1:-1, 1:-1, 1:-1]

    @property
    def settled(self) -> bool:
        """Whether nothing is left to spread."""
        return int(self._queue.state[WAITING]) == 0

    def spread(self, most: int) -> int:
        """Follow paths from at most so many voxels; how many it were. Call again until `settled`."""
        cap = min(int(self.steps.cap / UNIT_MM), FAR // 2)
        return int(kernels.spread(most, self._map(), self._queue, self._contrast.ravel(), self._ways, self.steps.edge, self._width, cap))

    def mark(self, where: npt.NDArray[np.intp], values: LabelArray) -> None:
        """Strokes changed.

        Parameters
        ----------
        where : intp (n,)
            Flat indices into (z, y, x).
        values : uint8 (n,)
            What is drawn there now; 0 nothing.
        """
        nodes = self._nodes(where)
        different = self._marks.ravel()[nodes] != values
        nodes, values = nodes[different], np.ascontiguousarray(values[different])
        doomed = np.empty(self._label.size, np.int32)
        kernels.mark(nodes, values, self._marks.ravel(), self._closed.ravel(), doomed, self._map(), self._queue, self._ways, self._width)

    def follow(self, marks: LabelArray) -> None:
        """Take strokes as they are now, whatever they were.

        Parameters
        ----------
        marks : uint8 (z, y, x)
        """
        where = np.flatnonzero(marks != self._marks[1:-1, 1:-1, 1:-1])
        self.mark(where, marks.ravel()[where])

    def moved(self, contrast: FloatArray, closed: BoolArray, shift: tuple[int, int, int]) -> Paths:
        """The same map over another box: what lies outside is cut off, what is new is reached from the old rim.

        Parameters
        ----------
        contrast, closed
            Of the other box, which meets this one.
        shift : (z, y, x)
            Where this box begins in the other.
        """
        both = [(max(0, -at), min(old, new - at)) for at, old, new in zip(shift, self.shape, contrast.shape, strict=True)]
        core = tuple(slice(start + 1, stop + 1) for start, stop in both)
        outside = np.ones(self._label.shape, bool)
        outside[core] = False
        lost = np.flatnonzero(outside & (self._cost >= 0) & (self._cost < FAR)).astype(np.int32)
        if lost.size:
            doomed = np.empty(self._label.size, np.int32)
            kernels.drop(lost, doomed, self._map(), self._queue, self._ways, self._width)
        other = Paths(contrast, closed, self.steps)
        target = tuple(slice(start + at + 1, stop + at + 1) for (start, stop), at in zip(both, shift, strict=True))
        for name in ("_marks", "_cost", "_label", "_from"):
            getattr(other, name)[target] = getattr(self, name)[core]
        rim = np.ones([stop - start for start, stop in both], bool)
        rim[1:-1, 1:-1, 1:-1] = self._queue.before.reshape(self._label.shape)[core][1:-1, 1:-1, 1:-1] != FREE
        places = np.argwhere(rim) + [s.start for s in target]
        nodes = np.ravel_multi_index(tuple(places.T), other._label.shape).astype(np.int32)
        kernels.wake(nodes, other._cost.ravel(), other._queue, other._width)
        return other

    def _nodes(self, where: npt.NDArray[np.intp]) -> IntArray:
        inside = np.unravel_index(where, self.shape)
        return np.ravel_multi_index(tuple(i + 1 for i in inside), self._label.shape).astype(np.int32)

    def _empty_queue(self) -> Queue:
        buckets, nodes = int(self.steps.cap / UNIT_MM) // self._width + 2, self._label.size
        return Queue(np.full(buckets, -1, np.int32), np.empty(nodes, np.int32), np.full(nodes, FREE, np.int32), np.zeros(2, np.int64))

    def _map(self) -> Map:
        return Map(self._cost.ravel(), self._label.ravel(), self._from.ravel())


def _ways(shape: tuple[int, ...], steps: Steps) -> Ways:
    around = [d for d in itertools.product((-1, 0, 1), repeat=3) if any(d)]
    offsets = [(dz * shape[1] + dy) * shape[2] + dx for dz, dy, dx in around]
    lengths = [float(np.hypot(np.hypot(dz * steps.spacing[0], dy * steps.spacing[1]), dx * steps.spacing[2])) for dz, dy, dx in around]
    costs = [max(1, int(steps.length * length / UNIT_MM)) for length in lengths]
    back = [around.index((-dz, -dy, -dx)) + 1 for dz, dy, dx in around]
    return Ways(np.array(offsets, np.intp), np.array(costs, np.int32), np.array(back, np.uint8))
