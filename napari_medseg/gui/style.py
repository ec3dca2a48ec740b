"""Small parts every dock is built from, so that they look alike in both of napari's themes."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton, QSizePolicy, QTableWidget, QTableWidgetItem, QWidget

WIDTH = 352  # what the widest page needs beside a scroll bar in PyQt5's font
SPACING = 6
# One filled button a state. The blue is Okabe and Ito's, readable under white on dark and light themes.
SHEET = """
QPushButton { padding: 4px 8px; }
QPushButton[primary="true"] { background-color: #0072b2; color: white; font-weight: bold; }
QPushButton[primary="true"]:hover { background-color: #1a86c6; }
QPushButton[primary="true"]:disabled { background-color: #5a7384; }
QPushButton::menu-indicator { image: none; }
QDoubleSpinBox[narrow="true"] { min-width: 53px; max-width: 53px; padding: 1px 1px; }
QDoubleSpinBox[slim="true"] { min-width: 52px; padding: 1px 2px; }
QPushButton[armed="true"] { border: 2px solid #e69f00; }
QFrame#medsegGuide { border-left: 4px solid #0072b2; background-color: rgba(0, 114, 178, 40); }
QFrame#medsegKeys { border: 2px solid #0072b2; border-radius: 6px; }
QFrame#medsegNotice { border: 1px solid #e69f00; background-color: rgba(230, 159, 0, 30); }
QFrame#medsegGuide[waiting="true"] { border-left-color: #e69f00; background-color: rgba(230, 159, 0, 30); }
"""

QUIET = {"dark": "#9aa4ae", "light": "#566069"}  # at least 4.5 to 1 against either background


INK = {"dark": "#f0f1f2", "light": "#1e1e21"}  # napari's own text colours


def ink(theme: str) -> str:
    """What small pictures are drawn with in one of napari's themes."""
    return INK["light" if "light" in theme else "dark"]


def sheet(theme: str) -> str:
    """The style sheet of a dock in one of napari's themes; one of somebody's own counts as dark unless its name says light."""
    return SHEET + f'QLabel[quiet="true"] {{ color: {QUIET["light" if "light" in theme else "dark"]}; }}'


def button(text: str, tip: str, slot: Callable[[], object]) -> QPushButton:
    """A push button that names its act and says in its tooltip what it does; a click leaves the keys with the canvas."""
    made = QPushButton(text)
    made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    made.setToolTip(tip)
    made.setCursor(Qt.CursorShape.PointingHandCursor)
    made.clicked.connect(lambda _checked=False: slot())
    return made


def combo(tip: str) -> QComboBox:
    """A drop-down that gives way to the dock's width instead of widening it; choosing leaves the keys with the canvas."""
    made = QComboBox()
    made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    made.setToolTip(tip)
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    made.setMinimumContentsLength(6)
    return made


def quiet(text: str = "") -> QLabel:
    """A line of small print that wraps."""
    made = QLabel(text)
    made.setWordWrap(True)
    made.setProperty("quiet", True)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return made


def mark(widget: QWidget, name: str, on: bool) -> None:
    """Set a property the style sheet looks at; restyles only when it changes."""
    if widget.property(name) != on:
        widget.setProperty(name, on)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def fit_rows(table: QTableWidget, most: int) -> None:
    """As high as its rows, up to `most` of them; more scroll. Height is scarce on a small screen."""
    rows = min(max(table.rowCount(), 1), most)
    table.setFixedHeight(table.horizontalHeader().sizeHint().height() + rows * table.verticalHeader().defaultSectionSize() + 4)


def right(text: str) -> QTableWidgetItem:
    """A cell whose text stands on the right, as numbers do."""
    item = QTableWidgetItem(text)
    item.setTextAlignment(int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))
    return item


def swatch(colour: tuple[float, float, float], size: int = 14) -> QIcon:
    """A square of a class's colour."""
    picture = QPixmap(size, size)
    picture.fill(QColor.fromRgbF(*colour))
    return QIcon(picture)
