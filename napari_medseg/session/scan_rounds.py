"""A round's labels taken into open scans, each as one step of its undo log; what would change is worked out beside the window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.session.history import Delta, difference
from napari_medseg.session.locks import respected
from napari_medseg.session.making import Making
from napari_medseg.session.state import Scan
from napari_medseg.volume import LabelArray

if TYPE_CHECKING:
    from napari_medseg.session.session import Session


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """What would change in one scan.

    Attributes
    ----------
    scan : Scan
    labels : LabelArray
        What it is to hold, in its file's voxel order.
    at : int
        Moment of the last step of its log when this was worked out.
    step : Delta or None
    """

    scan: Scan
    labels: LabelArray
    at: int
    step: Delta | None
    fraction: float | None = None
    message: str = ""


def adopt(session: Session, wanted: Sequence[tuple[Scan, Callable[[], LabelArray]]], made: Making, done: Callable[[int], None]) -> None:
    """Give scans these labels, in their files' voxel order; what a person settled stays. `done` gets how many changed."""
    changed: list[Scan] = []
    moments = {id(scan): scan.history.last for scan, _ in wanted}
    for scan, _ in wanted:
        if scan.labels is None:
            scan.hold_nothing()

    def work() -> Iterator[Ready]:
        for scan, labels in wanted:
            array = labels()
            yield Ready(scan, array, moments[id(scan)], _step(session, scan, array))

    def write(ready: Ready) -> None:
        scan = ready.scan
        if scan not in session.scans:
            return
        step = ready.step if scan.history.last == ready.at else _step(session, scan, ready.labels)  # somebody painted meanwhile
        if step is None:
            return
        step.redo()
        scan.keep(step)
        scan.is_saved = False
        changed.append(scan)
        session.labels_changed.emit(scan, step.box)
        session.edited.emit(scan, step.boxes)
        session.accepted.emit(scan, made)

    session.jobs.start(
        "adopt", "Taking labels into the open scans", work, apply=write, done=lambda: done(len(changed)), failed=session.report, own_thread=True, quiet=True,
    )


def _step(session: Session, scan: Scan, labels: LabelArray) -> Delta | None:
    now = scan.labels
    if now is None:
        return None
    shown, kept = np.asarray(scan.axes.apply(labels)).astype(now.dtype), session.verified.locked(scan)
    return difference(now, respected(now, shown if kept is None else np.where(kept, now, shown), session.table.locked))
