"""One plane of what is in view: a slice with its labels, drawn in millimetres, with the shared place, letters, and where it lies.

The slice is drawn beside the window (`session/planes.py`); here it is only put on the screen, so that what the mouse does is never waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QTransform, QWheelEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_medseg.gui.clicks import STILL
from napari_medseg.gui.ortho_hand import Grip
from napari_medseg.session.place import edge_letters
from napari_medseg.session.planes import Cut
from napari_medseg.session.views import Places
from napari_medseg.volume import Geometry

if TYPE_CHECKING:
    from napari_medseg.gui.ortho import Quad
    from napari_medseg.gui.ortho_sheets import Dots

COLOURS = {"Axial": QColor("#e69f00"), "Coronal": QColor("#56b4e9"), "Sagittal": QColor("#cc79a7")}  # Okabe and Ito's
WORDS = QColor(235, 235, 235)
UNDER = QColor(0, 0, 0, 150)
DRAFT = QColor("#e69f00")
GAP = 7.0  # pixels around the shared place that the crosshair leaves free
NEAREST, FARTHEST = 50.0, 0.2  # of the zoom that shows the whole slice
FILLED = 0.96  # of the pane, then
ZOOM_STEP = 1.2
NOTCH = 120  # of a wheel
DOT = 4.0


class PlanePane(QWidget):
    """A plane. The left button is the tool in hand, or takes the shared place along, as Shift and a move always do.

    A double-click brings the plane into the main view. The wheel goes through slices, with Ctrl it zooms; the middle button moves the picture; the right one
    changes the window while that is on, else it zooms.

    Parameters
    ----------
    quad : Quad
        Knows the views, the hand and what to draw.
    axis : int
        Across the plane.
    """

    drawn = Signal()

    def __init__(self, quad: Quad, axis: int) -> None:
        super().__init__()
        self._quad, self.axis = quad, axis
        self.index: int | None = None  # of the slice that is drawn
        self.words = ""
        self._picture = self._labels = QImage()
        self._dots: tuple[Dots, ...] = ()
        self._step = 1
        self._near, self._centre = 1.0, (0.0, 0.0)  # 1 shows the whole slice
        self._grip: Grip | None = None
        self._pressed: QPointF | None = None
        self._last = QPointF()
        self._fresh = False
        self._fitted: tuple[object, ...] = ()
        self._wheel = 0
        self.setMinimumSize(80, 80)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setCursor(Qt.CursorShape.CrossCursor)

    # -- what is shown -----------------------------------------------------------------------------------------------------------------------------------

    def put(self, cut: Cut | None, index: int, dots: tuple[Dots, ...] = (), words: str = "") -> None:
        """Show a slice that was drawn, or say why there is none."""
        self.index, self.words, self._dots = index, words, dots
        self._picture = self._labels = QImage()
        if cut is not None:
            rows, columns = cut.picture.shape[:2]
            self._step = cut.step
            picture = QImage(cut.picture.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888)
            self._picture = picture.convertToFormat(QImage.Format.Format_RGB32)  # what Qt draws fastest
            if cut.labels is not None:
                labels = QImage(cut.labels.tobytes(), columns, rows, 4 * columns, QImage.Format.Format_RGBA8888_Premultiplied)
                self._labels = labels.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)
        self._fresh = True
        self.update()

    def wait(self, words: str) -> None:
        """Say that a slice is not there yet, and why."""
        if words != self.words:
            self.words = words
            self.update()

    def fit(self) -> None:
        """Bring the whole slice into view."""
        grid = self._grid
        if grid is not None:
            high, wide = self._extent(grid)
            self._near, self._centre, self._fitted = 1.0, (wide / 2, high / 2), (grid.shape, grid.spacing)
            self.update()

    @property
    def _zoom(self) -> float:
        """Pixels a mm."""
        grid = self._grid
        if grid is None or not self.width() or not self.height():
            return 0.0
        high, wide = self._extent(grid)
        return FILLED * min(self.width() / wide, self.height() / high) * self._near

    def _extent(self, grid: Geometry) -> tuple[float, float]:
        """Height and width of the slice in mm."""
        rows, columns = self._sides()
        return grid.shape[rows] * grid.spacing[rows], grid.shape[columns] * grid.spacing[columns]

    @property
    def _grid(self) -> Geometry | None:
        return self._quad.views.grid

    def _sides(self) -> tuple[int, int]:
        rows, columns = (each for each in range(3) if each != self.axis)
        return rows, columns

    def at(self, pos: QPointF) -> Places | None:
        """The voxel under a place of the pane, in the middle of the slice that is looked at; it may lie beside the scan."""
        grid, index = self._grid, self._quad.index(self.axis)
        if grid is None or index is None or not self._zoom:
            return None
        rows, columns = self._sides()
        voxel = np.zeros(3)
        voxel[columns] = ((pos.x() - self.width() / 2) / self._zoom + self._centre[0]) / grid.spacing[columns] - 0.5
        voxel[rows] = ((pos.y() - self.height() / 2) / self._zoom + self._centre[1]) / grid.spacing[rows] - 0.5
        voxel[self.axis] = index
        return voxel

    def point(self, voxel: Places) -> QPointF:
        """Where a voxel is in the pane."""
        grid = self._grid
        if grid is None:
            return QPointF()
        rows, columns = self._sides()
        across, down = (voxel[columns] + 0.5) * grid.spacing[columns], (voxel[rows] + 0.5) * grid.spacing[rows]
        return QPointF((across - self._centre[0]) * self._zoom + self.width() / 2, (down - self._centre[1]) * self._zoom + self.height() / 2)

    # -- drawing -----------------------------------------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the slice, what lies over it, and the words."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), Qt.GlobalColor.black)
        grid = self._grid
        if grid is not None:
            if self._fitted != (grid.shape, grid.spacing):
                self.fit()
            self._draw_slice(painter, grid)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._draw_dots(painter)
            self._draw_outlines(painter)
            self._draw_cross(painter)
            self._draw_hand(painter)
            self._draw_words(painter, grid)
        elif self.words:
            painter.setPen(WORDS)
            painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap), self.words)
        painter.end()
        if self._fresh:
            self._fresh = False
            self.drawn.emit()

    def _draw_slice(self, painter: QPainter, grid: Geometry) -> None:
        if self._picture.isNull():
            return
        rows, columns = self._sides()
        to_screen = QTransform()
        to_screen.translate(self.width() / 2, self.height() / 2)
        to_screen.scale(self._zoom, self._zoom)
        to_screen.translate(-self._centre[0], -self._centre[1])
        to_screen.scale(grid.spacing[columns] * self._step, grid.spacing[rows] * self._step)
        painter.setTransform(to_screen)
        whole = QRectF(0, 0, self._picture.width(), self._picture.height())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(whole, self._picture)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        if not self._labels.isNull():
            painter.drawImage(whole, self._labels)
        painter.resetTransform()

    def _draw_dots(self, painter: QPainter) -> None:
        held = self._quad.held
        index = self._quad.index(self.axis)
        if held is None or index is None:
            return
        base = held.base
        for dots in self._dots:
            voxels = (dots.places - np.array(base.translate)) / np.array(base.scale)
            for which in np.flatnonzero(np.abs(voxels[:, self.axis] - index) <= 0.5 + 1e-6):
                place, colour = self.point(voxels[which]), QColor.fromRgbF(*(float(c) for c in np.clip(dots.colours[which], 0, 1)))
                painter.setPen(QPen(Qt.GlobalColor.white if not dots.crosses[which] else colour, 1.2 if not dots.crosses[which] else 2))
                if dots.crosses[which]:
                    painter.drawLine(place + QPointF(-DOT, -DOT), place + QPointF(DOT, DOT))
                    painter.drawLine(place + QPointF(-DOT, DOT), place + QPointF(DOT, -DOT))
                else:
                    painter.setBrush(colour)
                    painter.drawEllipse(place, DOT, DOT)
                    painter.setBrush(Qt.BrushStyle.NoBrush)

    def _draw_outlines(self, painter: QPainter) -> None:
        """Boxes, lassos and rulers."""
        for outline, colour in self._quad.outlines(self.axis):
            shape = QPolygonF([self.point(voxel) for voxel in outline.places])
            painter.setPen(QPen(colour, 1.6))
            if outline.closed:
                painter.drawPolygon(shape)
            else:
                painter.drawPolyline(shape)
            if outline.words:
                middle = (shape[0] + shape[1]) / 2
                self._write(painter, QRectF(middle.x() + 6, middle.y() - 9, 160, 18), Qt.AlignmentFlag.AlignLeft, outline.words, colour)

    def _draw_cross(self, painter: QPainter) -> None:
        """A line for each of the two planes that cross this one, in its colour."""
        voxel = self._quad.views.voxel
        if voxel is None:
            return
        rows, columns = self._sides()
        here = self.point(np.array(voxel, float))
        for axis, lines in ((columns, _vertical(here, self.height())), (rows, _horizontal(here, self.width()))):
            painter.setPen(QPen(COLOURS[self._quad.plane(axis)], 1))
            for start, end in lines:
                painter.drawLine(start, end)

    def _draw_hand(self, painter: QPainter) -> None:
        if self._grip is not None and self._grip.outline:
            shape = QPolygonF([self.point(voxel) for voxel in self._grip.outline])
            painter.setPen(QPen(DRAFT, 2))
            if self._grip.closed:
                painter.drawPolygon(shape)
            else:
                painter.drawPolyline(shape)
        ring = self._quad.hand.ring(self.axis) if self.underMouse() else None
        if ring is not None:
            painter.setPen(QPen(WORDS, 1))
            painter.drawEllipse(self._last, ring * self._zoom, ring * self._zoom)

    def _draw_words(self, painter: QPainter, grid: Geometry) -> None:
        rows, columns = self._sides()
        letters = edge_letters(grid, (rows, columns))
        area = self.rect().adjusted(5, 3, -5, -3)
        left, right, top, bottom = (Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight, Qt.AlignmentFlag.AlignTop, Qt.AlignmentFlag.AlignBottom)
        across, middle = Qt.AlignmentFlag.AlignHCenter, Qt.AlignmentFlag.AlignVCenter
        here = self._quad.views.slice(self.axis)
        title = "" if here is None else f"{here.plane}   {here.words}"
        if self._quad.views_letters:
            for edge, place in (("left", left | middle), ("right", right | middle), ("top", top | right), ("bottom", bottom | across)):
                words = letters[edge] if edge != "top" else ""
                self._write(painter, area, place, words)
            self._write(painter, area.adjusted(0, 18, 0, 0), top | across, letters["top"])
        self._write(painter, area, top | left, title, COLOURS[self._quad.plane(self.axis)])
        if self.words:
            self._write(painter, area, bottom | left, self.words)

    @staticmethod
    def _write(painter: QPainter, area: object, place: Qt.AlignmentFlag, words: str, colour: QColor = WORDS) -> None:
        if not words:
            return
        box = painter.boundingRect(QRectF(area), int(place), words)
        beside = max(2.0, (box.height() - box.width()) / 2)  # an I on a line of the crosshair would be a part of it
        painter.fillRect(box.adjusted(-beside, 0, beside, 0), UNDER)
        painter.setPen(colour)
        painter.drawText(box, int(place), words)

    # -- the pointer -------------------------------------------------------------------------------------------------------------------------------------

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Through slices; with Ctrl zoom."""
        event.accept()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._zoom_by(ZOOM_STEP ** (event.angleDelta().y() / NOTCH), event.position())
            return
        self._wheel += event.angleDelta().y()
        steps = int(self._wheel / NOTCH)
        if steps:
            self._wheel -= steps * NOTCH
            self._quad.views.step(self.axis, steps)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold."""
        self.window().setFocus()  # who wrote a name has the keys again
        self._pressed = self._last = _where(event)
        voxel = self.at(self._last)
        if voxel is None:
            return
        if event.button() == Qt.MouseButton.LeftButton:
            self._grip = self._quad.hand.press(voxel, self.axis, shift=bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))
        elif event.button() == Qt.MouseButton.RightButton and self._quad.views.levelling:
            self._quad.level.begin()
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go along."""
        pos, before = _where(event), self._last
        self._last = pos
        buttons = event.buttons()
        voxel = self.at(pos)
        if voxel is None:
            return
        if self._grip is not None and buttons & Qt.MouseButton.LeftButton:
            self._grip.move(voxel)
        elif self._quad.level.active and self._pressed is not None and buttons & Qt.MouseButton.RightButton:
            moved = pos - self._pressed
            self.words = self._quad.level.drag(moved.x(), moved.y())
        elif buttons & Qt.MouseButton.RightButton:
            self._zoom_by(float(np.exp((before.y() - pos.y()) / 150)), self._pressed)
        elif buttons & Qt.MouseButton.MiddleButton:
            way = pos - before
            self._centre = (self._centre[0] - way.x() / self._zoom, self._centre[1] - way.y() / self._zoom)
        elif not buttons and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._quad.views.go_voxel(voxel)
        elif self._quad.hand.ring(self.axis) is None:
            return
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go."""
        grip, self._grip = self._grip, None
        pos = _where(event)
        voxel = self.at(pos)
        if grip is not None and voxel is not None:
            still = self._pressed is not None and max(abs(pos.x() - self._pressed.x()), abs(pos.y() - self._pressed.y())) <= STILL
            grip.release(voxel, clicked=still)
        if self._quad.level.active:
            self._quad.level.end()
            self.words = ""
        self._pressed = None
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Bring this plane into the main view, unless a tool is in hand."""
        if event.button() == Qt.MouseButton.LeftButton and not self._quad.hand.acts:
            self._quad.to_main(self.axis)
        else:
            self.mousePressEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """The brush's ring goes."""
        self.update()

    def _zoom_by(self, factor: float, about: QPointF | None) -> None:
        if about is None or not self._zoom:
            return
        before, self._near = self._zoom, float(np.clip(self._near * factor, FARTHEST, NEAREST))
        dx, dy, after = about.x() - self.width() / 2, about.y() - self.height() / 2, self._zoom
        self._centre = (self._centre[0] + dx / before - dx / after, self._centre[1] + dy / before - dy / after)
        self.update()


def _vertical(here: QPointF, height: int) -> tuple[tuple[QPointF, QPointF], ...]:
    x, y = here.x(), here.y()
    return (QPointF(x, 0), QPointF(x, y - GAP)), (QPointF(x, y + GAP), QPointF(x, height))


def _horizontal(here: QPointF, width: int) -> tuple[tuple[QPointF, QPointF], ...]:
    x, y = here.x(), here.y()
    return (QPointF(0, y), QPointF(x - GAP, y)), (QPointF(x + GAP, y), QPointF(width, y))


def _where(event: QMouseEvent) -> QPointF:
    """Where the pointer is; Qt 5 and 6 name it differently."""
    return event.position() if hasattr(event, "position") else QPointF(event.localPos())
