"""One way in: whatever a path is, a Volume comes out or an error that says why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_medseg.annotation import LabelMap
from napari_medseg.errors import InvalidInputError, MissingFileError, UnreadableFileError
from napari_medseg.io.atomic_folder import settle
from napari_medseg.io.formats import ANALYZE, DICOM, KNOWN, OME_ZARR, Format, format_of, is_omezarr
from napari_medseg.io.series import SeriesInfo
from napari_medseg.volume import Geometry, Volume, require_same_grid

FEW = 32  # classes a map is taken to hold at most when nobody says it is one


def read(path: Path | str, *, series: str | None = None, like: Geometry | None = None) -> Volume:
    """Read a scan.

    Parameters
    ----------
    path : Path
        A file of any readable format, or a folder of DICOM files.
    series : str, optional
        Which series of a folder: its UID, number or description, or an unambiguous beginning of its UID.
    like : Geometry, optional
        The grid of the scan that labels belong to, for formats that bring no whole grid of their own (DICOM SEG, RTSTRUCT); others do not look at it.

    Returns
    -------
    Volume
        In the file's own orientation, (z, y, x) or (c, z, y, x); a 2D image is one slice. A LabelMap when the format says that it holds labels.

    Raises
    ------
    MissingFileError
        When nothing is there.
    UnreadableFileError
        Not an image, cut short, damaged, sheared, slices missing, or no finite value.
    InvalidInputError
        When a folder holds several series and none was chosen; lists them.
    GridMismatchError
        When labels lie on another grid than `like`.
    """
    path = _there(path)
    return _format(path).family.read(path, series, like)


def describe(path: Path | str) -> list[SeriesInfo]:
    """What is in a file or DICOM folder, without reading voxels.

    Raises
    ------
    MissingFileError, UnreadableFileError
        As `read`.
    """
    path = _there(path)
    return _format(path).family.describe(path)


def read_labels(path: Path | str, like: Geometry | None = None) -> LabelMap:
    """Read a label map.

    Parameters
    ----------
    path : Path
    like : Geometry, optional
        The grid it must lie on: its scan's.

    Returns
    -------
    LabelMap
        uint8 (z, y, x), or uint16 when a value exceeds 255; with the names and colours that the file holds.

    Raises
    ------
    MissingFileError, UnreadableFileError
        As `read`.
    InvalidInputError
        When it has channels, fractions, negative values or values above 65535.
    GridMismatchError
        When it lies on another grid than `like`.
    """
    path = _there(path)
    volume = _format(path).family.read(path, None, like)
    if like is not None:
        require_same_grid(like, volume.geometry, path)
    classes = volume.classes if isinstance(volume, LabelMap) else ()
    return LabelMap(label_values(volume, path), volume.geometry, volume.name, volume.modality, volume.source, volume.notes, classes=classes)


def is_label_map(volume: Volume) -> bool:
    """Whether the values could be labels: one channel of few whole numbers, none negative; a guess for people who need not say."""
    array = volume.array
    if array.ndim != 3 or array.min() < 0 or array.max() > 255 or (array.dtype.kind == "f" and bool((array != np.rint(array)).any())):
        return False
    return array.dtype == np.uint8 or int(np.unique(array).size) <= FEW


def label_values(volume: Volume, where: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8 | np.uint16]]:
    """The values of a label map as uint8 or uint16 (z, y, x).

    Raises
    ------
    InvalidInputError
        When they are none.
    """
    array = volume.array
    if array.ndim != 3:
        todo = "A label map has one whole number a voxel; `medseg convert --channel` writes one channel to a file of its own"
        raise InvalidInputError(f"has {volume.channels} channels", where=where, todo=todo)
    low, high = array.min(), array.max()
    if low < 0 or high > 65535 or (array.dtype.kind == "f" and bool((array != np.rint(array)).any())):
        raise InvalidInputError(
            f"is no label map: its values run from {low:g} to {high:g}" + (" with fractions" if array.dtype.kind == "f" else ""),
            where=where,
            todo="Give whole numbers from 0 to 65535, 0 for background",
        )
    return array.astype(np.uint8 if high <= 255 else np.uint16, copy=False)


def _there(path: Path | str) -> Path:
    path = Path(path)
    if not path.exists():
        settle(path)
    if not path.exists():
        raise MissingFileError("there is no such file or folder", where=path, todo="Check the path")
    return path


def _format(path: Path) -> Format:
    if path.is_dir():
        return OME_ZARR if is_omezarr(path) else DICOM
    if path.stat().st_size == 0:
        raise UnreadableFileError("is empty", where=path, todo="Copy or export it again")
    found = format_of(path)
    if found is not None and found.reads and not found.folder and found not in (DICOM, ANALYZE):
        return found
    with path.open("rb") as file:
        if file.read(132)[128:] == b"DICM":  # scanners give DICOM files any name
            return DICOM
    if found is None or not found.reads:
        raise UnreadableFileError("is of no type known here", where=path, todo=f"Give {KNOWN}")
    return found
