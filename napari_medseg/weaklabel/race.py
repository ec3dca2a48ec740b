"""Strokes race for a region: each voxel goes to the class that reaches it first, and a class passes only through what it holds.

The cost of a class's way grows from voxel to voxel, spreads in the order of cost (Dijkstra) out of a queue of buckets one least step wide (Dial, CACM 1969),
and may be another for each class, so that one pass serves all of them. Of two that arrive at once the lower class wins.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import BoolArray, FloatArray, LabelArray, Shape, Spacing
from napari_medseg.weaklabel.compiled import compiled
from napari_medseg.weaklabel.path_kernels import CLOSED, FAR, FREE, POSITION, UNIT_MM, WAITING, IntArray, Queue, put, take

NOBODY = -1  # the row of a voxel that is not raced for


class Track(NamedTuple):
    """What is raced for, in flat arrays whose rim is closed.

    Attributes
    ----------
    cost : int32
        Of the way to each voxel, in `UNIT_MM`; `FAR` where nobody came yet, `CLOSED` where nobody may pass.
    label : uint8
        Who holds it.
    row : int32
        Of `doubts`; `NOBODY` where a voxel is what it is.
    contrast : float32
    """

    cost: IntArray
    label: LabelArray
    row: IntArray
    contrast: FloatArray


class Toll(NamedTuple):
    """What a step costs: sqrt((mm (h + k) / 2)^2 + (edge d)^2) between voxels whose going is hard by h and k and whose contrast differs by d.

    Attributes
    ----------
    doubts : uint8 (rows, classes)
        How unlikely each class is; no rows where all are as likely.
    column : int32 (256,)
        Of each class in `doubts`.
    hardness : float32 (256,)
        What a doubt stands for, from 1 up.
    edge : float
        mm a contrast of 1.
    cap : int
        Dearer ways are not followed.
    """

    doubts: LabelArray
    column: IntArray
    hardness: FloatArray
    edge: float
    cap: int


class Around(NamedTuple):
    """A voxel's 26 neighbours: offset in a flat array, and length in mm."""

    offsets: npt.NDArray[np.intp]
    lengths: FloatArray


@lru_cache(maxsize=32)
def around(shape: Shape, spacing: Spacing) -> Around:
    """Neighbours in an array of this shape, its closed rim included; not to be written to."""
    steps = [d for d in itertools.product((-1, 0, 1), repeat=3) if any(d)]
    offsets = [(dz * shape[1] + dy) * shape[2] + dx for dz, dy, dx in steps]
    lengths = [float(np.hypot(np.hypot(dz * spacing[0], dy * spacing[1]), dx * spacing[2])) for dz, dy, dx in steps]
    return Around(np.array(offsets, np.intp), np.array(lengths, np.float32))


