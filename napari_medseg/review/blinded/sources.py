"""Where the scans and their two sets of masks come from: folders with the same file names, or the versions of a study."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from napari_medseg.errors import GridMismatchError, InvalidInputError, MissingFileError, NoLabelsError, ProjectError
from napari_medseg.io import read, read_labels
from napari_medseg.io.folders import files_in
from napari_medseg.io.formats import is_omezarr, stem_of
from napari_medseg.project import Project
from napari_medseg.project.records import KINDS, Version
from napari_medseg.review.blinded.plan import MaskSet, Plan, PlannedCase, Which
from napari_medseg.volume import Array, AxisMap, Volume, axis_map, orient, require_same_grid

UNKNOWN = 255
FEW_NAMES = 3
VERSIONS = ("latest", "first", *KINDS)
"""What can be taken of a study's cases, beside "round 1", "round 2", ..."""


@dataclass(frozen=True, slots=True, eq=False)
class Trio:
    """A scan and its two masks.

    Attributes
    ----------
    image : Volume
        One channel on the display grid.
    a, b : uint8 or uint16 (z, y, x) on the display grid
        0 background; unknown (255) has become 0.
    image_sha256, a_sha256, b_sha256 : str
    """

    image: Volume
    a: Array
    b: Array
    image_sha256: str
    a_sha256: str
    b_sha256: str

    def mask(self, which: Which, label: int | None) -> Array:
        """One of the masks as it is shown, (z, y, x): its classes, or one class as 1."""
        array = self.a if which == "a" else self.b
        return array if label is None else (array == label).astype(np.uint8)


class Source(Protocol):
    """A place that scans and masks come from."""

    kind: str
    images: str
    a: MaskSet
    b: MaskSet
    notes: tuple[str, ...]

    @property
    def cases(self) -> tuple[str, ...]:
        """Names of the cases that have a scan and both masks."""

    def files(self, case: str) -> tuple[str, str, str]:
        """What the scan and the masks are called there."""

    def read(self, case: str) -> Trio:
        """Read a case.

        Raises
        ------
        GridMismatchError
            When a mask lies on another grid than the scan.
        MedsegError
            When something cannot be read.
        """


class FolderSource:
    """Three folders with the same file names, or three files.

    Parameters
    ----------
    images, a, b : Path
    titles : two texts
        What the result calls the sets; their folders' names when not given.
    beside : Path, optional
        The folder the plan lies in, from which the others are named.

    Raises
    ------
    MissingFileError, NoLabelsError
        When something is not there, or no scan has both masks.
    """

    kind = "folders"

    def __init__(self, images: Path, a: Path, b: Path, titles: tuple[str, str] = ("", ""), beside: Path | None = None) -> None:
        for path in (images, a, b):
            if not path.exists():
                raise MissingFileError("there is no such file or folder", where=path, todo="Check the path")
        if a.resolve() == b.resolve():
            raise InvalidInputError("both sets of masks are the same folder", where=a, todo="Give two different sets")
        single = [_is_single(path) for path in (images, a, b)]
        if len(set(single)) > 1:
            where = f"{images.name}, {a.name}, {b.name}"
            raise InvalidInputError("some are folders of files and some are files", where=where, todo="Give three folders, or three files")
        self.images = _from(beside, images)
        names = [title or stem_of(path) or path.name for title, path in zip(titles, (a, b), strict=True)]
        if names[0] == names[1]:
            names = [f"{path.resolve().parent.name}/{name}" for name, path in zip(names, (a, b), strict=True)]
        self.a, self.b = MaskSet(names[0], _from(beside, a)), MaskSet(names[1], _from(beside, b))
        self._files = ({stem_of(images): (images, a, b)} if single[0] else self._paired(images, a, b))
        self.notes: tuple[str, ...] = () if single[0] else self._left_out(images, a, b)

    @property
    def cases(self) -> tuple[str, ...]:
        """Names of the cases that have a scan and both masks."""
        return tuple(self._files)

    def files(self, case: str) -> tuple[str, str, str]:
        """File names of the scan and the masks."""
        image, a, b = self._paths(case)
        return image.name, a.name, b.name

    def read(self, case: str) -> Trio:
        """Read a case; see `Source`."""
        image, a, b = self._paths(case)
        scan = read(image)
        return trio(scan, read_labels(a, like=scan.geometry).array, read_labels(b, like=scan.geometry).array)

    def _paths(self, case: str) -> tuple[Path, Path, Path]:
        if case not in self._files:
            raise MissingFileError("its scan or one of its masks is not there any more", where=case, todo="Put the files back under their names")
        return self._files[case]

    def _paired(self, images: Path, a: Path, b: Path) -> dict[str, tuple[Path, Path, Path]]:
        scans, first, second = files_in(images), files_in(a), files_in(b)
        both = [name for name in scans if name in first and name in second]
        if not both:
            todo = "Give masks the names of their scans: scans/p1.nii.gz, model/p1.nii.gz, expert/p1.nii.gz"
            raise NoLabelsError("no scan has a mask of its name in both folders", where=f"{images.name}, {a.name}, {b.name}", todo=todo)
        return {name: (scans[name], first[name], second[name]) for name in both}

    def _left_out(self, images: Path, a: Path, b: Path) -> tuple[str, ...]:
        scans, first, second = files_in(images), files_in(a), files_in(b)
        told = [
            ("no scan", (first.keys() | second.keys()) - scans.keys()),
            (f"no mask in {a.name}", (scans.keys() | second.keys()) - first.keys()), (f"no mask in {b.name}", (scans.keys() | first.keys()) - second.keys()),
        ]
        return tuple(f"{what} for {_named(names)}: left out" for what, names in told if names)


