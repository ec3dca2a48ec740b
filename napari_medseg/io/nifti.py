"""NIfTI-1: the header's numbers, and the voxels as they are stored.

ITK finds the grid, but its NIfTI library is not trusted with voxels: it turns NaN into 0, fills up what is cut short, and takes the voxels of scan.nii
for those of scan.nii.gz when both lie in one folder. They are one block of numbers, x fastest (nifti1.h), so they are read here.
"""

from __future__ import annotations

import gzip
import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_medseg.errors import UnreadableFileError
from napari_medseg.volume import Array

CHUNK = 1 << 22
VERSION_2 = 540
_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_COLOURS = {128: 3, 2304: 4}  # RGB and RGBA, a byte each, side by side


@dataclass(frozen=True, slots=True)
class Header:
    """What lies where.

    Attributes
    ----------
    order : str
        "<" or ">", the byte order.
    shape : x, y, z and further axes, as stored
    spacing : x, y, z as stored
    start : int
        Bytes before the voxels.
    datatype, bits : int
        The standard's code, and the size of a voxel.
    slope, intercept : float
        Voxels mean slope * stored + intercept unless slope is 0.
    packed : bool
        Whether the file is gzipped, whatever its name says.
    """

    order: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    start: int
    datatype: int
    bits: int
    slope: float
    intercept: float
    packed: bool

    @property
    def size(self) -> int:
        """Bytes the voxels take."""
        return math.prod(self.shape) * self.bits // 8


def read_header(path: Path) -> Header:
    """Read a header.

    Raises
    ------
    UnreadableFileError
        When it is not NIfTI-1.
    EOFError, ValueError, struct.error, gzip.BadGzipFile, zlib.error
        When it is, but is cut short or makes no sense.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as stream:
        data = stream.read(348)
    order = next((o for o in "<>" if len(data) == 348 and struct.unpack(o + "i", data[:4])[0] in (348, VERSION_2)), None)
    if order is None:
        raise UnreadableFileError("is not a NIfTI file, whatever its name says", where=path, todo="Check what it is, or export it again as NIfTI")
    if struct.unpack(order + "i", data[:4])[0] == VERSION_2:
        raise UnreadableFileError("is NIfTI-2, which is not read yet", where=path, todo="Save it as NIfTI-1, NRRD or MetaImage")
    fields = [("h", 70), ("h", 72), ("8h", 40), ("8f", 76), ("f", 108), ("f", 112), ("f", 116)]  # nifti1.h
    (kind,), (bits,), shape, spacing, (start,), (slope,), (intercept,) = (struct.unpack_from(order + form, data, place) for form, place in fields)
    if not 1 <= shape[0] <= 7 or bits < 1:
        raise ValueError
    return Header(order, shape[1 : shape[0] + 1], spacing[1 : min(shape[0], 3) + 1], int(start), kind, bits, slope, intercept, packed)


def read_voxels(path: Path, shape: tuple[int, ...], channels: int, dtype: str) -> Array:
    """Read the voxels.

    Parameters
    ----------
    shape : (z, y, x)
    channels : int
    dtype : str
        What they become once slope and intercept are applied.

    Returns
    -------
    (z, y, x), or (c, z, y, x) when there are several channels

    Raises
    ------
    UnreadableFileError
        When they are of a kind that is no real number.
    EOFError
        When the file ends before they do.
    """
    header = read_header(path)
    data = np.empty(header.size, np.uint8)
    with gzip.open(path) if header.packed else path.open("rb") as stream:
        stream.seek(header.start)
        filled = 0
        while filled < data.size:
            count = stream.readinto(data[filled : filled + CHUNK].data)
            if not count:
                raise EOFError
            filled += count
    if header.datatype in _COLOURS:
        return np.ascontiguousarray(np.moveaxis(data.reshape(*shape, _COLOURS[header.datatype]), -1, 0))
    if header.datatype not in _TYPES:
        raise UnreadableFileError(f"holds values of kind {header.datatype}, no real numbers", where=path, todo="Convert it to real numbers first")
    stored = data.view(header.order + _TYPES[header.datatype]).reshape((channels, *shape) if channels > 1 else shape)
    scaled = math.isfinite(header.slope) and math.isfinite(header.intercept) and header.slope != 0 and (header.slope, header.intercept) != (1, 0)
    if not scaled:
        return stored.astype(np.dtype(dtype), copy=False)
    return (stored * header.slope + header.intercept).astype(np.dtype(dtype))
