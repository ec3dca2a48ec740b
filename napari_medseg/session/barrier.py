"""The barrier: walls that a level set never enters nor crosses, painted also while it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.errors import InvalidInputError
from napari_medseg.session import levelset_live
from napari_medseg.session.history import Box, Step, change
from napari_medseg.session.state import Scan, full_box

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

BRUSH_MM = 4.0


def begin(session: Session) -> None:
    """Arm the brush, or put it down.

    Raises
    ------
    InvalidInputError
        When no scan is open.
    """
    scan = session.current
    if scan is None:
        raise InvalidInputError(session.declined or "no scan is open", where="Barrier", todo="Drop a scan on the window, or try a sample")
    if scan.barrier is None:
        scan.barrier = np.zeros(scan.display.geometry.shape, np.uint8)
    session.set(tool="" if session.tool == "barrier" else "barrier")


def painting(session: Session, scan: Scan, box: Box) -> None:
    """A stroke goes on; the brush is here now."""
    levelset_live.follow_barrier(session, scan, (box,))


def painted(session: Session, scan: Scan, step: Step, *, back: bool = False) -> None:
    """A stroke is in the map, or was taken back; a level set that runs keeps off it at once."""
    scan.barred += (-1 if back else 1) * sum(count for value, count in step.gained.items() if value)
    session.notice = session.trouble = ""
    levelset_live.follow_barrier(session, scan, step.boxes)
    session.changed.emit()


def walk(session: Session, scan: Scan, *, back: bool) -> None:
    """Take the last stroke back, or do it again."""
    step = scan.barrier_log.undo() if back else scan.barrier_log.redo()
    if step is not None:
        painted(session, scan, step, back=back)
        session.painted_over.emit(scan, "barrier")


def clear(session: Session, scan: Scan) -> None:
    """Remove all of it, which is one step that can be taken back."""
    step = change(scan.barrier, full_box(scan.barrier), np.zeros_like(scan.barrier)) if scan.barrier is not None else None
    if step is not None:
        scan.barrier_log.push(step)
        painted(session, scan, step)
        session.painted_over.emit(scan, "barrier")


def forget(session: Session, scan: Scan) -> None:
    """Its layer is gone."""
    clear(session, scan)
    scan.barrier = None
    scan.barrier_log.clear()
