"""The first scan fills the canvas as the canvas takes its final size: on a slow machine the window and its docks get theirs long after they were asked to."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QWidget

SOON_MS = 50
"""After the last of several changes of size that come together."""
SETTLED_MS = 5000
"""A canvas that kept its size for so long has the one it shall have; what changes it then is a person."""
HANDS = (QEvent.Type.MouseButtonPress, QEvent.Type.Wheel, QEvent.Type.KeyPress)


class FirstFit(QObject):
    """Fits the view again whenever the canvas takes another size, until it has settled or a person has begun to look around.

    Parameters
    ----------
    canvas : QWidget
    fit : callable
        Shows the whole scan.
    """

    def __init__(self, canvas: QWidget, fit: Callable[[], None]) -> None:
        super().__init__(canvas)
        self._canvas, self._fit = canvas, fit
        self._soon, self._settled = QTimer(self), QTimer(self)
        self._soon.timeout.connect(self._fit)
        self._settled.timeout.connect(self._leave)
        for timer in (self._soon, self._settled):
            timer.setSingleShot(True)
        canvas.installEventFilter(self)
        self.ask()

    def ask(self) -> None:
        """Fit soon, and go on watching."""
        self._soon.start(SOON_MS)
        self._settled.start(SETTLED_MS)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Another size, or a hand on the canvas."""
        if event is not None and event.type() == QEvent.Type.Resize:
            self.ask()
        elif event is not None and event.type() in HANDS:
            self._leave()
        return False

    def _leave(self) -> None:
        self._soon.stop()
        self._settled.stop()
        self._canvas.removeEventFilter(self)
