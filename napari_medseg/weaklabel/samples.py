"""Where a weak-label tool first looks: values near the seeds, and values of what lies around. Costs milliseconds on a scan of any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import BoolArray, FloatArray, Shape, Spacing
from napari_medseg.weaklabel.contrast import fit_contrast
from napari_medseg.weaklabel.hand import Hand
from napari_medseg.weaklabel.scene import IntArray

SAMPLE_MM = 2.1  # around a seed everything is taken for the target
SURROUNDINGS = (0.75, 1.5)  # times the reach: where the background is looked at when nothing was painted
REACH = 1.5  # times how far neighbouring seeds lie apart
LONE_REACH_MM = 25.0
LEAST_REACH_MM = 8.0
WIDER = (1.5, 2.25, 3.4, 5.0, 7.6, 11.4)  # times that, tried in turn while what lies around looks like the seeds
WIDEST_MM = 150.0
LEAST_IN_SCAN = 0.3  # of the box around a ring; a ring that is mostly outside the scan tells nothing
TELLS_APART = 0.5  # overlap with the seeds' values at which a ring begins to look different
TELLS = 0.1  # less overlap than one step nearer, to be worth a still wider reach
LEAST_BACKGROUND = 50  # voxels
MOST = 40_000  # voxels looked at
SLICES = 48  # of a painted limit


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What is surely the target and what surely is not.

    Attributes
    ----------
    target, background : float32 (n,)
        Finite grey values.
    places : (n, 3) voxel indices of the target's values
    """

    target: FloatArray
    background: FloatArray
    places: IntArray


def reach_of(points: IntArray, spacing: Spacing) -> float:
    """How far a front may go from the seeds, (n, 3) voxel indices, in mm.

    Seeds are spread over the target's inner half, so it ends about as far beyond them as neighbouring seeds lie apart (the edges of their shortest
    spanning tree, so that a long thin target is not given a ball's width).
    """
    if len(points) < 2:
        return LONE_REACH_MM
    apart = np.linalg.norm((points[:, None] - points[None]) * np.array(spacing), axis=2)
    found, missing, total = apart[0].copy(), np.ones(len(points), bool), 0.0
    missing[0] = False
    while missing.any():
        nearest = int(np.where(missing, found, np.inf).argmin())
        total += float(found[nearest])
        missing[nearest] = False
        found = np.minimum(found, apart[nearest])
    return max(LEAST_REACH_MM, REACH * total / (len(points) - 1))


def reach_from(image: npt.NDArray[Any], points: IntArray, spacing: Spacing) -> float:
    """How far a front may go from the seeds, in mm, by what the scan shows around them.

    Seeds that were clicked close together say little about a target's size. Where what lies around them still looks like them, and farther out does not,
    the reach is taken to where it does not.

    Parameters
    ----------
    image : (z, y, x), any real type
    points : (n, 3) voxel indices
    spacing : mm per voxel (z, y, x)
    """
    nearest = reach_of(points, spacing)
    if len(points) < 2:
        return nearest
    shape: Shape = (image.shape[0], image.shape[1], image.shape[2])
    target, _ = _finite(image, _target(points, spacing, shape, None))
    reach, overlap = nearest, _overlap(image, target, points, spacing, nearest)
    for times in WIDER:
        wider = times * nearest
        if overlap < TELLS or wider > WIDEST_MM or share_in_scan(points, SURROUNDINGS[1] * wider, spacing, shape) < LEAST_IN_SCAN:
            break
        there = _overlap(image, target, points, spacing, wider)
        if overlap <= TELLS_APART and there > overlap - TELLS:
            break
        reach, overlap = wider, there
    return reach if overlap <= TELLS_APART else nearest


def _overlap(image: npt.NDArray[Any], target: FloatArray, points: IntArray, spacing: Spacing, reach_mm: float) -> float:
    """Share of the seeds' values and those around them that cannot be told apart; all of them where there is nothing to compare."""
    shape: Shape = (image.shape[0], image.shape[1], image.shape[2])
    background, _ = _finite(image, _surroundings(points, spacing, shape, reach_mm))
    return fit_contrast(target, background).overlap if len(target) and len(background) >= LEAST_BACKGROUND else 1.0


def share_in_scan(points: IntArray, margin_mm: float, spacing: Spacing, shape: Shape) -> float:
    """How much of the box around points, (n, 3) voxel indices, wider by a margin, lies in a scan of this shape, 0-1."""
    low, high = points.min(axis=0) - margin_mm / np.array(spacing), points.max(axis=0) + margin_mm / np.array(spacing)
    inside = np.minimum(high, np.array(shape) - 1) - np.maximum(low, 0) + 1
    return float(np.prod(inside / (high - low + 1)))


def around_points(points: IntArray, radius_mm: float, spacing: Spacing, shape: Shape) -> IntArray:
    """Every voxel within a distance of a point, once each, (n, 3); the points' own voxels always."""
    reach = [int(radius_mm / s) for s in spacing]
    steps = np.indices([2 * r + 1 for r in reach], np.intp).reshape(3, -1).T - reach
    steps = steps[np.linalg.norm(steps * np.array(spacing), axis=1) <= radius_mm]
    found = (points[:, None] + steps).reshape(-1, 3)
    found = found[((found >= 0) & (found < shape)).all(axis=1)]
    places = np.unique(np.ravel_multi_index(tuple(found.T), shape))
    return np.stack(np.unravel_index(places, shape), axis=1).astype(np.intp, copy=False)


