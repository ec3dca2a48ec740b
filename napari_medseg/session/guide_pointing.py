"""What the Guide says in the Segment tab."""

from __future__ import annotations

from napari_medseg.session import segmenting
from napari_medseg.session.guide_step import NO_MOUSE, TAKEN, Step
from napari_medseg.session.jobs import Job
from napari_medseg.session.session import Session
from napari_medseg.session.state import Scan

LONG = 1.5
"""Seconds after which an answer is worth waiting for in words."""


def pointing(session: Session, scan: Scan, job: Job | None) -> Step | None:
    """While the person points at things and answers come; None where the Guide has something else to say."""
    prompting = session.prompting
    waits_long = job is not None and job.is_active and not job.quiet and job.seconds > LONG
    entry = segmenting.entry_of(session)
    if not prompting.points_at() or waits_long or entry is None or entry.needs() or unanswered(session) or session.notice.startswith(TAKEN):
        return None
    name, preview, waiting = session.label_class.name, scan.preview, prompting.waiting(scan)
    if preview is not None and not prompting.owns(preview):
        if not preview.finished or session.tool not in prompting.tools():
            return None
        return Step("Accept or discard what is shown; then clicks are answered again", "accept", "K", "A click never takes another tool's preview away.")
    if waiting and not session.segment.live:
        return Step("Point at more, or run the segmenter", "run", "G", "Live is off: what you point at waits for Run.")
    if job is not None and job.is_active and not job.quiet and (preview is None or preview.is_empty):
        return Step(f"The outline of {name} comes; click on meanwhile if you like", "stop", "", job.message, waiting=job.title)
    if preview is None or preview.is_empty:
        return _first(session, name, answered=preview is not None and preview.finished)
    accept = f"accept {', '.join(c.name for c in preview.classes)}"
    if session.background:
        return Step(f"Click outside {name} where it runs over, or {accept}", "accept", "K", f"Q: back to {name}, where it is missing.")
    if session.tool == "box":
        return Step(f"Shift and drag on another slice extends the box over the slices between, or {accept}", "accept", "K", preview.detail)
    act = {"scribbles": "Draw", "lasso": "Draw an outline"}.get(session.tool, "Click")
    outside = "Shift+Q: clicks, which may also say what is outside." if session.tool == "lasso" else "Q: outside, where it runs over."
    return Step(f"{act} where {name} is missing, or {accept}", "accept", "K", f"{outside} J: the next place it is not sure of.")


def _first(session: Session, name: str, *, answered: bool) -> Step:
    """Before anything is outlined."""
    if answered:
        return Step(f"Nothing was outlined: click once more inside {name}, or draw a box round it", "none", "", "Ctrl+Z takes the last click back.")
    why = "Every click is answered at once; Q: clicks outside." if session.segment.live else "Live is off: clicks wait for Run (G)."
    if session.tool == "box":
        return Step(f"Drag a box round {name}", "none", "", f"Shift and drag on another slice extends it over the slices between. {NO_MOUSE}")
    if session.tool == "lasso":
        return Step(f"Draw an outline round {name}, roughly", "none", "", f"{why} {NO_MOUSE}")
    if session.tool == "scribbles":
        return Step(f"Draw a stroke inside {name}", "none", "", "Q: strokes outside. [ and ] change the size.")
    if session.tool != "point":
        return Step(f"Press Click, then click inside {name}", "point", "Shift+Q", why)
    if session.background:
        return Step(f"Clicks are outside {name} now; press Q and click inside it first", "none", "Q", why)
    return Step(f"Click inside {name}", "none", "", f"{why} {NO_MOUSE}")


def choosing(session: Session) -> Step:
    """With a segmenter that needs no pointing at."""
    row = segmenting.chosen_engine(session)
    if row is None:
        return Step("Choose a segmenter", "none")
    if row.missing:
        return Step(f"{row.title} is not installed: choose another segmenter, or install it", "none", "", f"pip install {' '.join(row.missing)}")
    asked = unanswered(session)
    if asked:
        return Step(f"{row.title} needs: {asked}", "none", "", "Give it in the form below the list; it is remembered.")
    return Step(f"Run {row.title}; it starts with the slice in view", "run", "G", "You see the answer as it comes and may stop at any time.")


def unanswered(session: Session) -> str:
    """The first thing the chosen segmenter asks for and was not given; "" when it has all."""
    entry, given = segmenting.entry_of(session), session.answers.get(session.engine, {})
    return "" if entry is None else next((ask.title for ask in entry.asks if ask.required and given.get(ask.name) is None and ask.default is None), "")
