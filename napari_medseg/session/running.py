"""What Run means in the open tab, which of the jobs that run is shown, and how patches become a preview."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from napari_medseg.errors import MedsegError
from napari_medseg.session import levelset_live, segmenting
from napari_medseg.session.jobs import PREVIEW, TRAINING, Job
from napari_medseg.session.patches import Patch
from napari_medseg.session.state import Preview, Scan

if TYPE_CHECKING:
    from napari_medseg.session.session import Session


def start(session: Session) -> None:
    """Run what the open tab, and on the Weak label tab the open page, is for.

    Raises
    ------
    MedsegError
        What keeps that engine from beginning.
    """
    if session.tab == "refine":
        session.refining.start()
    elif session.tab == "review":
        session.reviewing.run()
    elif session.tab == "segment":
        session.prompting.start() if session.prompting.interactive else segmenting.start(session)
    elif session.mode in ("levelset", "limit"):
        if session.mode == "limit":
            session.set(mode="levelset")  # whose page steers what grows now
        levelset_live.run(session)
    elif session.mode == "scribbles":
        session.live.start()
    elif session.mode == "interpolate":
        session.between.start()
    else:
        session.tidy.start()


def stop(session: Session) -> None:
    """Stop what runs in the open tab; the preview so far stays."""
    if session.tab == "review":
        session.reviewing.stop()
    elif session.tab == "refine":
        session.refining.stop()
    else:
        session.jobs.stop(PREVIEW)


def shown(session: Session) -> Job | None:
    """The job to show: the open tab's if it is active, else any active one, else the tab's last."""
    lane = session.reviewing.lane if session.tab == "review" else TRAINING if session.tab == "refine" else PREVIEW
    own = session.jobs.of(lane)
    if own is not None and own.is_active:
        return own
    return next((job for job in session.jobs.active if not job.quiet), own)


def fill(
    session: Session, scan: Scan, preview: Preview, title: str, make: Callable[[], Iterator[Patch]], done: Callable[[], None], *, device: str = "",
) -> Job:
    """Start an engine whose patches go into a preview that is shown; what it gave before a fault stays."""

    def apply(patch: Patch) -> None:
        preview.put(patch.box, patch.labels)
        preview.detail, preview.leaked, preview.neck = patch.message, patch.leaked, patch.neck
        preview.iterations, preview.held_mm, preview.rested_ml = patch.iterations, patch.held_mm, patch.rested_ml
        session.preview_changed.emit(scan, patch.box)

    def failed(error: MedsegError) -> None:
        if scan.preview is preview and preview.is_empty:
            scan.preview = None
            session.preview_changed.emit(scan, None)
        session.report(error)

    return session.jobs.start(PREVIEW, title, make, apply=apply, done=done, failed=failed, device=device)
