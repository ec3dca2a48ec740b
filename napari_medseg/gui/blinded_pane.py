"""One of the two pictures a rater chooses between: a slice with an outline in one neutral colour. Both share one view, so they move as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen, QResizeEvent, QTransform, QWheelEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_medseg.review.blinded.pictures import Shown
from napari_medseg.volume import Array
from napari_medseg.volume.windows import Window

OUTLINE = QColor(255, 214, 64)  # the same for both; seen on black, grey and white
UNDER = QColor(0, 0, 0, 170)
FILL = QColor(255, 214, 64, 70)
LETTERS = {"axial": "ARPL", "coronal": "SRIL", "sagittal": "SAIP"}  # top, left, bottom, right of the display grid
ZOOM_STEP = 1.25
CLOSEST, WIDEST = 40.0, 0.05  # screen pixels a mm


@dataclass
class View:
    """What both panes look at.

    Attributes
    ----------
    slice : int
    centre : (x, y) in mm from the first pixel's corner
    zoom : float
        Screen pixels a mm; 0 before it is fitted.
    window : Window
    outline : str
        "line", "fill" or "none".
    """

    slice: int = 0
    centre: tuple[float, float] = (0.0, 0.0)
    zoom: float = 0.0
    window: Window = Window(0.0, 1.0)  # noqa: RUF009 - frozen
    outline: str = "line"


class Pane(QWidget):
    """Draws one side. The wheel goes through slices (with Ctrl it zooms), the left button moves, the right one changes level and width.

    Parameters
    ----------
    view : View
        Shared with the other pane.
    changed : callable
        Told when this pane changed the view, so that both are drawn anew.
    """

    painted = Signal()

    def __init__(self, view: View, changed: Callable[[], None]) -> None:
        super().__init__()
        self._view, self._changed = view, changed
        self._shown: Shown | None = None
        self._mask: Array | None = None
        self._key: tuple[object, ...] = ()
        self._image = QImage()
        self._path = QPainterPath()
        self._grab: tuple[QPointF, tuple[float, float], Window] | None = None
        self._is_fresh = False
        self.setMinimumSize(200, 200)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def put(self, shown: Shown | None, mask: Array | None) -> None:
        """Show a slice or volume with a mask; None for nothing yet."""
        self._shown, self._mask, self._key, self._is_fresh = shown, mask, (), True
        self.update()

    def fit(self, whole: bool = False) -> None:
        """Bring both masks into view, or the whole slice."""
        if self._shown is None or not self.width() or not self.height():
            return
        rows, columns = self._shown.image.shape[1:]
        high, wide = rows * self._shown.spacing[0], columns * self._shown.spacing[1]
        top, left, height, width = (0.0, 0.0, high, wide) if whole else self._shown.frame()
        self._view.centre = (left + width / 2, top + height / 2)
        self._view.zoom = min(self.width() / width, self.height() / height)

    def zoom_by(self, factor: float, at: QPointF | None = None) -> None:
        """Zoom, keeping the place under the pointer."""
        view = self._view
        zoom = float(np.clip(view.zoom * factor, WIDEST, CLOSEST))
        if at is not None and view.zoom:
            dx, dy = at.x() - self.width() / 2, at.y() - self.height() / 2
            view.centre = (view.centre[0] + dx / view.zoom - dx / zoom, view.centre[1] + dy / view.zoom - dy / zoom)
        view.zoom = zoom
        self._changed()

    # -- drawing -----------------------------------------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the slice and the outline."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), Qt.GlobalColor.black)
        shown, view = self._shown, self._view
        if shown is None or self._mask is None:
            return
        if not view.zoom:
            self.fit()
        self._prepare(shown, self._mask)
        rows, columns = shown.image.shape[1:]
        to_screen = QTransform()
        to_screen.translate(self.width() / 2, self.height() / 2)
        to_screen.scale(view.zoom, view.zoom)
        to_screen.translate(-view.centre[0], -view.centre[1])
        to_screen.scale(shown.spacing[1], shown.spacing[0])
        painter.setTransform(to_screen)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(QRectF(0, 0, columns, rows), self._image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if view.outline == "fill":
            painter.fillPath(self._path, FILL)
        if view.outline != "none":
            for colour, width in ((UNDER, 4), (OUTLINE, 2)):
                pen = QPen(colour, width)
                pen.setCosmetic(True)
                painter.setPen(pen)
                painter.drawPath(self._path)
        painter.resetTransform()
        self._letters(painter, shown)
        painter.end()
        if self._is_fresh:
            self._is_fresh = False
            self.painted.emit()

    def _prepare(self, shown: Shown, mask: Array) -> None:
        index = min(self._view.slice, len(shown.image) - 1)
        window = self._view.window
        key = (index, window)
        if key == self._key:
            return
        if not self._key or self._key[0] != index:
            self._path = outline(mask[index])
        low, high = window.limits
        grey = np.clip((shown.image[index].astype(np.float32) - low) * (255.0 / (high - low)), 0, 255)
        pixels = np.ascontiguousarray(np.nan_to_num(grey), np.uint8)
        self._image = QImage(pixels.data, pixels.shape[1], pixels.shape[0], pixels.shape[1], QImage.Format.Format_Grayscale8).copy()
        self._key = key

    def _letters(self, painter: QPainter, shown: Shown) -> None:
        painter.setPen(QColor(230, 230, 230))
        area = self.rect().adjusted(8, 6, -8, -6)
        middle = Qt.AlignmentFlag.AlignHCenter, Qt.AlignmentFlag.AlignVCenter
        places = (
            Qt.AlignmentFlag.AlignTop | middle[0], Qt.AlignmentFlag.AlignLeft | middle[1], Qt.AlignmentFlag.AlignBottom | middle[0],
            Qt.AlignmentFlag.AlignRight | middle[1],
        )
        for letter, place in zip(LETTERS[shown.view], places, strict=True):
            painter.drawText(area, int(place), letter)

    # -- the pointer -------------------------------------------------------------------------------------------------------------------------------------

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Through slices; with Ctrl, or where there is one slice only, zoom."""
        up = event.angleDelta().y() > 0
        single = self._shown is None or len(self._shown.image) == 1
        if single or event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoom_by(ZOOM_STEP if up else 1 / ZOOM_STEP, event.position())
        else:
            self.scroll(-1 if up else 1)
        event.accept()

    def scroll(self, by: int) -> None:
        """Go through the slices of a volume."""
        if self._shown is not None:
            self._view.slice = int(np.clip(self._view.slice + by, 0, len(self._shown.image) - 1))
            self._changed()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold of the picture, or of level and width."""
        self.window().setFocus()  # who wrote a note has the keys again
        self._grab = (_at(event), self._view.centre, self._view.window)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Move the picture, or change level and width."""
        if self._grab is None or not self._view.zoom:
            return
        start, centre, window = self._grab
        moved = _at(event) - start
        if event.buttons() & Qt.MouseButton.RightButton:
            share = window.width / 300  # a drag of 300 pixels doubles the width
            self._view.window = Window(window.level - moved.y() * share, max(window.width + moved.x() * share, window.width / 100))
        else:
            self._view.centre = (centre[0] - moved.x() / self._view.zoom, centre[1] - moved.y() / self._view.zoom)
        self._changed()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go."""
        self._grab = None

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit anew the next time it is drawn."""
        self._view.zoom = 0.0
        super().resizeEvent(event)


