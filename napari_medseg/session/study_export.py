"""Verified labels out of the open study, as files for other programs; beside the window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medseg.errors import InvalidInputError, UnwritableFileError
from napari_medseg.session.jobs import Looked

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

FORMATS = (
    (".nii.gz", "NIfTI"), (".seg.dcm", "DICOM SEG"), (".rtstruct.dcm", "DICOM RTSTRUCT"), (".seg.nrrd", "NRRD for 3D Slicer"), (".mha", "MetaImage"),
    (".ome.zarr", "OME-Zarr"),
)
"""Suffix and name of what is offered; DICOM for scans that are DICOM."""
BOTH = (".seg.dcm", ".nii.gz")
"""What hospitals and programs take, written at one go."""


def verified(session: Session) -> int:
    """Cases whose labels are verified."""
    return sum(case.status == "verified" for case in session.study.cases)


def export(session: Session, folder: Path, *suffixes: str) -> None:
    """Write each case's latest verified labels in one format or several, with a table and the classes; no patient's name goes along.

    Parameters
    ----------
    folder : Path
        Outside of the study; made when missing.
    suffixes : str
        Of `FORMATS`. Of several, one that a case's scan cannot be written in ends itself alone, and the notice says so.
    """
    project, count = session.study.project, verified(session)
    if project is None or not count:
        what, todo = ("no case is verified yet", "Verify the cases that are right") if project is not None else ("no study is open", "Open a study first")
        session.report(InvalidInputError(what, where="Export", todo=todo))
        return
    session.study.settle()

    refused: list[str] = []

    def write() -> Iterator[Looked]:
        yield Looked(0.0, f"Writing to the folder {folder.name}")
        written = 0
        for suffix in suffixes:
            try:
                for path in project.exporting(folder, suffix=suffix, kinds=["verified"]):
                    written += 1
                    yield Looked(min(1.0, written / (count * len(suffixes))), f"Wrote {path.name}")
            except UnwritableFileError as error:
                if len(suffixes) == 1:
                    raise
                refused.append(f"{dict(FORMATS).get(suffix, suffix)} ended at {error.where}: {error.what}")

    def done() -> None:
        if len(refused) == len(suffixes):
            session.report(InvalidInputError("; ".join(refused), where="Export", todo="Choose another format"))
            return
        told = f"Exported {count} verified case{'s' if count != 1 else ''} to the folder {folder.name}"
        session.notice = "; ".join([told, *refused])
        session.changed.emit()

    session.jobs.start("export labels", "Exporting verified labels", write, apply=lambda _: None, done=done, failed=session.report, own_thread=True)
