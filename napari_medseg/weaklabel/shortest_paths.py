"""Shortest paths from strokes to every voxel, kept up to date while strokes come and go.

One map holds for each voxel the cost of its cheapest path from a stroke, that stroke's class and the neighbour the path comes from. Paths spread in the order
of their cost (Dijkstra) out of a queue of buckets one least step wide (Dial, CACM 1969), so that no sorting is needed. A new stroke spreads only where it is
nearer than what is there; what hung on an erased one, or on a step that became dearer, is cut off along the paths and spread again from its rim (Ramalingam
and Reps, J. Algorithms 1996). Costs are whole numbers, 1/1000 mm, so that sums are exact and the map does not depend on the order in which strokes came; of
two paths of one cost the lower class wins.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import BoolArray, FloatArray, LabelArray, Shape, Spacing
from napari_medseg.weaklabel.compiled import compiled

UNIT_MM = 0.001
FAR = 2**31 - 1
"""Cost of voxels that no path leads to."""
CLOSED = -1
"""Cost of voxels that no path may enter."""

IntArray = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.intp]
LEVELS = 256


@dataclass(frozen=True, slots=True)
class Steps:
    """What a path pays from voxel to voxel.

    A step of `mm` between voxels whose going is hard by h and k and whose contrast differs by d costs sqrt((mm (h + k) / 2)^2 + (edge d)^2), or the plain
    sum of the two where `summed`.

    Attributes
    ----------
    spacing : mm per voxel (z, y, x)
    edge : float
        Cost of a contrast of 1, in mm.
    hardness : float32 (256,)
        What each level of a voxel's going stands for; positive, rising.
    cap : float
        mm; paths dearer than this are not followed.
    summed : bool
    corners : bool
        Whether paths go to all 26 neighbours, or to the 6 that share a face.
    """

    spacing: Spacing
    edge: float
    hardness: FloatArray
    cap: float
    summed: bool = False
    corners: bool = True


class _Map(NamedTuple):
    """What is known of each voxel, in a flat array with a closed rim: cost of its path, the stroke's class, and the number of the way back to it (0 none)."""

    cost: IntArray
    label: LabelArray
    origin: LabelArray


class _Queue(NamedTuple):
    """Voxels to spread from, by cost: each bucket is a list linked through `after` and `before`; `before` of its first voxel names the bucket."""

    head: IntArray
    after: IntArray
    before: IntArray
    state: npt.NDArray[np.int64]


class _Field(NamedTuple):
    contrast: FloatArray
    going: LabelArray
    hardness: FloatArray


class _Ways(NamedTuple):
    """To each neighbour: offset in a flat array, length in mm, number of the way back."""

    offsets: Offsets
    lengths: FloatArray
    back: LabelArray


_FREE = -1
POSITION, WAITING = 0, 1  # of a queue's state: the first bucket that may hold voxels, and how many wait in all


