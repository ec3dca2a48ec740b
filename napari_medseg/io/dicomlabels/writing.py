"""What DICOM SEG and RTSTRUCT share when they are written."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_medseg.errors import NoLabelsError, UnwritableFileError
from napari_medseg.io.dicomlabels.terms import Described, described
from napari_medseg.io.dicomplanes import FAULTS
from napari_medseg.io.reading import label_values
from napari_medseg.volume import Array, Volume


def classes_to_write(volume: Volume, path: Path) -> tuple[Array, list[Described]]:
    """The values of a label map (z, y, x), and what is told of each class.

    Raises
    ------
    NoLabelsError
        When there is no class.
    """
    array, told = label_values(volume, path), described(volume)
    if not told:
        raise NoLabelsError("holds no class to write", where=path, todo="Draw something, or name a class, first")
    return array, told


@contextmanager
def writing(path: Path, what: str) -> Iterator[None]:
    """Libraries' warnings are kept quiet, and what they cannot write of a scan's headers is told.

    Raises
    ------
    UnwritableFileError
        When the headers do not allow it; OSError passes as it is.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except OSError:
        raise
    except FAULTS as error:
        raise UnwritableFileError(
            f"the scan's DICOM headers do not allow a {what} ({error})", where=path, todo="Export the scan again, or save as .nii.gz or .nrrd"
        ) from error
