"""The random walker on a graphics card: walker.py's equations, all classes at once, by conjugate gradients with the same multigrid levels.

What is red and black on the processor is damped Jacobi here, two sweeps down and two up, which needs no order. Sums run in single precision, dot products in
double; the answer is the processor's to the solver's tolerance, not bit by bit. The card is waited for once every `STEPS_PER_LOOK` steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from napari_medseg.volume import FloatArray, LabelArray, Spacing
from napari_medseg.weaklabel.multigrid import SMALLEST, joined_axes
from napari_medseg.weaklabel.walker import LEAST_EASE, MOST_STEPS, TOLERANCE, Walk, checked_classes, progress

DAMPING = 0.8
SWEEPS = 2
LAST_SWEEPS = 24
STEPS_PER_LOOK = 4


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """A lattice as in multigrid.py, its arrays on a device."""

    z: Tensor
    y: Tensor
    x: Tensor
    ground: Tensor
    total: Tensor
    inverse: Tensor
    spacing: Spacing


def probabilities(
    contrast: FloatArray, marks: LabelArray, spacing: Spacing, beta: float, unary: FloatArray | None = None, start: FloatArray | None = None, *,
    prior: float = 0.0, device: str = "cuda",
) -> FloatArray:
    """Each class's probability to be the first a walker meets, float32 (classes, z, y, x); parameters and errors as for `walk`."""
    *_, last = walk(contrast, marks, spacing, beta, unary, start, prior=prior, device=device)
    return last.probabilities


def walk(
    contrast: FloatArray, marks: LabelArray, spacing: Spacing, beta: float, unary: FloatArray | None = None, start: FloatArray | None = None, *,
    prior: float = 0.0, tolerance: float = TOLERANCE, device: str = "cuda",
) -> Iterator[Walk]:
    """Solve, a few steps at a time; parameters and what is yielded as for `walker.walk`, on a torch device.

    Raises
    ------
    InvalidInputError
        When nothing is marked, or the arrays do not fit each other.
    """
    present = checked_classes(contrast, marks, unary, start)
    return _walk(contrast, marks, present, spacing, beta, unary if prior else None, start, prior, tolerance, torch.device(device))


@torch.no_grad()
def _walk(
    contrast: FloatArray, marks: LabelArray, present: list[int], spacing: Spacing, beta: float,
    unary: FloatArray | None, start: FloatArray | None, prior: float, tolerance: float, device: torch.device,
) -> Iterator[Walk]:
    marked = torch.from_numpy(np.ascontiguousarray(marks)).to(device)
    fixed = torch.stack([(marked == value) for value in present]).float()
    free = (marked == 0).float()
    steps = 0
    found = fixed.clone()
    if len(present) > 1:
        opinion = None if unary is None else torch.from_numpy(np.ascontiguousarray(unary, np.float32)).to(device)
        values = torch.from_numpy(np.ascontiguousarray(contrast if contrast.ndim == 4 else contrast[None], np.float32)).to(device)
        finest, known = _system(values, fixed[:-1], free, spacing, beta, opinion, prior)
        levels = _levels(finest)
        found = torch.zeros_like(known) if start is None else torch.from_numpy(np.ascontiguousarray(start[:-1], np.float32)).to(device) * free
        for steps, change in _solved(levels, known, found, tolerance):
            yield Walk(_whole(found + fixed[:-1]), change, steps, progress(change, tolerance))
        found = found + fixed[:-1]
    yield Walk(_whole(found) if len(present) > 1 else found.cpu().numpy().clip(1), 0.0, steps, 1.0)


def _whole(found: Tensor) -> FloatArray:
    """All classes, the last being what is left."""
    found = found.clamp(0, 1)
    found = found / found.sum(0).clamp(min=1)
    return np.asarray(torch.cat([found, (1 - found.sum(0, keepdim=True)).clamp(min=0)]).cpu().numpy())


def _system(
    contrast: Tensor, fixed: Tensor, free: Tensor, spacing: Spacing, beta: float, unary: Tensor | None, prior: float,
) -> tuple[Level, Tensor]:
    eases = []
    for axis, step in enumerate(spacing):
        ease = (torch.exp(-beta * (contrast.diff(dim=axis + 1) ** 2).sum(0)) + LEAST_EASE) * (min(spacing) / step) ** 2
        eases.append(_padded(ease, axis))
    z, y, x = eases
    known, ground = _flow(z, y, x, fixed) * free, _flow(z, y, x, 1 - free) * free
    if unary is not None:
        known, ground = known + prior * unary[: len(fixed)] * free, ground + prior * free
    z, y, x = (ease * free * _padded(free.narrow(axis, 1, free.shape[axis] - 1), axis) for axis, ease in enumerate(eases))
    return _level(z, y, x, ground, spacing), known