class StudySource:
    """Two versions of each case of a study.

    Parameters
    ----------
    project : Project
    a, b : str
        "latest", "first", a kind of version ("weak", "proposal", "corrected", "verified", "imported"), or "round 2".
    numbers : case to two version numbers, optional
        What a plan recorded; else the versions that `a` and `b` name now.

    Raises
    ------
    InvalidInputError, NoLabelsError
        When there is no such choice, or no case has both.
    """

    kind = "study"
    images = ""

    def __init__(self, project: Project, a: str, b: str, numbers: dict[str, tuple[int, int]] | None = None) -> None:
        self._project = project
        self.a, self.b = MaskSet(a, a), MaskSet(b, b)
        self.notes: tuple[str, ...] = ()
        if numbers is not None:
            self._numbers = numbers
            return
        found = {case.id: tuple(pick_version(project.versions(case.id), which) for which in (a, b)) for case in project.cases() if case.is_there}
        self._numbers = {case: (x, y) for case, (x, y) in found.items() if x is not None and y is not None and x != y}
        missing = {case for case, (x, y) in found.items() if x is None or y is None}
        same = found.keys() - self._numbers.keys() - missing
        away = {case.id for case in project.cases() if not case.is_there}
        told = [(f"no {a} or no {b} version", missing), (f"{a} and {b} are one version", same), ("the scan is not where it was", away)]
        self.notes = tuple(f"{what} for {_named(names)}: left out" for what, names in told if names)
        if not self._numbers:
            raise NoLabelsError(f"no case has both a {a} and a {b} version", where="study", todo="Choose two other kinds of versions, or save some first")

    @property
    def cases(self) -> tuple[str, ...]:
        """Ids of the cases that have a scan and both versions."""
        return tuple(self._numbers)

    def files(self, case: str) -> tuple[str, str, str]:
        """The two version numbers."""
        a, b = self._numbers[case]
        return "", str(a), str(b)

    def read(self, case: str) -> Trio:
        """Read a case; see `Source`."""
        if case not in self._numbers:
            raise ProjectError("is not among the cases of this review", where=case, todo="Make a new plan")
        path, series = self._project.source(case)
        scan = read(path, series=series or None)
        a, b = (self._project.labels(case, number) for number in self._numbers[case])
        for mask in (a, b):
            require_same_grid(scan.geometry, mask.geometry, case)
        return trio(scan, a.array, b.array)


