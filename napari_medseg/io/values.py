"""What voxels become before anybody sees them: finite numbers, and a label map where the file says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_medseg.annotation import LabelClass, LabelMap
from napari_medseg.errors import UnreadableFileError
from napari_medseg.io.memory import allocate
from napari_medseg.io.series import SeriesInfo
from napari_medseg.volume import Array, Volume

PIECE = 1 << 22  # values looked at together


def finite_values(array: Array, path: Path) -> tuple[Array, tuple[str, ...]]:
    """Replace what is not a number by the smallest number there, and infinities by the smallest or largest.

    Parameters
    ----------
    array : any shape
        Changed in place where it can be; a few megabytes are worked on at a time.

    Returns
    -------
    array
        The same one, or a copy when it may not be written to.
    notes : tuple of str
        How many were replaced.

    Raises
    ------
    UnreadableFileError
        When no value is finite.
    """
    if array.dtype.kind != "f":
        return array, ()
    flat = array.reshape(-1)
    pieces = [flat[start : start + PIECE] for start in range(0, flat.size, PIECE)]
    with np.errstate(all="ignore"):
        faulty = [part for part in pieces if not np.isfinite(part.sum(dtype=np.float64))]  # a sum is finite only if every value is
    count = sum(int(np.count_nonzero(~np.isfinite(part))) for part in faulty)
    if count == 0:
        return array, ()
    if count == array.size:
        raise UnreadableFileError("holds no number, only NaN or infinite values", where=path, todo="Export it again")
    low, high = np.inf, -np.inf
    for part in pieces:
        finite = part[np.isfinite(part)]
        low, high = min(low, finite.min(initial=np.inf)), max(high, finite.max(initial=-np.inf))
    if not flat.flags.writeable:
        flat = flat.copy()
    for start in range(0, flat.size, PIECE):
        np.nan_to_num(flat[start : start + PIECE], copy=False, nan=low, posinf=high, neginf=low)
    told = f"{count} of {array.size} values were not finite numbers and were set to the smallest ({low:g}), or the largest for +infinity"
    return flat.reshape(array.shape), (told,)


def in_order(array: Array) -> Array:
    """The same values in C order, of any shape; a copy goes where there is room for it."""
    if array.flags.c_contiguous:
        return array
    result = allocate(array.shape, array.dtype)
    np.copyto(result, array)
    return result


def storable(array: Array) -> Array:
    """The array, of any shape, as files can hold it: bool as uint8, half precision as float32."""
    if array.dtype == bool:
        return array.view(np.uint8)
    return array.astype(np.float32) if array.dtype == np.float16 else array


def volume_of(info: SeriesInfo, array: Array, path: Path, classes: tuple[LabelClass, ...] = ()) -> Volume:
    """A Volume of what a reader found, (z, y, x) or (c, z, y, x); a LabelMap when the file names classes and its values can be theirs."""
    array, notes = finite_values(array, path)
    plain = Volume(array, info.geometry, info.title, info.modality, path, (*info.notes, *notes), info.units, info.channel_names)
    if not classes or array.ndim != 3 or array.dtype.kind not in "iub" or array.min() < 0 or array.max() > 65535:
        return plain
    small = array.astype(np.uint8 if array.max() <= 255 else np.uint16, copy=False)
    return LabelMap(small, info.geometry, info.title, info.modality, path, (*info.notes, *notes), classes=classes)