def queue_for(nodes: int, cap: int, width: int) -> Queue:
    """An empty queue for costs up to a cap."""
    state = np.zeros(2, np.int64)
    state[POSITION] = cap // width + 1
    return Queue(np.full(cap // width + 2, -1, np.int32), np.empty(nodes, np.int32), np.full(nodes, FREE, np.int32), state)


@compiled
def line_up(racing: IntArray, strokes: IntArray, track: Track, queue: Queue, ways: Around, width: int) -> None:
    """Strokes start, and whoever stands next to what is raced for."""
    for node in strokes:
        if queue.before[node] == FREE:
            put(node, 0, queue)
    for node in racing:
        for offset in ways.offsets:
            other = node + offset
            if track.row[other] == NOBODY and 0 <= track.cost[other] < FAR and queue.before[other] == FREE:
                put(other, track.cost[other] // width, queue)


@compiled
def run(most: int, track: Track, queue: Queue, toll: Toll, ways: Around, width: int) -> int:
    """Go on from at most so many voxels; from how many it was."""
    cost, label, row, contrast = track.cost, track.label, track.row, track.contrast
    unit, half = np.float32(1 / UNIT_MM), np.float32(0.5 / UNIT_MM)
    weight, least, learned = np.float32(toll.edge) * unit, toll.hardness[0], toll.doubts.shape[0] > 0
    done = 0
    while queue.state[WAITING] > 0 and done < most:
        while queue.head[queue.state[POSITION]] < 0:
            queue.state[POSITION] += 1
        node = queue.head[queue.state[POSITION]]
        take(node, queue)
        done += 1
        here, ours, grey = cost[node], label[node], contrast[node]
        column = toll.column[ours]
        hard = toll.hardness[toll.doubts[row[node], column]] if learned and row[node] != NOBODY else least
        for k in range(ways.offsets.size):
            other = node + ways.offsets[k]
            if cost[other] < here + int(half * (hard + least) * ways.lengths[k]) or row[other] == NOBODY:  # no step is shorter
                continue
            going = toll.hardness[toll.doubts[row[other], column]] if learned else least
            step, rise = half * (hard + going) * ways.lengths[k], weight * abs(contrast[other] - grey)
            if max(step, rise) > toll.cap or cost[other] < here + int(max(step, rise)):  # most are out before the root is taken
                continue
            dear = np.sqrt(step * step + rise * rise)
            if dear > toll.cap:
                continue
            paid = here + max(int(dear), 1)
            if paid > toll.cap or paid > cost[other] or (paid == cost[other] and ours >= label[other]):
                continue
            if queue.before[other] != FREE:
                take(other, queue)
            cost[other], label[other] = paid, ours
            put(other, paid // width, queue)
    return done


@compiled
def enter(near: BoolArray, closed: BoolArray, cost: IntArray, row: IntArray, nodes: IntArray, places: IntArray) -> int:
    """Open all voxels that are near and not closed; how many there are.

    `near` and `closed` are bool (z, y, x), `cost` and `row` int32 with a rim around that; the voxels' flat indices go into `nodes` with the rim and into
    `places` without.
    """
    count = 0
    depth, height, width = near.shape
    for z in range(depth):
        for y in range(height):
            place, node = (z * height + y) * width, ((z + 1) * (height + 2) + y + 1) * (width + 2) + 1
            for x in range(width):
                if near[z, y, x] and not closed[z, y, x]:
                    cost[z + 1, y + 1, x + 1], row[z + 1, y + 1, x + 1] = FAR, count
                    nodes[count], places[count] = node + x, place + x
                    count += 1
    return count


@compiled
def doubtful(cost: IntArray, label: LabelArray, reach: tuple[int, int, int], out: BoolArray) -> None:
    """Mark voxels as far from a border between classes as `reach` along each axis; all arrays have a rim."""
    depth, height, width = label.shape
    rest = np.uint8(255)
    for z in range(1, depth - 1):
        for y in range(1, height - 1):
            for x in range(1, width - 1):
                if cost[z, y, x] == CLOSED:
                    continue
                here = label[z, y, x] if label[z, y, x] > 0 else rest
                same = True
                for c in range(z - 1, z + 2):
                    for b in range(y - 1, y + 2):
                        for a in range(x - 1, x + 2):
                            there = label[c, b, a] if label[c, b, a] > 0 else rest
                            same = same and there == here
                if not same:
                    for c in range(max(z - reach[0], 0), min(z + reach[0] + 1, depth)):
                        for b in range(max(y - reach[1], 0), min(y + reach[1] + 1, height)):
                            for a in range(max(x - reach[2], 0), min(x + reach[2] + 1, width)):
                                out[c, b, a] = True


@compiled
def refine(
    near: BoolArray, closed: BoolArray, times: tuple[int, int, int], coarse_cost: IntArray, coarse_label: LabelArray, again: BoolArray,
    cost: IntArray, label: LabelArray, row: IntArray, nodes: IntArray, places: IntArray,
) -> int:
    """Bring what coarse voxels hold to finer ones, and open those that are raced for again, as `enter` does."""
    count = 0
    depth, height, width = near.shape
    half = 1 if times[2] == 2 else 0
    for z in range(depth):
        c = z // times[0] + 1
        for y in range(height):
            b = y // times[1] + 1
            place, node = (z * height + y) * width, ((z + 1) * (height + 2) + y + 1) * (width + 2) + 1
            for x in range(width):
                if not near[z, y, x] or closed[z, y, x]:
                    continue
                a = (x >> half) + 1
                if again[c, b, a]:
                    cost[z + 1, y + 1, x + 1], row[z + 1, y + 1, x + 1] = FAR, count
                    nodes[count], places[count] = node + x, place + x
                    count += 1
                else:
                    cost[z + 1, y + 1, x + 1], label[z + 1, y + 1, x + 1] = coarse_cost[c, b, a], coarse_label[c, b, a]
    return count
