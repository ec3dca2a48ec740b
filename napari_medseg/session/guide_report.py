"""What the Guide says of the report."""

from __future__ import annotations

from napari_medseg.session.guide_step import Step
from napari_medseg.session.session import Session

WHY = "One file that needs no other; it prints well. It says nothing of who a patient is."


def report(session: Session) -> Step | None:
    """The step on the page of the report."""
    found = session.reviewing.reporting
    if found.is_running:
        return Step("Every case is read and measured; you can go on working", "stop", "", waiting="Making the report")
    if found.source is None:
        return Step("Open a study, or name a folder that a refinement wrote", "none", "", WHY)
    if not any(found.parts.values()):
        return Step("Tick what the report should hold", "none", "", WHY)
    if found.made is not None:
        if session.study.is_open and any(case.status == "verified" for case in session.study.cases):
            why = "The Study menu exports the verified labels as DICOM SEG and NIfTI, or others."
            return Step("Open the report; then export the labels", "export", "", why)
        return Step("Open the report, or make it again after more work", "none", "", WHY)
    why = "Names of scans and annotators go in: give it only to those who may know them." if found.names else WHY
    return Step("Make the report", "run", "G", why)
