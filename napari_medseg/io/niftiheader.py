"""NIfTI-1 and NIfTI-2 headers, read and made."""

from __future__ import annotations

import gzip
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from scipy.spatial.transform import Rotation

from napari_medseg.errors import UnreadableFileError
from napari_medseg.io.grids import RAS
from napari_medseg.volume import Geometry

TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
CODES = {np.dtype(name): code for code, name in TYPES.items()}
COLOURS = {128: 3, 2304: 4}  # RGB and RGBA, a byte each, side by side
VECTOR = 1007
COMMENT = 6
"""The extension code for a comment (nifti1.h)."""
LARGEST_1 = 32767
_EXTENSIONS = 1 << 20  # bytes looked at

# name, form, place in NIfTI-1, form, place in NIfTI-2 (nifti1.h, nifti2.h)
_FIELDS = (
    ("dim", "8h", 40, "8q", 16), ("intent", "h", 68, "i", 504), ("datatype", "h", 70, "h", 12), ("bits", "h", 72, "h", 14),
    ("pixdim", "8f", 76, "8d", 104), ("start", "f", 108, "q", 168), ("slope", "f", 112, "d", 176), ("intercept", "f", 116, "d", 184),
    ("units", "B", 123, "i", 500), ("qcode", "h", 252, "i", 344), ("scode", "h", 254, "i", 348), ("quatern", "3f", 256, "3d", 352),
    ("qoffset", "3f", 268, "3d", 376), ("srow", "12f", 280, "12d", 400),
)
_DESCRIP = {348: 148, 540: 240}
_SINGLE = {348: (b"n+1\0", 344), 540: (b"n+2\0", 4)}
_PAIR = {348: b"ni1\0", 540: b"ni2\0"}


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says.

    Attributes
    ----------
    order : str
        "<" or ">", the byte order.
    single : bool
        Whether the voxels follow in the same file.
    shape : x, y, z, t, and one further axis
    start : int
        Bytes before the voxels, once unpacked.
    datatype, units : int
        The standard's codes.
    pixdim : eight floats
    slope, intercept : float
        Voxels mean slope * stored + intercept unless slope is 0.
    qcode, scode, quatern, qoffset, srow
        The two orientations, as stored.
    comments : tuple of bytes
        Header extensions that hold text.
    centre : x, y, z or None
        The voxel that lies at 0 where there is no orientation, as SPM's Analyze files have it.
    """

    order: str
    single: bool
    shape: tuple[int, ...]
    start: int
    datatype: int
    units: int
    pixdim: tuple[float, ...]
    slope: float
    intercept: float
    qcode: int
    scode: int
    quatern: tuple[float, ...]
    qoffset: tuple[float, ...]
    srow: tuple[float, ...]
    comments: tuple[bytes, ...] = ()
    centre: tuple[float, float, float] | None = None

    @property
    def scales(self) -> bool:
        """Whether slope and intercept change anything."""
        return math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope != 0 and (self.slope, self.intercept) != (1, 0)


def is_nifti(path: Path) -> bool:
    """Whether a .hdr file is NIfTI's, and not Analyze's."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as stream:
        data = stream.read(348)
    return data[344:347] in (b"ni1", b"n+1") or data[4:7] in (b"ni2", b"n+2")


