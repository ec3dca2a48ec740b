"""TIFF stacks (.tif, .tiff): pages as slices, colours and OME's or ImageJ's axes as channels.

TIFF holds the size of a voxel and nothing else of the grid, so only straight grids that start at 0 are written, as OME-TIFF.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_medseg.errors import UnreadableFileError, UnwritableFileError
from napari_medseg.io.faults import SEND_AGAIN, mb, typed
from napari_medseg.io.formats import stem_of
from napari_medseg.io.grids import grid
from napari_medseg.io.memory import allocate
from napari_medseg.io.series import SeriesInfo
from napari_medseg.io.tiffheader import require_chain, spacing
from napari_medseg.io.values import in_order, storable, volume_of
from napari_medseg.io.voxels import Stored, load, require_size
from napari_medseg.volume import Array, Geometry, Volume

BEST = 1100  # bytes that one packed byte can give
PLAIN = 1
WHITE_IS_ZERO = 0
OLDER = (5, 7, 32773)  # LZW, JPEG, PackBits
TILE = 1 << 26  # bytes of a tile that is larger than its page
SAME = 1e-6
INSTEAD = "Save it as .nii.gz, .nrrd or .mha"
WRITTEN = {np.dtype(kind) for kind in ("u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8")}


def describe(path: Path) -> list[SeriesInfo]:
    """What its pages and fields say."""
    with _opened(path) as tif:
        series = _series(tif, path)
        return [_info(tif, series, path)]


def read(path: Path, series: str | None, like: Geometry | None) -> Volume:
    """Read the stack.

    Raises
    ------
    UnreadableFileError
        No TIFF, cut short, damaged, packed in a way that is not read.
    """
    with _opened(path) as tif:
        found = _series(tif, path)
        info = _info(tif, found, path)
        stored = _stored(tif, found, path)
        array = load(stored, path) if stored is not None else _unpacked(tif, found, path)
        array = in_order(storable(array).transpose(_order(found.axes))).reshape(-1, *info.shape_zyx)
        return volume_of(info, array[0] if len(array) == 1 else array, path)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, its library's warnings kept off stderr, and no other file opened for it whatever it says."""
    log = logging.getLogger("tifffile")
    before, log.disabled = log.disabled, True
    try:
        with typed(path):
            require_chain(path)
            with path.open("rb") as file, tifffile.TiffFile(file, _multifile=False) as tif:
                if "<!ENTITY" in str(tif.pages[0].description):  # OME's XML has none; nested ones unpack to more than memory holds
                    raise UnreadableFileError("holds a description that unpacks to far more than it is", where=path, todo=SEND_AGAIN)
                yield tif
    except (RuntimeError, AssertionError) as error:  # how the library meets pages that contradict each other
        raise UnreadableFileError("holds pages that contradict each other", where=path, todo=SEND_AGAIN) from error
    finally:
        log.disabled = before


def _series(tif: Any, path: Path) -> Any:
    if not tif.series:
        raise UnreadableFileError("holds no image", where=path, todo=SEND_AGAIN)
    series = tif.series[0]
    require_size(tuple(series.shape), path)
    if "X" not in series.axes or "Y" not in series.axes or len(set(series.axes)) != len(series.axes):
        raise UnreadableFileError(f"holds axes {series.axes}, no image", where=path, todo=SEND_AGAIN)
    if series.dtype is None or series.dtype.kind not in "biuf":
        raise UnreadableFileError("holds no real numbers", where=path, todo="Convert it to real numbers first")
    return series


def _depth(axes: str) -> str:
    """The letter of the axis that is z: Z, else pages of unknown meaning; "" when there is none."""
    return next((letter for letter in "ZIQ" if letter in axes), "")


def _order(axes: str) -> list[int]:
    last = [axes.index(letter) for letter in (_depth(axes), "Y", "X") if letter]
    return [i for i in range(len(axes)) if i not in last] + last


