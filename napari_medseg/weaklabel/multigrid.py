"""Multigrid for diffusion on a voxel lattice with very uneven conductances, as a preconditioner for conjugate gradients.

A level is a lattice whose neighbours are joined by conductances. Two voxels along each of the axes with the smallest steps become one of the next level
(semi-coarsening: thick slices wait until pixels are as large), and conductances between the same two add up, so that every level is a lattice again (Galerkin
with piecewise constant interpolation). One V-cycle smooths with red-black Gauss-Seidel, forwards on the way down and backwards on the way up, and is thus
symmetric. Nothing is assembled; everything is float32.

Briggs, Henson, McCormick: A Multigrid Tutorial, 2nd ed., SIAM 2000; aggregation: Vanek, Mandel, Brezina, Computing 1996.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import FloatArray, Shape, Spacing
from napari_medseg.weaklabel.compiled import compiled, in_parts

SMALLEST = 64  # a level of this many voxels is the last
LAST_SWEEPS = 12
PER_PART = 65536  # voxels that pay for a thread
SEMI = 1.5  # an axis is joined while its step is at most this many times the smallest


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """Voxels joined to their six neighbours.

    Attributes
    ----------
    z, y, x : float32 (z, y, x)
        Conductance to the next voxel along each axis; 0 at the last one and where nothing flows.
    ground : float32 (z, y, x)
        Conductance to what is fixed.
    total : float32 (z, y, x)
        The sum of a voxel's conductances.
    inverse : float32 (z, y, x)
        One over it; 0 where a voxel has none, and stays 0.
    spacing : mm per voxel (z, y, x)
    """

    z: FloatArray
    y: FloatArray
    x: FloatArray
    ground: FloatArray
    total: FloatArray
    inverse: FloatArray
    spacing: Spacing


def lattice(z: FloatArray, y: FloatArray, x: FloatArray, ground: FloatArray, spacing: Spacing) -> Lattice:
    """A lattice from its conductances."""
    total, inverse = np.empty_like(ground), np.empty_like(ground)
    over_slices(_sum_up, ground, z, y, x, ground, total, inverse)
    return Lattice(z, y, x, ground, total, inverse, spacing)


def applied(grid: Lattice, values: FloatArray, out: FloatArray, products: npt.NDArray[np.float64]) -> float:
    """Put A values into `out`; returns values . A values, summed slice by slice in double precision (`products`: room for one number a slice)."""
    over_slices(_apply, values, grid.z, grid.y, grid.x, grid.total, values, out, products)
    return float(products.sum())


def over_slices(kernel: Any, like: FloatArray, *given: Any) -> None:
    """Run a kernel over the slices of arrays like this one, on more than one core where it pays."""
    slices = like.shape[0]
    in_parts(kernel, slices, *given, least=max(1, PER_PART * slices // max(like.size, 1)))


class Multigrid:
    """The V-cycle over a lattice's levels."""

    def __init__(self, finest: Lattice) -> None:
        self.levels = [finest]
        while self.levels[-1].ground.size > SMALLEST:
            self.levels.append(_coarser(self.levels[-1]))
        self._right = [np.empty_like(level.ground) for level in self.levels[1:]]
        self._found = [np.empty_like(level.ground) for level in self.levels[1:]]

    def cycle(self, right: FloatArray, out: FloatArray, depth: int = 0) -> None:
        """Put about the solution of A out = right, on a level, into `out`."""
        grid = self.levels[depth]
        over_slices(_first_sweep, out, right, grid.inverse, out)
        _sweep(grid, right, out, 1)
        if depth == len(self.levels) - 1:
            for colour in (0, 1) * LAST_SWEEPS + (0,) + (1, 0) * LAST_SWEEPS:
                _sweep(grid, right, out, colour)
        else:
            coarse_right, coarse, times = self._right[depth], self._found[depth], _joined(grid)
            over_slices(_restrict, coarse_right, grid.z, grid.y, grid.x, grid.total, right, out, times, coarse_right)
            self.cycle(coarse_right, coarse, depth + 1)
            over_slices(_prolong, out, coarse, times, grid.inverse, out)
        _sweep(grid, right, out, 1)
        _sweep(grid, right, out, 0)


