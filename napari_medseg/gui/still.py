"""Room for what changes many times a second."""

from __future__ import annotations

from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QWidget


class Still(QWidget):
    """A part of a dock whose contents may change their texts at any time.

    A text of another length makes Qt lay the whole window out anew and paint all of it. What stands `inside` has a fixed size, so it is laid out by itself.

    Attributes
    ----------
    inside : QWidget
        Takes the layout; as large as the room that this part is given.
    """

    def __init__(self) -> None:
        super().__init__()
        self.inside = QWidget(self)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep what is inside as large as this."""
        self.inside.setFixedSize(event.size())
        super().resizeEvent(event)