def _info(tif: Any, series: Any, path: Path) -> SeriesInfo:
    sizes = dict(zip(series.axes, series.shape, strict=True))
    depth = _depth(series.axes)
    shape = (sizes[depth] if depth else 1, sizes["Y"], sizes["X"])
    steps, notes = spacing(tif)
    geometry = grid(shape, np.diag([*steps, 1.0]), path)
    times = sizes.get("T", 1)
    channels = math.prod(series.shape) // math.prod(shape) // times
    names: tuple[str, ...] = ()
    if times > 1:
        notes = (*notes, f"holds {times} timepoints, opened as channels")
        names = tuple(f"t {t + 1}" for t in range(times)) if channels == 1 else ()
    if tif.pages[0].photometric == WHITE_IS_ZERO:
        notes = (*notes, "0 means white in this file; its values are kept as they are")
    if len(tif.series) > 1:
        notes = (*notes, f"holds {len(tif.series)} images of different kinds; the first is opened")
    dtype = np.dtype("uint8") if series.dtype.kind == "b" else np.dtype("float32") if series.dtype == np.float16 else series.dtype.newbyteorder("=")
    return SeriesInfo(
        geometry.shape, geometry.spacing, geometry.origin, geometry.direction, dtype.name, channels=channels, timepoints=times, title=stem_of(path),
        channel_names=names, notes=notes,
    )


def _stored(tif: Any, series: Any, path: Path) -> Stored | None:
    """Where the voxels are when they lie in one piece, as most programs write them."""
    page = series.pages[0]
    if page is None or series.dataoffset is None or page.bitspersample != series.dtype.itemsize * 8 or page.compression != PLAIN:
        return None
    return Stored((path,), tuple(series.shape), series.dtype.newbyteorder(tif.byteorder), int(series.dataoffset))


def _unpacked(tif: Any, series: Any, path: Path) -> Array:
    needed = math.prod(series.shape) * series.dtype.itemsize
    size = path.stat().st_size
    there = 0
    for page in series.pages:
        if page is None:
            raise UnreadableFileError("is cut short: some of its pages are missing", where=path, todo=SEND_AGAIN)
        ends = [a + b for a, b in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if not ends or max(ends) > size or 0 in page.databytecounts:
            raise UnreadableFileError(f"is cut short ({mb(size)} of {mb(max(ends, default=0))} MB)", where=path, todo=SEND_AGAIN)
        there += sum(page.databytecounts)
    page = series.pages[0].aspage()
    tile = math.prod(page.chunks) * series.dtype.itemsize
    if needed > there * (BEST if page.compression != PLAIN else 8) or tile > max(2 * needed, TILE):
        raise UnreadableFileError(f"its header promises {mb(needed)} MB, more than the file of {mb(size)} MB can hold", where=path, todo=SEND_AGAIN)
    array = allocate(tuple(series.shape), series.dtype.newbyteorder("="))
    if page.compression in tifffile.TIFF.DECOMPRESSORS:
        series.asarray(out=array, maxworkers=1)
    elif page.compression in OLDER:
        _by_pillow(array, series, path)
    else:
        raise _not_read(path)
    return array


def _not_read(path: Path) -> UnreadableFileError:
    return UnreadableFileError("is packed in a way that is not read here", where=path, todo="Save it unpacked, or packed with deflate (ZIP)")


def _by_pillow(array: Array, series: Any, path: Path) -> None:
    """LZW, PackBits and JPEG pages, which the other library leaves to a package of its own."""
    from PIL import Image

    pages = array.reshape(len(series.pages), -1)
    with Image.open(path) as image:
        for place, page in enumerate(series.pages):
            image.seek(page.index)
            found = np.asarray(image)
            if found.size != pages.shape[1] or found.dtype.itemsize != array.dtype.itemsize or series.axes.endswith("SYX"):
                raise _not_read(path)
            pages[place] = found.reshape(-1)


def write(volume: Volume, path: Path) -> None:
    """Write OME-TIFF, packed with deflate; names and colours are lost.

    Raises
    ------
    UnwritableFileError
        When the grid is turned, mirrored or does not start at 0, or the numbers are of a kind that OME does not have.
    """
    array, geometry = storable(volume.array), volume.geometry
    if not np.allclose(geometry.matrix, np.eye(3), atol=SAME) or not np.allclose(geometry.origin, 0, atol=SAME):
        raise UnwritableFileError("TIFF keeps neither place nor direction, and this grid has them", where=path, todo=INSTEAD)
    if array.dtype not in WRITTEN:
        raise UnwritableFileError(f"TIFF holds no {array.dtype} values that others read", where=path, todo=INSTEAD)
    metadata: dict[str, Any] = {"axes": "ZYX" if array.ndim == 3 else "CZYX"}
    for axis, step in zip("ZYX", geometry.spacing, strict=True):
        metadata |= {f"PhysicalSize{axis}": step, f"PhysicalSize{axis}Unit": "mm"}
    _, y, x = geometry.spacing
    tifffile.imwrite(
        path, array, ome=True, metadata=metadata, compression="zlib", compressionargs={"level": 1}, photometric="minisblack",
        resolution=(10 / x, 10 / y), resolutionunit="CENTIMETER",
    )