class Paths:
    """The map of cheapest paths over one box of voxels.

    Parameters
    ----------
    contrast : float32 (z, y, x)
    going : uint8 (z, y, x)
        Level of each voxel in `steps.hardness`.
    closed : bool (z, y, x)
        Where no path goes.
    own : int
        The one class this map is for, others' strokes being walls to it; 0 for all classes in one map, each voxel taking its nearest stroke's.
    """

    def __init__(self, contrast: FloatArray, going: LabelArray, closed: BoolArray, steps: Steps, own: int = 0) -> None:
        self.steps, self.own = steps, own
        self.shape: Shape = (contrast.shape[0], contrast.shape[1], contrast.shape[2])
        self._contrast = np.pad(contrast, 1)
        self._going = np.pad(going, 1)
        self._closed = np.pad(closed, 1, constant_values=True)
        self._marks = np.zeros(self._closed.shape, np.uint8)
        self._cost = np.full(self._closed.shape, FAR, np.int32)
        self._cost[self._closed] = CLOSED
        self._label = np.zeros(self._closed.shape, np.uint8)
        self._from = np.zeros(self._closed.shape, np.uint8)
        self._ways = _ways(self._closed.shape, steps)
        self._width = max(1, int(min(steps.spacing) * float(steps.hardness[0]) / UNIT_MM))
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
        field = _Field(self._contrast.ravel(), self._going.ravel(), self.steps.hardness)
        cap = min(int(self.steps.cap / UNIT_MM), FAR // 2)
        return int(_spread(most, self._map(), self._queue, field, self._ways, self.steps.edge, self.steps.summed, self._width, cap))

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
        _mark(nodes, values, self.own, self._marks.ravel(), self._closed.ravel(), doomed, self._map(), self._queue, self._ways, self._width)

    def follow(self, marks: LabelArray) -> None:
        """Take strokes as they are now, whatever they were.

        Parameters
        ----------
        marks : uint8 (z, y, x)
        """
        where = np.flatnonzero(marks != self._marks[1:-1, 1:-1, 1:-1])
        self.mark(where, marks.ravel()[where])

    def pay(self, steps: Steps) -> None:
        """Let paths pay by other steps from now on; where these cost the same nothing happens."""
        if steps.edge != self.steps.edge:
            self.steps = steps
            self.restart()

    def harden(self, going: LabelArray) -> None:
        """The going changed; only what hangs on voxels where it did is spread again.

        Parameters
        ----------
        going : uint8 (z, y, x)
        """
        old = self._going[1:-1, 1:-1, 1:-1]
        different = np.flatnonzero(going != old)
        if not different.size:
            return
        harder = np.asarray(going.ravel()[different] > old.ravel()[different])
        old[...] = going
        if different.size > going.size // 4:
            self.restart()
            return
        nodes = self._nodes(different)
        doomed = np.empty(self._label.size, np.int32)
        _reconsider(nodes, harder, self.own, self._marks.ravel(), doomed, self._map(), self._queue, self._ways, self._width)

    def restart(self) -> None:
        """Forget all paths and begin again at the strokes."""
        self._queue = self._empty_queue()
        _restart(self.own, self._marks.ravel(), self._closed.ravel(), self._map(), self._queue)

    def moved(self, contrast: FloatArray, going: LabelArray, closed: BoolArray, shift: tuple[int, int, int]) -> Paths:
        """The same map over another box: what lies outside is cut off, what is new is reached from the old rim.

        Parameters
        ----------
        contrast, going, closed
            Of the other box, which meets this one; the going that was known is kept until `harden`.
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
            _drop(lost, doomed, self._map(), self._queue, self._ways, self._width)
        other = Paths(contrast, going, closed, self.steps, self.own)
        target = tuple(slice(start + at + 1, stop + at + 1) for (start, stop), at in zip(both, shift, strict=True))
        for name in ("_marks", "_going", "_cost", "_label", "_from"):
            getattr(other, name)[target] = getattr(self, name)[core]
        rim = np.ones([stop - start for start, stop in both], bool)
        rim[1:-1, 1:-1, 1:-1] = self._queue.before.reshape(self._label.shape)[core][1:-1, 1:-1, 1:-1] != _FREE
        places = np.argwhere(rim) + [s.start for s in target]
        nodes = np.ravel_multi_index(tuple(places.T), other._label.shape).astype(np.int32)
        _wake(nodes, other._cost.ravel(), other._queue, other._width)
        return other

    def _nodes(self, where: npt.NDArray[np.intp]) -> IntArray:
        inside = np.unravel_index(where, self.shape)
        return np.ravel_multi_index(tuple(i + 1 for i in inside), self._label.shape).astype(np.int32)

    def _empty_queue(self) -> _Queue:
        buckets, nodes = int(self.steps.cap / UNIT_MM) // self._width + 2, self._label.size
        return _Queue(np.full(buckets, -1, np.int32), np.empty(nodes, np.int32), np.full(nodes, _FREE, np.int32), np.zeros(2, np.int64))

    def _map(self) -> _Map:
        return _Map(self._cost.ravel(), self._label.ravel(), self._from.ravel())


def _ways(shape: tuple[int, ...], steps: Steps) -> _Ways:
    around = [d for d in itertools.product((-1, 0, 1), repeat=3) if any(d) and (steps.corners or sum(map(abs, d)) == 1)]
    offsets = [(dz * shape[1] + dy) * shape[2] + dx for dz, dy, dx in around]
    lengths = [float(np.hypot(np.hypot(dz * steps.spacing[0], dy * steps.spacing[1]), dx * steps.spacing[2])) for dz, dy, dx in around]
    back = [around.index((-dz, -dy, -dx)) + 1 for dz, dy, dx in around]
    return _Ways(np.array(offsets, np.intp), np.array(lengths, np.float32), np.array(back, np.uint8))


@compiled
def _put(node: int, bucket: int, queue: _Queue) -> None:
    bucket = min(bucket, queue.head.size - 1)
    first = queue.head[bucket]
    queue.after[node], queue.before[node], queue.head[bucket] = first, -2 - bucket, node
    if first >= 0:
        queue.before[first] = node
    queue.state[WAITING] += 1
    queue.state[POSITION] = min(queue.state[POSITION], bucket)


@compiled
def _take(node: int, queue: _Queue) -> None:
    previous, following = queue.before[node], queue.after[node]
    if previous < _FREE:
        queue.head[-2 - previous] = following
    else:
        queue.after[previous] = following
    if following >= 0:
        queue.before[following] = previous
    queue.before[node] = _FREE
    queue.state[WAITING] -= 1


@compiled
def _wake(nodes: IntArray, cost: IntArray, queue: _Queue, width: int) -> None:
    """Let paths go on from voxels that have one."""
    for node in nodes:
        if queue.before[node] == _FREE and 0 <= cost[node] < FAR:
            _put(node, cost[node] // width, queue)


@compiled
def _spread(most: int, paths: _Map, queue: _Queue, field: _Field, ways: _Ways, edge: float, summed: bool, width: int, cap: int) -> int:
    cost, label, contrast, going, hardness = paths.cost, paths.label, field.contrast, field.going, field.hardness
    unit = np.float32(1 / UNIT_MM)
    weight, half, dearest = np.float32(edge) * unit, np.float32(0.5) * unit, np.float32(cap)
    done = 0
    while queue.state[WAITING] > 0 and done < most:
        while queue.head[queue.state[POSITION]] < 0:
            queue.state[POSITION] += 1
        node = queue.head[queue.state[POSITION]]
        _take(node, queue)
        done += 1
        here, ours, hard, grey = cost[node], label[node], hardness[going[node]], contrast[node]
        for k in range(ways.offsets.size):
            other = node + ways.offsets[k]
            if cost[other] < here + int(half * (hard + hardness[0]) * ways.lengths[k]):  # no step is shorter
                continue
            step = half * (hard + hardness[going[other]]) * ways.lengths[k]
            rise = weight * abs(contrast[other] - grey)
            dear = step + rise if summed else np.sqrt(step * step + rise * rise)
            if dear > dearest:
                continue
            paid = here + max(int(dear), 1)
            if paid > cap or paid > cost[other] or (paid == cost[other] and ours >= label[other]):
                continue
            if queue.before[other] != _FREE:
                _take(other, queue)
            cost[other], label[other], paths.origin[other] = paid, ours, ways.back[k]
            _put(other, paid // width, queue)
    return done


@compiled
def _forget(node: int, paths: _Map, queue: _Queue) -> None:
    paths.cost[node], paths.label[node], paths.origin[node] = FAR, 0, 0
    if queue.before[node] != _FREE:
        _take(node, queue)


@compiled
def _begin(node: int, drawn: int, own: int, closed: bool, paths: _Map, queue: _Queue) -> None:
    """What a voxel is before any path reaches it: a stroke's own, another stroke's and so a wall, or open."""
    _forget(node, paths, queue)
    if closed or (drawn != 0 and own != 0 and drawn != own):
        paths.cost[node] = CLOSED
    elif drawn != 0:
        paths.cost[node], paths.label[node] = 0, drawn
        _put(node, 0, queue)


@compiled
def _cut(count: int, doomed: IntArray, paths: _Map, queue: _Queue, ways: _Ways) -> int:
    """Cut off all paths through the first `count` voxels of `doomed`, which grows by what hung on them; how many there are in all."""
    seen = 0
    while seen < count:
        node = doomed[seen]
        seen += 1
        for k in range(ways.offsets.size):
            other = node + ways.offsets[k]
            if paths.origin[other] == ways.back[k] and 0 < paths.cost[other] < FAR:
                _forget(other, paths, queue)
                doomed[count] = other
                count += 1
    return count


@compiled
def _rim(nodes: IntArray, paths: _Map, queue: _Queue, ways: _Ways, width: int) -> None:
    """Let paths come in again from all around some voxels."""
    for node in nodes:
        for k in range(ways.offsets.size):
            other = node + ways.offsets[k]
            if queue.before[other] == _FREE and 0 <= paths.cost[other] < FAR:
                _put(other, paths.cost[other] // width, queue)


@compiled
def _mark(
    nodes: IntArray, values: LabelArray, own: int, marks: LabelArray, closed: BoolArray, doomed: IntArray,
    paths: _Map, queue: _Queue, ways: _Ways, width: int,
) -> None:
    count = 0
    for i in range(nodes.size):
        node = nodes[i]
        gained = marks[node] == 0 and (own == 0 or values[i] == own)
        if not gained and 0 <= paths.cost[node] < FAR:
            _forget(node, paths, queue)
            doomed[count] = node
            count += 1
        elif paths.cost[node] < 0 and values[i] == 0:
            doomed[count] = node  # a wall falls: paths may come in
            count += 1
    count = _cut(count, doomed, paths, queue, ways)
    for i in range(nodes.size):
        marks[nodes[i]] = values[i]
        _begin(nodes[i], values[i], own, closed[nodes[i]], paths, queue)
    _rim(doomed[:count], paths, queue, ways, width)


@compiled
def _drop(nodes: IntArray, doomed: IntArray, paths: _Map, queue: _Queue, ways: _Ways, width: int) -> None:
    """Cut off voxels that are given up, and what hung on them; these are never reached again."""
    for i in range(nodes.size):
        _forget(nodes[i], paths, queue)
        doomed[i] = nodes[i]
    count = _cut(nodes.size, doomed, paths, queue, ways)
    _rim(doomed[:count], paths, queue, ways, width)


@compiled
def _reconsider(
    nodes: IntArray, harder: BoolArray, own: int, marks: LabelArray, doomed: IntArray, paths: _Map, queue: _Queue, ways: _Ways, width: int,
) -> None:
    """The going of some voxels changed: cut off what passes where it is harder, and try all ways through the others again."""
    count = 0
    for i in range(nodes.size):
        node = nodes[i]
        if harder[i] and 0 <= paths.cost[node] < FAR:
            _forget(node, paths, queue)
            doomed[count] = node
            count += 1
    changed = count
    count = _cut(count, doomed, paths, queue, ways)
    for i in range(changed):
        if marks[doomed[i]] != 0:
            _begin(doomed[i], marks[doomed[i]], own, False, paths, queue)
    _rim(doomed[:count], paths, queue, ways, width)
    _rim(nodes, paths, queue, ways, width)
    _wake(nodes, paths.cost, queue, width)


@compiled
def _restart(own: int, marks: LabelArray, closed: BoolArray, paths: _Map, queue: _Queue) -> None:
    for node in range(paths.cost.size):
        paths.cost[node], paths.label[node], paths.origin[node] = FAR, 0, 0
        if closed[node] or marks[node] != 0:
            _begin(node, marks[node], own, closed[node], paths, queue)
