"""Saving the labels of a scan: under which name, in which format, and the writing itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_medseg.annotation import LabelMap
from napari_medseg.errors import NoLabelsError
from napari_medseg.io.names import plain_name
from napari_medseg.session.state import Scan, source_labels

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

FORMATS = (("NIfTI", ".nii.gz"), ("NRRD for 3D Slicer", ".seg.nrrd"), ("NRRD", ".nrrd"), ("MetaImage", ".mha"))
OF_DICOM = (("DICOM SEG", ".seg.dcm"), ("DICOM RTSTRUCT", ".rtstruct.dcm"))
"""These refer to the scan's own files, so it must be DICOM."""


def formats(scan: Scan) -> tuple[tuple[str, str], ...]:
    """Name and suffix of what the labels of a scan can be saved as, the likeliest first."""
    return (*OF_DICOM, *FORMATS) if scan.display.series else FORMATS


def proposed(scan: Scan) -> Path:
    """Where they are saved if the person does not say otherwise: beside the scan."""
    folder = scan.display.source.parent if scan.display.source is not None else Path.home()
    return folder / f"{plain_name(scan.name)}_labels{formats(scan)[0][1]}"


def as_chosen(path: Path, suffix: str, scan: Scan) -> Path:
    """A name with the suffix of the format that was chosen; another format that was typed counts, unless it is only the one that was proposed."""
    known = sorted({each for _, each in (*OF_DICOM, *FORMATS)}, key=len, reverse=True)
    has = next((each for each in known if path.name.lower().endswith(each)), "")
    if not suffix or (has and has != formats(scan)[0][1]):
        return path
    stem = path.name[:len(path.name) - len(has)]
    free = (path.with_name(f"{stem}{number}{suffix}") for number in ("", *(f" {n}" for n in range(2, 1000))))
    return next(each for each in free if each == path or not each.exists())  # the dialog asked about the name it saw, not about this one


def save(session: Session, scan: Scan, path: Path) -> None:
    """Write a scan's accepted labels, with the classes' names and colours, on the grid of its file.

    Raises
    ------
    NoLabelsError
        When it holds none.
    MedsegError
        What the writer of that format refuses.
    """
    if not scan.has_labels:
        raise NoLabelsError("there is nothing to save", where=scan.name, todo="Accept a preview or paint a label first")
    from napari_medseg import io

    labels = source_labels(scan)
    named = LabelMap(labels.array, labels.geometry, labels.name, classes=tuple(session.classes))
    io.write(named, path, source=scan.display.source, series=scan.display.series)
    scan.is_saved = True
    session.notice = f"Saved {path.name}"
    session.changed.emit()
