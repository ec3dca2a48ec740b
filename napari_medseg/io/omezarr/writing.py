"""Scans and label maps out, as OME-Zarr 0.5 that any reader understands.

The translation of a level is the position of its first voxel along the voxel axes in mm: the patient's coordinates where the axes are the patient's, and
those turned with the scan where they are not. The exact grid stands beside it (see `images`).
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.abc.buffer import Buffer
from zarr.codecs import BloscCodec, BloscShuffle
from zarr.storage import LocalStore

from napari_medseg.annotation import LabelMap
from napari_medseg.annotation.coding import classes_to_dicts
from napari_medseg.errors import UnwritableFileError
from napari_medseg.io.formats import stem_of
from napari_medseg.io.omezarr.images import OWN
from napari_medseg.io.omezarr.names import image_label
from napari_medseg.io.omezarr.pyramid import Level, pyramid
from napari_medseg.notice import RESEARCH
from napari_medseg.volume import Array, Geometry, Volume

VERSION = "0.5"
EDGE, LARGE_EDGE, LARGE = 64, 128, 1 << 30  # voxels along a chunk; bytes from which chunks are larger
ZSTD = 3
_COLOURS = ("FF0000", "00FF00", "0000FF", "FFFF00", "00FFFF", "FF00FF", "FFFFFF")


def write(volume: Volume, path: Path) -> None:
    """Write to a folder that is not there yet.

    Raises
    ------
    UnwritableFileError
        When a value type is none that OME-Zarr holds.
    """
    folder = _Folder(path)
    try:
        _fill(volume, folder)
    except BaseException:
        folder.end()
        raise


class _Folder(LocalStore):
    """A folder that can be told that no more is wanted: where one write fails zarr lets those beside it run on, and they would make the folder anew."""

    def __init__(self, root: Path | str, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self._under_way, self._over, self._changed = 0, False, threading.Condition()

    async def set(self, key: str, value: Buffer) -> None:
        """Write a file."""
        if self._begins():
            try:
                await super().set(key, value)
            finally:
                self._ends()

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a file that is not there."""
        if self._begins():
            try:
                await super().set_if_not_exists(key, value)
            finally:
                self._ends()

    def end(self) -> None:
        """Write nothing any more; returns when what is being written is."""
        with self._changed:
            self._over = True
            self._changed.wait_for(lambda: self._under_way == 0)

    def _begins(self) -> bool:
        with self._changed:
            self._under_way += not self._over
            return not self._over

    def _ends(self) -> None:
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()


def _fill(volume: Volume, folder: _Folder) -> None:
    array = np.ascontiguousarray(_storable(volume.array))
    labels = isinstance(volume, LabelMap)
    group = zarr.create_group(folder, zarr_format=3)
    edge = EDGE if array.nbytes < LARGE else LARGE_EDGE
    letters = ["c"] * (array.ndim - 3) + ["z", "y", "x"]
    levels = []
    for index, level in enumerate(pyramid(array, volume.geometry, labels)):
        made = zarr.create_array(
            folder, name=str(index), shape=level.array.shape, dtype=level.array.dtype, dimension_names=letters, fill_value=0,
            chunks=tuple(min(n, edge) if i >= array.ndim - 3 else 1 for i, n in enumerate(level.array.shape)), config={"write_empty_chunks": index == 0},
            compressors=BloscCodec(cname="zstd", clevel=ZSTD, shuffle=BloscShuffle.shuffle if array.dtype.itemsize > 1 else BloscShuffle.noshuffle),
        )
        made[...] = level.array
        levels.append(_level(str(index), level, volume.geometry, array.ndim))
    group.attrs.update({"ome": _ome(volume, array, levels, letters), OWN: _own(volume)})


def _storable(array: Array) -> Array:
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype == np.float16:
        return array.astype(np.float32)
    if array.dtype.kind not in "uif" or array.dtype.itemsize > 8:
        raise UnwritableFileError(f"values of type {array.dtype} cannot be stored", todo="Convert them to whole or floating-point numbers first")
    return array


def _level(path: str, level: Level, geometry: Geometry, ndim: int) -> dict[str, Any]:
    spacing = np.array(geometry.spacing)
    first = (geometry.matrix.T @ np.array(geometry.origin))[::-1]
    lead = ndim - 3
    return {
        "path": path,
        "coordinateTransformations": [
            {"type": "scale", "scale": [1.0] * lead + (spacing * level.scale).tolist()},
            {"type": "translation", "translation": [0.0] * lead + (first + spacing * level.shift + 0.0).tolist()},
        ],
    }


def _ome(volume: Volume, array: Array, levels: list[dict[str, Any]], letters: list[str]) -> dict[str, Any]:
    axes = [{"name": "c", "type": "channel"} if letter == "c" else {"name": letter, "type": "space", "unit": "millimeter"} for letter in letters]
    multiscale = {"name": stem_of(volume.name) or "image", "axes": axes, "datasets": levels}
    if len(levels) > 1:
        multiscale["type"] = "nearest" if isinstance(volume, LabelMap) else "mean"
    told: dict[str, Any] = {"version": VERSION, "multiscales": [multiscale]}
    if isinstance(volume, LabelMap):
        told["image-label"] = image_label(volume.classes)
    elif volume.channel_names and len(volume.channel_names) == volume.channels:
        told["omero"] = {"channels": [_channel(name, i, volume.channel(i)) for i, name in enumerate(volume.channel_names)]}
    return told


def _channel(name: str, index: int, array: Array) -> dict[str, Any]:
    low, high = float(array.min()), float(array.max())
    return {
        "label": name, "color": _COLOURS[index % len(_COLOURS)], "active": True,
        "window": {"min": low, "max": high, "start": low, "end": high},
    }


def _own(volume: Volume) -> dict[str, Any]:
    grid = volume.geometry
    told: dict[str, Any] = {
        "version": 1, "shape_zyx": list(grid.shape), "spacing_mm_zyx": list(grid.spacing), "origin_lps": list(grid.origin), "direction": list(grid.direction),
        "modality": volume.modality, "units": volume.units,
    }
    if isinstance(volume, LabelMap):
        told |= {"classes": classes_to_dicts(volume.classes), "notice": RESEARCH}
    return told
