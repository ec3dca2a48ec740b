"""Volumes made by chance, each with one object to outline.

Shapes, textures and looks are of no organ in particular, so that a network learns to outline what it is pointed at and not what it knows.

An object may be a warped ellipsoid, a lobed or spiked lump, a bent tube, a shell, a region of a partition; it lies in a partitioned background with vessels,
inside another organ, against neighbours of its own intensity; it may be all of one texture, bright-rimmed, hollow or patchy. The scanner then adds bias,
blur, noise and thick slices. The same seed gives the same volume. Axis order z, y, x; spacing is 1 in all directions after the working grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Field = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

SIDE = 48
SMALLEST = 30  # voxels of an object
TRIES = 8
NEAR_CENTRE = 0.3  # objects are centred within this share of half the window
THICKEST = 6.0  # spacing of thick slices over spacing in the slice


@dataclass(frozen=True)
class Made:
    """A volume with the object to outline.

    Attributes
    ----------
    image : float32 array, (side, side, side)
        In no unit in particular.
    truth : bool array, (side, side, side)
        The object, in one piece.
    known : tuple of slices
        Where the scan was; beyond it image voxels repeat its edge and truth says nothing.
    """

    image: Field
    truth: BoolArray
    known: tuple[slice, slice, slice]


def procedural_volume(seed: int | tuple[int, ...], side: int = SIDE) -> Made:
    """Make a volume.

    Parameters
    ----------
    seed : int or tuple of int
        The same seed gives the same volume.
    side : int
        Voxels along each axis.
    """
    rng = np.random.default_rng(seed)
    for _ in range(TRIES):
        level = _shape(rng, side, _size(rng, side), _middle(rng, side, NEAR_CENTRE))
        truth = _one_piece(level > 0)
        if truth is not None:
            break
    else:
        level = _ellipsoid(rng, side, side / 5, np.full(3, side / 2))
        truth = level > 0
    image, truth = _scene(rng, truth)
    image, truth = _scan(rng, image, truth)
    kept = _one_piece(truth)
    if kept is None:  # hidden by what was laid over it, or lost between thick slices
        return procedural_volume((*(seed if isinstance(seed, tuple) else (seed,)), 1), side)
    return _cropped(rng, image, kept)


def _size(rng: np.random.Generator, side: int) -> float:
    return float(side * np.exp(rng.uniform(np.log(0.07), np.log(0.55))))


def _middle(rng: np.random.Generator, side: int, share: float) -> Field:
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


def _shape(rng: np.random.Generator, side: int, size: float, centre: Field) -> Field:
    """A level function, positive inside."""
    kind = rng.choice(5, p=[0.36, 0.2, 0.18, 0.1, 0.16])
    level = (_ellipsoid, _lump, _tube, _shell, _region)[kind](rng, side, size, centre)
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


def _ellipsoid(rng: np.random.Generator, side: int, size: float, centre: Field) -> Field:
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
    outer = _ellipsoid(rng, side, max(size, side / 8), centre)
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


def _one_piece(mask: BoolArray) -> BoolArray | None:
    """The largest piece, opened where that leaves something; none where it is too small or is nearly everything."""
    labelled, pieces = ndimage.label(mask)
    if pieces == 0:
        return None
    kept: BoolArray = labelled == 1 + int(np.argmax(np.bincount(labelled.ravel())[1:]))
    return kept if SMALLEST <= np.count_nonzero(kept) <= 0.7 * kept.size else None


def _scene(rng: np.random.Generator, truth: BoolArray) -> tuple[Field, BoolArray]:
    """Intensities about 0..1 for an object among others; what covers it is taken from it."""
    side = len(truth)
    image = _background(rng, side)
    inside = rng.uniform(0, 1)
    if rng.random() < 0.55:  # an organ around it, of an even look
        organ = _ellipsoid(rng, side, side * rng.uniform(0.3, 0.8), _middle(rng, side, 0.5)) > 0
        image = np.where(organ, _filled(rng, side, rng.uniform(0, 1), rng.uniform(0, 0.06)), image)
    contrast = rng.choice([-1, 1]) * rng.uniform(0.08, 0.7) ** rng.uniform(1, 1.6)
    ring = ndimage.binary_dilation(truth, iterations=2) & ~truth
    if rng.random() < 0.8 and ring.any():
        inside = float(np.median(image[ring])) + contrast
    painted = np.where(truth, _inner(rng, truth, inside), image)
    for _ in range(int(rng.integers(0, 5))):
        level = _shape(rng, side, _size(rng, side) * 0.8, _middle(rng, side, 1.0)) > 0
        alike = rng.random() < 0.5
        look = _filled(rng, side, inside + 0.03 * rng.standard_normal() if alike else rng.uniform(0, 1), rng.uniform(0, 0.1))
        gap = ndimage.binary_dilation(truth) if rng.random() < 0.4 else truth
        painted = np.where(level & ~gap, look, painted)
    if rng.random() < 0.12:  # something lies over a part of it
        over = _shape(rng, side, _size(rng, side) * 0.6, _middle(rng, side, 0.8)) > 0
        if np.count_nonzero(over & truth) < 0.4 * np.count_nonzero(truth):
            painted, truth = np.where(over, _filled(rng, side, rng.uniform(0, 1), 0.05), painted), truth & ~over
    return np.asarray(painted, np.float32), truth


def _background(rng: np.random.Generator, side: int) -> Field:
    """A partition in even tissues, folded or with vessels."""
    count = int(rng.integers(1, 6))
    nodes = int(rng.integers(2, 8))
    tissue = np.argmax(np.stack([noise(rng, side, nodes) for _ in range(count)]), axis=0)
    image = rng.uniform(0, 1, count).astype(np.float32)[tissue]
    image = image + rng.uniform(0, 0.12) * noise(rng, side, int(rng.integers(4, 20)))
    if rng.random() < 0.25:  # folds
        folds = np.sin(noise(rng, side, int(rng.integers(3, 8))) * rng.uniform(3, 8))
        image = np.where(folds > rng.uniform(-0.3, 0.6), np.float32(rng.uniform(0, 1)), image)
    if rng.random() < 0.4:  # vessels: where two noises are both near 0
        wide = rng.uniform(0.08, 0.3)
        near = np.maximum(np.abs(noise(rng, side, nodes := int(rng.integers(4, 9)))), np.abs(noise(rng, side, nodes)))
        image = np.where(near < wide, np.float32(rng.uniform(0, 1)), image)
    return np.asarray(image, np.float32)


def _filled(rng: np.random.Generator, side: int, level: float, texture: float) -> Field:
    return np.asarray(level + texture * noise(rng, side, int(rng.choice([3, 6, 12, 20]))), np.float32)


def _inner(rng: np.random.Generator, truth: BoolArray, level: float) -> Field:
    """What the object looks like: even, textured, rimmed, hollow or patchy."""
    side = len(truth)
    look = _filled(rng, side, level, rng.choice([0.0, 0.03, 0.06, 0.12]))
    kind = rng.random()
    if kind < 0.22:  # another core: necrosis, or a rim that takes up contrast
        depth = ndimage.distance_transform_edt(truth)
        core = depth / depth.max() + 0.12 * noise(rng, side, 6) > rng.uniform(0.25, 0.7)
        look = np.where(core, _filled(rng, side, level + rng.choice([-1, 1]) * rng.uniform(0.1, 0.5), 0.05), look)
    elif kind < 0.36:  # patches
        patch = noise(rng, side, int(rng.integers(4, 10))) > rng.uniform(0, 1.2)
        look = np.where(patch, np.float32(level + rng.choice([-1, 1]) * rng.uniform(0.05, 0.35)), look)
    elif kind < 0.5:  # a slope across it
        look = look + rng.uniform(0.05, 0.25) * noise(rng, side, 2)
    return np.asarray(look, np.float32)


def _scan(rng: np.random.Generator, image: Field, truth: BoolArray) -> tuple[Field, BoolArray]:
    """Blur, bias, thick slices, noise."""
    side = len(image)
    image = ndimage.gaussian_filter(image, rng.choice([0.0, 0.4, 0.6, 0.8, 1.1]) * np.ones(3), truncate=3)
    if rng.random() < 0.5:
        image = image * np.exp(rng.uniform(0, 0.25) * noise(rng, side, int(rng.integers(1, 4))))
    strength = float(np.exp(rng.uniform(np.log(0.005), np.log(0.15))))
    if rng.random() < 0.4:  # grains of several voxels, as after reconstruction or resampling
        image = image + strength * noise(rng, side, int(rng.integers(side // 4, side // 2)))
    else:
        image = image + strength * noise(rng, side, side)
    if rng.random() < 0.35:
        axis, thickness = int(rng.integers(3)), float(np.exp(rng.uniform(np.log(1.5), np.log(THICKEST))))
        slices = _slices(side, thickness, float(rng.uniform()))
        image = np.moveaxis(np.tensordot(image, slices, axes=(axis, 1)), -1, axis)
        truth = np.moveaxis(np.tensordot(truth.astype(np.float32), slices, axes=(axis, 1)), -1, axis) > 0.5
    elif rng.random() < 0.5:  # resampled in all directions
        image = ndimage.gaussian_filter(image, 0.7, truncate=2.5)
    if rng.random() < 0.3:  # other display: gamma, clipped ends
        low, high = np.quantile(image[::3, ::3, ::3], [rng.uniform(0, 0.05), 1 - rng.uniform(0, 0.05)])
        image = np.clip((image - low) / (high - low + 1e-6), 0, 1) ** rng.uniform(0.5, 2)
    return np.asarray(image * rng.choice([-1, 1]), np.float32), truth


def _slices(side: int, thickness: float, offset: float) -> Field:
    """The matrix (side, side) that averages into thick slices and puts straight lines between their middles."""
    middles = np.arange((offset - 1) * thickness, side + thickness, thickness)
    at = np.arange(side)
    taken = np.clip(thickness / 2 + 0.5 - np.abs(at - middles[:, None]), 0, 1) + 1e-6 * np.exp(-np.abs(at - middles[:, None]))
    taken /= taken.sum(axis=1, keepdims=True)
    between = np.clip(1 - np.abs(at[:, None] - middles) / thickness, 0, None)
    between /= between.sum(axis=1, keepdims=True)
    return np.asarray(between @ taken, np.float32)


def _cropped(rng: np.random.Generator, image: Field, truth: BoolArray) -> Made:
    """Sometimes the scan ends within the window, its edge repeated beyond."""
    side = len(image)
    known = [slice(0, side)] * 3
    if rng.random() < 0.3:
        for axis in range(3):
            low, high = (int(rng.integers(0, side // 5)) if rng.random() < 0.4 else 0 for _ in range(2))
            kept = np.flatnonzero(truth.any(axis=tuple(other for other in range(3) if other != axis)))
            middle = int(kept[0] + kept[-1]) // 2
            low, high = min(low, middle - 2), min(high, side - 3 - middle)
            known[axis] = slice(max(low, 0), side - max(high, 0))
    inside = (known[0], known[1], known[2])
    pads = [(part.start, side - part.stop) for part in inside]
    held = np.zeros_like(truth)
    held[inside] = truth[inside]
    return Made(np.ascontiguousarray(np.pad(image[inside], pads, mode="edge")), held, inside)