def outline(mask: Array) -> QPainterPath:
    """The edges between different values of a label map, in pixels: closed lines along the pixels' sides.

    Parameters
    ----------
    mask : integers (rows, columns)
        Every class is outlined alike.
    """
    path = QPainterPath()
    path.setFillRule(Qt.FillRule.OddEvenFill)
    for value in np.unique(mask):
        if value:
            for line in _rings(mask == value):
                path.moveTo(*line[0])
                for point in line[1:]:
                    path.lineTo(*point)
                path.closeSubpath()
    return path


def _rings(mask: Array) -> list[list[tuple[float, float]]]:
    """Closed lines of (x, y) corners around a mask, the inside on the right of each."""
    padded = np.pad(mask, 1)
    below, above = padded[1:, 1:-1], padded[:-1, 1:-1]
    rows, columns = np.nonzero(below & ~above)
    steps = [((x, y), (x + 1, y)) for y, x in zip(rows.tolist(), columns.tolist(), strict=True)]
    rows, columns = np.nonzero(above & ~below)
    steps += [((x + 1, y), (x, y)) for y, x in zip(rows.tolist(), columns.tolist(), strict=True)]
    right, left = padded[1:-1, 1:], padded[1:-1, :-1]
    rows, columns = np.nonzero(left & ~right)
    steps += [((x, y), (x, y + 1)) for y, x in zip(rows.tolist(), columns.tolist(), strict=True)]
    rows, columns = np.nonzero(right & ~left)
    steps += [((x, y + 1), (x, y)) for y, x in zip(rows.tolist(), columns.tolist(), strict=True)]
    onward: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for start, end in steps:
        onward.setdefault(start, []).append(end)
    rings = []
    while onward:
        first = next(iter(onward))
        ring, here = [first], first
        while True:
            ends = onward[here]
            there = ends.pop()
            if not ends:
                del onward[here]
            if there == first:
                break
            if len(ring) > 1 and _straight(ring[-2], ring[-1], there):
                ring[-1] = there
            else:
                ring.append(there)
            here = there
        rings.append([(float(x), float(y)) for x, y in ring])
    return rings


def _straight(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> bool:
    return (b[0] - a[0]) * (c[1] - b[1]) == (b[1] - a[1]) * (c[0] - b[0])


def _at(event: QMouseEvent) -> QPointF:
    """Where the pointer is; Qt 5 and 6 name it differently."""
    return event.position() if hasattr(event, "position") else QPointF(event.localPos())
