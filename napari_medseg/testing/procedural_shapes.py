"""The shapes of procedural volumes, as level functions that are positive inside, and the smooth noise they are made with."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]


def any_size(rng: np.random.Generator, side: int) -> float:
    """Half an object's width in voxels, small ones as often as large ones."""
    return float(side * np.exp(rng.uniform(np.log(0.07), np.log(0.55))))


def any_middle(rng: np.random.Generator, side: int, share: float) -> Field:
    """A point (z, y, x) within this share of half the window from its centre."""
    return np.asarray(side / 2 * (1 + share * rng.uniform(-1, 1, 3)), np.float32)


@cache
def _spline(side: int, nodes: int) -> Field:
    """Cubic B-spline weights (side, nodes + 3)."""
    at = np.linspace(0, nodes, side, endpoint=False)
    t = at % 1
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
    matrix = np.zeros((side, nodes + 3), np.float32)
    for k in range(4):
        matrix[np.arange(side), at.astype(int) + k] = weights[:, k]
    return matrix


def noise(rng: np.random.Generator, side: int, nodes: int) -> Field:
    """Smooth noise of mean 0 and deviation 1 with about `nodes` bumps along each axis."""
    if nodes >= side:
        return rng.standard_normal((side, side, side), dtype=np.float32)
    matrix = _spline(side, nodes)
    made = rng.standard_normal((nodes + 3,) * 3, dtype=np.float32)
    for _ in range(3):
        made = np.tensordot(made, matrix, axes=(0, 1))
    return np.asarray((made - made.mean()) / (made.std() + 1e-6), np.float32)


def any_shape(rng: np.random.Generator, side: int, size: float, centre: Field) -> Field:
    """A level function (side, side, side), positive inside a shape of any kind of about this half width, in voxels."""
    kind = rng.choice(5, p=[0.36, 0.2, 0.18, 0.1, 0.16])
    level = (ellipsoid, _lump, _tube, _shell, _region)[kind](rng, side, size, centre)
    if rng.random() < 0.4:
        level = level + rng.uniform(0.03, 0.25) * noise(rng, side, int(rng.integers(5, 14)))
    return level


def _grid(rng: np.random.Generator, side: int, centre: Field, warp: float) -> Field:
    """Coordinates (3, z, y, x) from a centre, warped by up to about `warp` voxels."""
    axes = np.arange(side, dtype=np.float32)
    grid = np.stack(np.meshgrid(axes, axes, axes, indexing="ij")) - centre[:, None, None, None]
    if warp > 0:
        nodes = int(rng.integers(2, 6))
        grid += warp * np.stack([noise(rng, side, nodes) for _ in range(3)])
    return np.asarray(grid, np.float32)


def _turned(rng: np.random.Generator, grid: Field, radii: npt.NDArray[np.float64]) -> Field:
    """Coordinates turned at random and divided by radii."""
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    return np.tensordot((turn / radii[:, None]).astype(np.float32), grid, axes=(1, 0))


def ellipsoid(rng: np.random.Generator, side: int, size: float, centre: Field) -> Field:
    """A level function: a turned, bent ellipsoid, or something between a diamond and a box."""
    radii = size * np.exp(rng.uniform(-0.6, 0.5, 3))
    at = np.abs(_turned(rng, _grid(rng, side, centre, size * rng.uniform(0, 0.35)), radii))
    power = float(rng.choice([2.0, 2.0, 1.4, 3.0, 5.0]))
    distance = np.sqrt(at[0] ** 2 + at[1] ** 2 + at[2] ** 2) if power == 2 else (at**power).sum(axis=0) ** np.float32(1 / power)
    return np.asarray(1 - distance, np.float32)


def _lump(rng: np.random.Generator, side: int, size: float, centre: Field) -> Field:
    """Several balls that touch; or one with spikes."""
    grid = _grid(rng, side, centre, size * rng.uniform(0, 0.25))
    if rng.random() < 0.3:
        spikes = noise(rng, side, int(rng.integers(7, 16)))
        return np.asarray(1 - np.sqrt((grid**2).sum(axis=0)) / size + rng.uniform(0.12, 0.28) * spikes, np.float32)
    level = np.full((side,) * 3, -np.inf, np.float32)
    at = np.zeros(3)
    for _ in range(int(rng.integers(2, 7))):
        radius = size * rng.uniform(0.4, 1)
        level = np.maximum(level, 1 - np.sqrt(sum((grid[axis] - np.float32(at[axis])) ** 2 for axis in range(3))) / np.float32(radius))
        step = rng.standard_normal(3)
        at = at + radius * step / np.linalg.norm(step) * rng.uniform(0.6, 1.0)
    return level


def _tube(rng: np.random.Generator, side: int, size: float, centre: Field) -> Field:
    """A bent sausage or vessel around a random curve through the centre."""
    radius = float(np.clip(size * rng.uniform(0.25, 0.7), 1.5, side / 5))
    length = radius * rng.uniform(3, 10)
    ends = rng.standard_normal((3, 3))
    bows = ends / np.linalg.norm(ends, axis=1, keepdims=True) * length * rng.uniform(0.3, 0.7, (3, 1))
    t = np.linspace(-1, 1, 14)[:, None]
    curve = t * bows[0] + (t**2 - 0.3) * bows[1] + (t**3 - t) * bows[2]
    grid = _grid(rng, side, centre, radius * rng.uniform(0, 0.4))
    swell = radius * (1 + rng.uniform(0, 0.5) * np.sin(rng.uniform(0, 6) + t[:, 0] * rng.uniform(0, 4)))
    level = np.full((side,) * 3, -np.inf, np.float32)
    for start, end, wide in zip(curve[:-1], curve[1:], swell[:-1], strict=True):
        along = (end - start).astype(np.float32)
        share = np.clip(np.tensordot(along, grid - start.astype(np.float32)[:, None, None, None], axes=(0, 0)) / (along @ along + 1e-6), 0, 1)
        away = sum((grid[axis] - np.float32(start[axis]) - share * along[axis]) ** 2 for axis in range(3))
        level = np.maximum(level, 1 - np.sqrt(away) / np.float32(wide))
    return level


def _shell(rng: np.random.Generator, side: int, size: float, centre: Field) -> Field:
    """A wall, whole or cut open."""
    outer = ellipsoid(rng, side, max(size, side / 8), centre)
    wall = rng.uniform(0.12, 0.3) + 2 / side
    level = wall - np.abs(outer - wall)
    if rng.random() < 0.6:
        cut = _turned(rng, _grid(rng, side, centre, 0), np.full(3, size))[0]
        level = np.minimum(level, cut + np.float32(rng.uniform(-0.2, 0.8)))
    return np.asarray(level, np.float32)


def _region(rng: np.random.Generator, side: int, size: float, centre: Field) -> Field:
    """A region of a partition of smooth noise, or the inside of one level of it, near the centre."""
    nodes = int(np.clip(side / (2.2 * size), 2, 8))
    fields = [noise(rng, side, nodes) for _ in range(int(rng.integers(2, 5)))]
    at = tuple(np.clip(centre, 0, side - 1).astype(int))
    fields.sort(key=lambda each: -each[at])
    level = fields[0] - np.max(fields[1:], axis=0) - rng.uniform(0, 0.3)
    away = np.sqrt((_grid(rng, side, centre, 0) ** 2).sum(axis=0)) / (size * rng.uniform(1.5, 3))
    return np.asarray(np.minimum(level, 1 - away), np.float32)
