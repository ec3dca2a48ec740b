"""Labels out of a study, as files that name no patient."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medseg import io
from napari_medseg.errors import InvalidInputError, MedsegError, NoLabelsError, StudyServerError, UnwritableFileError
from napari_medseg.io.descriptions import write_classes
from napari_medseg.io.formats import REFERRING, WRITABLE, written_as
from napari_medseg.project.durable import writing
from napari_medseg.project.records import KINDS, Case, Version
from napari_medseg.volume import require_same_grid

if TYPE_CHECKING:
    from napari_medseg.project.project import Project

COLUMNS = ("status", "modality", "version", "kind", "tool", "editor", "created", "seconds", "volume_ml", "verified_slices", "file")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A case whose labels could not be written.

    Attributes
    ----------
    case : str
        "case-0001".
    error : MedsegError
        Why.
    why : str
        The same as words that name no file of the scan.
    """

    case: str
    error: MedsegError
    why: str


def export(
    project: Project, dst: Path, suffix: str, cases: Iterable[str] | None, kinds: Iterable[str] | None, images: bool, left_out: list[LeftOut] | None,
) -> Iterator[Path]:
    """Write the files one after the other, handing each out when it is whole; see `Project.export`."""
    wanted = _checked(suffix, kinds)
    chosen = project.cases() if cases is None else [project.case(case) for case in cases]
    found = [(case, version) for case in chosen if (version := _latest(project, case, wanted)) is not None]
    if not found:
        raise NoLabelsError("no case has labels of this kind", where=project.folder, todo="Choose other cases or kinds; see `medseg project list`")
    with writing(dst):
        if dst.resolve().is_relative_to(project.folder.resolve()):
            raise UnwritableFileError("lies in the study itself", where=dst, todo="Choose a folder outside of it")
        dst.mkdir(parents=True, exist_ok=True)
        if images:
            (dst / "images").mkdir(exist_ok=True)
    written = []
    for case, version in found:
        try:
            path = _labels(project, case, version, dst / f"{case.id}{suffix}")
        except StudyServerError:
            raise
        except MedsegError as error:
            if left_out is None:
                raise
            left_out.append(LeftOut(case.id, error, _nameless(project, case, error)))
            continue
        written.append((case, version))
        yield path
    if not written and left_out:
        raise left_out[0].error
    if images:
        of_images = suffix if suffix in WRITABLE else ".nii.gz"  # labels of a DICOM series; the scan itself goes as plain voxels
        for case, _ in written:
            yield _image(project, case, dst / "images" / f"{case.id}{of_images}")
    yield _table(project, written, suffix, dst / "cases.csv")
    for path in (dst / "classes.json", dst / "classes.label") if project.classes else ():
        write_classes(project.classes, path)
        yield path


def _checked(suffix: str, kinds: Iterable[str] | None) -> set[str]:
    found = written_as(suffix)
    if not suffix.startswith(".") or found is None or not found.writes:
        raise InvalidInputError(f"'{suffix[:20]}' names no format that can be written", where="suffix", todo=f"Use one of {', '.join((*WRITABLE, *REFERRING))}")
    wanted = set(KINDS if kinds is None else kinds)
    if not wanted <= set(KINDS):
        raise InvalidInputError(f"'{min(wanted - set(KINDS))}' is no kind of labels", where="kind", todo=f"Use one of {', '.join(KINDS)}")
    return wanted


def _latest(project: Project, case: Case, kinds: set[str]) -> Version | None:
    return next((version for version in reversed(project.versions(case.id)) if version.kind in kinds), None)


def _labels(project: Project, case: Case, version: Version, path: Path) -> Path:
    labels = project.labels(case.id, version.number)
    schema = {c.value: c for c in project.classes}
    labels = replace(labels, classes=tuple(schema.get(c.value, c) for c in labels.classes))  # today's names
    found = written_as(path)
    if found is not None and found.refers:
        scan, series = project.source(case.id)
        io.write(labels, path, source=scan, series=series, anonymise=not project.keep_names)
    else:
        io.write(labels, path)
    return path


def _nameless(project: Project, case: Case, error: MedsegError) -> str:
    """What is wrong, without the name of the scan's file, which may be the patient's."""
    try:
        return error.what.replace(project.source(case.id)[0].name, "the scan")
    except MedsegError:
        return "the scan is not where it was"


def _image(project: Project, case: Case, path: Path) -> Path:
    scan, series = project.source(case.id)
    volume = io.read(scan, series=series or None)
    require_same_grid(case.geometry, volume.geometry, case.id)
    io.write(replace(volume, name=case.id, source=None, series="", notes=()), path)
    return path


def _table(project: Project, found: Sequence[tuple[Case, Version]], suffix: str, path: Path) -> Path:
    marked = Counter(mark.case for mark in project.verified_slices())
    columns = ("case", *(["name"] if project.keep_names else []), *COLUMNS)
    with io.replacing(path) as temporary, writing(path), temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore")
        table.writeheader()
        for case, version in found:
            ml = {f"{value}": f"{count * case.geometry.voxel_ml:.4g}" for value, count in version.voxels.items()}
            table.writerow({
                "case": case.id, "name": _harmless(case.name), "status": case.status, "modality": _harmless(case.modality), "version": version.number,
                "kind": version.kind, "tool": _harmless(version.tool), "editor": _harmless(version.author), "seconds": f"{case.seconds:.0f}",
                "created": version.created.isoformat(timespec="seconds"), "file": f"{case.id}{suffix}",
                "verified_slices": marked[case.id], "volume_ml": "; ".join(f"{value}: {size}" for value, size in ml.items()),
            })
    return path


def _harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
