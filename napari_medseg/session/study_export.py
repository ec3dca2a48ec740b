"""Verified labels out of the open study, as files for other programs; beside the window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medseg.errors import InvalidInputError, MedsegError
from napari_medseg.session.jobs import Looked

if TYPE_CHECKING:
    from napari_medseg.project import LeftOut
    from napari_medseg.session.session import Session

FORMATS = (
    (".nii.gz", "NIfTI"), (".seg.dcm", "DICOM SEG"), (".rtstruct.dcm", "DICOM RTSTRUCT"), (".seg.nrrd", "NRRD for 3D Slicer"), (".mha", "MetaImage"),
    (".ome.zarr", "OME-Zarr"),
)
"""Suffix and name of what is offered; DICOM for scans that are DICOM."""
BOTH = (".seg.dcm", ".nii.gz")
"""What hospitals and programs take, written at one go."""
NAMED = 5
"""Cases that are left out for one reason and named; the others are counted."""


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
        Of `FORMATS`. A case that cannot be written in one, such as a scan that is no DICOM as DICOM SEG, is left out there, and the notice says which and why.
    """
    project, count = session.study.project, verified(session)
    if project is None or not count:
        what, todo = ("no case is verified yet", "Verify the cases that are right") if project is not None else ("no study is open", "Open a study first")
        session.report(InvalidInputError(what, where="Export", todo=todo))
        return
    session.study.settle()

    left: dict[str, list[LeftOut]] = {suffix: [] for suffix in suffixes}

    def write() -> Iterator[Looked]:
        yield Looked(0.0, f"Writing to the folder {folder.name}")
        written = 0
        for suffix in suffixes:
            try:
                for path in project.exporting(folder, suffix=suffix, kinds=["verified"], left_out=left[suffix]):
                    written += 1
                    yield Looked(min(1.0, written / (count * len(suffixes))), f"Wrote {path.name}")
            except MedsegError as error:
                if not left[suffix] or left[suffix][0].error is not error:
                    raise

    def done() -> None:
        names = {case.id: case.name for case in session.study.cases}
        refused = [words for suffix in suffixes for words in _told(suffix, left[suffix], names)]
        cases = set.intersection(*({each.case for each in left[suffix]} for suffix in suffixes))
        if len(cases) >= count:
            session.report(InvalidInputError("; ".join(refused), where="Export", todo="Choose another format"))
            return
        many = f"{count - len(cases)} of {count}" if cases else str(count)
        told = f"Exported {many} verified case{'s' if count != 1 else ''} to the folder {folder.name}"
        session.notice = "; ".join([told, *refused])
        session.changed.emit()

    session.jobs.start("export labels", "Exporting verified labels", write, apply=lambda _: None, done=done, failed=session.report, own_thread=True)


def _told(suffix: str, left: Sequence[LeftOut], names: Mapping[str, str]) -> list[str]:
    """By the names in the table, which cases are missing in a format and why, a reason at a time."""
    reasons: dict[str, list[str]] = {}
    for each in left:
        reasons.setdefault(each.why, []).append(names.get(each.case, each.case))
    name = dict(FORMATS).get(suffix, suffix)
    words = []
    for why, cases in reasons.items():
        more = f" and {len(cases) - NAMED} more" if len(cases) > NAMED else ""
        words.append(f"{name} without {', '.join(cases[:NAMED])}{more}: {why}")
    return words
