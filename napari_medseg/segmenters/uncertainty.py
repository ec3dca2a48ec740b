"""Where a segmenter is not sure, and which places deserve a look first."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import FloatArray, Spacing

GRAIN_MM = 3.0
"""Places are sought on a grid of about this spacing."""
APART_MM = 12.0
"""Two places lie at least this far apart."""
FAINT = 0.05
"""A place whose neighbourhood is surer than this on average is not worth a look."""


def entropy(probabilities: FloatArray) -> FloatArray:
    """Entropy of the least certain class, in bits.

    Each map is a yes or no of its own: 0 where it is sure either way, 1 where it says one half. Of several maps the largest value counts, so that a place
    where one class of many is in doubt shows as clearly as with one class.

    Parameters
    ----------
    probabilities : float (classes, z, y, x)

    Returns
    -------
    float32 (z, y, x), 0-1

    Raises
    ------
    InvalidInputError
        When there is no map.
    """
    if probabilities.ndim != 4 or not len(probabilities):
        raise InvalidInputError(f"probabilities of {probabilities.shape} have no entropy", where="probabilities", todo="Give (classes, z, y, x)")
    doubt = 0.5 - np.abs(probabilities.astype(np.float32) - 0.5).min(axis=0)  # the entropy of one class falls with the distance from one half
    p = np.clip(doubt, 1e-7, 0.5)
    return np.asarray(np.where(doubt > 0, -p * np.log2(p) - (1 - p) * np.log2(1 - p), 0), dtype=np.float32)


def worst_spots(uncertainty: FloatArray, spacing: Spacing, count: int = 20, apart_mm: float = APART_MM) -> list[tuple[int, int, int]]:
    """The places where most uncertainty lies together, worst first.

    Every outline is a thin sheet of uncertainty; what counts is how much of it lies within a few millimetres, so that a doubtful region comes before
    a plain border.

    Parameters
    ----------
    uncertainty : float (z, y, x), 0 or more
    spacing : (z, y, x) mm
    count : int
        At most so many.
    apart_mm : float
        How far two places lie apart at least.

    Returns
    -------
    list of (z, y, x)
        Voxels, each the most uncertain one of its place; empty where nothing is uncertain.
    """
    step = tuple(max(1, min(n, round(GRAIN_MM / s))) for n, s in zip(uncertainty.shape, spacing, strict=True))
    coarse = _pooled(uncertainty, step)
    size = np.array(step) * np.array(spacing)
    mass = ndimage.gaussian_filter(coarse, GRAIN_MM / size, mode="nearest")
    spots: list[tuple[int, int, int]] = []
    reach = tuple(int(np.ceil(apart_mm / s)) for s in size)
    away = np.meshgrid(*(np.arange(-r, r + 1) * s for r, s in zip(reach, size, strict=True)), indexing="ij", sparse=True)
    near = sum(a**2 for a in away) < apart_mm**2
    while len(spots) < count and mass.max(initial=0.0) > FAINT:
        block = np.unravel_index(int(mass.argmax()), mass.shape)
        inside = tuple(slice(int(b) * k, min((int(b) + 1) * k, n)) for b, k, n in zip(block, step, uncertainty.shape, strict=True))
        part = uncertainty[inside]
        at = np.unravel_index(int(part.argmax()), part.shape)
        spots.append(tuple(int(i) + s.start for i, s in zip(at, inside, strict=True)))
        here, there = _overlap(block, reach, mass.shape)
        mass[here][near[there]] = 0
    return spots


def _pooled(values: FloatArray, step: tuple[int, ...]) -> FloatArray:
    """Means of blocks; those at the far borders may be smaller. Axis by axis, so that no second map of the scan is made."""
    for axis in reversed(range(3)):
        starts = np.arange(0, values.shape[axis], step[axis])
        sizes = np.diff([*starts, values.shape[axis]]).reshape([-1 if axis == a else 1 for a in range(3)])
        values = np.asarray(np.add.reduceat(values, starts, axis=axis, dtype=np.float32) / sizes, dtype=np.float32)
    return values


def _overlap(centre: tuple[np.intp, ...], reach: tuple[int, ...], shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The part of a grid within `reach` of a place, and the same part of a block of 2 reach + 1 around it."""
    low = [max(0, int(c) - r) for c, r in zip(centre, reach, strict=True)]
    high = [min(n, int(c) + r + 1) for c, r, n in zip(centre, reach, shape, strict=True)]
    here = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    there = tuple(slice(a - int(c) + r, b - int(c) + r) for a, b, c, r in zip(low, high, centre, reach, strict=True))
    return here, there