def _sweep(grid: Lattice, right: FloatArray, out: FloatArray, colour: int) -> None:
    over_slices(_relax, out, grid.z, grid.y, grid.x, grid.inverse, right, colour, out)


def joined_axes(shape: Shape, spacing: Spacing) -> tuple[int, int, int]:
    """How many voxels along each axis the next level joins: 1 or 2."""
    least = min(step for step, n in zip(spacing, shape, strict=True) if n > 1)
    z, y, x = (2 if n > 1 and step <= SEMI * least else 1 for n, step in zip(shape, spacing, strict=True))
    return z, y, x


def _joined(grid: Lattice) -> tuple[int, int, int]:
    z, y, x = grid.ground.shape
    return joined_axes((z, y, x), grid.spacing)


def _coarser(grid: Lattice) -> Lattice:
    times = _joined(grid)
    shape = tuple(-(-n // t) for n, t in zip(grid.ground.shape, times, strict=True))
    summed = []
    for axis, fine in enumerate((grid.z, grid.y, grid.x, grid.ground)):
        out = np.empty(shape, np.float32)
        between = tuple(int(a == axis and times[a] == 2) for a in range(3))
        over_slices(_add_up, out, fine, times, between, out)
        summed.append(out)
    z, y, x = (step * t for step, t in zip(grid.spacing, times, strict=True))
    return lattice(summed[0], summed[1], summed[2], summed[3], (z, y, x))


@compiled
def _sum_up(start: int, stop: int, z: FloatArray, y: FloatArray, x: FloatArray, ground: FloatArray, total: FloatArray, inverse: FloatArray) -> None:
    ones = np.ones((1, 1, ground.shape[2]), np.float32)
    for k in range(start, stop):
        for j in range(ground.shape[1]):
            row, inverted = total[k, j], inverse[k, j]
            for i in range(row.size):
                row[i] = ground[k, j, i] + z[k, j, i] + y[k, j, i] + x[k, j, i]
            if k > 0:
                _add_product(z[k - 1, j], ones[0, 0], row)
            if j > 0:
                _add_product(y[k, j - 1], ones[0, 0], row)
            for i in range(1, row.size):
                row[i] += x[k, j, i - 1]
            for i in range(row.size):
                inverted[i] = np.float32(1) / row[i] if row[i] > 0 else np.float32(0)


@compiled
def _add_product(conductance: FloatArray, values: FloatArray, out: FloatArray) -> None:
    for i in range(out.size):
        out[i] += conductance[i] * values[i]


@compiled
def flow(z: FloatArray, y: FloatArray, x: FloatArray, values: FloatArray, k: int, j: int, row: FloatArray) -> None:
    """What flows into each voxel of a row from its neighbours."""
    east, here = x[k, j], values[k, j]
    for i in range(row.size - 1):
        row[i] = east[i] * here[i + 1]
    row[row.size - 1] = np.float32(0)
    for i in range(1, row.size):
        row[i] += east[i - 1] * here[i - 1]
    if k > 0:
        _add_product(z[k - 1, j], values[k - 1, j], row)
    if j > 0:
        _add_product(y[k, j - 1], values[k, j - 1], row)
    if j + 1 < values.shape[1]:
        _add_product(y[k, j], values[k, j + 1], row)
    if k + 1 < values.shape[0]:
        _add_product(z[k, j], values[k + 1, j], row)


@compiled
def _first_sweep(start: int, stop: int, right: FloatArray, inverse: FloatArray, out: FloatArray) -> None:
    """The red voxels of a sweep that starts from zero."""
    for k in range(start, stop):
        for j in range(out.shape[1]):
            out[k, j] = np.float32(0)
            for i in range((k + j) % 2, out.shape[2], 2):
                out[k, j, i] = right[k, j, i] * inverse[k, j, i]


@compiled
def _relax(
    start: int, stop: int, z: FloatArray, y: FloatArray, x: FloatArray, inverse: FloatArray, right: FloatArray, colour: int, out: FloatArray,
) -> None:
    """Solve each voxel of a colour; its neighbours are all of the other."""
    row = np.empty(out.shape[2], np.float32)
    for k in range(start, stop):
        for j in range(out.shape[1]):
            flow(z, y, x, out, k, j, row)
            for i in range((k + j + colour) % 2, out.shape[2], 2):
                out[k, j, i] = (right[k, j, i] + row[i]) * inverse[k, j, i]


@compiled
def _apply(
    start: int, stop: int, z: FloatArray, y: FloatArray, x: FloatArray, total: FloatArray, values: FloatArray, out: FloatArray,
    products: npt.NDArray[np.float64],
) -> None:
    for k in range(start, stop):
        product = 0.0
        for j in range(out.shape[1]):
            row, here = out[k, j], values[k, j]
            flow(z, y, x, values, k, j, row)
            for i in range(row.size):
                row[i] = total[k, j, i] * here[i] - row[i]
            for i in range(row.size):
                product += here[i] * row[i]
        products[k] = product


@compiled
def _restrict(
    start: int, stop: int, z: FloatArray, y: FloatArray, x: FloatArray, total: FloatArray, right: FloatArray, values: FloatArray,
    times: tuple[int, int, int], out: FloatArray,
) -> None:
    """What is left to solve, summed over each coarse voxel."""
    depth, height, width = right.shape
    row = np.empty(width, np.float32)
    for k in range(start, stop):
        for j in range(out.shape[1]):
            out[k, j] = np.float32(0)
            for c in range(k * times[0], min((k + 1) * times[0], depth)):
                for b in range(j * times[1], min((j + 1) * times[1], height)):
                    flow(z, y, x, values, c, b, row)
                    for i in range(width):
                        row[i] += right[c, b, i] - total[c, b, i] * values[c, b, i]
                    if times[2] == 1:
                        _add(row, out[k, j])
                    else:
                        _add_pairs(row, out[k, j])


@compiled
def _add(row: FloatArray, out: FloatArray) -> None:
    for i in range(out.size):
        out[i] += row[i]


@compiled
def _add_pairs(row: FloatArray, out: FloatArray) -> None:
    for i in range(row.size // 2):
        out[i] += row[2 * i] + row[2 * i + 1]
    if row.size % 2:
        out[out.size - 1] += row[row.size - 1]


@compiled
def _prolong(start: int, stop: int, coarse: FloatArray, times: tuple[int, int, int], inverse: FloatArray, out: FloatArray) -> None:
    for k in range(start, stop):
        for j in range(out.shape[1]):
            above = coarse[k // times[0], j // times[1]]
            if times[2] == 1:
                for i in range(above.size):
                    out[k, j, i] += (above[i] if inverse[k, j, i] > 0 else np.float32(0))
            else:
                for i in range(above.size):
                    out[k, j, 2 * i] += (above[i] if inverse[k, j, 2 * i] > 0 else np.float32(0))
                for i in range(out.shape[2] // 2):
                    out[k, j, 2 * i + 1] += (above[i] if inverse[k, j, 2 * i + 1] > 0 else np.float32(0))


@compiled
def _add_up(start: int, stop: int, fine: FloatArray, times: tuple[int, int, int], between: tuple[int, int, int], out: FloatArray) -> None:
    """Sums over coarse voxels; `between`: 1 along the axis on which only what leads from one coarse voxel to the next counts."""
    for k in range(start, stop):
        for j in range(out.shape[1]):
            for i in range(out.shape[2]):
                total = np.float32(0)
                for c in range(k * times[0] + between[0], min((k + 1) * times[0], fine.shape[0])):
                    for b in range(j * times[1] + between[1], min((j + 1) * times[1], fine.shape[1])):
                        for a in range(i * times[2] + between[2], min((i + 1) * times[2], fine.shape[2])):
                            total += fine[c, b, a]
                out[k, j, i] = total
