"""What the Guide says about scribbles, the limit brush, interpolation and clean-up."""

from __future__ import annotations

from collections.abc import Callable

from napari_medseg.session.guide_step import Step
from napari_medseg.session.interpolating import PLANES
from napari_medseg.session.jobs import Job
from napari_medseg.session.session import Session
from napari_medseg.session.state import Scan

LONG = 1.0
"""Seconds after which an answer to a stroke is worth waiting for in words."""
NO_BACKGROUND = "Without a background stroke the border of their reach is background."


def drawn(session: Session, scan: Scan, job: Job | None) -> Step | None:
    """While strokes or clean-up answer by themselves the sentence stays; None where the Guide has something else to say."""
    preview = scan.preview
    if session.tab == "weak" and session.mode == session.tool == "limit" and not (job is not None and job.is_active):
        return _limit(session, scan)
    if preview is None or session.tab != "weak" or (job is not None and job.is_active and job.seconds > LONG):
        return None
    if session.mode == "scribbles" and session.live.owns(preview):
        return _answered(session, scan)
    if session.mode == "scribbles" and session.tool == "scribbles" and preview.finished:
        return Step("Accept or discard what is shown; then strokes answer again", "accept", "K", "A stroke never takes another tool's preview away.")
    if session.mode == "cleanup" and not session.tidy.owns(preview) and preview.finished and scan.has_labels:
        return Step("Accept or discard what is shown; then the clean-up shows at once", "accept", "K", "A clean-up never takes another tool's preview away.")
    if session.tidy.owns(preview) and session.mode == "cleanup" and not preview.is_empty:
        if session.tool == "pick":
            return Step("Click every piece that shall stay; the others go", "accept", "K", preview.detail)
        return Step("This is what it would be: accept it, or change a step and look again", "accept", "K", preview.detail)
    return None


def _answered(session: Session, scan: Scan) -> Step:
    preview, name = scan.preview, session.label_class.name
    if preview is None or preview.is_empty:
        return Step("Go on drawing; the answer follows the brush", "none", "", preview.detail if preview is not None else "")
    accept = f"accept {', '.join(c.name for c in preview.classes)}"
    if not scan.drawn[1]:
        return Step(f"Draw more of {name}, or press Q and draw background where it runs over", "accept", "Q", NO_BACKGROUND)
    if session.background:
        return Step(f"Draw background where it runs over, or {accept}", "accept", "K", f"Q: back to {name}, where it is missing.")
    return Step(f"Draw {name} where it is missing, or {accept}", "accept", "K", "Q: background, where it runs over.")


def _scribbles(session: Session, scan: Scan) -> Step:
    name, (has_class, has_background) = session.label_class.name, scan.drawn
    if session.background and not has_class:
        return Step(f"Press Q for {name} and draw a stroke inside it", "none", "Q", "A background stroke alone grows nothing.")
    if not has_class:
        why = "Every stroke answers at once." if session.scribble.live else "Live is off: strokes wait for Grow strokes."
        return Step(f"Draw a stroke inside {name}", "scribbles" if session.tool != "scribbles" else "none", "", why)
    if not has_background:
        return Step("Grow the stroke, or flip to background and draw around the organ first", "run", "Q", NO_BACKGROUND)
    return Step("Grow the strokes", "run", "G", "Every voxel takes the class of the stroke it most likely belongs to.")


def _limit(session: Session, scan: Scan) -> Step:
    name, brush = session.label_class.name, session.limit_brush
    painted = scan.limit_log.can_undo
    if session.tool != "limit" and not painted:
        return Step(f"Press Paint limit, then paint roughly over {name}", "limit", "", "Nothing outside it will be taken; a rough limit stops leaks.")
    if brush.erase and session.tool == "limit":
        return Step("Erase where the limit reaches too far; Q adds again", "none", "Q", "Ctrl+Z takes a stroke back.")
    if not painted:
        why = f"The ball reaches {brush.radius_mm:.0f} mm into the slices above and below; too much is better than too little."
        return Step(f"Paint roughly over {name} with the big ball", "none", "", why)
    if not session.seed_count:
        return Step(f"Paint where {name} sticks out; then add seeds under Level set", "seeds", "", "Q erases; [ and ] change the size.")
    return Step(f"Grow {name} inside the limit, or paint where it sticks out", "run", "G", "Q erases; [ and ] change the size.")


def _interpolate(session: Session, scan: Scan) -> Step:
    name, between = session.label_class.name, session.between
    if scan.labels is None or not scan.voxels[session.chosen] > 0:
        why = "What lies between them is filled; Paint slices puts the brush in your hand."
        return Step(f"Paint {name} on a few slices, some slices apart", "paint", "", why)
    if between.found is None:
        return Step("Looking for the annotated slices", waiting="Looking for the annotated slices")
    plane, used = PLANES[between.axis], between.used()
    if len(used) < 2:
        why = "Or say of a slice that it is empty on purpose."
        return Step(f"Paint {name} on another {plane} slice; between two of them it can be filled", "none", "", why)
    if not between.gaps():
        return Step(f"There is no gap between the {plane} slices of {name}: choose another plane, or another label", "none")
    why = "You see it before it counts; annotated slices stay as they are."
    return Step(f"Fill {between.gaps()} {plane} slices between the {len(used)} that are annotated", "run", "G", why)


def _cleanup(session: Session, scan: Scan) -> Step:
    if not scan.has_labels:
        return Step("There is no label to clean up yet: make one with Level set or Scribbles", "none", plain=True)
    if session.tool == "pick":
        return Step("Click every piece that shall stay", "none", "", "The others of that label go; labels that were not clicked stay whole.")
    return Step("Choose what to tidy; you see it at once, and before it counts", "run", "G", "Ctrl+Z takes an accepted clean-up back.")


TOOLS: dict[str, Callable[[Session, Scan], Step]] = {"scribbles": _scribbles, "limit": _limit, "interpolate": _interpolate, "cleanup": _cleanup}
