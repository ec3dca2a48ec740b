"""Statistics of the neighbourhood: what target and background look like *here*, so that a coil's or a beam's shading does not matter.

Counts and sums are kept on a coarse lattice of cells, smoothed by a Gaussian and shrunk towards the whole scan's means where there is little to learn
from. Two means and one common variance: local variances were measured to be worse (docs/weaklabel.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi

from napari_medseg.volume import FloatArray, Shape, Spacing
from napari_medseg.weaklabel.compiled import in_parts
from napari_medseg.weaklabel.evidence import tally
from napari_medseg.weaklabel.scene import IntArray
from napari_medseg.weaklabel.tiles import TILE

CELLS_A_LOOK = 2.0  # cells to one sigma
ENOUGH = 0.05  # share of a neighbourhood's voxels that weighs as much as the whole scan's mean
LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class LocalStatistics:
    """Two means for every place.

    Attributes
    ----------
    lattice : float32 (2, cells z, y, x)
        Mean grey value of the target and of the background around each cell's middle.
    cell : three whole numbers
        Voxels of a cell along z, y, x; they divide a tile.
    sharpness : float
        1 / (2 variance) about those means.
    """

    lattice: FloatArray
    cell: IntArray
    sharpness: float


NOWHERE = LocalStatistics(np.zeros((2, 1, 1, 1), np.float32), np.array([TILE] * 3, np.intp), 0.0)


def cells_of(local_mm: float, spacing: Spacing) -> IntArray:
    """How many voxels a cell takes along z, y, x, (3,): powers of two that divide a tile."""
    return np.array([min(TILE, 2 ** max(0, int(np.floor(np.log2(max(local_mm / CELLS_A_LOOK / s, 1.0)))))) for s in spacing], np.intp)


def learned(
    blocks: list[tuple[FloatArray, np.ndarray, IntArray]], shape: Shape, spacing: Spacing, local_mm: float,
) -> LocalStatistics:
    """Learn from what is target and what is background now.

    Parameters
    ----------
    blocks : list of (values, side, start)
        float32 (z, y, x); uint8 (z, y, x), 1 target, 2 background, 0 neither; first voxel. Each block is one tile.
    shape : of the whole volume
    local_mm : float
        Sigma of the neighbourhood.

    Returns
    -------
    LocalStatistics
        `NOWHERE` when one side is empty.
    """
    cell = cells_of(local_mm, spacing)
    size = [-(-n // int(c)) for n, c in zip(shape, cell, strict=True)]
    sums = np.zeros((4, *size), np.float32)

    def add(first: int, stop: int) -> None:
        for values, side, start in blocks[first:stop]:
            tally(values, side, start, cell, sums)

    in_parts(add, len(blocks))
    totals = sums.sum(axis=(1, 2, 3), dtype=np.float64)
    if not totals[0] or not totals[2]:
        return NOWHERE
    used = tuple(_span(sums, axis, local_mm / spacing[axis - 1] / cell[axis - 1]) for axis in (1, 2, 3))
    sigma = [local_mm / s / c for s, c in zip(spacing, cell, strict=True)]
    around = np.stack([ndi.gaussian_filter(each[used], sigma, mode="nearest") for each in sums]) / np.float32(cell.prod())
    lattice = np.empty((2, *size), np.float32)
    for which in range(2):
        mean = totals[2 * which + 1] / totals[2 * which]
        lattice[which] = mean
        lattice[which][used] = (around[2 * which + 1] + ENOUGH * mean) / (around[2 * which] + ENOUGH)
    return LocalStatistics(lattice, cell, 0.5 / max(_variance(blocks, lattice, cell), LEAST_VARIANCE))


def _span(sums: FloatArray, axis: int, sigma: float) -> slice:
    hits = np.flatnonzero(sums.any(axis=tuple(a for a in range(4) if a != axis)))
    margin = int(np.ceil(4 * sigma))
    return slice(max(0, int(hits[0]) - margin), int(hits[-1]) + margin + 1)


def _variance(blocks: list[tuple[FloatArray, np.ndarray, IntArray]], lattice: FloatArray, cell: IntArray) -> float:
    """Pooled, from the median deviation of each side about the mean of its cell."""
    total, weight = 0.0, 0
    for which in (1, 2):
        off = _off(blocks, lattice, cell, which)
        count = sum(len(each) for each in off)
        if count:
            total += (1.4826 * float(np.median(np.concatenate(off)))) ** 2 * count
            weight += count
    return total / max(weight, 1)


def _off(blocks: list[tuple[FloatArray, np.ndarray, IntArray]], lattice: FloatArray, cell: IntArray, which: int) -> list[FloatArray]:
    """How far each voxel of a side lies from the mean of its cell, block by block."""
    means = lattice[which - 1]

    def find(first: int, stop: int) -> list[FloatArray]:
        found = []
        for values, side, start in blocks[first:stop]:
            z, y, x = ((np.arange(count) + begin) // step for count, begin, step in zip(values.shape, start, cell, strict=True))
            mine = side == which
            if mine.any():
                found.append(np.abs(values - means[np.ix_(z, y, x)])[mine])
        return found

    return [each for part in in_parts(find, len(blocks)) for each in part]