def read_header(path: Path) -> Header:
    """Read a header.

    Raises
    ------
    UnreadableFileError
        When it is none.
    EOFError, ValueError, struct.error, OSError, zlib.error
        When it is, but is cut short or makes no sense.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as stream:
        return _parse(stream, path)  # type: ignore[arg-type]


def _parse(stream: IO[bytes], path: Path) -> Header:
    data = stream.read(348)
    found = [(n, o) for o in "<>" for n in (348, 540) if len(data) == 348 and struct.unpack(o + "i", data[:4])[0] == n]
    if not found:
        raise UnreadableFileError("is not a NIfTI file, whatever its name says", where=path, todo="Check what it is, or export it again as NIfTI")
    length, order = found[0]
    data += stream.read(length - len(data))
    fields = {name: struct.unpack_from(order + (form if length == 348 else form2), data, place if length == 348 else place2)
              for name, form, place, form2, place2 in _FIELDS}
    dim, start = fields["dim"], int(fields["start"][0])
    if not 1 <= dim[0] <= 7 or fields["bits"][0] < 1 or any(n > 1 for n in dim[6 : dim[0] + 1]):
        raise ValueError
    _, place = _SINGLE[length]
    single = data[place : place + 4] != _PAIR[length]
    if single and start == 0:
        start = length + 4
    if start < (length if single else 0):
        raise ValueError
    shape = tuple(dim[1 : dim[0] + 1]) + (1,) * (5 - dim[0])
    comments = _comments(stream, order, start - length) if single and start > length + 4 else ()
    one = {name: value[0] for name, value in fields.items() if len(value) == 1 and name != "start"}
    return Header(
        order, single, shape[:5], start, one["datatype"], one["units"], fields["pixdim"], one["slope"], one["intercept"], one["qcode"], one["scode"],
        fields["quatern"], fields["qoffset"], fields["srow"], comments,
    )


def _comments(stream: IO[bytes], order: str, room: int) -> tuple[bytes, ...]:
    data = stream.read(min(room, _EXTENSIONS))
    found, place = [], 4
    if data[:1] in (b"", b"\0"):
        return ()
    while place + 8 <= len(data):
        size, code = struct.unpack_from(order + "2i", data, place)
        if size < 16 or size % 16 or place + size > len(data):
            break
        if code == COMMENT:
            found.append(data[place + 8 : place + size].rstrip(b"\0"))
        place += size
    return tuple(found)


def make(dim: tuple[int, ...], dtype: np.dtype[np.generic], geometry: Geometry, comment: bytes, intent: int, descrip: str = "") -> bytes:
    """A header with qform and sform, both code 1, and its extension, up to where the voxels start.

    Parameters
    ----------
    dim : x, y, z and further axes
    comment : bytes
        Kept as an extension; may be empty.
    descrip : str
        Any text, ASCII, 80 characters at most.
    """
    length = 348 if max(dim) <= LARGEST_1 else 540
    extension = b""
    if comment:
        size = -(-(len(comment) + 8) // 16) * 16
        extension = struct.pack("<2i", size, COMMENT) + comment.ljust(size - 8, b"\0")
    start = length + 4 + len(extension)
    affine = RAS @ geometry.affine
    turn = (RAS[:3, :3] @ geometry.matrix).copy()
    qfac = 1.0 if np.linalg.det(turn) > 0 else -1.0
    turn[:, 2] *= qfac
    x, y, z, w = Rotation.from_matrix(turn).as_quat()
    quatern = np.array([x, y, z]) * (-1 if w < 0 else 1)
    values: dict[str, tuple[float, ...]] = {
        "dim": (len(dim), *dim, *(1,) * (7 - len(dim))), "intent": (intent,), "datatype": (CODES[dtype],), "bits": (dtype.itemsize * 8,),
        "pixdim": (qfac, *geometry.spacing[::-1], 1, 1, 1, 1), "start": (start,), "slope": (1,), "intercept": (0,), "units": (2,), "qcode": (1,), "scode": (1,),
        "quatern": tuple(quatern), "qoffset": tuple(affine[:3, 3]), "srow": tuple(affine[:3].ravel()),
    }
    data = bytearray(length)
    struct.pack_into("<i", data, 0, length)
    for name, form, place, form2, place2 in _FIELDS:
        struct.pack_into("<" + (form if length == 348 else form2), data, place if length == 348 else place2, *values[name])
    place = _DESCRIP[length]
    data[place : place + 80] = descrip.encode("ascii")[:80].ljust(80, b"\0")
    magic, place = _SINGLE[length]
    data[place : place + 4] = magic
    if length == 540:
        data[8:12] = b"\r\n\x1a\n"
    else:
        data[38:39] = b"r"
    return bytes(data) + (b"\1\0\0\0" if extension else bytes(4)) + extension
