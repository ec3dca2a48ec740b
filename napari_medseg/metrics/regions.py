"""Where the classes of a label map lie, so that each is measured on the part of the grid that it takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import Array

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
    """Where each class of a (z, y, x) label map lies; one pass over a map of one or two bytes."""
    if labels.dtype.kind == "b":
        labels = labels.view(np.uint8)
    if labels.dtype.kind == "u" and labels.dtype.itemsize <= 2:
        return {value: box for value, box in enumerate(ndimage.find_objects(labels), 1) if box is not None}
    values, ranks = np.unique(labels, return_inverse=True)
    boxes = ndimage.find_objects(ranks.reshape(labels.shape) + 1)
    return {int(value): box for value, box in zip(values, boxes, strict=True) if value}


def around(boxes: Sequence[Box]) -> Box:
    """The box around boxes; an empty one around none."""
    return tuple(slice(min(b[axis].start for b in boxes), max(b[axis].stop for b in boxes)) for axis in range(3)) if boxes else NOTHING


def flat_axes(shape: tuple[int, ...]) -> tuple[bool, ...]:
    """Which axes of a grid are none: those of a single voxel."""
    return tuple(n == 1 for n in shape)
