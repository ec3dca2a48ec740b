"""The mouse on napari's canvas while our views are on: the right button drags the window, and the wheel goes through slices as it does in the panes.

Both are taken before napari hears of them, whatever layer is selected and whichever of its tools is in hand; when the views are off nothing is listened to,
and napari's own zoom is back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent, QObject, QPointF, Qt
from qtpy.QtGui import QMouseEvent, QWheelEvent
from qtpy.QtWidgets import QApplication, QWidget

from napari_medseg.gui.levelling import Levelling
from napari_medseg.gui.ortho_frame import find_canvas
from napari_medseg.session.views import Views

NOTCH = 120


class CanvasMouse(QObject):
    """Listens to one canvas.

    Parameters
    ----------
    canvas : QWidget
    views : Views
    level : Levelling
    step : callable
        Goes so many slices on.
    say : callable
        Shows the window in words; "" takes them away.
    """

    def __init__(self, canvas: QWidget, views: Views, level: Levelling, step: Callable[[int], None], say: Callable[[str], None]) -> None:
        super().__init__(canvas)
        self._canvas, self._views, self._level, self._step, self._say = canvas, views, level, step, say
        self._on = self._resent = False
        self._pressed: QPointF | None = None
        self._wheel = 0

    @classmethod
    def of(cls, window: Any, views: Views, level: Levelling, step: Callable[[int], None], say: Callable[[str], None]) -> CanvasMouse | None:
        """For the canvas of a napari window; None for another window."""
        canvas = find_canvas(window)
        return None if canvas is None else cls(canvas, views, level, step, say)

    def listen(self, on: bool) -> None:
        """Listen, or leave the mouse to napari."""
        if on == self._on:
            return
        self._on = on
        try:
            if on:
                self._canvas.installEventFilter(self)
            else:
                self._canvas.removeEventFilter(self)
        except RuntimeError:  # the window went first
            return

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take what is ours."""
        kind = event.type()
        if kind == QEvent.Type.Wheel and self._views.ortho and not self._resent:
            return self._on_wheel(event)
        if kind == QEvent.Type.MouseButtonPress and self._views.levelling and event.button() == Qt.MouseButton.RightButton:
            self._level.begin()
            self._pressed = _where(event)
            return True
        if self._pressed is None:
            return False
        if kind == QEvent.Type.MouseMove:
            moved = _where(event) - self._pressed
            if self._level.active:
                self._say(self._level.drag(moved.x(), moved.y()))
            return True
        if kind == QEvent.Type.MouseButtonRelease and event.button() == Qt.MouseButton.RightButton:
            self._pressed = None
            self._level.end()
            self._say("")
            return True
        return False

    def _on_wheel(self, event: QWheelEvent) -> bool:
        modifiers = event.modifiers()
        if modifiers & Qt.KeyboardModifier.ControlModifier:
            self._zoom(event)
            return True
        if modifiers != Qt.KeyboardModifier.NoModifier:
            return False
        self._wheel += event.angleDelta().y()
        steps = int(self._wheel / NOTCH)
        if steps:
            self._wheel -= steps * NOTCH
            self._step(steps)
        return True

    def _zoom(self, event: QWheelEvent) -> None:
        """With a wheel that is turned alone napari zooms."""
        alone = QWheelEvent(
            event.position(), event.globalPosition(), event.pixelDelta(), event.angleDelta(), event.buttons(), Qt.KeyboardModifier.NoModifier, event.phase(),
            event.inverted(),
        )
        self._resent = True
        try:
            QApplication.sendEvent(self._canvas, alone)
        finally:
            self._resent = False


def _where(event: QMouseEvent) -> QPointF:
    """Where the pointer is; Qt 5 and 6 name it differently."""
    return event.position() if hasattr(event, "position") else QPointF(event.localPos())