def pick_version(versions: Iterable[Version], which: str) -> int | None:
    """The version of a case that a word names; None where there is none.

    Raises
    ------
    InvalidInputError
        When it names no kind of version.
    """
    made = list(versions)
    if which == "latest":
        return made[-1].number if made else None
    if which == "first":
        return made[0].number if made else None
    if which in KINDS:
        found = [version.number for version in made if version.kind == which]
    elif which.startswith("round ") and which[6:].isdecimal():
        found = [version.number for version in made if version.tool == "refine" and version.parameters.get("round") == int(which[6:])]
    else:
        raise InvalidInputError(f"there is no version called '{which}'", where="versions", todo=f"Choose two of {', '.join(VERSIONS)}, round 1, round 2, ...")
    return found[-1] if found else None


def source_of(plan: Plan, folder: Path, project: Project | None = None) -> Source:
    """Where a plan's scans and masks are now.

    Parameters
    ----------
    folder : Path
        The plan's.
    project : Project, optional
        The study, for a plan that was made of one.

    Raises
    ------
    MissingFileError, InvalidInputError
        When they are not there, or the study is not open.
    """
    if plan.source == "study":
        if project is None:
            raise InvalidInputError("was made from the versions of a study", where="plan", todo="Open the study, then begin the review there")
        return StudySource(project, plan.a.where, plan.b.where, {case.case: (int(case.a), int(case.b)) for case in plan.cases})
    images, a, b = (folder / where for where in (plan.images, plan.a.where, plan.b.where))
    return FolderSource(images, a, b, (plan.a.title, plan.b.title), folder)


def require_unchanged(planned: PlannedCase, found: Trio) -> None:
    """Refuse a case whose scan or masks are not those that were planned. Which one it is stays unsaid: it could tell the rater.

    Raises
    ------
    InvalidInputError
    """
    if (planned.image_sha256, planned.a_sha256, planned.b_sha256) != (found.image_sha256, found.a_sha256, found.b_sha256):
        todo = "Put the files of then back, or make a new plan"
        raise InvalidInputError("its scan or a mask was changed after the plan was made", where=planned.case, todo=todo)


def trio(image: Volume, a: Array, b: Array) -> Trio:
    """A case on its display grid, with what it holds as hashes.

    Raises
    ------
    InvalidInputError
        When the scan has several channels.
    GridMismatchError
        When a mask has another shape.
    """
    if image.channels > 1:
        raise InvalidInputError(f"has {image.channels} channels", where=image.name, todo="Write one to a file of its own: medseg convert SRC DST --channel N")
    for mask in (a, b):
        if mask.shape != image.geometry.shape:
            raise GridMismatchError("a mask lies on another grid than its scan", where=image.name, todo="Resample it with `medseg convert --like SCAN`")
    turn = axis_map(image.geometry)
    held = [fingerprint(image, np.asarray(mask, np.uint16)) for mask in (a, b)]
    return Trio(orient(image), _shown(a, turn), _shown(b, turn), fingerprint(image, image.channel()), *held)


def fingerprint(image: Volume, array: Array) -> str:
    """SHA-256 of values, (z, y, x) or (c, z, y, x), and grid; the same however a file is packed."""
    grid = image.geometry
    told = f"{array.dtype.newbyteorder('<').str} {grid.shape} " + " ".join(f"{v:.4f}" for v in (*grid.spacing, *grid.origin, *grid.direction))
    made = hashlib.sha256(told.encode())
    for plane in array.reshape(-1, *array.shape[-2:]):
        made.update(np.ascontiguousarray(plane, array.dtype.newbyteorder("<")).tobytes())
    return made.hexdigest()


def _shown(mask: Array, turn: AxisMap) -> Array:
    turned = turn.apply(mask)
    turned[turned == UNKNOWN] = 0
    return turned


def _is_single(path: Path) -> bool:
    return path.is_file() or is_omezarr(path)


def _from(folder: Path | None, path: Path) -> str:
    """A path as the plan names it: relative where both lie on one drive."""
    full = path.resolve()
    if folder is None:
        return str(full)
    try:
        return Path(os.path.relpath(full, folder.resolve())).as_posix()
    except ValueError:  # another drive
        return str(full)


def _named(names: Iterable[str]) -> str:
    found = sorted(names)
    more = len(found) - FEW_NAMES
    return ", ".join(found[:FEW_NAMES]) + (f" and {more} more" if more > 0 else "")
