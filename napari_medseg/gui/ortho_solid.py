"""The labels in 3D beside the planes: accepted ones and the preview as they change, in the box of the scan, with the patient's sides written at its faces."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_medseg.annotation.prompts import PointLPS
from napari_medseg.gui.clicks import STILL
from napari_medseg.session.solid import Picture
from napari_medseg.session.views import Places
from napari_medseg.volume import Geometry
from napari_medseg.volume.orientation import towards

if TYPE_CHECKING:
    from napari_medseg.gui.ortho import Quad

EDGE = QColor(120, 120, 120)
WORDS = QColor(235, 235, 235)
FAINT = QColor(130, 130, 130)
CROSS = QColor("#f0e442")
ARM = 12.0  # pixels
ZOOM_STEP = 1.2
NOTCH = 120
HINT = "Labels appear here in 3D"
_EDGES = [(a, b) for a, b in product(range(8), repeat=2) if a < b and bin(a ^ b).count("1") == 1]


class SolidPane(QWidget):
    """The left button turns the view, a click on a surface takes the shared place there, the wheel and the right button zoom.

    Parameters
    ----------
    quad : Quad
    """

    drawn = Signal()

    def __init__(self, quad: Quad) -> None:
        super().__init__()
        self._quad = quad
        self._shown: Picture | None = None
        self._image = QImage()
        self._pressed = self._last = QPointF()
        self._wandered = False
        self._fresh = False
        self.setMinimumSize(80, 80)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setCursor(Qt.CursorShape.OpenHandCursor)

    def put(self, picture: Picture | None) -> None:
        """Show surfaces that were drawn, or none."""
        self._shown, self._image = picture, QImage()
        if picture is not None:
            rows, columns = picture.depth.shape
            image = QImage(picture.colours.tobytes(), columns, rows, 4 * columns, QImage.Format.Format_RGBA8888)
            self._image = image.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)
        self._fresh = True
        self.update()

    @property
    def zoom(self) -> float:
        """Pixels a mm: the box of the scan fits whichever way it is turned."""
        grid = self._quad.views.grid
        if grid is None:
            return 1.0
        diagonal = float(np.linalg.norm(np.array(grid.shape) * np.array(grid.spacing)))
        return 0.9 * min(self.width(), self.height()) / diagonal * self._quad.views.turn.zoom

    @property
    def centre(self) -> PointLPS:
        """What is in the middle: that of the scan."""
        grid = self._quad.views.grid
        x, y, z = (0.0, 0.0, 0.0) if grid is None else (float(v) for v in grid.world((np.array(grid.shape) - 1) / 2))
        return x, y, z

    # -- drawing -----------------------------------------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw what lies behind the labels, the labels, and what lies in front."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), Qt.GlobalColor.black)
        grid = self._quad.views.grid
        if grid is not None:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            corners = self._corners(grid)
            nearest = int(corners[:, 2].argmax())
            self._draw_box(painter, corners, nearest, front=False)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            if not self._image.isNull():
                painter.drawImage(QRectF(self.rect()), self._image)
            self._draw_box(painter, corners, nearest, front=True)
            self._draw_place(painter)
            self._draw_letters(painter, grid)
            if self._image.isNull():
                painter.setPen(FAINT)
                painter.drawText(self.rect().adjusted(6, 6, -6, -6), int(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom), HINT)
            painter.setPen(WORDS)
            painter.drawText(self.rect().adjusted(6, 4, -6, -4), int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop), "3D")
        painter.end()
        if self._fresh:
            self._fresh = False
            self.drawn.emit()

    def _screen(self, points: Places) -> Places:
        """LPS mm (n, 3) to pixels across and down, and mm towards the person."""
        seen = (np.atleast_2d(points) - np.array(self.centre)) @ self._quad.views.turn.matrix.T
        return np.column_stack([self.width() / 2 + seen[:, 0] * self.zoom, self.height() / 2 - seen[:, 1] * self.zoom, seen[:, 2]])

    def _corners(self, grid: Geometry) -> Places:
        sides = [(-0.5, size - 0.5) for size in grid.shape]
        return self._screen(grid.world(np.array(list(product(*sides)))))

    @staticmethod
    def _draw_box(painter: QPainter, corners: Places, nearest: int, *, front: bool) -> None:
        painter.setPen(QPen(EDGE, 1, Qt.PenStyle.SolidLine if not front else Qt.PenStyle.DotLine))
        for one, two in _EDGES:
            if (nearest in (one, two)) == front:
                painter.drawLine(QPointF(*corners[one, :2]), QPointF(*corners[two, :2]))

    def _draw_place(self, painter: QPainter) -> None:
        place = self._quad.views.place
        if place is None:
            return
        x, y, _ = self._screen(np.array(place))[0]
        painter.setPen(QPen(CROSS, 1.5))
        painter.drawLine(QPointF(x - ARM, y), QPointF(x + ARM, y))
        painter.drawLine(QPointF(x, y - ARM), QPointF(x, y + ARM))

    def _draw_letters(self, painter: QPainter, grid: Geometry) -> None:
        """The side of the patient at the middle of each face of the box, fainter on faces that look away."""
        if not self._quad.views_letters:
            return
        middle = (np.array(grid.shape, float) - 1) / 2
        turn = self._quad.views.turn.matrix
        for axis in range(3):
            for end in (-1, 1):
                face = middle.copy()
                face[axis] += end * (grid.shape[axis] / 2 + 6.0 / (self.zoom * grid.spacing[axis]))
                way = end * grid.matrix[:, 2 - axis]
                x, y, _ = self._screen(grid.world(face))[0]
                painter.setPen(WORDS if turn[2] @ way > -0.2 else FAINT)
                painter.drawText(QRectF(x - 14, y - 10, 28, 20), int(Qt.AlignmentFlag.AlignCenter), towards(way))

    # -- the pointer -------------------------------------------------------------------------------------------------------------------------------------

    def pick(self, pos: QPointF) -> PointLPS | None:
        """The point of a surface under a place of the pane."""
        return None if self._shown is None else self._shown.pick(pos.x() / self.width(), pos.y() / self.height())

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Nearer or farther."""
        event.accept()
        views = self._quad.views
        views.look(views.turn.zoomed(ZOOM_STEP ** (event.angleDelta().y() / NOTCH)))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold."""
        self.window().setFocus()
        self._pressed = self._last = _where(event)
        self._wandered = False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Turn or zoom."""
        pos, views = _where(event), self._quad.views
        way, self._last = pos - self._last, pos
        far = pos - self._pressed
        self._wandered = self._wandered or max(abs(far.x()), abs(far.y())) > STILL
        if event.buttons() & Qt.MouseButton.LeftButton and self._wandered:
            views.look(views.turn.dragged(way.x(), way.y()))
        elif event.buttons() & Qt.MouseButton.RightButton:
            views.look(views.turn.zoomed(float(np.exp(-way.y() / 150))))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """A click takes the shared place to the surface."""
        if event.button() == Qt.MouseButton.LeftButton and not self._wandered:
            point = self.pick(_where(event))
            if point is not None:
                self._quad.go_to_surface(point)


def _where(event: QMouseEvent) -> QPointF:
    """Where the pointer is; Qt 5 and 6 name it differently."""
    return event.position() if hasattr(event, "position") else QPointF(event.localPos())
