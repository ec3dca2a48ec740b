"""NRRD (.nrrd, .nhdr) and 3D Slicer's segmentations (.seg.nrrd).

The axes stand in any order; those that are no space become channels. Names, colours and terms of a label map are written as Slicer's segments.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_medseg.annotation import LabelMap, named
from napari_medseg.errors import UnwritableFileError
from napari_medseg.io.faults import typed
from napari_medseg.io.formats import stem_of, suffix_of
from napari_medseg.io.grids import grid
from napari_medseg.io.nrrdheader import Axes, Header, axes_of, read_header, stored_of
from napari_medseg.io.packing import Deflating, put
from napari_medseg.io.series import SeriesInfo
from napari_medseg.io.slicersegments import flattened, onto, pairs_of, segments_of
from napari_medseg.io.values import in_order, storable, volume_of
from napari_medseg.io.voxels import check, load
from napari_medseg.notice import RESEARCH
from napari_medseg.volume import Array, Geometry, Volume

SLICER = ".seg.nrrd"
MODALITY = "0008|0060"
REALS = {"float32": "float", "float64": "double"}


def describe(path: Path) -> list[SeriesInfo]:
    """What the header says."""
    with typed(path):
        header = read_header(path)
        axes = axes_of(header, path)
        stored = stored_of(header, axes, path)
        check(stored, path)
        info = _info(header, axes, stored.dtype, path)
        layered = axes.others and stored.dtype.kind != "f" and segments_of(header.pairs)
        return [replace(info, channels=1, timepoints=1, channel_names=()) if layered else info]  # layers of segments become one map


def read(path: Path, series: str | None, like: Geometry | None) -> Volume:
    """Read the scan or label map.

    Parameters
    ----------
    like : Geometry, optional
        Segments that cover part of this grid are put on the whole of it.

    Raises
    ------
    UnreadableFileError
        No NRRD, cut short, damaged, sheared, no real numbers.
    MissingFileError
        When a data file is not there.
    """
    with typed(path):
        header = read_header(path)
        axes = axes_of(header, path)
        stored = stored_of(header, axes, path)
        info = _info(header, axes, stored.dtype, path)
        array = _in_order(load(stored, path), axes)
        segments = segments_of(header.pairs)
        if not segments or array.dtype.kind == "f":
            return volume_of(info, array, path)
        array, classes, notes = flattened(array, segments)
        labels = volume_of(replace(info, notes=(*info.notes, *notes), channel_names=()), array, path, classes)
        return onto(labels, like) if like is not None and isinstance(labels, LabelMap) else labels


def _info(header: Header, axes: Axes, dtype: np.dtype[np.generic], path: Path) -> SeriesInfo:
    sizes = [axes.sizes[i] for i in axes.space] + [1] * (3 - len(axes.space))
    geometry = grid((sizes[2], sizes[1], sizes[0]), axes.affine, path)
    channels = int(np.prod([axes.sizes[i] for i in axes.others], dtype=object)) // axes.times
    notes = axes.notes
    names: tuple[str, ...] = ()
    if axes.times > 1:
        notes = (*notes, f"holds {axes.times} timepoints, opened as channels")
        names = tuple(f"t {t + 1}" for t in range(axes.times)) if channels == 1 else ()
    return SeriesInfo(
        geometry.shape, geometry.spacing, geometry.origin, geometry.direction, dtype.newbyteorder("=").name, header.pairs.get(MODALITY, "").strip()[:16],
        channels, axes.times, title=stem_of(path), channel_names=names, notes=notes,
    )


def _in_order(array: Array, axes: Axes) -> Array:
    """(z, y, x) or (c, z, y, x) of the axes as stored."""
    last = len(axes.sizes) - 1
    order = [last - i for i in (*axes.others[::-1], *axes.space[::-1])]
    moved = array.transpose(order)
    shape = [axes.sizes[i] for i in axes.space][::-1]
    shape = [1] * (3 - len(shape)) + shape
    moved = in_order(moved).reshape(-1, *shape)
    return moved[0] if len(moved) == 1 else moved


def write(volume: Volume, path: Path) -> None:
    """Write NRRD; a label map's classes as Slicer's segments.

    Raises
    ------
    UnwritableFileError
        When a scan is given for a segmentation.
    """
    array = storable(volume.array)
    pairs = {MODALITY: volume.modality} if volume.modality else {}
    classes = volume.classes if isinstance(volume, LabelMap) else ()
    if suffix_of(path) == SLICER:
        if array.ndim != 3 or array.dtype.kind == "f":
            raise UnwritableFileError("a segmentation holds whole numbers, one a voxel", where=path, todo="Save a label map, or end the name in .nrrd")
        classes = named(array, classes)
        pairs |= {
            "Segmentation_ContainedRepresentationNames": "Binary labelmap|", "Segmentation_MasterRepresentation": "Binary labelmap",
            "Segmentation_SourceRepresentation": "Binary labelmap", "Segmentation_ReferenceImageExtentOffset": "0 0 0",
        }
    if isinstance(volume, LabelMap):
        pairs["notice"] = RESEARCH
    pairs |= pairs_of(classes, volume.geometry.shape)
    with path.open("wb") as file:
        file.write(_header(array, volume.geometry, pairs).encode())
        sink = Deflating(file, "gzip")
        put(sink, array if array.ndim == 3 else np.moveaxis(array, 0, -1), array.dtype.newbyteorder("<").str)
        sink.finish()


def _header(array: Array, geometry: Geometry, pairs: dict[str, str]) -> str:
    channels = array.ndim == 4
    columns = (geometry.affine[:3, :3]).T
    sizes = (*((len(array),) if channels else ()), *geometry.shape[::-1])
    lines = [
        "NRRD0004", f"type: {REALS.get(array.dtype.name, array.dtype.name)}", f"dimension: {len(sizes)}", "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, sizes))}", f"space directions: {'none ' if channels else ''}{' '.join(_vector(c) for c in columns)}",
        f"kinds: {'vector ' if channels else ''}domain domain domain", "endian: little", "encoding: gzip", f"space origin: {_vector(geometry.origin)}",
        *(f"{key}:={_escaped(value)}" for key, value in pairs.items()),
    ]
    return "\n".join(lines) + "\n\n"


def _vector(numbers: object) -> str:
    return f"({','.join(repr(float(n)) for n in numbers)})"  # type: ignore[attr-defined]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "")
