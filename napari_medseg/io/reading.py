"""One way in: whatever a path is, a Volume comes out or an error that says why not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_medseg.errors import InvalidInputError, MissingFileError, UnreadableFileError
from napari_medseg.io.formats import DICOM, KNOWN, suffix_of
from napari_medseg.io.images import SeriesInfo, describe_image, read_image
from napari_medseg.volume import Geometry, Volume, require_same_grid

FEW = 32  # classes a map is taken to hold at most when nobody says it is one


def read(path: Path | str, *, series: str | None = None) -> Volume:
    """Read a scan.

    Parameters
    ----------
    path : Path
        A NIfTI, NRRD or MetaImage file, a DICOM file, or a folder of DICOM files.
    series : str, optional
        Which series of a folder: its UID, number or description, or an unambiguous beginning of its UID.

    Returns
    -------
    Volume
        In the file's own orientation, (z, y, x) or (c, z, y, x); a 2D image is one slice.

    Raises
    ------
    MissingFileError
        When nothing is there.
    UnreadableFileError
        Not an image, cut short, damaged, several timepoints, sheared, slices missing, or no finite value.
    InvalidInputError
        When a folder holds several series and none was chosen; lists them.
    """
    path = _there(path)
    if path.is_dir():
        from napari_medseg.io.dicom import read_series  # pydicom is needed for folders only

        return read_series(path, series)
    _known(path)
    return read_image(path)


def describe(path: Path | str) -> list[SeriesInfo]:
    """What is in a file or DICOM folder, without reading voxels.

    Raises
    ------
    MissingFileError, UnreadableFileError
        As `read`.
    """
    path = _there(path)
    if path.is_dir():
        from napari_medseg.io.dicom import describe_series

        return describe_series(path)
    _known(path)
    return [describe_image(path)]


def read_labels(path: Path | str, like: Geometry | None = None) -> Volume:
    """Read a label map.

    Parameters
    ----------
    path : Path
    like : Geometry, optional
        The grid it must lie on: its scan's.

    Returns
    -------
    Volume
        uint8 (z, y, x), or uint16 when a value exceeds 255.

    Raises
    ------
    MissingFileError, UnreadableFileError
        As `read`.
    InvalidInputError
        When it has channels, fractions, negative values or values above 65535.
    GridMismatchError
        When it lies on another grid than `like`.
    """
    path = Path(path)
    volume = read(path)
    if like is not None:
        require_same_grid(like, volume.geometry, path)
    return replace(volume, array=label_values(volume, path))


def is_label_map(volume: Volume) -> bool:
    """Whether the values could be labels: one channel of few whole numbers, none negative; a guess for people who need not say."""
    array = volume.array
    if array.ndim != 3 or array.min() < 0 or array.max() > 255 or (array.dtype.kind == "f" and bool((array != np.rint(array)).any())):
        return False
    return array.dtype == np.uint8 or int(np.unique(array).size) <= FEW


def label_values(volume: Volume, where: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8 | np.uint16]]:
    """The values of a label map as uint8 or uint16.

    Raises
    ------
    InvalidInputError
        When they are none.
    """
    array = volume.array
    if array.ndim != 3:
        raise InvalidInputError(f"has {volume.channels} channels", where=where, todo="A label map has one whole number a voxel")
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
        raise MissingFileError("there is no such file or folder", where=path, todo="Check the path")
    return path


def _known(path: Path) -> None:
    if path.stat().st_size == 0:
        raise UnreadableFileError("is empty", where=path, todo="Copy or export it again")
    suffix = suffix_of(path)
    if suffix and suffix not in DICOM:
        return
    with path.open("rb") as file:
        if file.read(132)[128:] == b"DICM":  # scanners give DICOM files any name
            return
    if not suffix:
        raise UnreadableFileError("is of no type known here", where=path, todo=f"Give {KNOWN}")
