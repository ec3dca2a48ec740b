"""Multigrid for diffusion on a voxel lattice with very uneven conductances, as a preconditioner for conjugate gradients.

A level is a lattice whose neighbours are joined by conductances. Two voxels along each of the axes with the smallest steps become one of the next level
(semi-coarsening: thick slices wait until pixels are as large), and conductances between the same two add up, so that every level is a lattice again (Galerkin
with piecewise constant interpolation). One V-cycle smooths with red-black Gauss-Seidel, forwards on the way down and backwards on the way up, and is thus
symmetric. Nothing is assembled; everything is float32, and rows are walked only from their first voxel that something flows to to their last.

Briggs, Henson, McCormick: A Multigrid Tutorial, 2nd ed., SIAM 2000; aggregation: Vanek, Mandel, Brezina, Computing 1996.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import FloatArray, Shape, Spacing
from napari_medseg.weaklabel import lattice_kernels as kernels
from napari_medseg.weaklabel.compiled import in_parts
from napari_medseg.weaklabel.lattice_kernels import SpanArray

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
    span : int32 (z, y, 2)
        Of each row the first voxel that has one, and the one after the last; both 0 where none has.
    spacing : mm per voxel (z, y, x)
    """

    z: FloatArray
    y: FloatArray
    x: FloatArray
    ground: FloatArray
    total: FloatArray
    inverse: FloatArray
    span: SpanArray
    spacing: Spacing


def lattice(z: FloatArray, y: FloatArray, x: FloatArray, ground: FloatArray, spacing: Spacing) -> Lattice:
    """A lattice from its conductances, float32 (z, y, x); what is given is told at `Lattice`, and kept, not copied."""
    total, inverse, span = np.empty_like(ground), np.empty_like(ground), np.zeros((*ground.shape[:2], 2), np.int32)
    over_slices(kernels.sum_up, ground, z, y, x, ground, total, inverse, span)
    return Lattice(z, y, x, ground, total, inverse, span, spacing)


def applied(grid: Lattice, values: FloatArray, out: FloatArray, products: npt.NDArray[np.float64]) -> float:
    """Put A values into `out`, which holds 0 where nothing flows; returns values . A values, summed slice by slice in double precision.

    Values and `out` are float32 (z, y, x); `products` is room for one number a slice, float64 (z,).
    """
    over_slices(kernels.apply, values, grid.span, grid.z, grid.y, grid.x, grid.total, values, out, products)
    return float(products.sum())


def over_slices(kernel: Any, like: FloatArray, *given: Any) -> None:
    """Run a kernel over the slices of arrays like this one, (z, y, x), on more than one core where it pays."""
    in_parts(kernel, like.shape[0], *given, least=_least(like))


def _least(like: FloatArray) -> int:
    """Slices that pay for a thread."""
    return max(1, PER_PART * int(like.shape[0]) // max(int(like.size), 1))


class Multigrid:
    """The V-cycle over a lattice's levels."""

    def __init__(self, finest: Lattice) -> None:
        self.levels = [finest]
        while self.levels[-1].ground.size > SMALLEST:
            self.levels.append(_coarser(self.levels[-1]))
        self._right = [np.zeros_like(level.ground) for level in self.levels[1:]]
        self._found = [np.zeros_like(level.ground) for level in self.levels[1:]]
        self._times = [_joined(level) for level in self.levels]

    def cycle(self, right: FloatArray, out: FloatArray, depth: int = 0) -> None:
        """Put about the solution of A out = right, on a level (0 the finest), into `out`; both float32 (z, y, x) of that level."""
        grid = self.levels[depth]
        joined = grid.span, grid.z, grid.y, grid.x
        if depth == len(self.levels) - 1:
            kernels.settle(*joined, grid.inverse, right, out, LAST_SWEEPS)
            return
        coarse_right, coarse, times = self._right[depth], self._found[depth], self._times[depth]
        if grid.ground.shape[0] < 2 * _least(grid.ground):  # one thread: one call down, one up
            kernels.down(*joined, grid.total, grid.inverse, right, times, out, coarse_right)
            self.cycle(coarse_right, coarse, depth + 1)
            kernels.up(*joined, grid.inverse, right, coarse, times, out)
            return
        over_slices(kernels.first_sweep, out, grid.span, right, grid.inverse, out)
        over_slices(kernels.relax, out, *joined, grid.inverse, right, 1, out)
        over_slices(kernels.restrict, coarse_right, *joined, grid.total, right, out, times, coarse_right)
        self.cycle(coarse_right, coarse, depth + 1)
        over_slices(kernels.prolong, out, grid.span, coarse, times, grid.inverse, out)
        over_slices(kernels.relax, out, *joined, grid.inverse, right, 1, out)
        over_slices(kernels.relax, out, *joined, grid.inverse, right, 0, out)


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
        over_slices(kernels.add_up, out, fine, times, between, out)
        summed.append(out)
    z, y, x = (step * t for step, t in zip(grid.spacing, times, strict=True))
    return lattice(summed[0], summed[1], summed[2], summed[3], (z, y, x))
