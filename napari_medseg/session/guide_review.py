"""What the Guide says in the Review tab: one function a page, which may leave the word to the Guide's other rooms."""

from __future__ import annotations

from collections.abc import Callable

from napari_medseg.session.guide_blinded import blinded
from napari_medseg.session.guide_report import report
from napari_medseg.session.guide_step import NO_MOUSE, Step
from napari_medseg.session.reviewing import Page
from napari_medseg.session.session import Session


def reviewing(session: Session) -> Step | None:
    """The step of the open page; None where the Guide has something else to say, such as that a scan is to be opened or a preview accepted."""
    if session.trouble:
        return Step(session.trouble.rstrip("."), trouble=True)
    return PAGES[session.reviewing.page](session)


def busy(session: Session) -> bool:
    """Whether a preview waits for a yes, or long work is under way."""
    waits = session.current is not None and session.current.preview is not None
    return waits or (session.job is not None and session.job.is_active and not session.job.quiet)


def _statistics(session: Session) -> Step | None:
    scan = session.current
    if scan is None or busy(session):
        return None
    if not scan.has_labels:
        return Step("First accept or paint a label; then its size and grey values stand here", "weak", "", "Measured is what was accepted, not a preview.")
    found = session.reviewing.statistics
    if found.of(scan) is None:
        return Step("The labels are being measured", waiting="Measuring the labels") if found.is_running else Step("Measure the labels", "run", "G")
    whole = "The page Report, above, tells of the whole study. " if session.study.is_open else ""
    return Step("Click on a row to see a label's diameters where it is longest", "none", "", f"{whole}Ctrl+C copies the table with its units.")


def _rulers(session: Session) -> Step | None:
    if session.current is None or busy(session):
        return None
    rulers = session.reviewing.rulers
    if rulers.kind == "angle":
        asked = ("the end of one side", "the corner", "the end of the other side")[len(rulers.places)]
        return Step(f"Click on {asked}", "none", "Alt+R", f"Drag an end to move it. Ctrl+Z takes a ruler back. {NO_MOUSE}")
    if rulers.kind == "ruler":
        which = "ends" if rulers.places else "begins"
        return Step(f"Click where the distance {which}", "none", "Shift+R", f"Drag an end to move it. Ctrl+Z takes a ruler back. {NO_MOUSE}")
    why = "Right on every plane, whatever the voxels measure; scroll, or press an arrow, between two clicks to go deep."
    return Step("Press Distance or Angle, then click on the slice", "none", "Shift+R", why)


def _agreement(session: Session) -> Step | None:
    scan = session.current
    if scan is None or busy(session):
        return None
    model = session.reviewing.agreement
    chosen, found = model.chosen(scan), model.of(scan)
    if len(chosen) < 2:
        return Step("Tick the label maps of two people or more, or add label files", "none", "", "In a study each version names who made it.")
    if found is None or model.is_old(scan):
        return Step(f"Compare the {len(chosen)} label maps that are ticked", "run", "G", "Class by class, by overlap and by distance.")
    if session.notice.startswith("Slice "):
        return Step(f"{session.notice}. Look at it, or go on to the next", "none", "J", "Shift+J: back.", plain=True)
    if found.worst:
        return Step("Look at the slices where they disagree most, or show a consensus", "none", "J", "A consensus is a preview until you accept it.")
    return Step("They agree on every voxel", "none", plain=True)


def _compare(session: Session) -> Step | None:
    model = session.reviewing.comparing
    if busy(session):
        return None
    if model.missing:
        return Step(model.missing, "none", "", "Files of one case have one name in every folder.")
    if model.found is None or model.is_old:
        return Step("Compare them case by case", "run", "G", "Every case is measured against the truth.")
    if model.is_kept:
        return Step("Kept in the study; its report tells it", "none", "", "Another figure, class or threshold is kept beside it.", plain=True)
    why = "A mean hides a group that got worse: look at the groups."
    return Step("Click on a point to open its case, or choose another figure, class or chart", "none", "", why)


PAGES: dict[Page, Callable[[Session], Step | None]] = {
    "statistics": _statistics,
    "rulers": _rulers,
    "blinded": blinded,
    "agreement": _agreement,
    "compare": _compare,
    "report": report,
}
