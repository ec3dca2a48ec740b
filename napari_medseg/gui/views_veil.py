"""What is drawn over napari's canvas without being part of its picture: the crosshair, and the window while it is dragged.

A plain widget on top of the canvas: no layer appears in the person's list, and the scene is not drawn anew for a line that moves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QEvent, QObject, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

from napari_medseg.gui.ortho_frame import find_canvas
from napari_medseg.gui.ortho_pane import COLOURS
from napari_medseg.session.views import PLANES

GAP = 8.0
UNDER = QColor(0, 0, 0, 170)
WORDS = QColor(235, 235, 235)



@dataclass(frozen=True, slots=True)
class Cross:
    """What the lines are.

    Attributes
    ----------
    down, across : float
        Where they cross, in the canvas's world.
    planes : (str, str)
        The planes that the level and the upright line stand for.
    title : str
        What the canvas shows; "" for nothing.
    plane : str
        The plane it is.
    """

    down: float
    across: float
    planes: tuple[str, str]
    title: str = ""
    plane: str = PLANES[2]


Place = Callable[[], Cross | None]


class Veil(QWidget):
    """Over one canvas, as large as it is; the mouse goes through it.

    Parameters
    ----------
    canvas : QWidget
    viewer : napari viewer
    place : callable
        Where the lines cross; None where nothing is to be drawn.
    """

    def __init__(self, canvas: QWidget, viewer: Any, place: Place) -> None:
        super().__init__(canvas)
        self._viewer, self._place = viewer, place
        self._cross, self._words = False, ""
        self._drawn: object = None
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setGeometry(canvas.rect())
        canvas.installEventFilter(self)
        self.hide()

    @classmethod
    def of(cls, window: Any, viewer: Any, place: Place) -> Veil | None:
        """For the canvas of a napari window; None for another window."""
        canvas = find_canvas(window)
        return None if canvas is None else cls(canvas, viewer, place)

    def show_cross(self, on: bool) -> None:
        """Draw the crosshair, or do not."""
        self._cross = on
        self._look()

    def say(self, words: str) -> None:
        """Write over the canvas; "" takes it away."""
        if words != self._words:
            self._words = words
            self._look()

    def follow(self) -> None:
        """The place or the camera is another one."""
        if self._cross and (self._place(), self.at()) != self._drawn:
            self.update()

    def close(self) -> bool:
        """Take it off the canvas."""
        try:
            self.parent().removeEventFilter(self)
            self.hide()
            self.deleteLater()
        except RuntimeError:  # the window went first
            return False
        return True

    def at(self) -> tuple[float, float] | None:
        """Where the lines cross, in pixels across and down."""
        place = self._place() if self._cross else None
        if place is None:
            return None
        camera = self._viewer.scene.camera
        down, across = (str(way).lower() for way in camera.orientation2d)
        zoom = float(camera.zoom)
        x = (place.across - camera.center[-1]) * zoom * (1 if "right" in across else -1)
        y = (place.down - camera.center[-2]) * zoom * (1 if "down" in down else -1)
        return self.width() / 2 + x, self.height() / 2 + y

    def _look(self) -> None:
        wanted = self._cross or bool(self._words)
        if wanted != self.isVisibleTo(self.parentWidget()):
            self.setVisible(wanted)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the lines and the words."""
        cross, at = self._place() if self._cross else None, self.at()
        self._drawn = cross, at
        painter = QPainter(self)
        if cross is not None and at is not None:
            x, y = at
            painter.setPen(QPen(COLOURS[cross.planes[0]], 1))
            for start, end in ((0.0, x - GAP), (x + GAP, float(self.width()))):
                painter.drawLine(round(start), round(y), round(end), round(y))
            painter.setPen(QPen(COLOURS[cross.planes[1]], 1))
            for start, end in ((0.0, y - GAP), (y + GAP, float(self.height()))):
                painter.drawLine(round(x), round(start), round(x), round(end))
            if cross.title:
                box = painter.boundingRect(QRectF(6, 3, self.width(), 20), int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop), cross.title)
                painter.fillRect(box.adjusted(-2, 0, 2, 0), UNDER)
                painter.setPen(COLOURS[cross.plane])
                painter.drawText(box, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop), cross.title)
        if self._words:
            place = int(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom)
            area = QRectF(self.rect().adjusted(0, 0, 0, -28))
            box = painter.boundingRect(area, place, self._words)
            painter.fillRect(box.adjusted(-6, -3, 6, 3), UNDER)
            painter.setPen(WORDS)
            painter.drawText(box, place, self._words)
        painter.end()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay as large as the canvas."""
        if event.type() == QEvent.Type.Resize:
            self.setGeometry(self.parentWidget().rect())
        return False