def _padded(values: Tensor, axis: int) -> Tensor:
    """One more at the end of an axis, 0."""
    sides = [0, 0, 0, 0, 0, 0]
    sides[2 * (2 - axis) + 1] = 1
    return pad(values, sides)


def _level(z: Tensor, y: Tensor, x: Tensor, ground: Tensor, spacing: Spacing) -> Level:
    total = ground + z + y + x
    for axis, ease in enumerate((z, y, x)):
        total.narrow(axis, 1, total.shape[axis] - 1).add_(ease.narrow(axis, 0, total.shape[axis] - 1))
    return Level(z, y, x, ground, total, torch.where(total > 0, 1 / total, 0), spacing)


def _flow(z: Tensor, y: Tensor, x: Tensor, values: Tensor) -> Tensor:
    """What flows into each voxel from its neighbours; axes -3 to -1."""
    out = torch.zeros_like(values)
    for axis, ease in ((-3, z), (-2, y), (-1, x)):
        inner = values.shape[axis] - 1
        between = ease.narrow(axis, 0, inner)
        out.narrow(axis, 0, inner).addcmul_(between, values.narrow(axis, 1, inner))
        out.narrow(axis, 1, inner).addcmul_(between, values.narrow(axis, 0, inner))
    return out


def _applied(grid: Level, values: Tensor) -> Tensor:
    return grid.total * values - _flow(grid.z, grid.y, grid.x, values)


def _levels(finest: Level) -> list[tuple[Level, tuple[int, int, int]]]:
    """Every level, and how many of its voxels the next joins along each axis."""
    levels = []
    grid = finest
    while grid.ground.numel() > SMALLEST:
        times = joined_axes((grid.ground.shape[0], grid.ground.shape[1], grid.ground.shape[2]), grid.spacing)
        levels.append((grid, times))
        sums = [_summed(conductance, times, axis) for axis, conductance in enumerate((grid.z, grid.y, grid.x, grid.ground))]
        grid = _level(sums[0], sums[1], sums[2], sums[3], (grid.spacing[0] * times[0], grid.spacing[1] * times[1], grid.spacing[2] * times[2]))
    levels.append((grid, (1, 1, 1)))
    return levels


def _summed(values: Tensor, times: tuple[int, int, int], between: int = 3) -> Tensor:
    """Sums over joined voxels; along the axis `between` only what leads on to the next."""
    for axis, two in enumerate(times):
        if two == 2:
            dim = values.ndim - 3 + axis
            even = _padded(values, axis) if values.shape[dim] % 2 else values
            first, second = (even.narrow(dim, side, even.shape[dim] - 1)[(slice(None),) * dim + (slice(None, None, 2),)] for side in (0, 1))
            values = second if axis == between else first + second
    return values.contiguous()


def _cycle(levels: list[tuple[Level, tuple[int, int, int]]], right: Tensor, depth: int = 0) -> Tensor:
    """About the solution of A out = right."""
    grid, times = levels[depth]
    step = DAMPING * grid.inverse
    out = step * right
    for _ in range(SWEEPS - 1 if depth + 1 < len(levels) else LAST_SWEEPS):
        out += step * (right - _applied(grid, out))
    if depth + 1 < len(levels):
        coarse = _cycle(levels, _summed(right - _applied(grid, out), times), depth + 1)
        for axis, two in enumerate(times):
            if two == 2:
                coarse = coarse.repeat_interleave(2, axis - 3).narrow(axis - 3, 0, out.shape[axis - 3])
        out += coarse * (grid.inverse > 0)
        for _ in range(SWEEPS):
            out += step * (right - _applied(grid, out))
    return out


def _solved(levels: list[tuple[Level, tuple[int, int, int]]], known: Tensor, found: Tensor, tolerance: float) -> Iterator[tuple[int, float]]:
    """Preconditioned conjugate gradients in place, a system a class; yields steps so far and how much the cycle would still change."""
    grid = levels[0][0]
    left = known - _applied(grid, found)
    change = _cycle(levels, left)
    direction, gain = change.clone(), _product(left, change)
    for step in range(1, MOST_STEPS + 1):
        image = _applied(grid, direction)
        curvature = _product(direction, image)
        length = torch.where(curvature > 0, gain / curvature, 0).float()
        found += length * direction
        left -= length * image
        change = _cycle(levels, left)
        before, gain = gain, _product(left, change)
        direction = change + torch.where(before > 0, gain / before, 0).float() * direction
        if step % STEPS_PER_LOOK == 0 or step == MOST_STEPS:
            largest = float(change.abs().max())
            yield step, largest
            if largest <= tolerance:
                return


def _product(a: Tensor, b: Tensor) -> Tensor:
    return (a.double() * b.double()).sum((-3, -2, -1), keepdim=True)
