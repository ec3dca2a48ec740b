"""DICOM files and folders: which series are there, and one of them as a volume.

`headers` finds files and reads their headers (`elements`), `frames` makes pictures of them, `stacks` groups these by series and plane, `axes` tells times
and contrasts apart (`keys`), `geometry` puts slices on a grid, and `loading` reads their `pixels` (`codecs`, `palette`) into what they mean (`values`).
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import cast

from napari_medseg.errors import InvalidInputError, UnreadableFileError
from napari_medseg.io.dicom.elements import HeaderFault
from napari_medseg.io.dicom.headers import DIRECTORY, Header, find_headers, read_header
from napari_medseg.io.dicom.loading import Loading, load
from napari_medseg.io.dicom.stacks import NOT_IMAGES, Stack, stacks_of
from napari_medseg.io.formats import Family
from napari_medseg.io.series import SeriesInfo
from napari_medseg.volume import Geometry, Volume

CHOOSE = "Choose the folder with the scan's DICOM files"

__all__ = ["Loading", "describe", "read", "stream"]


def describe(path: Path) -> list[SeriesInfo]:
    """Every image series in a folder and its subfolders, by series number; or what is in one file. No voxel is read.

    Raises
    ------
    UnreadableFileError
        When there is no DICOM image. Images that make no volume are listed as not readable.
    """
    labels = _label_family(path)
    if labels is not None:
        return labels.describe(path)
    return [stack.info for stack in _stacks(path)]


def read(path: Path, series: str | None, like: Geometry | None) -> Volume:
    """Read a DICOM file, or one series of a folder.

    Parameters
    ----------
    series : str, optional
        UID, number, description, or an unambiguous beginning of the UID. Needed when the folder holds several scans.
    like : Geometry, optional
        A grid to put contours on (RTSTRUCT).

    Raises
    ------
    UnreadableFileError
        No DICOM image, slices missing, a tilted gantry, images that nothing tells apart, or broken pixel data.
    InvalidInputError
        Several series and none or no single one chosen; lists them.
    """
    labels = _label_family(path)
    if labels is not None:
        return labels.read(path, series, like)
    volume = None
    for step in load(_choose(path, _stacks(path), series)):
        volume = step.volume
    return cast(Volume, volume)


def stream(path: Path, series: str | None = None) -> Iterator[Loading]:
    """Read like `read`, giving the volume when its middle slice is there and then as the others come in, in any order.

    Yields
    ------
    Loading
        Slices that have not come hold 0. The last one has the fraction 1. Stop iterating to cancel.

    Raises
    ------
    UnreadableFileError, InvalidInputError
        As `read`.
    """
    yield from load(_choose(path, _stacks(path), series), zeros=True)


def _stacks(path: Path) -> list[Stack]:
    """The volumes in a folder, in one file, or beside a DICOMDIR."""
    if path.is_file():
        header = _header(path)
        if header.sop_class == DIRECTORY or path.name.upper() == "DICOMDIR":
            path = path.absolute().parent
        else:
            stacks = stacks_of([header], path)
            if not stacks:
                what = f"is damaged: {header.fault}" if header.fault else "is a DICOM file without an image"
                raise UnreadableFileError(what, where=path, todo=CHOOSE)
            return stacks
    headers = find_headers(path)
    stacks = stacks_of(headers, path)
    if not stacks:
        damaged = sum(bool(header.fault) for header in headers)
        what = "holds no DICOM image" + (f", and {damaged} files that could not be read" if damaged else "")
        raise UnreadableFileError(what, where=path, todo=CHOOSE)
    return stacks


def _header(path: Path) -> Header:
    try:
        return read_header(path)
    except HeaderFault as error:
        raise UnreadableFileError(f"cannot be read as DICOM ({error})", where=path, todo="Check the file, or export it again") from error
    except OSError as error:
        raise UnreadableFileError(f"could not be read ({error.strerror or error})", where=path, todo="Check the disk and your rights") from error


def _label_family(path: Path) -> Family | None:
    """Who reads a file that holds labels; None for images and folders."""
    if not path.is_file():
        return None
    module = NOT_IMAGES.get(_header(path).sop_class)
    return None if module is None else cast(Family, import_module(f"napari_medseg.io.{module}"))


def _choose(path: Path, stacks: list[Stack], wanted: str | None) -> Stack:
    if wanted is None:
        scans = [stack for stack in stacks if not stack.is_scout] or stacks
        if len({stack.series.removesuffix("/straight") for stack in scans}) == 1:
            return _with_others(scans[0], stacks)
        what = f"holds {len(scans)} series"
    else:
        fits = [s for s in stacks if wanted == s.series] or [s for s in stacks if wanted in (str(s.number), s.title)]
        fits = fits or [s for s in stacks if s.series.startswith(wanted)]
        scans = [s for s in fits if not s.is_scout] or fits
        if len({stack.series.removesuffix("/straight") for stack in scans}) == 1:
            return scans[0]
        what = f"{len(fits)} series fit '{wanted}'" if fits else f"no series fits '{wanted}'"
        scans = stacks
    listed = "; ".join(f"{s.title} ({s.modality or '?'}, {s.images} images, {s.series})" for s in scans)
    raise InvalidInputError(f"{what}: {listed}", where=path, todo="Choose one by its UID, or by a number or description that only it has")


def _with_others(stack: Stack, stacks: list[Stack]) -> Stack:
    """Say what else lies in the folder."""
    scouts = sum(other.images for other in stacks if other.is_scout and not stack.is_scout)
    if scouts:
        what = "1 picture of a localiser (scout) is" if scouts == 1 else f"{scouts} pictures of localisers (scouts) are"
        stack.notes += (f"{what} in the same folder and left out",)
    return stack
