"""A part of a page that is folded away behind one line until somebody wants it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QToolButton, QVBoxLayout, QWidget


class Folding(QWidget):
    """The line, and what it opens.

    Parameters
    ----------
    tip : str
        Tooltip of the line.

    Attributes
    ----------
    head : QToolButton
        The line; checked while the part is open.
    inside : QWidget
        What is folded away; `folded` is its column.
    """

    def __init__(self, tip: str = "") -> None:
        super().__init__()
        self.head = QToolButton()
        self.head.setToolTip(tip)
        self.head.setCheckable(True)
        self.head.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.head.toggled.connect(self._fold)
        self.inside = QWidget()
        self.folded = QVBoxLayout(self.inside)
        column = QVBoxLayout(self)
        for each in (self.folded, column):
            each.setContentsMargins(0, 0, 0, 0)
            each.setSpacing(4)
        column.addWidget(self.head, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self.inside)
        self.inside.hide()

    @property
    def is_open(self) -> bool:
        """Whether the part is unfolded."""
        return bool(self.head.isChecked())

    def refresh(self) -> None:
        """Show the session; called besides when the part is folded or unfolded."""

    def name(self, words: str) -> None:
        """Say in the line what it opens."""
        self.head.setText(f"{'▾' if self.is_open else '▸'} {words}")

    def _fold(self, open_: bool) -> None:
        self.inside.setVisible(open_)
        self.refresh()
