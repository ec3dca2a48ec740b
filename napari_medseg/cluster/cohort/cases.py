"""Which scans a cohort holds: image files, OME-Zarr folders, or folders of DICOM files with one or more series each.

Cases are found one after the other while others are already worked on: a tree of DICOM files is never looked through as a whole before the first case starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_medseg.cluster.cohort.places import Place
from napari_medseg.errors import InvalidInputError, MedsegError, MissingFileError, UnreadableFileError
from napari_medseg.io import describe
from napari_medseg.io.formats import DICOM, OME_ZARR, format_of, is_omezarr, stem_of, suffix_of
from napari_medseg.io.names import free_name

ANALYZE_PAIR = {".hdr", ".img"}


@dataclass(frozen=True, slots=True)
class CohortCase:
    """One task.

    Attributes
    ----------
    id : str
        Under which its result is found.
    places : tuple of Place
        What it is made from: the scan, or a mask and its truth.
    series : str
        Which series of a DICOM folder; "" for the only one.
    suffix : str
        That the first file's name ends in, ".nii.gz"; "" for DICOM.
    fault : MedsegError or None
        Why nothing can be made of it.
    """

    id: str
    places: tuple[Place, ...]
    series: str = ""
    suffix: str = ""
    fault: MedsegError | None = None


@dataclass(frozen=True, slots=True)
class Cohort:
    """What lies in a place, as far as its names tell.

    Attributes
    ----------
    files : Place by id
        Image files and OME-Zarr folders.
    folders : tuple of Place
        Folders that hold DICOM files, each looked into when its turn comes.
    """

    files: dict[str, Place]
    folders: tuple[Place, ...]

    def __len__(self) -> int:
        """Cases, where every folder holds one."""
        return len(self.files) + len(self.folders)

    def cases(self) -> Iterator[CohortCase]:
        """Every case, image files first; a folder that cannot be read is a case with a fault."""
        taken = set(self.files)
        for name, place in self.files.items():
            yield CohortCase(name, (place,), suffix=suffix_of(place.name))
        for folder in self.folders:
            for found in _series_of(folder):
                name = free_name(found.id, taken)
                taken.add(name)
                yield CohortCase(name, found.places, found.series, fault=found.fault)


def cohort_in(place: Place) -> Cohort:
    """The cohort of a folder or store.

    Raises
    ------
    MissingFileError
        When there is no such folder.
    UnreadableFileError
        When it holds nothing to read, or two files of one name.
    """
    if place.path is not None and is_omezarr(place.path):
        return Cohort({stem_of(place.path): place}, ())
    names = place.names()
    if any(format_of(name) is DICOM and not inside for name, inside in names.items()) or _unnamed_dicom(place, names):
        return Cohort({}, (place,))
    files: dict[str, Place] = {}
    folders = []
    for name, inside in names.items():
        known, here = format_of(name), place.under(name)
        if inside and known is not OME_ZARR and not (here.path is not None and is_omezarr(here.path)):
            folders.append(here)
        elif inside or (known is not None and known.reads):
            first = files.setdefault(stem_of(name), here)
            if first != here and {suffix_of(first.name), suffix_of(name)} != ANALYZE_PAIR:
                raise UnreadableFileError(f"has the same name as {first.name}", where=name, todo="Keep one of the two")
    if not files and not folders:
        raise UnreadableFileError("holds no scan", where=place.name, todo="Give a folder of scans, or of folders of DICOM files")
    return Cohort(files, tuple(folders))


def pairs_in(first: Place, second: Place) -> Iterator[CohortCase]:
    """Files of two places that have the same name: masks and their truths.

    Raises
    ------
    MissingFileError
        When a first one has no second: its figures would be missing without a word.
    UnreadableFileError
        As `cohort_in`.
    """
    ours, theirs = cohort_in(first).files, cohort_in(second).files
    if not ours:
        raise UnreadableFileError("holds no mask", where=first.name, todo="Give a folder of .nii.gz, .nrrd or .mha masks")
    alone = sorted(ours.keys() - theirs.keys())
    if alone:
        what = f"has no mask of the same name in {second.name}" + (f", nor have {len(alone) - 1} more" if alone[1:] else "")
        raise MissingFileError(what, where=alone[0], todo="Give both masks the same name, or take what has no truth out of the folder")
    for name, place in ours.items():
        yield CohortCase(name, (place, theirs[name]), suffix=suffix_of(place.name))


def _series_of(folder: Place) -> list[CohortCase]:
    """The series of one folder; on a store a folder is one series, since nothing is fetched to look."""
    if folder.path is None:
        return [CohortCase(folder.name, (folder,))]
    try:
        found = describe(folder.path)
    except MedsegError as error:
        return [CohortCase(folder.name, (folder,), fault=error)]
    scans = [one for one in found if one.readable and not one.scout] or [one for one in found if one.readable]
    if not scans:
        fault = InvalidInputError("holds no scan that can be opened", where=folder.name, todo="Look at it with `medseg info`")
        return [CohortCase(folder.name, (folder,), fault=fault)]
    if len(scans) == 1:
        return [CohortCase(folder.name, (folder,), scans[0].series)]
    return [CohortCase(f"{folder.name}-{one.number if one.number is not None else index}", (folder,), one.series) for index, one in enumerate(scans, 1)]


def _unnamed_dicom(place: Place, names: dict[str, bool]) -> bool:
    """Whether the first file without a known ending begins as DICOM files do; scanners give them any name."""
    odd = next((name for name, inside in names.items() if not inside and format_of(name) is None), None)
    if odd is None or place.path is None:
        return False
    try:
        with Path(place.path, odd).open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False
