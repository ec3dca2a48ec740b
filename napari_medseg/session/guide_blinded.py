"""What the Guide says of blinded choice."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_medseg.session.guide_step import TAKEN, Step
from napari_medseg.session.session import Session

if TYPE_CHECKING:
    from napari_medseg.session.blinded import Blinded

WHY = "Neither who answers nor who looks on learns which mask is whose before that rater's end."


def blinded(session: Session) -> Step | None:
    """The step on the page of blinded choice."""
    found = session.reviewing.blinded
    if found.is_planning:
        return Step("Every scan is read once to draw the questions", waiting="Planning the review")
    waits = session.current is not None and session.current.preview is not None
    if found.sitting is None and (waits or session.notice.startswith(TAKEN)):
        return None  # labels are what matters now
    step = _next(session, found)
    return replace(step, sentence=f"{session.notice}. {step.sentence}", plain=True) if session.notice else step


def _next(session: Session, found: Blinded) -> Step:
    if found.sitting is not None:
        return Step("Answer in the other window: A left, S tie, D right", "none", "", WHY)
    if found.chosen is None:
        lacking = found.choices.lacks()
        if lacking:
            return Step(f"Choose {lacking}", "none", "", "The two sets of masks have the same file names as the scans.")
        return Step("Plan the review: slices, order and sides are drawn by chance", "run", "G", WHY)
    if found.summary is not None:
        why = "The study's report takes it up too." if found.chosen.plan.source == "study" else ""
        return Step("This is the result; save it, or let another rater answer under another name", "none", "", why)
    if found.can_show:
        return Step("All is answered: show the result", "run", "G")
    if not found.rater.strip():
        return Step("Say who answers; initials are enough", "none", "", WHY)
    count = found.chosen.answered(found.rater)
    if count:
        return Step(f"Go on where {found.rater} left it, at {count} of {len(found.chosen.plan.questions)}", "run", "G", WHY)
    return Step("Begin to answer; it can be left at any time and goes on there", "run", "G", WHY)
