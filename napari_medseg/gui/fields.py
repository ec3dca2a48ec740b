"""Small fields the pages share."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSlider, QWidget


def slider(low: int, high: int, tip: str) -> tuple[QSlider, QLabel]:
    """A slider and the text that says where it stands."""
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(low, high)
    slider.setToolTip(tip)
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
