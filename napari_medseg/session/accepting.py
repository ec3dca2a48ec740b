"""What a scan's accepted labels become: a preview is accepted into them or discarded, a brush paints, and the undo log is walked.

Each writes a step of the scan's log and tells the views where the labels changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_medseg.errors import InvalidInputError
from napari_medseg.session import by_hand
from napari_medseg.session.history import Delta, Step, moment, together
from napari_medseg.session.jobs import PREVIEW
from napari_medseg.session.locks import spared
from napari_medseg.session.merging import merge
from napari_medseg.session.state import Preview, Scan

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

AGAIN = "Changed the labels again"


def accept(session: Session) -> None:
    """The current scan's preview becomes part of its labels, in one step of the undo log.

    Raises
    ------
    InvalidInputError
        When there is no preview, it is empty, or every class it would go into is locked; what runs goes on then.
    """
    scan, preview = _offered(session)
    target = session.chosen if len(preview.classes) == 1 and not preview.keeps_values else None
    ours = [c.value for c in preview.classes] if target is None else [target]
    _refuse_locked(session, ours)
    session.jobs.stop(PREVIEW)
    session.live.settle(scan)
    session.prompting.settle(scan)
    if target is None:
        session.table.add(preview.classes)
    step = _merged(session, scan, preview, ours, target)
    made = preview.live.record() if preview.live is not None else preview.made
    scan.preview, scan.dropped, scan.is_saved = None, None, False
    session.tool = "" if session.tool == "bubble" else session.tool  # there is nothing left to put one into
    title = session.label_class.name if target is not None else ", ".join(c.name for c in preview.classes)
    tried = f" while it tried to go farther than {preview.rested_ml:.3g} ml: it may be too large, Ctrl+Z takes it back" if preview.rested_ml is not None else ""
    session.notice, session.trouble = f"Accepted {preview.title} into {title}{tried}", ""
    session.preview_changed.emit(scan, None)
    session.labels_changed.emit(scan, step.box if step is not None else None)
    if step is not None:
        session.edited.emit(scan, step.boxes)
        session.accepted.emit(scan, made)
    session.changed.emit()


def discard(session: Session) -> None:
    """The current scan's preview goes, and what makes it stops; one that is no answer to pointing can be had back."""
    session.jobs.stop(PREVIEW)
    scan = session.current
    if scan is not None and scan.preview is not None:
        if session.prompting.discard(scan):
            scan.dropped = None
        else:
            scan.drop()
        session.notice = "Discarded; the labels are as before. Ctrl+Z brings the preview back"
        session.preview_changed.emit(scan, None)
    session.changed.emit()


def paint(session: Session, scan: Scan, step: Step) -> None:
    """A brush wrote there already: the step joins the undo log as work by hand, but for what locked classes get back."""
    left = spared(step, session.table.locked)
    if left is not step:
        session.labels_changed.emit(scan, None)
        session.trouble = "Locked labels stay as they are"
    if left is not None:
        scan.keep(by_hand.painted(scan, left))
        scan.is_saved, scan.dropped = False, None
        session.edited.emit(scan, left.boxes)
    session.changed.emit()


def walk(session: Session, scan: Scan | None, *, back: bool) -> None:
    """One step back in the scan's log, or forth again; the first step back after a preview was dropped brings that back."""
    if scan is None:
        return
    if _walk_preview(session, scan, back=back):
        return
    boxes = session.prompting.walk(scan, back=back)
    again = AGAIN if boxes else "Did it again"
    done, nothing = ("Took the last change back", _nothing(session, scan)) if back else (again, "Nothing to do again")
    session.notice = done if boxes is not None else nothing
    if boxes:
        scan.is_saved = False
        session.labels_changed.emit(scan, None)
        session.edited.emit(scan, boxes)
    session.changed.emit()


def _walk_preview(session: Session, scan: Scan, *, back: bool) -> bool:
    """Whether the last thing done was to drop a preview, or the last thing taken back: then it is back, or gone again."""
    last = session.prompting.last(scan)
    if back and scan.preview is None and scan.dropped is not None and scan.dropped_at > last:
        scan.bring_back()
        session.notice = "The preview is back"
    elif not back and scan.preview is not None and scan.preview is scan.returned and scan.returned_at > last:
        session.jobs.stop(PREVIEW)
        scan.drop()
        session.notice = "Discarded again"
    else:
        return False
    session.preview_changed.emit(scan, None)
    session.changed.emit()
    return True


def _nothing(session: Session, scan: Scan) -> str:
    """There is nothing to take back; where labels were made before the case was opened, where they are."""
    earlier = bool(scan.case) and scan.case == session.study.current and session.study.versions
    return "Nothing to take back since this case was opened; earlier labels are under History" if earlier else "Nothing to take back"


def _offered(session: Session) -> tuple[Scan, Preview]:
    """The current scan and what it offers to accept."""
    scan, preview = session.current, session.current.preview if session.current else None
    if scan is None or preview is None:
        raise InvalidInputError("there is no preview to accept", where="Accept", todo="Grow a label or run a segmenter first")
    if preview.is_empty:
        raise InvalidInputError("the preview is empty", where="Accept", todo="Point at the object or place seeds inside it, and run it again")
    return scan, preview


def _refuse_locked(session: Session, values: list[int]) -> None:
    if session.table.locked.issuperset(values):
        names = ", ".join(session.table.name(value) for value in values)
        raise InvalidInputError(f"{names} is locked", where="Accept", todo="Unlock it in the table of labels, or choose another label")


def _merged(session: Session, scan: Scan, preview: Preview, values: list[int], target: int | None) -> Delta | None:
    """Write the preview into the labels and the log; the change, or None where the labels stay as they are."""
    labels = scan.labels if scan.labels is not None else scan.hold_nothing()
    add = (session.add and not preview.replaces) or not any(scan.voxels[value] for value in values)
    kept = session.verified.locked(scan) if preview.keeps_settled else None
    step = merge(labels, preview.labels, values, target=target, add=add, over=session.over, settled=kept, locked=session.table.locked)
    at = moment()
    pointed = session.prompting.accepted(scan, at) if session.prompting.owns(preview) else None
    both = together(tuple(each for each in (by_hand.replaced(scan, step) if step is not None else None, pointed) if each is not None))
    if both is not None:
        scan.keep(both, at)
    return step
