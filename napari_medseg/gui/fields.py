"""Small fields the pages share."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QSlider, QToolButton, QVBoxLayout, QWidget

RIGHT = 94  # pixels of the words at the end of a slider, which change: the slider keeps its place


def slider(low: int, high: int, tip: str) -> tuple[QSlider, QLabel]:
    """A slider and the text that says where it stands."""
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(low, high)
    slider.setToolTip(tip)
    slider.setAccessibleName(tip.split(";")[0])
    text = QLabel()
    text.setMinimumWidth(58)
    return slider, text


def beside(left: QWidget, right: QWidget) -> QHBoxLayout:
    """Two widgets in a row, the first wide."""
    row = QHBoxLayout()
    row.addWidget(left, 1)
    row.addWidget(right)
    return row


def quietly(widget: QWidget, setter: str, value: object) -> None:
    """Show a value without telling the session what it has just told us."""
    was = widget.blockSignals(True)
    getattr(widget, setter)(value)
    widget.blockSignals(was)


class _NoWheel(QObject):
    """Lets the wheel scroll the page instead of changing a field that was not clicked into."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False


def unscrolled(field: QWidget, focus: Qt.FocusPolicy = Qt.FocusPolicy.StrongFocus) -> None:
    """A field on a page that scrolls: the wheel is its own only once it was clicked into, or come to by Tab where `focus` says so."""
    field.setFocusPolicy(focus)
    field.installEventFilter(_NoWheel(field))


class Between(QSlider):
    """A slider between two opposites; a double click puts it back to its rest."""

    rested = Signal()

    def __init__(self, low: int, high: int, tip: str) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setRange(low, high)
        self.setPageStep(1)
        unscrolled(self)
        self.setToolTip(f"{tip}. A double click puts it back")
        self.setAccessibleName(tip)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Back to its rest."""
        self.rested.emit()
        event.accept()


def opposites(*rows: tuple[str, QSlider, QLabel]) -> QGridLayout:
    """Sliders below each other, each with what lies at either end of it; as wide as the longest of the words needs, in whatever font."""
    grid = QGridLayout()
    grid.setHorizontalSpacing(6)
    grid.setVerticalSpacing(4)
    grid.setColumnStretch(1, 1)
    grid.setColumnMinimumWidth(2, RIGHT)
    for row, (left, middle, right) in enumerate(rows):
        for column, part in enumerate((QLabel(left), middle, right)):
            part.setToolTip(middle.toolTip())
            grid.addWidget(part, row, column)
    return grid


class Fold(QWidget):
    """A part of a page that is folded away until it is wanted."""

    def __init__(self, title: str, tip: str, inside: QWidget) -> None:
        super().__init__()
        self.inside = inside
        self.head = QToolButton()
        self.head.setText(title)
        self.head.setToolTip(tip)
        self.head.setCheckable(True)
        self.head.setAutoRaise(True)
        self.head.setArrowType(Qt.ArrowType.RightArrow)
        self.head.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.head.toggled.connect(self.unfold)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        self.top = QHBoxLayout()
        self.top.addWidget(self.head, 0, Qt.AlignmentFlag.AlignLeft)
        column.addLayout(self.top)
        column.addWidget(inside)
        inside.hide()

    def unfold(self, on: bool) -> None:
        """Show what is inside, or hide it."""
        self.head.setArrowType(Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow)
        self.inside.setVisible(on)
