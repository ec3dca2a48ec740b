"""Python's full search for what may go takes 40 to 240 ms, stops every thread and comes at any moment, in a stroke too; in our own window it waits for a rest.

Loading torch alone makes so many objects that Python searches them all at once, just when the person who opened the Segment tab begins to draw.
"""

from __future__ import annotations

import gc

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QApplication

EVERY_MS = 1000
DUE = 10  # of the smaller searches since the last full one: what Python waits for by itself
PAUSE = 15  # looks after a search without another one
LONGEST = 60  # looks; a person who never rests gets it all the same, since closed scans may wait for it
NEVER = 1 << 30
HANDS = (QEvent.Type.KeyPress, QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove, QEvent.Type.Wheel, QEvent.Type.TabletMove, QEvent.Type.Drop)


class RestingSearch(QObject):
    """Searches when neither mouse nor keys were touched between two looks.

    Parameters
    ----------
    parent : QObject
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._rests, self._waited = False, 0
        self._before = gc.get_threshold()
        gc.set_threshold(*self._before[:2], NEVER)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(EVERY_MS)

    def close(self) -> None:
        """Python searches by itself again."""
        self._timer.stop()
        self._listen(False)
        gc.set_threshold(*self._before)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Is there only while a search is due, since every event of the program comes by."""
        if event is not None and event.type() in HANDS:
            self._rests = False
        return False

    def _look(self) -> None:
        self._waited += 1
        if gc.get_count()[2] < DUE or self._waited <= 0:
            return
        if self._rests or self._waited >= LONGEST:
            self._listen(False)
            self._rests, self._waited = False, -PAUSE
            gc.collect()
        else:
            self._listen(True)
            self._rests = QApplication.mouseButtons() == Qt.MouseButton.NoButton

    def _listen(self, on: bool) -> None:
        app = QApplication.instance()
        if app is not None:
            app.removeEventFilter(self)
            if on:
                app.installEventFilter(self)
