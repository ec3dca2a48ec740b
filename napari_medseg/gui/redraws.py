"""When docks draw themselves: soon after a change, and together with the canvas while a result grows on it."""

from __future__ import annotations

import time
from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer

from napari_medseg.gui.labels_writer import LabelsWriter
from napari_medseg.session.session import Session

REFRESH_MS = 30
BEGIN_MS = 150  # a front that was just told to run has the machine to itself for so long, or until its first mask is drawn


class Redraws:
    """Calls `draw` at most every 30 ms after something changed.

    Parameters
    ----------
    session : Session
    writer : LabelsWriter
        Says when it draws, and whether it is about to.
    draw : callable
    parent : QObject
        Owns the timer.
    """

    def __init__(self, session: Session, writer: LabelsWriter, draw: Callable[[], None], parent: QObject) -> None:
        self._session, self._writer, self._draw = session, writer, draw
        self._behind, self._asked = False, 0.0
        self._timer = QTimer(parent)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._on_time)
        writer.redrawing.connect(self._on_canvas)

    def ask(self) -> None:
        """Something changed."""
        self._behind = True
        if not self._timer.isActive():
            self._asked = time.perf_counter()
            self._timer.start(REFRESH_MS)

    def close(self) -> None:
        """Draw no more."""
        self._timer.stop()

    def _on_time(self) -> None:
        front, left = self._session.front, BEGIN_MS - int(1000 * (time.perf_counter() - self._asked))
        if left > 0 and front is not None and front.state == "running" and not front.updates:  # whether it runs shows only after it was asked for
            self._timer.start(left)
        elif self._behind and not self._writer.is_waiting:
            self._behind = False
            self._draw()

    def _on_canvas(self) -> None:
        """The canvas is drawn now: docks that are behind draw themselves too."""
        if self._behind:
            self._timer.stop()
            self._behind = False
            self._draw()
