"""Show where the next step is done: the filled button is brought into view and framed for a moment, else the place to click in the picture is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPoint, QRect, Qt, QTimer
from qtpy.QtWidgets import QAbstractButton, QFrame, QMainWindow, QScrollArea, QWidget

from napari_medseg.session.guide import next_step

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk

SECONDS = 1.6
EDGE = 3
TABS = {"weak": "weak", "refine": "refine"}
"""Steps that are done in another tab than the open one."""


class Pointer(QFrame):
    """A frame round a widget of the window, which lets every click through."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setStyleSheet(f"border: {EDGE}px solid #e69f00; background: transparent;")
        self.hide()
        self._gone = QTimer(self)
        self._gone.setSingleShot(True)
        self._gone.setInterval(round(1000 * SECONDS))
        self._gone.timeout.connect(self.hide)

    def frame(self, widget: QWidget) -> None:
        """Frame a widget for a moment."""
        corner = widget.mapTo(self.parentWidget(), QPoint(0, 0))
        self.setGeometry(QRect(corner, widget.size()).adjusted(-EDGE, -EDGE, EDGE, EDGE))
        self.raise_()
        self.show()
        self._gone.start()


def show_step(desk: Desk, window: QWidget) -> QWidget | None:
    """Point at what the next step needs, and return it.

    Parameters
    ----------
    window : QWidget
        The window all docks lie in; a dock that floats is a window of its own.
    """
    tab = TABS.get(next_step(desk.session).action)
    if tab is not None:
        desk.session.set(tab=tab)
    target = _filled(window) or _canvas(window)
    if target is None:
        return None
    above = target.parentWidget()
    while above is not None:
        if isinstance(above, QScrollArea):
            above.ensureWidgetVisible(target)
        above = above.parentWidget()
    pointer = window.findChild(Pointer) or Pointer(window)
    pointer.frame(target)
    return target


def _filled(window: QWidget) -> QWidget | None:
    return next((b for b in window.findChildren(QAbstractButton) if b.property("primary") and b.isVisible()), None)


def _canvas(window: QWidget) -> QWidget | None:
    return window.centralWidget() if isinstance(window, QMainWindow) else None
