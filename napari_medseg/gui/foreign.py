"""Layers that somebody else made: what of them can be worked on, and why not where it cannot. They are looked at only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
from napari.layers import Image, Labels, Layer

from napari_medseg.errors import InvalidInputError, NoRoomError
from napari_medseg.volume import Array, FloatArray

MILLIMETRES = ("pixel", "millimeter", "dimensionless", "")
"""Units whose numbers are taken as millimetres; napari says pixel where nobody said anything."""
ROOM = 0.4  # of the memory that is free, for one scan that is read into it
MOST_CLASSES = 254
PIECE = 16  # slices that are read at a time where nothing says how the data is cut


@dataclass(frozen=True, slots=True)
class Reading:
    """A tick of reading a layer's data."""

    fraction: float | None
    message: str


def is_elsewhere(layer: Image | Labels) -> bool:
    """Whether a layer's voxels are read when they are looked at: from a file, over a network or by computing them."""
    return not layer.multiscale and not isinstance(layer.data, np.ndarray)


def require_upright(layer: Layer) -> None:
    """Whether a layer of three axes lies along napari's own, in millimetres.

    Raises
    ------
    InvalidInputError
        When it is turned, sheared or flat, or measured in another unit.
    """
    name, matrix = layer.name, np.asarray(layer.affine.linear_matrix, float)
    if not (np.allclose(matrix, np.diag(np.diag(matrix))) and np.allclose(layer.rotate, np.eye(layer.ndim)) and np.allclose(layer.shear, 0)):
        raise InvalidInputError("is turned or sheared inside napari", where=name, todo="Open its file with Medseg, which turns it without resampling")
    if not steps(layer).all():
        raise InvalidInputError("has no extent along one axis (a scale of 0)", where=name, todo="Give its scale in millimetres")
    others = [str(unit) for unit in layer.units if str(unit) not in MILLIMETRES]
    if others:
        raise InvalidInputError(f"is measured in {others[0]}", where=name, todo='Give its scale in millimetres and set layer.units = "mm"')


def require_world(viewer: Any, name: str) -> None:
    """Whether napari measures its world in millimetres; it takes another unit of length where one layer of several has a smaller one.

    Raises
    ------
    InvalidInputError
        When slices and clicks of a scan in millimetres would be told in another unit.
    """
    others = [str(unit) for unit in viewer.layers.extent.units or () if str(unit) not in MILLIMETRES]
    if others:
        what = f"cannot be worked on while napari measures in {others[0]} for another layer's sake: clicks would miss the scan"
        raise InvalidInputError(what, where=name, todo='Remove that layer, or give its scale in millimetres and set layer.units = "mm"')


def steps(layer: Layer) -> FloatArray:
    """Millimetres from voxel to voxel along each axis of an upright layer; negative where it is shown mirrored, as some readers do with every file."""
    return np.asarray(layer.scale, float) * np.diag(np.asarray(layer.affine.linear_matrix, float))


def as_shown(layer: Layer, voxels: Array) -> Array:
    """A view of an upright layer's voxels in the order in which napari shows them."""
    return voxels[tuple(slice(None, None, -1) if step < 0 else slice(None) for step in steps(layer))]


def first_corner(layer: Layer) -> FloatArray:
    """Where the first voxel of what is shown lies in napari's world."""
    last = [length - 1 if step < 0 else 0 for length, step in zip(layer.data.shape, steps(layer), strict=True)]
    return np.asarray(layer.data_to_world(last), float)


def require_room(layer: Image | Labels) -> None:
    """Whether the voxels of a layer that lie elsewhere fit in memory.

    Raises
    ------
    NoRoomError
        When they would fill it.
    """
    need, free = float(np.prod(layer.data.shape)) * np.dtype(layer.data.dtype).itemsize, psutil.virtual_memory().available
    if need > ROOM * free:
        what = f"holds {need / 1e9:.1f} GB, too much for the {free / 1e9:.1f} GB of memory that are free"
        raise NoRoomError(what, where=layer.name, todo="Crop it or take a coarser level, or open its file with Medseg, which works on a size that fits")


def read(data: Any, name: str, into: list[Array]) -> Iterator[Reading]:
    """Read the voxels of a layer as they are cut on the disk; ends with one array in `into`. Runs beside the window."""
    array = np.empty(data.shape, data.dtype)
    begin = 0
    yield Reading(0.0, f"Reading {name}")
    for length in _pieces(data):
        array[begin:begin + length] = np.asarray(data[begin:begin + length])
        begin += length
        yield Reading(begin / len(array), f"Reading {name}")
    into.append(array)


def as_classes(values: Array, name: str) -> Array:
    """A copy of somebody's label map as a label map of ours, uint8.

    Raises
    ------
    InvalidInputError
        When it holds more classes than a label map of ours can.
    """
    if values.size and (values.min() < 0 or values.max() > MOST_CLASSES):
        what = f"holds label values from {values.min()} to {values.max()}, and Medseg works with 1 to {MOST_CLASSES}"
        raise InvalidInputError(what, where=name, todo="Give its labels numbers in that range, or keep it beside Medseg's own labels")
    return np.array(values, np.uint8, order="C")


def _pieces(data: Any) -> Iterator[int]:
    """Lengths along the first axis that are read at once."""
    length, cut = int(data.shape[0]), getattr(data, "chunks", None)
    first = cut[0] if cut else PIECE
    if isinstance(first, tuple):
        yield from first
        return
    for begin in range(0, length, max(1, int(first))):
        yield min(max(1, int(first)), length - begin)