def look(
    image: npt.NDArray[Any], spacing: Spacing, points: IntArray, *,
    hand: Hand | None, shell_mm: float, init: BoolArray | None, allowed: BoolArray | None, reach_mm: float,
) -> Samples:
    """Take the first samples.

    Parameters
    ----------
    image : (z, y, x), any real type
    points : (n, 3) voxel indices
        Seeds; may be none when there is `init`.
    hand : Hand or None
        The painted limit: the background is what lies up to `shell_mm` outside it.
    init : bool (z, y, x) or None
        A mask to start from: without seeds it is the target.
    allowed : bool (z, y, x) or None
        Where the target may be.
    reach_mm : float
        Without a limit the background is looked at around this distance from the seeds.

    Raises
    ------
    InvalidInputError
        When no seed lies on a usable voxel, or the scan shows nothing there.
    """
    shape: Shape = (image.shape[0], image.shape[1], image.shape[2])
    places = _target(points, spacing, shape, init)
    if allowed is not None:
        places = places[allowed[tuple(places.T)]]
    target, places = _finite(image, places)
    if not len(target):
        if not np.isfinite(image).any():
            raise InvalidInputError("holds no number around the seeds, only NaN", where="scan", todo="Load the scan again or choose another series")
        raise InvalidInputError("no seed lies on a usable voxel", where="seeds", todo="Place the seeds off the barrier and off holes in the scan")
    around = _shell(hand, shell_mm) if hand is not None else _surroundings(points if len(points) else places, spacing, shape, reach_mm)
    background, _ = _finite(image, around)
    if not len(background):
        background, _ = _finite(image, _lattice(shape, np.zeros(3), np.array(shape) - 1.0))
    if target.min() == target.max() == background.min() == background.max():
        _refuse_constant(image)
    return Samples(target, background, places)


def _refuse_constant(image: npt.NDArray[Any]) -> None:
    real = image[np.isfinite(image)] if image.dtype.kind == "f" else image
    if real.min() == real.max():
        raise InvalidInputError(f"holds one value only ({real.min():g}) around the seeds", where="scan", todo="Check that the right scan is open")


def _finite(image: npt.NDArray[Any], places: IntArray) -> tuple[FloatArray, IntArray]:
    values = image[tuple(places.T)].astype(np.float32)
    real = np.isfinite(values)
    return values[real], places[real]


def _target(points: IntArray, spacing: Spacing, shape: Shape, init: BoolArray | None) -> IntArray:
    if len(points):
        return around_points(points, max(SAMPLE_MM, 1.01 * min(spacing)), spacing, shape)
    if init is None:
        return np.zeros((0, 3), np.intp)
    found = np.argwhere(init)
    return np.asarray(found[:: max(1, len(found) // MOST)], np.intp)


def _shell(hand: Hand, width_mm: float) -> IntArray:
    slices = np.flatnonzero(hand.painted)
    if len(slices) > SLICES:
        slices = slices[np.linspace(0, len(slices) - 1, SLICES).astype(int)]
    found = []
    for z in slices:
        y, x = np.nonzero(hand.shell(int(z), width_mm))
        found.append(np.stack([np.full(len(y), z), y, x], axis=1))
    places = np.concatenate(found)
    return np.asarray(places[:: max(1, len(places) // MOST)], np.intp)


def _surroundings(points: IntArray, spacing: Spacing, shape: Shape, reach_mm: float) -> IntArray:
    near, far = (share * reach_mm for share in SURROUNDINGS)
    margin = far / np.array(spacing)
    axes = _axes(shape, points.min(axis=0) - margin, points.max(axis=0) + margin)
    away = np.full([len(axis) for axis in axes], np.inf)
    for point in points[:: max(1, len(points) // 64)]:  # axis by axis: a lattice needs no distance of every voxel to be multiplied out
        z, y, x = ((axis - at) ** 2 * step**2 for axis, at, step in zip(axes, point, spacing, strict=True))
        np.minimum(away, z[:, None, None] + y[:, None] + x, out=away)
    inside = np.nonzero((away > near**2) & (away <= far**2))
    return np.stack([axis[at] for axis, at in zip(axes, inside, strict=True)], axis=1).astype(np.intp)


def _lattice(shape: Shape, low: npt.NDArray[np.floating], high: npt.NDArray[np.floating]) -> IntArray:
    """Voxels of a box, thinned evenly to at most about `MOST`."""
    return np.stack([each.ravel() for each in np.meshgrid(*_axes(shape, low, high), indexing="ij")], axis=1).astype(np.intp)


def _axes(shape: Shape, low: npt.NDArray[np.floating], high: npt.NDArray[np.floating]) -> list[IntArray]:
    """Where along z, y and x the thinned voxels of a box lie."""
    first = np.maximum(np.floor(low), 0).astype(int)
    last = np.minimum(np.ceil(high), np.array(shape) - 1).astype(int)
    step = max(1, int(np.ceil((np.prod((last - first + 1).astype(float)) / MOST) ** (1 / 3))))
    return [np.arange(a, b + 1, step) for a, b in zip(first, last, strict=True)]
