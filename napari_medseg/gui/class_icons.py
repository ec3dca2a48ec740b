"""Small pictures drawn for the theme in use: an eye, a padlock, the number of a class on its colour. Each differs by shape, never by colour alone."""

from __future__ import annotations

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap

from napari_medseg.annotation.classes import Colour

SIZE, SHARPNESS = 16, 3  # pixels of the screen, and how many of the picture lie in each: high-DPI screens show them all


def eye(ink: str, open_: bool) -> QIcon:
    """An open eye, or one with a stroke through it."""
    picture, painter = _canvas(ink)
    lids = QPainterPath(QPointF(1.5, 8))
    lids.quadTo(8, 0.5, 14.5, 8)
    lids.quadTo(8, 15.5, 1.5, 8)
    painter.drawPath(lids)
    if open_:
        painter.setBrush(QColor(ink))
        painter.drawEllipse(QPointF(8, 8), 2.0, 2.0)
    else:
        painter.drawLine(QPointF(2.5, 14), QPointF(13.5, 2))
    painter.end()
    return untinted(picture)


def padlock(ink: str, locked: bool) -> QIcon:
    """A closed and filled padlock, or an open and empty one."""
    picture, painter = _canvas(ink)
    shackle = QPainterPath(QPointF(5, 7.5))
    shackle.lineTo(5, 5)
    shackle.arcTo(QRectF(5, 1.8, 6, 6), 180, -180)
    if locked:
        shackle.lineTo(11, 7.5)
    painter.drawPath(shackle)
    if locked:
        painter.setBrush(QColor(ink))
    painter.drawRoundedRect(QRectF(3, 7.5, 10, 6.7), 1.2, 1.2)
    painter.end()
    return untinted(picture)


def numbered(colour: Colour, value: int, ink: str) -> QIcon:
    """A square of a class's colour with its number on it, in black or white, whichever is read more easily, and a rim that shows on any background."""
    fill = QColor.fromRgbF(*colour)
    picture, painter = _canvas(ink)
    painter.setPen(QPen(QColor(ink), 0.8))
    painter.setBrush(fill)
    painter.drawRoundedRect(QRectF(0.5, 0.5, SIZE - 1, SIZE - 1), 2, 2)
    painter.setPen(QColor("black" if is_light(colour) else "white"))
    font = painter.font()
    font.setPixelSize(11 if value < 10 else 9 if value < 100 else 7)
    font.setBold(True)
    painter.setFont(font)
    painter.drawText(QRectF(0, 0, SIZE, SIZE), Qt.AlignmentFlag.AlignCenter, str(value))
    painter.end()
    return untinted(picture)


def is_light(colour: Colour) -> bool:
    """Whether black is read more easily on a colour than white (WCAG 2.1 relative luminance)."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179


def untinted(picture: QPixmap) -> QIcon:
    """An icon that a chosen row shows as it is: Qt would tint it."""
    icon = QIcon(picture)
    icon.addPixmap(picture, QIcon.Mode.Selected)
    return icon


def _canvas(ink: str) -> tuple[QPixmap, QPainter]:
    picture = QPixmap(SIZE * SHARPNESS, SIZE * SHARPNESS)
    picture.setDevicePixelRatio(SHARPNESS)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(ink), 1.4))
    return picture, painter
