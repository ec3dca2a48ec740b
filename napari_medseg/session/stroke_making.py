"""Strokes that nobody drew: made of labels or of a preview, and taken away again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.errors import MedsegError, NoLabelsError
from napari_medseg.session.history import Box, around, change
from napari_medseg.session.state import Scan
from napari_medseg.volume import Array, LabelArray

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

STROKES = "strokes"
"""The lane."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """Strokes of a box, 0 where there is none."""

    box: Box
    strokes: LabelArray
    fraction: float | None = 1.0
    message: str = ""


def source(session: Session) -> tuple[Array, int | None, str] | None:
    """What strokes would be made of now, another tool's preview or the accepted labels; the class all of it is meant for; what it is called."""
    scan = session.current
    if scan is None:
        return None
    preview = scan.preview
    if preview is not None and not session.live.owns(preview) and not preview.is_empty:
        return preview.labels, session.chosen if len(preview.classes) == 1 and not preview.keeps_values else None, "preview"
    return (scan.labels, None, "labels") if scan.labels is not None and scan.has_labels else None


def from_labels(session: Session) -> None:
    """The core of each label becomes its stroke, a shell around them background; strokes that are there stay. A fault becomes `problem`."""
    try:
        scan = session.ready()
        given = source(session)
        if given is None:
            raise NoLabelsError("there is no label to take strokes from", where=scan.name, todo="Accept a preview or paint a label first")
    except MedsegError as error:
        session.report(error)
        return
    (labels, value, name), spacing = given, scan.display.geometry.spacing
    if session.tool != "scribbles":
        session.begin_scribbles()

    def make() -> Iterator[Made]:
        from napari_medseg.weaklabel.as_strokes import as_strokes

        yield Made(*as_strokes(labels if value is None else (labels > 0) * np.uint8(value), spacing))

    def apply(made: Made) -> None:
        if scan in session.scans:
            _add(session, scan, made)

    def done() -> None:
        if session.current is scan and session.scribble.live:
            session.run()

    session.jobs.start(STROKES, f"Making strokes of the {name}", make, apply=apply, done=done, failed=session.report, own_thread=True)


def clear(session: Session) -> None:
    """Take all strokes of the current scan away; one step of their log."""
    scan = session.current
    box = around(scan.strokes) if scan is not None and scan.strokes is not None else None
    if scan is not None and box is not None:
        _write(session, scan, box, np.zeros([side.stop - side.start for side in box], np.uint8))


def _add(session: Session, scan: Scan, made: Made) -> None:
    if scan.strokes is not None:
        there = scan.strokes[made.box]
        _write(session, scan, made.box, np.where(there > 0, there, made.strokes))


def _write(session: Session, scan: Scan, box: Box, strokes: LabelArray) -> None:
    if scan.strokes is None:
        return
    step = change(scan.strokes, box, strokes)
    if step is not None:
        scan.keep_stroke(step)
        session.painted_over.emit(scan, "strokes")
        session.stroked(scan, step.boxes)
