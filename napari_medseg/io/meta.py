"""MetaImage: header and voxels in one file (.mha) or apart (.mhd).

A label map's names, colours and terms are written as Slicer's segment fields, which ITK keeps as metadata.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_medseg.annotation import LabelMap
from napari_medseg.errors import UnreadableFileError
from napari_medseg.io.faults import SEND_AGAIN, typed
from napari_medseg.io.formats import stem_of
from napari_medseg.io.grids import Matrix, flat, grid, require_spacing
from napari_medseg.io.packing import Deflating, Packing, put
from napari_medseg.io.series import SeriesInfo
from napari_medseg.io.slicersegments import pairs_of, segments_of, to_classes
from napari_medseg.io.values import in_order, storable, volume_of
from napari_medseg.io.voxels import MANY_FILES, Stored, beside, check, load, numbered
from napari_medseg.notice import RESEARCH
from napari_medseg.volume import Array, Geometry, Volume

TEXT_LIMIT = 1 << 22
MODALITY = "0008|0060"
TYPES = {
    "CHAR": "i1", "UCHAR": "u1", "SHORT": "i2", "USHORT": "u2", "INT": "i4", "UINT": "u4", "LONG": "i4", "ULONG": "u4", "LONG_LONG": "i8",
    "ULONG_LONG": "u8", "FLOAT": "f4", "DOUBLE": "f8",
}
_CODES = {np.dtype(kind): code for code, kind in reversed(TYPES.items())}
_LETTERS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "I": (2, 1), "S": (2, -1)}
_UNITS = {"um": 1e-3, "mm": 1.0, "cm": 10.0}
_DIMENSIONS = (2, 3, 4)


def describe(path: Path) -> list[SeriesInfo]:
    """What the header says."""
    with typed(path):
        fields, listed, start = read_header(path)
        stored = _stored(fields, listed, start, path)
        check(stored, path)
        return [_info(fields, stored, path)]


def read(path: Path, series: str | None, like: Geometry | None) -> Volume:
    """Read the scan or label map.

    Raises
    ------
    UnreadableFileError
        No MetaImage, cut short, damaged, sheared, no real numbers.
    MissingFileError
        When a data file is not there.
    """
    with typed(path):
        fields, listed, start = read_header(path)
        stored = _stored(fields, listed, start, path)
        info = _info(fields, stored, path)
        array = _channels_first(load(stored, path), info)
        return volume_of(info, array, path, to_classes(segments_of(fields)))


def read_header(path: Path) -> tuple[dict[str, str], list[str], int]:
    """The fields, the lines after them, and where they end.

    Raises
    ------
    UnreadableFileError
        When it is no MetaImage.
    """
    fields: dict[str, str] = {}
    listed: list[str] = []
    with path.open("rb") as file:
        room = TEXT_LIMIT
        while room > 0 and "ElementDataFile" not in fields and (line := file.readline(room)):
            room -= len(line)
            key, equals, value = line.decode("utf-8", "replace").partition("=")
            if not equals:
                break
            fields[key.strip()] = value.strip()
        start = file.tell()
        if fields.get("ElementDataFile", "").upper().startswith("LIST"):
            listed = [line.strip() for line in file.read(TEXT_LIMIT).decode("utf-8", "replace").splitlines() if line.strip()]
    if not {"NDims", "DimSize", "ElementType", "ElementDataFile"} <= fields.keys():
        raise UnreadableFileError("is not a MetaImage file, whatever its name says", where=path, todo="Check what it is, or export it again")
    return fields, listed, start


def _sizes(fields: dict[str, str], path: Path) -> tuple[int, ...]:
    sizes = tuple(int(n) for n in fields["DimSize"].split())
    if int(fields["NDims"]) not in _DIMENSIONS or len(sizes) != int(fields["NDims"]) or min(sizes) < 1:
        raise UnreadableFileError(f"its header gives a size of {' x '.join(map(str, sizes)) or 'nothing'}", where=path, todo=SEND_AGAIN)
    return sizes


def _stored(fields: dict[str, str], listed: list[str], start: int, path: Path) -> Stored:
    sizes = _sizes(fields, path)
    kind = TYPES.get(fields["ElementType"].removeprefix("MET_").removesuffix("_ARRAY"))
    if kind is None:
        what = f"holds values of type '{fields['ElementType'][:40]}'"
        raise UnreadableFileError(what, where=path, todo="Convert it to whole or real numbers first")
    big = _is_true(fields.get("ElementByteOrderMSB") or fields.get("BinaryDataByteOrderMSB", "False"))
    channels = int(fields.get("ElementNumberOfChannels", "1"))
    shape = (*sizes[::-1], *((channels,) if channels != 1 else ()))
    dtype = np.dtype((">" if big else "<") + kind)
    local = fields["ElementDataFile"].upper() == "LOCAL"
    files = (path,) if local else tuple(beside(path, name) for name in _names(fields["ElementDataFile"], listed))
    header = int(fields.get("HeaderSize", "0"))
    if not files or header < -1:
        raise ValueError
    offset = start if local else 0
    packing: Packing = ""
    packed = None
    if not _is_true(fields.get("BinaryData", "True")):
        packing = "text"
    elif _is_true(fields.get("CompressedData", "False")):
        packing = _packing(files[0], offset)
        packed = int(fields["CompressedDataSize"]) if len(files) == 1 and "CompressedDataSize" in fields else None
    elif header:
        offset = -1 if header == -1 else offset + header
    return Stored(files, shape, dtype, offset, packing=packing, packed=packed)


def _packing(file: Path, offset: int) -> Packing:
    with file.open("rb") as opened:
        opened.seek(offset)
        return "gzip" if opened.read(2) == b"\x1f\x8b" else "zlib"


def _names(named: str, listed: list[str]) -> list[str]:
    if named.upper().startswith("LIST"):
        return listed[:MANY_FILES]
    if "%" not in named:
        return [named]
    pattern, first, last, step = (*named.split(), "1")[:4]
    return numbered(pattern, int(first), int(last), int(step))


def _is_true(text: str) -> bool:
    return text.strip().lower() in ("true", "t", "1", "yes")


def _info(fields: dict[str, str], stored: Stored, path: Path) -> SeriesInfo:
    sizes = _sizes(fields, path)
    affine, notes = _affine(fields, len(sizes), path)
    geometry = grid((sizes[2] if len(sizes) > 2 else 1, sizes[1], sizes[0]), affine, path)
    times = sizes[3] if len(sizes) == 4 else 1
    channels = stored.shape[-1] if len(stored.shape) > len(sizes) else 1
    names: tuple[str, ...] = ()
    if times > 1:
        notes = (*notes, f"holds {times} timepoints, opened as channels")
        names = tuple(f"t {t + 1}" for t in range(times)) if channels == 1 else ()
    found = fields.get("Modality", "")
    modality = fields.get(MODALITY, "")[:16] or (found.removeprefix("MET_MOD_")[:16] if found.startswith("MET_MOD_") and "UNKNOWN" not in found else "")
    return SeriesInfo(
        geometry.shape, geometry.spacing, geometry.origin, geometry.direction, stored.dtype.newbyteorder("=").name, modality, channels, times,
        title=stem_of(path), channel_names=names, notes=notes,
    )


def _affine(fields: dict[str, str], count: int, path: Path) -> tuple[Matrix, tuple[str, ...]]:
    def numbers(*names: str) -> list[float] | None:
        found = next((fields[name] for name in names if name in fields), None)
        return None if found is None else [float(n) for n in found.split()]

    space = min(count, 3)
    steps = (numbers("ElementSpacing", "ElementSize") or [1.0] * count)[:space]
    origin = (numbers("Offset", "Position", "Origin") or [0.0] * count)[:space]
    require_spacing(steps, path)
    unit = fields.get("DistanceUnits", "mm").lower()
    notes = (f"its millimetres were made from {unit}",) if _UNITS.get(unit, 1.0) != 1.0 else ()
    rows = numbers("TransformMatrix", "Rotation", "Orientation")
    letters = fields.get("AnatomicalOrientation", "").upper()
    if rows is not None:
        direction = np.array(rows).reshape(count, count)[:space, :space].T
    elif count == 3 and letters != "RAI" and sorted(_LETTERS[c][0] for c in letters if c in _LETTERS) == [0, 1, 2]:
        direction = np.zeros((3, 3))
        for axis, letter in enumerate(letters):
            direction[_LETTERS[letter][0], axis] = _LETTERS[letter][1]
        notes = (*notes, f"its axes lie as its letters {letters} say; it holds no direction")
    else:
        direction = np.eye(space)
    if len(steps) != space or len(origin) != space:
        raise ValueError
    affine = np.eye(4)
    affine[:3, :3] = (flat(direction) if space == 2 else direction) * [*np.abs(steps), 1.0][:3]
    affine[:space, 3] = origin
    return np.diag([_UNITS.get(unit, 1.0)] * 3 + [1.0]) @ affine, notes


def _channels_first(array: Array, info: SeriesInfo) -> Array:
    if info.channels > 1:
        array = in_order(np.moveaxis(array, -1, 0))
    array = array.reshape(-1, *info.shape_zyx)
    return array[0] if len(array) == 1 else array


def write(volume: Volume, path: Path) -> None:
    """Write MetaImage, packed; a label map's classes as Slicer's segment fields."""
    array = storable(volume.array)
    pairs = pairs_of(volume.classes, volume.geometry.shape) if isinstance(volume, LabelMap) else {}
    if isinstance(volume, LabelMap):
        pairs = {"Comment": RESEARCH, **pairs}
    if volume.modality:
        pairs = {MODALITY: volume.modality, **pairs}
    with path.open("wb") as file:
        head = _header(array, volume.geometry, pairs)
        file.write(head.encode())
        start = file.tell()
        sink = Deflating(file, "zlib")
        put(sink, array if array.ndim == 3 else np.moveaxis(array, 0, -1), array.dtype.newbyteorder("<").str)
        sink.finish()
        packed = file.tell() - start
        file.seek(head.index(_SIZE) + len(_SIZE))  # what stands before it is ASCII
        file.write(f"{packed:<{_DIGITS}}".encode("ascii"))


_SIZE = "CompressedDataSize = "
_DIGITS = 15


def _header(array: Array, geometry: Geometry, pairs: dict[str, str]) -> str:
    channels = [f"ElementNumberOfChannels = {len(array)}"] if array.ndim == 4 else []
    lines = [
        "ObjectType = Image", "NDims = 3", "BinaryData = True", "BinaryDataByteOrderMSB = False", "CompressedData = True", _SIZE + " " * _DIGITS,
        f"TransformMatrix = {_joined(geometry.matrix.T.ravel())}", f"Offset = {_joined(geometry.origin)}", "CenterOfRotation = 0 0 0",
        f"ElementSpacing = {_joined(geometry.spacing[::-1])}", *(f"{key} = {' '.join(value.split())}" for key, value in pairs.items()),
        f"DimSize = {' '.join(map(str, geometry.shape[::-1]))}", *channels, f"ElementType = MET_{_CODES[array.dtype]}", "ElementDataFile = LOCAL",
    ]
    return "\n".join(lines) + "\n"


def _joined(numbers: object) -> str:
    return " ".join(repr(float(n)) for n in numbers)  # type: ignore[attr-defined]
