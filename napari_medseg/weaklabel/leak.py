"""Leaks: growth through a thin neck into something that holds no seed.

The mask is eroded by half its own depth at the seeds; what still hangs together with a seed, grown back by as much, is the body the seeds stand for. What
lies beyond that body is a leak when it is considerable and joined to it by a neck only (the neck is where the mask narrows on the way out). A gentle
taper, a blunt tip and a second piece with a seed of its own are none. Nothing here looks at the scan, so a leak through a neck wider than about a third
of the organ is not seen.

Works on block counts of a coarse grid: some tens of milliseconds at most for a mask of 256 x 256 x 256.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from napari_medseg.volume import BoolArray, FloatArray, Spacing
from napari_medseg.weaklabel.scene import Box, IntArray, box_around

CELLS = 30_000  # of the coarse grid, at most about
ERODED = 0.5  # of the depth at the seeds
SLACK = 1.25  # grown back a little farther than eroded: a tip's rounding is no leak
NARROW = 0.6  # of the erosion: a neck's half width; a taper starts near 1
CONSIDERABLE = 0.12  # of the body's volume
LONG = 2.5  # times the depth: a vessel holds little but goes far
LEAST = 0.01  # of the body's volume, however long
BRIDGE = 1.25  # times a square rod as wide as the neck, from one part with seeds to another
THIN = 1.5  # steps of the coarsest axis: a mask no deeper is measured in its planes
ALIKE = 0.7  # of the deepest: seeds in parts about as thick share one erosion
SEEDS_READ = 64
EVERYWHERE = np.ones((3, 3, 3), bool)
FAR_MM = 1e6


@dataclass(frozen=True, slots=True)
class Leak:
    """Growth through a thin neck.

    Attributes
    ----------
    neck : (z, y, x)
        A voxel of the mask in the middle of the neck, where a barrier stroke would stop it.
    beyond_ml : float
        Volume of what lies beyond.
    neck_mm : float
        How wide the neck is, in mm.
    """

    neck: tuple[int, int, int]
    beyond_ml: float
    neck_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class _Blocks:
    """The mask as counts of its voxels in blocks; arrays are the coarse grid's.

    `flat` is the axis across which nothing is measured: thick slices through a thin mask say nothing about its necks.
    """

    box: Box
    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    counts: IntArray
    depth: FloatArray
    flat: int | None


def suspected(inside: BoolArray, kept: BoolArray, spacing: Spacing) -> Leak | None:
    """The largest leak of a mask, or None.

    Parameters
    ----------
    inside : bool (z, y, x)
        The front's mask.
    kept : bool (z, y, x)
        The seeds: voxels that are surely the target's. Without any inside the mask there is nothing to leak from.
    spacing : mm per voxel (z, y, x)
    """
    places = np.flatnonzero(kept & inside)
    if not places.size:
        return None
    seeds = np.transpose(np.unravel_index(places[:: -(-places.size // SEEDS_READ)], inside.shape))
    blocks = _blocks(inside, spacing)
    cells = (seeds - [part.start for part in blocks.box]) // blocks.size
    body, eroded = _body(blocks, cells)
    pieces, count = ndi.label(_holding(blocks.counts > 0, cells) & ~body, EVERYWHERE)
    if not count:
        return None
    volumes = np.bincount(pieces.ravel(), blocks.counts.ravel(), count + 1)
    volumes[0] = 0
    whole = float(blocks.counts[body].sum())
    if volumes.max() < LEAST * whole:
        return None
    lengths = np.zeros(count + 1)
    np.maximum.at(lengths, pieces.ravel(), ndi.distance_transform_edt(~body, sampling=blocks.spacing).ravel())
    large = (volumes >= CONSIDERABLE * whole) & (lengths > eroded)
    long = (volumes >= LEAST * whole) & (lengths >= LONG * eroded / ERODED)
    islands, _ = ndi.label(body, EVERYWHERE)
    leaks = []
    for piece in np.flatnonzero(large | long):
        passage = (pieces == piece) & ndi.binary_dilation(body, EVERYWHERE)
        neck, width = _neck(inside, blocks, spacing, passage, NARROW * eroded)
        volume = float(volumes[piece] * np.prod(spacing))
        ends = np.unique(islands[ndi.binary_dilation(passage, EVERYWHERE) & body]).size
        bridge = ends > 1 and volume <= BRIDGE * width**2 * 2 * lengths[piece]
        if width <= 2 * NARROW * eroded and not bridge:
            leaks.append(Leak(neck, volume / 1000, width))
    return max(leaks, key=lambda leak: leak.beyond_ml, default=None)


def _blocks(inside: BoolArray, spacing: Spacing) -> _Blocks:
    """Blocks about as long in mm along every axis, as fine as `CELLS` allows."""
    box = box_around(inside, 1.01 * max(spacing), spacing)
    part = inside[box]
    mm = float(np.prod([n * s for n, s in zip(part.shape, spacing, strict=True)]) / CELLS) ** (1 / 3)
    z, y, x = (max(1, round(mm / s)) for s in spacing)
    counts = _block_sums(part, (z, y, x))
    steps = (z * spacing[0], y * spacing[1], x * spacing[2])
    filled = 2 * counts >= z * y * x
    depth, flat = _distance_inside(filled, steps), None
    coarse = int(np.argmax(steps))
    if depth.max() < THIN * steps[coarse] and steps[coarse] > 1.5 * sorted(steps)[1]:
        depth, flat = _distance_inside(filled, _measured(steps, coarse)), coarse
    return _Blocks(box, (z, y, x), steps, counts, depth, flat)


def _block_sums(mask: BoolArray, size: tuple[int, int, int]) -> IntArray:
    sums: npt.NDArray[np.integer] = mask.view(np.uint8)
    for axis, step in enumerate(size):
        total = np.zeros([-(-n // step) if a == axis else n for a, n in enumerate(sums.shape)], np.uint32)
        for first in range(step):
            part = sums[(slice(None),) * axis + (slice(first, None, step),)]
            total[(slice(None),) * axis + (slice(0, part.shape[axis]),)] += part
        sums = total
    return np.asarray(sums, np.intp)


def _holding(mask: BoolArray, cells: IntArray) -> BoolArray:
    """The pieces of a mask that hold one of the cells."""
    pieces, count = ndi.label(mask, EVERYWHERE)
    stay = np.zeros(count + 1, bool)
    stay[pieces[tuple(cells.T)]] = True
    stay[0] = False
    return np.asarray(stay[pieces])


def _measured(steps: tuple[float, float, float], flat: int | None) -> tuple[float, float, float]:
    """The steps for a distance, endless across the axis along which nothing is measured."""
    z, y, x = (FAR_MM if axis == flat else step for axis, step in enumerate(steps))
    return z, y, x


def _distance_inside(mask: BoolArray, sampling: tuple[float, ...]) -> FloatArray:
    if mask.all():
        return np.full(mask.shape, FAR_MM, np.float32)
    distance = ndi.distance_transform_edt(mask, sampling=sampling)
    return np.asarray(np.where(mask, distance - min(sampling) / 2, 0), np.float32)


def _body(blocks: _Blocks, cells: IntArray) -> tuple[BoolArray, float]:
    """What the seeds stand for, and by how many mm the mask was eroded for the deepest of them."""
    tops = np.unique([_top(blocks.depth, tuple(cell)) for cell in cells], axis=0)
    depths = blocks.depth[tuple(tops.T)]
    steps = _measured(blocks.spacing, blocks.flat)
    body = np.zeros(blocks.counts.shape, bool)
    body[tuple(cells.T)] = True
    left = np.ones(len(tops), bool)
    while left.any() and depths[left].max() > 0:  # a seed that is all there is of its piece stands for its own block
        alike = left & (depths > ALIKE * depths[left].max())
        radius = ERODED * float(depths[alike].min())
        core = _holding(blocks.depth > radius, tops[alike])
        body |= ndi.distance_transform_edt(~core, sampling=steps) <= SLACK * radius + min(steps)
        left &= ~alike & ~core[tuple(tops.T)]
    return body & (blocks.counts > 0), ERODED * float(depths.max())


def _top(depth: FloatArray, cell: tuple[int, ...]) -> tuple[int, ...]:
    """Where one ends by walking uphill: a seed near the surface stands for the part it is at the surface of."""
    while True:
        around = tuple(slice(max(0, c - 1), c + 2) for c in cell)
        part = depth[around]
        best = np.unravel_index(int(part.argmax()), part.shape)
        higher = tuple(int(b) + a.start for b, a in zip(best, around, strict=True))
        if depth[higher] <= depth[cell]:
            return cell
        cell = higher


def _neck(inside: BoolArray, blocks: _Blocks, spacing: Spacing, passage: BoolArray, half_mm: float) -> tuple[tuple[int, int, int], float]:
    """The middle of the widest place of a passage and its width in mm, measured on the mask itself around there."""
    widest = np.unravel_index(int(np.where(passage, blocks.depth + 1e-6 * blocks.counts, -1).argmax()), passage.shape)
    near, cells = [], []
    for axis, (part, cell, step) in enumerate(zip(blocks.box, widest, blocks.size, strict=True)):
        first, margin = part.start + int(cell) * step, int(np.ceil(half_mm / spacing[axis])) + 2 * step
        near.append(slice(max(0, first - margin), min(inside.shape[axis], first + step + margin)))
        cells.append(np.clip((np.arange(near[-1].start, near[-1].stop) - part.start) // step, 0, passage.shape[axis] - 1))
    z, y, x = near
    depth = _distance_inside(inside[z, y, x], _measured(spacing, blocks.flat)) * passage[np.ix_(*cells)]
    place = np.unravel_index(int(depth.argmax()), depth.shape)
    return (int(place[0]) + z.start, int(place[1]) + y.start, int(place[2]) + x.start), 2 * float(depth[place])
