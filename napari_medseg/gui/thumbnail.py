"""A slice before and after a round, small, as a button that leads there."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon, QImage, QPainter, QPixmap
from qtpy.QtWidgets import QSizePolicy, QToolButton

from napari_medseg.session.pictures import Picture
from napari_medseg.session.round_pictures import Change

GAP = 3
WIDTH, PADDED = 90, 100
"""Pixels of a picture and of its button: three stand beside each other in the dock."""


class Thumbnail(QToolButton):
    """One slice that changed.

    Parameters
    ----------
    pressed : callable
        Told this thumbnail.
    """

    def __init__(self, pressed: Callable[[Thumbnail], None]) -> None:
        super().__init__()
        self.change: Change | None = None
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setFixedWidth(PADDED)
        self.clicked.connect(lambda _checked=False: pressed(self))
        self.hide()

    def show_change(self, change: Change | None, name: str) -> None:
        """Show a slice; None hides it."""
        self.change = change
        self.setVisible(change is not None)
        if change is None:
            return
        picture = _stacked(change.before, change.after)
        self.setIcon(QIcon(picture))
        self.setIconSize(QSize(WIDTH, round(picture.height() * WIDTH / picture.width())))
        short = self.fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, WIDTH)
        self.setText(f"{short}\nslice {change.index}")
        words = f"{name}, slice {change.index}: {change.mm2:.0f} mm² differ. Above the label as it was (dashed), below what the round makes of it"
        self.setToolTip(f"{words}. Click to go there")
        self.setAccessibleName(words)


def _stacked(above: Picture, below: Picture) -> QPixmap:
    pictures = [QImage(each.tobytes(), each.shape[1], each.shape[0], 3 * each.shape[1], QImage.Format.Format_RGB888).copy() for each in (above, below)]
    made = QPixmap(max(p.width() for p in pictures), sum(p.height() for p in pictures) + GAP)
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    painter.drawImage(0, 0, pictures[0])
    painter.drawImage(0, pictures[0].height() + GAP, pictures[1])
    painter.end()
    return made
