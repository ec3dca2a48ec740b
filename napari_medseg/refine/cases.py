"""What a refinement learns from: scans, each with its label map."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_medseg.errors import InvalidInputError, MissingFileError, NoLabelsError
from napari_medseg.volume import Array, LabelArray, Volume, require_same_grid

UNKNOWN = 255
SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One patient's scan and labels; splits are by case, never by slice.

    Attributes
    ----------
    id : str
        The file's name, which its results get too.
    image : Volume
    labels : Volume
        uint8 label map: 0 background, 1-254 classes, 255 unknown.
    """

    id: str
    image: Volume
    labels: Volume

    @property
    def file_name(self) -> str:
        """The id as the name of an image file."""
        return self.id if self.id.lower().endswith(SUFFIXES) else f"{self.id}.nii.gz"


def load_cases(images: Path | str, labels: Path | str, *, with_foreground: bool = True) -> tuple[Case, ...]:
    """Read a folder of scans and a folder of label maps with the same file names.

    Parameters
    ----------
    with_foreground : bool
        Whether one of the labels must hold some; corrections may bring it.

    Raises
    ------
    MissingFileError
        When a folder is not there, or a scan has no label or a label no scan.
    NoLabelsError
        When there is no case, or no label has foreground.
    GridMismatchError
        When a label lies on another grid than its scan.
    """
    from napari_medseg.io import read

    scans, masks = image_files(Path(images)), image_files(Path(labels))
    if not scans:
        raise NoLabelsError("holds no scan", where=Path(images), todo=f"Put files ending in {', '.join(SUFFIXES)} there")
    if not masks:
        raise NoLabelsError("holds no label map", where=Path(labels), todo="Make weak labels first, and save them under the names of their scans")
    for name in sorted(scans.keys() ^ masks.keys()):
        if name in scans:
            raise MissingFileError(f"has no label map in {Path(labels).name}", where=name, todo="Save one under the same name, or take the scan out")
        raise MissingFileError(f"is a label map without its scan in {Path(images).name}", where=name, todo="Give both the same name")
    cases = []
    for name, path in scans.items():
        image = read(path)
        cases.append(Case(name, image, read_label_map(masks[name], image)))
    return checked(cases, with_foreground=with_foreground)


def load_labels(folder: Path | str, cases: Iterable[Case]) -> dict[str, Volume]:
    """Label maps for some of the cases, by case id.

    Raises
    ------
    MissingFileError
        When the folder is not there or holds a name no case has.
    NoLabelsError
        When it is empty.
    GridMismatchError
        When one lies on another grid than its scan.
    """
    known = {case.id: case for case in cases}
    found = image_files(Path(folder))
    if not found:
        raise NoLabelsError("holds no label map", where=Path(folder), todo="Save label maps there under the names of their scans")
    for name in found.keys() - known.keys():
        raise MissingFileError(f"has no scan of the same name (in {Path(folder).name})", where=name, todo="Give both the same name")
    return {name: read_label_map(path, known[name].image) for name, path in found.items()}


def read_label_map(path: Path, image: Volume) -> Volume:
    """A label map on the grid of its scan."""
    from napari_medseg.io import read_labels

    labels = read_labels(path, like=image.geometry)
    return labels.like(_as_uint8(labels.channel(), path.name))


def image_files(folder: Path) -> dict[str, Path]:
    """Image files of a folder by name, sorted; hidden files are left out.

    Raises
    ------
    MissingFileError
        When there is no such folder.
    """
    if not folder.is_dir():
        raise MissingFileError("there is no such folder", where=folder, todo="Check the path")
    paths = (p for p in sorted(folder.iterdir()) if p.is_file() and not p.name.startswith("."))
    return {p.name: p for p in paths if p.name.lower().endswith(SUFFIXES)}


def checked(cases: Sequence[Case], *, with_foreground: bool = True) -> tuple[Case, ...]:
    """The cases, if something can be learnt from them.

    Raises
    ------
    NoLabelsError
        When there is none, or none with foreground.
    GridMismatchError
        When a label lies on another grid than its scan.
    InvalidInputError
        When two have one id, scans differ in channels, or a scan holds no usable number.
    """
    if not cases:
        raise NoLabelsError("there is no case to learn from", where="cases", todo="Give at least one scan with a label")
    seen: set[str] = set()
    result = []
    for case in cases:
        if case.file_name in seen:
            raise InvalidInputError("two cases have this name", where=case.id, todo="Give each its own")
        seen.add(case.file_name)
        require_same_grid(case.image.geometry, case.labels.geometry, case.id)
        if case.image.channels != cases[0].image.channels:
            raise InvalidInputError(
                f"has {channels_of(case)}, but {cases[0].id} has {channels_of(cases[0])}", where=case.id, todo="Refine scans of one kind together",
            )
        if not np.isfinite(case.image.array).any():
            raise InvalidInputError("holds no usable number", where=case.id, todo="Open it in the window to see what it holds, or take it out")
        result.append(replace(case, labels=case.labels.like(_as_uint8(case.labels.channel(), case.id))))
    if with_foreground and not class_values(result):
        raise NoLabelsError("no label map has foreground", where="labels", todo="Mark the organ in at least one scan first")
    return tuple(result)


def class_values(cases: Iterable[Case]) -> tuple[int, ...]:
    """Label values of the classes that occur, rising."""
    found: set[int] = set()
    for case in cases:
        found |= {int(v) for v in np.unique(case.labels.channel())}
    return tuple(sorted(found - {0, UNKNOWN}))


def channels_of(case: Case) -> str:
    """How many channels its scan has, in words."""
    return f"{case.image.channels} channel{'s' if case.image.channels > 1 else ''}"


def _as_uint8(array: Array, where: str) -> LabelArray:
    if array.dtype == np.uint8:
        return array
    if array.dtype != bool and (not np.isfinite(array).all() or array.min() < 0 or array.max() > UNKNOWN or (array != np.floor(array)).any()):
        raise InvalidInputError("a label map holds whole numbers from 0 to 255", where=where, todo="Save the labels, not the scan, under this name")
    return array.astype(np.uint8)
