"""Rounder outlines at the same volume, several classes at once.

Each class's mask is blurred by a Gaussian. A voxel goes to the class (or the ground they lie on) whose blurred mask is highest there, after a constant
was added to each class's so that every class holds as many voxels as before: threshold dynamics with volume constraints (Jacobs, Merkurjev and
Esedoglu, J. Comput. Phys. 2018), one step. Neighbours share one boundary, so no gap opens between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import BoolArray, FloatArray, Spacing
from napari_medseg.weaklabel.compiled import compiled, in_parts
from napari_medseg.weaklabel.scene import Box

IntArray = npt.NDArray[np.intp]

TAIL = 3.0  # standard deviations at which the Gaussian is cut
SURE = 2e-3  # from 0 or 1: such a voxel does not change
RIVALS = 4  # classes kept at a voxel; more never meet at one in practice
ROUNDS = 12
CLOSE_ENOUGH = 0.002  # of a class's volume


def blurred(mask: BoolArray, mm: float, spacing: Spacing) -> FloatArray:
    """The mask, bool (z, y, x), under a Gaussian of this standard deviation in mm, float32; what lies at the border goes on beyond it."""
    z, y, x = (_weights(mm / s) for s in spacing)
    out = np.empty(mask.shape, np.float32)
    in_parts(_blur, len(mask), np.ascontiguousarray(mask), z, y, x, out, least=max(4, len(z)))
    return out


def margin_mm(mm: float) -> float:
    """How far from a class its blurred mask reaches."""
    return TAIL * mm


@dataclass(frozen=True, slots=True, eq=False)
class _Band:
    """Voxels that may change: `free`, numbered row by row from `first`, and who wants each."""

    free: BoolArray
    first: IntArray
    ground: FloatArray
    rivals: npt.NDArray[np.uint16]
    wishes: FloatArray


def smooth(
    labels: npt.NDArray[Any], boxes: dict[int, Box], mm: float, spacing: Spacing, *, ground: int = 0, allowed: BoolArray | None = None
) -> npt.NDArray[Any]:
    """Smooth classes together.

    Parameters
    ----------
    labels : uint8 or uint16 (z, y, x)
    boxes : dict of class to box
        The classes to smooth, and a box around each, wider by `margin_mm` than the class.
    mm : float
        Standard deviation.
    spacing : mm per voxel (z, y, x)
    ground : int
        What the classes lie on: 0, or a class. Voxels of further classes stay.
    allowed : bool (z, y, x), optional
        Where voxels may change.

    Returns
    -------
    array like `labels`
    """
    if not boxes:
        return labels
    values = sorted(boxes)
    masks = {value: labels[boxes[value]] == value for value in values}
    wishes = {value: blurred(masks[value], mm, spacing) for value in values}
    free = np.zeros(labels.shape, bool)
    for value in values:
        free[boxes[value]] |= (wishes[value] < 1 - SURE) & ((wishes[value] > SURE) | masks[value])
    if allowed is not None:
        free &= allowed
    free[free] = np.isin(labels[free], [ground, *values])
    counts = np.count_nonzero(free, axis=2).ravel()
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
    size = int(first[-1])
    if not size:
        return labels
    band = _Band(free, first, np.zeros(size, np.float32), np.zeros((RIVALS, size), np.uint16), np.zeros((RIVALS, size), np.float32))
    for value in values:
        box = boxes[value]
        starts = np.array([s.start for s in box], np.intp)
        _enter(value, starts, wishes.pop(value), blurred(labels[box] == ground, mm, spacing), free, first, band.ground, band.rivals, band.wishes)
    out = labels.copy()
    out[free] = _shared_out(labels[free], band, values, ground)
    return out


def _shared_out(held: npt.NDArray[Any], band: _Band, values: Sequence[int], ground: int) -> IntArray:
    """Find the constants that keep the volumes, then let the highest wish have each voxel; `held` and what is given are the free voxels' classes."""
    most = max(*values, ground) + 1
    targets = np.bincount(held, minlength=most)
    added = np.zeros(most, np.float32)
    for _ in range(ROUNDS):
        for value in values:
            added[value] = _level(_margins(value, band.ground, band.rivals, band.wishes, added), int(targets[value]))
        taken = _taken(band.ground, band.rivals, band.wishes, added, ground)
        now = np.bincount(taken, minlength=most)
        if all(abs(int(now[v]) - int(targets[v])) <= CLOSE_ENOUGH * targets[v] for v in values):
            break
    return taken


def _level(margins: FloatArray, target: int) -> float:
    """The constant with which just `target` margins are above zero."""
    if target <= 0 or not margins.size:
        return -np.inf
    if target >= margins.size:
        return float(1e-6 - margins.min())
    both = np.partition(margins, [margins.size - target - 1, margins.size - target])
    return -float(both[margins.size - target - 1] + both[margins.size - target]) / 2


