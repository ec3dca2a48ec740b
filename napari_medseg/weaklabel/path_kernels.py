"""The loops behind `shortest_paths`: a map of paths, the queue they spread from, and what happens to both when strokes or steps change.

Voxels are numbered in a flat array whose rim is closed, so that no loop asks where it ends.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import BoolArray, FloatArray, LabelArray
from napari_medseg.weaklabel.compiled import compiled

UNIT_MM = 0.001
FAR = 2**31 - 1
"""Cost of voxels that no path leads to."""
CLOSED = -1
"""Cost of voxels that no path may enter."""

IntArray = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.intp]


class Map(NamedTuple):
    """What is known of each voxel, in a flat array with a closed rim: cost of its path, the stroke's class, and the number of the way back to it (0 none)."""

    cost: IntArray
    label: LabelArray
    origin: LabelArray


class Queue(NamedTuple):
    """Voxels to spread from, by cost: each bucket is a list linked through `after` and `before`; `before` of its first voxel names the bucket."""

    head: IntArray
    after: IntArray
    before: IntArray
    state: npt.NDArray[np.int64]


class Ways(NamedTuple):
    """To each neighbour: offset in a flat array, what the length costs, number of the way back."""

    offsets: Offsets
    lengths: IntArray
    back: LabelArray


FREE = -1
POSITION, WAITING = 0, 1  # of a queue's state: the first bucket that may hold voxels, and how many wait in all


@compiled
def put(node: int, bucket: int, queue: Queue) -> None:
    """Let a voxel wait in a bucket."""
    bucket = min(bucket, queue.head.size - 1)
    first = queue.head[bucket]
    queue.after[node], queue.before[node], queue.head[bucket] = first, -2 - bucket, node
    if first >= 0:
        queue.before[first] = node
    queue.state[WAITING] += 1
    queue.state[POSITION] = min(queue.state[POSITION], bucket)


@compiled
def take(node: int, queue: Queue) -> None:
    """Let a voxel wait no longer."""
    previous, following = queue.before[node], queue.after[node]
    if previous < FREE:
        queue.head[-2 - previous] = following
    else:
        queue.after[previous] = following
    if following >= 0:
        queue.before[following] = previous
    queue.before[node] = FREE
    queue.state[WAITING] -= 1


@compiled
def wake(nodes: IntArray, cost: IntArray, queue: Queue, width: int) -> None:
    """Let paths go on from voxels that have one."""
    for node in nodes:
        if queue.before[node] == FREE and 0 <= cost[node] < FAR:
            put(node, cost[node] // width, queue)


@compiled
def spread(most: int, paths: Map, queue: Queue, contrast: FloatArray, ways: Ways, edge: float, width: int, cap: int) -> int:
    """Follow paths in the order of their cost, from at most so many voxels; how many it were."""
    cost, label = paths.cost, paths.label
    weight, dearest = np.float32(edge / UNIT_MM), np.float32(cap)
    done = 0
    while queue.state[WAITING] > 0 and done < most:
        while queue.head[queue.state[POSITION]] < 0:
            queue.state[POSITION] += 1
        node = queue.head[queue.state[POSITION]]
        take(node, queue)
        done += 1
        here, ours, grey = cost[node], label[node], contrast[node]
        for k in range(ways.offsets.size):
            other = node + ways.offsets[k]
            along = here + ways.lengths[k]
            if cost[other] < along:  # no step is shorter
                continue
            rise = weight * abs(contrast[other] - grey)
            if rise > dearest:
                continue
            paid = along + int(rise)
            if paid > cap or paid > cost[other] or (paid == cost[other] and ours >= label[other]):
                continue
            if queue.before[other] != FREE:
                take(other, queue)
            cost[other], label[other], paths.origin[other] = paid, ours, ways.back[k]
            put(other, paid // width, queue)
    return done


@compiled
def _forget(node: int, paths: Map, queue: Queue) -> None:
    paths.cost[node], paths.label[node], paths.origin[node] = FAR, 0, 0
    if queue.before[node] != FREE:
        take(node, queue)


@compiled
def _begin(node: int, drawn: int, closed: bool, paths: Map, queue: Queue) -> None:
    """What a voxel is before any path reaches it: a stroke's own, closed, or open."""
    _forget(node, paths, queue)
    if closed:
        paths.cost[node] = CLOSED
    elif drawn != 0:
        paths.cost[node], paths.label[node] = 0, drawn
        put(node, 0, queue)


@compiled
def _cut(count: int, doomed: IntArray, paths: Map, queue: Queue, ways: Ways) -> int:
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
def _rim(nodes: IntArray, paths: Map, queue: Queue, ways: Ways, width: int) -> None:
    """Let paths come in again from all around some voxels."""
    for node in nodes:
        for k in range(ways.offsets.size):
            other = node + ways.offsets[k]
            if queue.before[other] == FREE and 0 <= paths.cost[other] < FAR:
                put(other, paths.cost[other] // width, queue)


@compiled
def mark(
    nodes: IntArray, values: LabelArray, marks: LabelArray, closed: BoolArray, doomed: IntArray, paths: Map, queue: Queue, ways: Ways, width: int,
) -> None:
    """Strokes of some voxels changed: cut off what hung on those that went, begin at those that came."""
    count = 0
    for i in range(nodes.size):
        node = nodes[i]
        if marks[node] != 0 and 0 <= paths.cost[node] < FAR:
            _forget(node, paths, queue)
            doomed[count] = node
            count += 1
    count = _cut(count, doomed, paths, queue, ways)
    for i in range(nodes.size):
        marks[nodes[i]] = values[i]
        _begin(nodes[i], values[i], closed[nodes[i]], paths, queue)
    _rim(doomed[:count], paths, queue, ways, width)


@compiled
def drop(nodes: IntArray, doomed: IntArray, paths: Map, queue: Queue, ways: Ways, width: int) -> None:
    """Cut off voxels that are given up, and what hung on them; these are never reached again."""
    for i in range(nodes.size):
        _forget(nodes[i], paths, queue)
        doomed[i] = nodes[i]
    count = _cut(nodes.size, doomed, paths, queue, ways)
    _rim(doomed[:count], paths, queue, ways, width)
