"""Where the classes of a label map lie, so that each is measured on the part of the grid that it takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import Array, BoolArray

Box = tuple[slice, ...]
NOTHING: Box = (slice(0, 0),) * 3


def require_label_map(labels: Array, where: str) -> None:
    """Refuse what is no label map.

    Raises
    ------
    InvalidInputError
        When it is not (z, y, x), or holds anything but whole numbers.
    """
    if labels.ndim != 3 or labels.dtype.kind not in "biu":
        raise InvalidInputError(f"{labels.dtype} with {labels.ndim} axes is no label map", where=where, todo="Give whole numbers as (z, y, x)")


def boxes_of(labels: Array) -> dict[int, Box]:
    """Where each class of a (z, y, x) label map lies."""
    outer = box_of(labels)
    part = labels[outer]
    if not part.size:
        return {}
    if part.dtype.kind == "b":
        return {1: outer}
    most = int(part.max())
    if int(part.min()) >= 0 and most < 1 << 16:
        found = dict(enumerate(ndimage.find_objects(part.astype(np.min_scalar_type(most), copy=False)), 1))
    else:
        values, ranks = np.unique(part, return_inverse=True)
        found = dict(zip(values.tolist(), ndimage.find_objects(ranks.reshape(part.shape) + 1), strict=True))
    return {value: _moved(box, outer) for value, box in found.items() if value and box is not None}


def box_of(labels: Array) -> Box:
    """The box around everything in a label map (z, y, x) that is not 0; an empty one where there is nothing."""
    z = np.flatnonzero(labels.any(axis=(1, 2)))
    if not z.size:
        return NOTHING
    slices = slice(int(z[0]), int(z[-1]) + 1)
    shadow: BoolArray = np.logical_or.reduce(labels[slices], axis=0)
    y, x = np.flatnonzero(shadow.any(axis=1)), np.flatnonzero(shadow.any(axis=0))
    return slices, slice(int(y[0]), int(y[-1]) + 1), slice(int(x[0]), int(x[-1]) + 1)


def around(boxes: Sequence[Box]) -> Box:
    """The box around boxes; an empty one around none."""
    return tuple(slice(min(b[axis].start for b in boxes), max(b[axis].stop for b in boxes)) for axis in range(3)) if boxes else NOTHING


def flat_axes(shape: tuple[int, ...]) -> tuple[bool, ...]:
    """Which axes of a grid are none: those of a single voxel."""
    return tuple(n == 1 for n in shape)


def _moved(box: Box, into: Box) -> Box:
    return tuple(slice(inner.start + outer.start, inner.stop + outer.start) for inner, outer in zip(box, into, strict=True))
