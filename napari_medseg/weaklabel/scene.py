"""What a weak-label tool works on: checked input, cut to the part that matters.

Everything a tool needs is near the limit or the seeds, so a scan of 512x512x300 costs no more than its organ.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from napari_medseg.errors import InvalidInputError, NoSeedsError
from napari_medseg.volume import BoolArray, Shape, Spacing, format_shape

Box = tuple[slice, slice, slice]
IntArray = npt.NDArray[np.intp]


def checked_image(image: npt.NDArray[Any], where: str = "scan") -> npt.NDArray[Any]:
    """The scan, if it is one a tool can work on.

    Raises
    ------
    InvalidInputError
        When it is not (z, y, x), is empty, or does not hold real numbers.
    """
    if image.ndim != 3 or image.size == 0:
        raise InvalidInputError(f"an array of {format_shape(image.shape)} is no volume", where=where, todo="Give one channel as (z, y, x)")
    if image.dtype.kind not in "buif":
        raise InvalidInputError(f"voxels of type {image.dtype} are not grey values", where=where, todo="Give one channel of whole or real numbers")
    return image


def checked_spacing(spacing: Spacing) -> Spacing:
    """The spacing as three positive floats.

    Raises
    ------
    InvalidInputError
        When it is not.
    """
    values = np.asarray(spacing, dtype=float)
    if values.shape != (3,) or not np.isfinite(values).all() or values.min() <= 0:
        raise InvalidInputError(f"{spacing} is no spacing", where="spacing", todo="Give three positive millimetres (z, y, x)")
    return float(values[0]), float(values[1]), float(values[2])


def checked_labels(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A label map, if it is one.

    Raises
    ------
    InvalidInputError
        When it is not (z, y, x) or not whole numbers.
    """
    if labels.ndim != 3 or labels.dtype.kind not in "bui":
        shape = format_shape(labels.shape)
        raise InvalidInputError(f"an array of {labels.dtype}, {shape}, is no label map", where="labels", todo="Give whole numbers as (z, y, x)")
    return labels


def checked_mask(mask: npt.NDArray[Any] | None, shape: Shape, where: str) -> BoolArray | None:
    """A mask on the scan's grid, as bool; None stays None.

    Raises
    ------
    InvalidInputError
        When its shape is not the scan's.
    """
    if mask is None:
        return None
    if mask.shape != shape:
        raise InvalidInputError(f"{format_shape(mask.shape)} voxels do not fit a scan of {format_shape(shape)}", where=where, todo="Draw it on this scan")
    return np.asarray(mask if mask.dtype == bool else mask > 0)


def checked_seeds(seeds: npt.ArrayLike, shape: Shape) -> IntArray:
    """Seeds as voxel indices (n, 3) inside the scan; may be empty.

    Raises
    ------
    NoSeedsError
        When a seed lies outside the scan; names it.
    InvalidInputError
        When they are not triples of whole numbers.
    """
    found = np.asarray(seeds, dtype=float)
    if found.size == 0:
        return np.zeros((0, 3), np.intp)
    found = np.atleast_2d(found)
    if found.ndim != 2 or found.shape[1] != 3 or not np.isfinite(found).all():
        raise InvalidInputError("a seed is three voxel indices z, y, x", where="seeds", todo="Place the seeds again")
    outside = ((np.rint(found) < 0) | (np.rint(found) >= shape)).any(axis=1)
    if outside.any():
        which = int(outside.argmax())
        place = ", ".join(f"{v:g}" for v in found[which])
        raise NoSeedsError(f"seed {which + 1} at voxel ({place}) lies outside the scan of {format_shape(shape)}", where="seeds", todo="Place it again")
    return np.asarray(np.rint(found), np.intp)


def box_around(mask: BoolArray, margin_mm: float, spacing: Spacing) -> Box:
    """The smallest box that holds the mask, bool (z, y, x), wider by a margin in mm, within the array.

    Raises
    ------
    InvalidInputError
        When the mask is empty.
    """
    parts = []
    for axis in range(3):
        hits = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        if not hits.size:
            raise nowhere()
        margin = int(np.ceil(margin_mm / spacing[axis]))
        parts.append((int(hits[0]) - margin, int(hits[-1]) + margin + 1))
    return _clipped(parts, mask.shape)


def nowhere() -> InvalidInputError:
    """That a box was asked for around nothing."""
    return InvalidInputError("there is nothing in it to draw a box around", where="mask", todo="Give a mask that holds a voxel")


def box_around_points(points: IntArray, margin_mm: float, spacing: Spacing, shape: Shape) -> Box:
    """The smallest box that holds the points, wider by a margin, within a volume of this shape."""
    margins = [int(np.ceil(margin_mm / s)) for s in spacing]
    return _clipped([(int(points[:, a].min()) - margins[a], int(points[:, a].max()) + margins[a] + 1) for a in range(3)], shape)


def joined(a: Box, b: Box) -> Box:
    """The smallest box that holds both."""
    z, y, x = (slice(min(p.start, q.start), max(p.stop, q.stop)) for p, q in zip(a, b, strict=True))
    return z, y, x


def near(points: IntArray, shape: Shape, radius_mm: float, spacing: Spacing) -> BoolArray:
    """Every voxel within a distance in mm of a point, (n, 3) voxel indices: bool (z, y, x); the points' own voxels always."""
    marks = np.zeros(shape, bool)
    marks[tuple(points.T)] = True
    return marks | (distance_to(marks, spacing) <= radius_mm) if points.size else marks


def distance_to(mask: BoolArray, spacing: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Distance to the mask in mm, 0 inside; infinite when it is empty. The mask is of any shape, with a step in mm for each axis."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    return np.asarray(ndi.distance_transform_edt(~mask, sampling=spacing))


def _clipped(parts: list[tuple[int, int]], shape: tuple[int, ...]) -> Box:
    z, y, x = (slice(max(0, a), min(n, b)) for (a, b), n in zip(parts, shape, strict=True))
    return z, y, x