def _weights(sigma: float) -> FloatArray:
    steps = np.arange(-int(TAIL * sigma + 0.5), int(TAIL * sigma + 0.5) + 1)
    weights = np.exp(-0.5 * (steps / max(sigma, 1e-6)) ** 2)
    return np.asarray(weights / weights.sum(), np.float32)


@compiled
def _blur(start: int, stop: int, mask: BoolArray, along_z: FloatArray, along_y: FloatArray, along_x: FloatArray, out: FloatArray) -> None:
    slices, rows, columns = mask.shape
    deep, high, wide = len(along_z) // 2, len(along_y) // 2, len(along_x) // 2
    kept = 2 * deep + 1
    planes = np.empty((kept, rows, columns), np.float32)
    empty = np.zeros(kept, np.bool_)
    lines = np.empty((rows, columns), np.float32)
    blank = np.zeros(rows, np.bool_)
    padded = np.empty(columns + 2 * wide, np.float32)
    for z in range(start - deep, stop + deep):
        source, plane = mask[min(max(z, 0), slices - 1)], planes[(z + kept) % kept]
        nothing = True
        for y in range(rows):
            blank[y] = True
            for x in range(columns):
                if source[y, x]:
                    blank[y] = False
                    break
            if blank[y]:
                continue
            nothing = False
            for x in range(columns + 2 * wide):
                padded[x] = np.float32(1) if source[y, min(max(x - wide, 0), columns - 1)] else np.float32(0)
            line = lines[y]
            line[:] = 0
            for step in range(len(along_x)):
                weight = along_x[step]
                for x in range(columns):
                    line[x] += weight * padded[x + step]
        empty[(z + kept) % kept] = nothing
        if not nothing:
            plane[:] = 0
            for y in range(rows):
                for step in range(-high, high + 1):
                    other = min(max(y + step, 0), rows - 1)
                    if not blank[other]:
                        weight, line, sums = along_y[step + high], lines[other], plane[y]
                        for x in range(columns):
                            sums[x] += weight * line[x]
        target = z - deep
        if target < start:
            continue
        here = out[target]
        here[:] = 0
        for step in range(-deep, deep + 1):
            place = (target + step + kept) % kept
            if not empty[place]:
                weight, plane = along_z[step + deep], planes[place]
                for y in range(rows):
                    line, sums = plane[y], here[y]
                    for x in range(columns):
                        sums[x] += weight * line[x]


@compiled
def _enter(
    value: int, starts: IntArray, wish: FloatArray, below: FloatArray, free: BoolArray, first: IntArray, ground: FloatArray,
    rivals: npt.NDArray[np.uint16], wishes: FloatArray,
) -> None:
    """Enter one class's wishes, and the ground's, at the free voxels of the class's box."""
    slices, rows, columns = wish.shape
    for z in range(slices):
        for y in range(rows):
            line = free[z + starts[0], y + starts[1]]
            at = first[(z + starts[0]) * free.shape[1] + y + starts[1]]
            for x in range(starts[2]):
                at += line[x]
            for x in range(columns):
                if not line[x + starts[2]]:
                    continue
                ground[at] = below[z, y, x]
                least = 0
                for rank in range(1, len(rivals)):
                    if wishes[rank, at] < wishes[least, at]:
                        least = rank
                if wish[z, y, x] > wishes[least, at]:
                    wishes[least, at] = wish[z, y, x]
                    rivals[least, at] = value
                at += 1


@compiled
def _margins(value: int, ground: FloatArray, rivals: npt.NDArray[np.uint16], wishes: FloatArray, added: FloatArray) -> FloatArray:
    """By how much a class is wanted more than the best of the others, wherever it is wanted; its own constant is left out."""
    out = np.empty(len(ground), np.float32)
    count = 0
    for at in range(len(ground)):
        own, best = np.float32(-1), ground[at]
        for rank in range(len(rivals)):
            rival = rivals[rank, at]
            if rival == value:
                own = wishes[rank, at]
            elif rival:
                best = max(best, wishes[rank, at] + added[rival])
        if own >= 0:
            out[count] = own - best
            count += 1
    return out[:count]


@compiled
def _taken(ground: FloatArray, rivals: npt.NDArray[np.uint16], wishes: FloatArray, added: FloatArray, below: int) -> npt.NDArray[np.intp]:
    """Who has each voxel: the highest wish, the lowest class where two are as high."""
    out = np.empty(len(ground), np.intp)
    for at in range(len(ground)):
        best, winner = ground[at], below
        for rank in range(len(rivals)):
            rival = rivals[rank, at]
            if rival:
                wish = wishes[rank, at] + added[rival]
                if wish > best or (wish == best and winner != below and rival < winner):
                    best, winner = wish, rival
        out[at] = winner
    return out
