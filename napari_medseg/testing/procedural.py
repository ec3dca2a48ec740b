"""Volumes made by chance, each with one object to outline.

Shapes, textures and looks are of no organ in particular, so that a network learns to outline what it is pointed at and not what it knows.

An object may be a warped ellipsoid, a lobed or spiked lump, a bent tube, a shell, a region of a partition; it lies in a partitioned background with vessels,
inside another organ, against neighbours of its own intensity; it may be all of one texture, bright-rimmed, hollow or patchy. The scanner then adds bias,
blur, noise and thick slices. The same seed gives the same volume. Axis order z, y, x; spacing is 1 in all directions after the working grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medseg.testing.procedural_shapes import Field, any_middle, any_shape, any_size, ellipsoid, noise

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
        level = any_shape(rng, side, any_size(rng, side), any_middle(rng, side, NEAR_CENTRE))
        truth = _one_piece(level > 0)
        if truth is not None:
            break
    else:
        level = ellipsoid(rng, side, side / 5, np.full(3, side / 2))
        truth = level > 0
    image, truth = _scene(rng, truth)
    image, truth = _scan(rng, image, truth)
    kept = _one_piece(truth)
    if kept is None:  # hidden by what was laid over it, or lost between thick slices
        return procedural_volume((*(seed if isinstance(seed, tuple) else (seed,)), 1), side)
    return _cropped(rng, image, kept)


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
        organ = ellipsoid(rng, side, side * rng.uniform(0.3, 0.8), any_middle(rng, side, 0.5)) > 0
        image = np.where(organ, _filled(rng, side, rng.uniform(0, 1), rng.uniform(0, 0.06)), image)
    contrast = rng.choice([-1, 1]) * rng.uniform(0.08, 0.7) ** rng.uniform(1, 1.6)
    ring = ndimage.binary_dilation(truth, iterations=2) & ~truth
    if rng.random() < 0.8 and ring.any():
        inside = float(np.median(image[ring])) + contrast
    painted = np.where(truth, _inner(rng, truth, inside), image)
    for _ in range(int(rng.integers(0, 5))):
        level = any_shape(rng, side, any_size(rng, side) * 0.8, any_middle(rng, side, 1.0)) > 0
        alike = rng.random() < 0.5
        look = _filled(rng, side, inside + 0.03 * rng.standard_normal() if alike else rng.uniform(0, 1), rng.uniform(0, 0.1))
        gap = ndimage.binary_dilation(truth) if rng.random() < 0.4 else truth
        painted = np.where(level & ~gap, look, painted)
    if rng.random() < 0.12:  # something lies over a part of it
        over = any_shape(rng, side, any_size(rng, side) * 0.6, any_middle(rng, side, 0.8)) > 0
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
