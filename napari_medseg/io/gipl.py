"""GIPL, the Guy's Image Processing Lab format (.gipl, .gipl.gz): numbers, spacing and origin, and no direction.

The layout is the 256-byte header of the format's description, big-endian throughout; ITK takes its axes as left, posterior, superior.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from napari_medseg.errors import UnreadableFileError, UnwritableFileError
from napari_medseg.io.faults import typed
from napari_medseg.io.formats import stem_of
from napari_medseg.io.grids import grid, require_spacing
from napari_medseg.io.packing import Deflating, put
from napari_medseg.io.series import SeriesInfo
from napari_medseg.io.values import storable, volume_of
from napari_medseg.io.voxels import Stored, check, load, require_size
from napari_medseg.volume import Geometry, Volume

LENGTH = 256
MAGIC = (719_555_000, 4_026_526_128)
TYPES = {1: "u1", 7: "i1", 8: "u1", 15: "i2", 16: "u2", 31: "u4", 32: "i4", 64: "f4", 65: "f8"}
_CODES = {np.dtype(kind): code for code, kind in TYPES.items() if code != 1}
LARGEST = 65535
SAME = 1e-6
INSTEAD = "Save it as .nii.gz, .nrrd or .mha"


def describe(path: Path) -> list[SeriesInfo]:
    """What the header says."""
    with typed(path):
        info, stored = _header(path)
        check(stored, path)
        return [info]


def read(path: Path, series: str | None, like: Geometry | None) -> Volume:
    """Read the scan.

    Raises
    ------
    UnreadableFileError
        No GIPL, cut short, damaged, no real numbers.
    """
    with typed(path):
        info, stored = _header(path)
        array = load(stored, path)
        return volume_of(info, array if info.timepoints > 1 else array[0], path)


def _header(path: Path) -> tuple[SeriesInfo, Stored]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as stream:
        data = stream.read(LENGTH)
    if len(data) < LENGTH or struct.unpack_from(">I", data, 252)[0] not in MAGIC:
        raise UnreadableFileError("is not a GIPL file, whatever its name says", where=path, todo="Check what it is, or export it again")
    x, y, z, t, kind = struct.unpack_from(">5H", data, 0)
    z, t = max(z, 1), max(t, 1)
    require_size((t, z, y, x), path)
    if kind not in TYPES:
        raise UnreadableFileError(f"holds values of kind {kind}, no real numbers", where=path, todo="Convert it to real numbers first")
    steps = [step if n > 1 or step > 0 else 1.0 for step, n in zip(struct.unpack_from(">3f", data, 10), (x, y, z), strict=True)]
    require_spacing(steps, path)
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = struct.unpack_from(">3d", data, 204)
    geometry = grid((z, y, x), affine, path)
    dtype = np.dtype(">" + TYPES[kind])
    notes = ["GIPL keeps no direction; its axes are taken as left, posterior, superior"]
    if t > 1:
        notes.append(f"holds {t} timepoints, opened as channels")
    info = SeriesInfo(
        geometry.shape, geometry.spacing, geometry.origin, geometry.direction, dtype.newbyteorder("=").name, timepoints=t, title=stem_of(path),
        channel_names=tuple(f"t {i + 1}" for i in range(t)) if t > 1 else (), notes=tuple(notes),
    )
    return info, Stored((path,), (t, z, y, x), dtype, skip=LENGTH, packing="gzip" if packed else "")


def write(volume: Volume, path: Path) -> None:
    """Write GIPL; names and colours are lost.

    Raises
    ------
    UnwritableFileError
        When the grid is turned or mirrored, an axis is longer than 65535, there are channels, or the numbers have eight bytes and are whole.
    """
    array, geometry = storable(volume.array), volume.geometry
    if not np.allclose(geometry.matrix, np.eye(3), atol=SAME):
        raise UnwritableFileError("GIPL keeps no direction, and this grid is turned or mirrored", where=path, todo=INSTEAD)
    if array.ndim != 3 or max(array.shape) > LARGEST:
        raise UnwritableFileError("GIPL holds one channel of at most 65535 voxels an axis", where=path, todo=INSTEAD)
    if array.dtype not in _CODES:
        raise UnwritableFileError(f"GIPL holds no {array.dtype} values", where=path, todo=INSTEAD)
    data = bytearray(LENGTH)
    struct.pack_into(">5H", data, 0, *geometry.shape[::-1], 1, _CODES[array.dtype])
    struct.pack_into(">4f", data, 10, *geometry.spacing[::-1], 1.0)
    struct.pack_into(">4d", data, 204, *geometry.origin, 0.0)
    struct.pack_into(">I", data, 252, MAGIC[1])
    with path.open("wb") as file:
        sink = Deflating(file, "gzip") if path.name.lower().endswith(".gz") else file
        sink.write(bytes(data))
        put(sink, array, array.dtype.newbyteorder(">").str)
        if isinstance(sink, Deflating):
            sink.finish()
