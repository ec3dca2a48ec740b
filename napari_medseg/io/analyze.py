"""Pairs of .hdr and .img: Analyze 7.5, or NIfTI under the same names.

Analyze does not say how the patient lies. SPM's origin is honoured, and the axes are taken as SPM, FSL and nibabel take them.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

from napari_medseg.errors import MissingFileError, UnreadableFileError
from napari_medseg.io import nifti
from napari_medseg.io.faults import typed
from napari_medseg.io.niftiheader import Header, is_nifti, read_header
from napari_medseg.io.series import SeriesInfo
from napari_medseg.io.voxels import beside
from napari_medseg.volume import Geometry, Volume

LENGTH = 348
_SPM_KINDS = {130: 256, 132: 512, 136: 768}  # signed bytes and unsigned numbers, as SPM2 codes them


def describe(path: Path) -> list[SeriesInfo]:
    """What the header says."""
    with typed(path):
        head, data = _pair(path)
        return nifti.describe_pair(head, data, _header(head))


def read(path: Path, series: str | None, like: Geometry | None) -> Volume:
    """Read the scan, whichever of the two files is named.

    Raises
    ------
    UnreadableFileError
        No Analyze or NIfTI header, cut short, no real numbers.
    MissingFileError
        When one of the two is not there.
    """
    with typed(path):
        head, data = _pair(path)
        return nifti.read_pair(head, data, path, _header(head))


def _pair(path: Path) -> tuple[Path, Path]:
    stem = path.name[: -len(".hdr")]
    is_head = path.name.lower().endswith(".hdr")
    others = [stem + end for end in ((".img", ".IMG", ".img.gz") if is_head else (".hdr", ".HDR"))]
    there = next((name for name in others if (path.parent / name).is_file()), None)
    if there is None:
        what = f"its {'voxels' if is_head else 'header'} {others[0]} {'are' if is_head else 'is'} not beside it"
        raise MissingFileError(what, where=path, todo="Copy both files")
    other = beside(path, there)
    return (path, other) if is_head else (other, path)


def _header(path: Path) -> Header:
    if is_nifti(path):
        return read_header(path)
    with path.open("rb") as file:
        data = file.read(LENGTH)
    order = next((o for o in "<>" if len(data) == LENGTH and struct.unpack(o + "i", data[:4])[0] == LENGTH), None)
    if order is None:
        raise UnreadableFileError("is not an Analyze file, whatever its name says", where=path, todo="Check what it is, or export it again")
    dim = struct.unpack_from(order + "8h", data, 40)
    (kind,) = struct.unpack_from(order + "h", data, 70)
    pixdim = struct.unpack_from(order + "8f", data, 76)
    start, scale = struct.unpack_from(order + "2f", data, 108)
    if not 1 <= dim[0] <= 7 or any(n > 1 for n in dim[5 : dim[0] + 1]):
        raise ValueError
    shape = tuple(1 if axis == 3 and n == 0 else n for axis, n in enumerate(dim[1 : min(dim[0], 4) + 1]))
    shape += (1,) * (5 - len(shape))
    slope = scale if math.isfinite(scale) else 0.0
    return Header(
        order, False, shape, abs(int(start)), _SPM_KINDS.get(kind, kind), 0, pixdim, slope, 0.0, 0, 0, (0.0,) * 3, (0.0,) * 3, (0.0,) * 12,
        centre=_spm_origin(data, order, shape),
    )


def _spm_origin(data: bytes, order: str, shape: tuple[int, ...]) -> tuple[float, float, float] | None:
    x, y, z = struct.unpack_from(order + "3h", data, 253)
    plausible = all(-n < c < 2 * n for c, n in zip((x, y, z), shape, strict=False))
    return (x - 1.0, y - 1.0, z - 1.0) if plausible and (x or y or z) else None  # SPM counts from 1
