"""NIfTI-1 and NIfTI-2: one file (.nii, .nii.gz), or a header and its voxels apart (.hdr, .img).

Classes of a label map lie in a header extension as JSON (code 6, a comment): other programs pass it by, and it holds codes, which ITK-SNAP's text does not.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_medseg.annotation import LabelClass, LabelMap, classes_from_dicts, classes_to_dicts
from napari_medseg.errors import InvalidInputError, UnreadableFileError, UnwritableFileError
from napari_medseg.io.faults import typed
from napari_medseg.io.formats import stem_of, suffix_of
from napari_medseg.io.grids import grid
from napari_medseg.io.memory import allocate
from napari_medseg.io.niftiheader import CODES, COLOURS, TYPES, VECTOR, Header, make, read_header
from napari_medseg.io.niftiplace import placement
from napari_medseg.io.packing import Deflating, put
from napari_medseg.io.series import SeriesInfo
from napari_medseg.io.values import in_order, storable, volume_of
from napari_medseg.io.voxels import Stored, check, load, require_size
from napari_medseg.notice import RESEARCH
from napari_medseg.volume import Array, Geometry, Volume

OURS = "napari-medseg"
_COMPLEX = {32: "complex numbers", 1792: "complex numbers", 2048: "complex numbers"}
PIECE = 1 << 22


def describe(path: Path) -> list[SeriesInfo]:
    """What the header says."""
    with typed(path):
        header = read_header(path)
        _require_whole(header, path)
        return describe_pair(path, path, header)


def read(path: Path, series: str | None, like: Geometry | None) -> Volume:
    """Read the scan; timepoints become channels.

    Raises
    ------
    UnreadableFileError
        No NIfTI, cut short, damaged, sheared, no real numbers.
    """
    with typed(path):
        header = read_header(path)
        _require_whole(header, path)
        return read_pair(path, path, path, header)


def describe_pair(path: Path, data: Path, header: Header) -> list[SeriesInfo]:
    """What the header of `path` says of the voxels in `data`."""
    info = _info(header, path)
    check(_stored(header, data), path)
    return [info]


def read_pair(path: Path, data: Path, source: Path, header: Header) -> Volume:
    """The voxels in `data` by the header of `path`; `source` is the one of the two that the user named."""
    info = _info(header, path)
    array = _array(load(_stored(header, data), path), header, info)
    classes, notes = _classes(header)
    return volume_of(replace(info, notes=(*info.notes, *notes)), array, source, classes)


def _require_whole(header: Header, path: Path) -> None:
    if not header.single:
        raise UnreadableFileError("holds a header whose voxels lie in another file", where=path, todo="Name header and voxels .hdr and .img, and open the .hdr")


def _info(header: Header, path: Path) -> SeriesInfo:
    require_size(header.shape, path)
    x, y, z, times, parts = header.shape
    if header.datatype not in TYPES and header.datatype not in COLOURS:
        kind = _COMPLEX.get(header.datatype, f"values of kind {header.datatype}")
        raise UnreadableFileError(f"holds {kind}, no real numbers", where=path, todo="Convert it to real numbers first")
    affine, notes = placement(header, (z, y, x), path)
    geometry = grid((z, y, x), affine, path)
    parts *= COLOURS.get(header.datatype, 1)
    names: tuple[str, ...] = ()
    if times > 1:
        names = tuple(f"t {t + 1}" if parts == 1 else f"t {t + 1}, part {p + 1}" for p in range(parts) for t in range(times))
        notes = (*notes, f"holds {times} timepoints, opened as channels")
    return SeriesInfo(
        geometry.shape, geometry.spacing, geometry.origin, geometry.direction, _dtype(header), channels=parts, timepoints=times, title=stem_of(path),
        channel_names=names, notes=notes,
    )


def _dtype(header: Header) -> str:
    """NumPy's name of what the values become: float32 for what slope and intercept turn into fractions, float64 where float32 would round them."""
    if header.datatype in COLOURS:
        return "uint8"
    dtype = np.dtype(TYPES[header.datatype])
    if header.scales and dtype != np.float64:
        return "float32" if dtype.itemsize <= 2 or dtype.kind == "f" else "float64"
    return dtype.name


def _stored(header: Header, data: Path) -> Stored:
    x, y, z, times, parts = header.shape
    dtype = np.dtype(header.order + TYPES.get(header.datatype, "u1"))
    inner = (COLOURS[header.datatype],) if header.datatype in COLOURS else ()
    with data.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return Stored((data,), (parts, times, z, y, x, *inner), dtype, skip=header.start, packing="gzip" if packed else "")


def _array(stored: Array, header: Header, info: SeriesInfo) -> Array:
    if header.datatype in COLOURS:
        stored = in_order(np.moveaxis(stored, -1, 0))
    array = stored.reshape(-1, *info.shape_zyx)
    array = array[0] if len(array) == 1 else array
    return _scaled(array, header) if header.scales and header.datatype in TYPES else array


def _scaled(array: Array, header: Header) -> Array:
    result = allocate(array.shape, _dtype(header))
    source, target = array.reshape(-1), result.reshape(-1)
    with np.errstate(all="ignore"):
        for start in range(0, source.size, PIECE):
            part = slice(start, start + PIECE)
            target[part] = source[part].astype(np.float64) * header.slope + header.intercept
    return result


def _classes(header: Header) -> tuple[tuple[LabelClass, ...], tuple[str, ...]]:
    for comment in header.comments:
        try:
            found = json.loads(comment)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and OURS in found:
            try:
                return classes_from_dicts(found[OURS].get("classes") if isinstance(found[OURS], dict) else None), ()
            except InvalidInputError as error:
                return (), (f"its class names were left out: it {error.what}",)
    return (), ()


def write(volume: Volume, path: Path) -> None:
    """Write NIfTI-1, or NIfTI-2 when an axis is longer than 32767; qform and sform say the same.

    Raises
    ------
    UnwritableFileError
        A kind of number that NIfTI does not have.
    """
    array = storable(volume.array)
    if array.dtype not in CODES:
        raise UnwritableFileError(f"NIfTI holds no {array.dtype} values", where=path, todo="Convert them first")
    comment = b""
    if isinstance(volume, LabelMap) and volume.classes:
        comment = json.dumps({OURS: {"classes": classes_to_dicts(volume.classes)}}, separators=(",", ":")).encode()
    over_time = bool(volume.channel_names) and all(name.startswith("t ") for name in volume.channel_names)
    further = () if array.ndim == 3 else (len(array),) if over_time else (1, len(array))
    words = RESEARCH if isinstance(volume, LabelMap) else ""
    header = make((*volume.geometry.shape[::-1], *further), array.dtype, volume.geometry, comment, VECTOR if len(further) == 2 else 0, words)
    with path.open("wb") as file:
        sink = Deflating(file, "gzip") if suffix_of(path).endswith(".gz") else file
        sink.write(header)
        put(sink, array, array.dtype.newbyteorder("<").str)
        if isinstance(sink, Deflating):
            sink.finish()
