"""What follows when a person paints on a label layer, takes a stroke back or does it again: a `Keeper` for each map that is painted on.

`Keeper` (`paint_log.py`) says what each of their methods is told for.
"""

# ruff: noqa: D102

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer

from napari_medseg.session import barrier
from napari_medseg.session.history import Box, History, Step, change
from napari_medseg.session.locks import respected
from napari_medseg.session.session import Session
from napari_medseg.session.state import Scan, full_box

if TYPE_CHECKING:
    from napari_medseg.gui.labels_writer import LabelsWriter


class Accepted:
    """The accepted labels of a scan, whose log is the session's."""

    def __init__(self, writer: LabelsWriter, session: Session, scan: Scan) -> None:
        self._writer, self._session, self._scan = writer, session, scan

    @property
    def history(self) -> History:
        return self._scan.history

    def keep(self, step: Step) -> None:
        self._session.painted(self._scan, step)

    def undo(self) -> None:
        self._session.undo(self._scan)

    def redo(self) -> None:
        self._session.redo(self._scan)

    def drawing(self, box: Box) -> None:
        self._writer.drawn_on()
        self._session.drawing(self._scan)

    def replaced(self, array: Any) -> None:
        """Another array becomes one step on ours, so that what was done before can still be taken back."""
        labels = self._scan.labels
        if labels is None or array is labels:
            return
        values = np.asarray(array)
        if values.shape == labels.shape:
            values = respected(labels, values, self._session.table.locked)
        if values.shape == labels.shape and np.array_equal(values.astype(labels.dtype), values):
            step = change(labels, full_box(labels), values.astype(labels.dtype))
            if step is not None:
                self._session.painted(self._scan, step)
            self._writer.show_labels(self._scan, self._session.classes)
        elif values.shape == labels.shape:
            self._session.adopt_labels(self._scan, values)


class Strokes:
    """The scribbles of a scan, whose log is the scan's."""

    def __init__(self, session: Session, scan: Scan) -> None:
        self._session, self._scan = session, scan

    @property
    def history(self) -> History:
        return self._scan.stroke_log

    def keep(self, step: Step) -> None:
        """Told when the stroke is in the array: for a fill or a polygon napari speaks before it writes."""
        self._scan.keep_stroke(step)
        QTimer.singleShot(0, lambda: self._session.stroked(self._scan, step.boxes))

    def undo(self) -> None:
        self._session.undo_stroke(self._scan)

    def redo(self) -> None:
        self._session.redo_stroke(self._scan)

    def drawing(self, box: Box) -> None:
        self._session.stroking(self._scan, box)

    def replaced(self, array: Any) -> None:
        self.history.clear()


class Barrier:
    """The barrier of a scan, whose log is the scan's."""

    def __init__(self, session: Session, scan: Scan) -> None:
        self._session, self._scan = session, scan

    @property
    def history(self) -> History:
        return self._scan.barrier_log

    def keep(self, step: Step) -> None:
        self.history.push(step)
        QTimer.singleShot(0, lambda: barrier.painted(self._session, self._scan, step))

    def undo(self) -> None:
        barrier.walk(self._session, self._scan, back=True)

    def redo(self) -> None:
        barrier.walk(self._session, self._scan, back=False)

    def drawing(self, box: Box) -> None:
        barrier.painting(self._session, self._scan, box)

    def replaced(self, array: Any) -> None:
        self.history.clear()


class Limit:
    """The limit of a scan, whose log is the scan's."""

    def __init__(self, writer: LabelsWriter, session: Session, scan: Scan) -> None:
        self._writer, self._session, self._scan = writer, session, scan

    @property
    def history(self) -> History:
        return self._scan.limit_log

    def keep(self, step: Step) -> None:
        self.history.push(step)
        QTimer.singleShot(0, lambda: self._told(step))

    def _told(self, step: Step) -> None:
        self._session.limited(self._scan, step.boxes)
        self._writer.show_painted(self._scan, "limit")

    def undo(self) -> None:
        self._session.undo_limit(self._scan)

    def redo(self) -> None:
        self._session.redo_limit(self._scan)

    def drawing(self, box: Box) -> None:
        """Nothing follows a limit while it is painted."""

    def replaced(self, array: Any) -> None:
        self.history.clear()
