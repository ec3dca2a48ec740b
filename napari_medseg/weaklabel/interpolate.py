"""Shape-based interpolation: fill between annotated slices (Raya and Udupa, IEEE TMI 1990).

Each class's signed distance is interpolated linearly between the slices that hold labels; a voxel takes the class whose distance lies
deepest inside, if any does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.volume import BoolArray, FloatArray
from napari_medseg.weaklabel.scene import checked_labels

PlaneSpacing = tuple[float, float]


def interpolate(labels: npt.NDArray[Any], slices: Sequence[int] | None = None, *, plane_spacing: PlaneSpacing = (1.0, 1.0)) -> npt.NDArray[Any]:
    """Fill the slices between annotated ones.

    Parameters
    ----------
    labels : unsigned whole numbers (z, y, x); 0 is background
    slices : sequence of int, optional
        The annotated slices, which stay as they are; one may be empty on purpose, and the shape ends towards it. None takes those that
        hold labels.
    plane_spacing : mm per voxel (y, x)

    Returns
    -------
    array like `labels`
        Slices before the first and after the last annotated one are as they were.

    Raises
    ------
    NoLabelsError
        When no listed slice holds a label.
    InvalidInputError
        When fewer than two slices are annotated, one lies outside, or the labels are no label map.
    """
    checked_labels(labels)
    known = sorted({int(z) for z in (np.flatnonzero(labels.any(axis=(1, 2))) if slices is None else slices)})
    stray = [z for z in known if not 0 <= z < len(labels)]
    if stray:
        raise InvalidInputError(f"slice {stray[0]} is not one of 0 to {len(labels) - 1}", where="slices", todo="Correct the list")
    if not any(labels[z].any() for z in known):
        raise NoLabelsError("no slice is annotated", where="labels", todo="Paint the organ on two slices at least")
    if len(known) < 2:
        raise InvalidInputError("one slice alone leaves nothing between", where="slices", todo="Paint the organ on another slice too")
    out = labels.copy()
    for low, high in pairwise(known):
        if high - low > 1:
            _fill(out, labels, low, high, plane_spacing)
    return out


def _fill(out: npt.NDArray[Any], labels: npt.NDArray[Any], low: int, high: int, spacing: PlaneSpacing) -> None:
    classes = [v for v in np.unique(labels[[low, high]]) if v > 0]
    out[low + 1 : high] = 0
    ends = [(_inside(labels[low] == v, labels[high] == v, spacing), _inside(labels[high] == v, labels[low] == v, spacing)) for v in classes]
    for z in range(low + 1, high):
        share = (z - low) / (high - low)
        deepest = np.zeros(labels.shape[1:], np.float32)
        for value, (start, end) in zip(classes, ends, strict=True):
            here = (1 - share) * start + share * end
            out[z][here > deepest] = value
            deepest = np.maximum(deepest, here)


def _inside(mask: BoolArray, other: BoolArray, spacing: PlaneSpacing) -> FloatArray:
    """Depth inside the mask, negative outside; where the class is missing it ends as far out as the other slice's is deep."""
    if mask.any():
        half = min(spacing) / 2
        inside, outside = (ndi.distance_transform_edt(np.pad(side, 1, constant_values=not side_is_mask), sampling=spacing)[1:-1, 1:-1]
                           for side, side_is_mask in ((mask, True), (~mask, False)))
        return np.asarray(np.where(mask, inside - half, half - outside), np.float32)
    depth = ndi.distance_transform_edt(np.pad(other, 1), sampling=spacing)
    return np.full(mask.shape, -float(depth.max()), np.float32)
