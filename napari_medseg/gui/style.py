"""Small parts every dock is built from, so that they look alike in both of napari's themes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from napari.settings import get_settings
from napari.utils.theme import available_themes, get_theme
from qtpy import QT6
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QLabel, QPushButton, QSizePolicy, QTableWidget, QTableWidgetItem, QWidget

WIDTH = 352  # what the widest page needs beside a scroll bar in PyQt5's font
LOW = 680  # points: what napari's controls of a layer and our docks need one below the other
SPACING = 6


@dataclass(frozen=True, slots=True)
class Colours:
    """Colours of ours beside napari's, in one kind of theme; tests measure them against what they lie on.

    Attributes
    ----------
    ink : str
        What small pictures are drawn with; napari's own text colour.
    quiet : str
        Small print: at least 4.5 to 1 on any background it lies on.
    hint : str
        What an empty field or list says: at least 4.5 to 1 on it.
    rim : str
        Edges of what can be pressed, typed into or dragged: at least 3 to 1.
    focus : str
        The ring around what has the keys: at least 3 to 1.
    armed : str
        The edge of a tool that is in the hand: at least 3 to 1.
    """

    ink: str
    quiet: str
    hint: str
    rim: str
    focus: str
    armed: str


COLOURS = {
    "dark": Colours(ink="#f0f1f2", quiet="#a3adb7", hint="#c3c9cf", rim="#7f8995", focus="#56b4e9", armed="#e69f00"),
    "light": Colours(ink="#1e1e21", quiet="#525b64", hint="#4a4f55", rim="#74787d", focus="#0072b2", armed="#a35200"),
}
FILLED, FILLED_HOVER = "#0072b2", "#005a8c"
"""The one filled button a state, and under the mouse: Okabe and Ito's blue, on which white is read in either theme."""
SHEET = """
QPushButton {{ padding: 3px 7px; border: 1px solid {rim}; }}
QPushButton:disabled {{ padding: 3px 7px; }}
QPushButton:focus {{ padding: 2px 6px; border: 2px solid {focus}; }}
QPushButton[primary="true"] {{ background-color: {filled}; color: white; font-weight: bold; }}
QPushButton[primary="true"]:hover {{ background-color: {hover}; }}
QPushButton[primary="true"]:disabled {{ background-color: #5a7384; }}
QPushButton[primary="true"]:focus {{ border: 2px solid {ink}; }}
QPushButton::menu-indicator {{ image: none; }}
QPushButton[armed="true"] {{ padding: 2px 6px; border: 2px solid {armed}; text-decoration: underline; }}
QPushButton[armed="true"]:focus {{ border: 2px dashed {armed}; }}
QToolButton:focus {{ border: 2px solid {focus}; }}
QComboBox, QLineEdit, QAbstractSpinBox {{ border: 1px solid {rim}; }}
QComboBox:disabled, QLineEdit:disabled, QAbstractSpinBox:disabled {{ border-color: transparent; }}
QComboBox:focus, QLineEdit:focus, QAbstractSpinBox:focus {{ border: 1px solid {focus}; background-color: {lit}; }}
QCheckBox {{ border: 1px solid transparent; }}
QCheckBox:focus {{ border: 1px solid {focus}; }}
QCheckBox::indicator {{ width: 14px; height: 14px; border: 1px solid {rim}; }}
QSlider {{ border: 1px solid transparent; }}
QSlider:focus {{ border: 1px solid {focus}; }}
QSlider::handle:horizontal {{ width: 14px; border: 1px solid {rim}; }}
QAbstractItemView {{ border: 1px solid transparent; }}
QAbstractItemView:focus {{ border: 1px solid {focus}; }}
QTableView::item:focus {{ border: 2px solid {focus}; }}
QTabBar {{ background: transparent; border: none; }}
QTabBar::tab:focus {{ border: 1px solid {focus}; }}
QAbstractItemView::indicator {{ width: 12px; height: 12px; border: 1px solid {rim}; background-color: {field}; }}
QAbstractItemView::indicator:checked {{ background-color: {ticked}; image: url("theme_{theme}:/check.svg"); }}
QDoubleSpinBox[narrow="true"] {{ min-width: 51px; max-width: 51px; padding: 1px 1px; }}
QDoubleSpinBox[slim="true"] {{ min-width: 50px; padding: 1px 2px; }}
QLabel[quiet="true"] {{ color: {quiet}; }}
QAbstractItemView QLabel[quiet="true"] {{ color: {hint}; }}
QFrame#medsegGuide {{ border-left: 4px solid {filled}; background-color: rgba(0, 114, 178, 40); }}
QFrame#medsegGuide[waiting="true"] {{ border-left-color: {armed}; background-color: rgba(230, 159, 0, 30); }}
QFrame#medsegGuide QLabel {{ padding: 0px; margin: 0px; }}
QFrame#medsegKeys {{ border: 2px solid {focus}; border-radius: 6px; }}
QFrame#medsegNotice {{ border: 1px solid {armed}; background-color: rgba(230, 159, 0, 30); }}
"""
HINTS = "QLineEdit {{ placeholder-text-color: {hint}; }}"  # Qt 5 takes half of the text's colour


def dock_width() -> int:
    """Pixels a dock asks for: more where a person chose larger letters in napari's preferences."""
    appearance = get_settings().appearance
    usual = type(appearance).model_fields["font_size"].default
    return round(WIDTH * max(1.0, appearance.font_size / usual))


def is_low(widget: QWidget) -> bool:
    """Whether the screen has less than `LOW` points of height, as one of 1920x1080 at a scale of 2 has."""
    screen = widget.screen()
    return screen is not None and bool(screen.availableGeometry().height() < LOW)


def kind(theme: str) -> str:
    """Whether one of napari's themes, or of somebody's own, is "dark" or "light"."""
    found = str(get_theme(theme).type) if theme in available_themes() else "light" if "light" in theme else "dark"
    return found if found in COLOURS else "dark"


def ink(theme: str) -> str:
    """What small pictures are drawn with in one of napari's themes."""
    return COLOURS[kind(theme)].ink


def sheet(theme: str) -> str:
    """The style sheet of a dock in one of napari's themes."""
    colours, dark = COLOURS[kind(theme)], kind(theme) == "dark"
    napari = get_theme(theme if theme in available_themes() else kind(theme))
    words = {
        **{name: getattr(colours, name) for name in Colours.__slots__}, "filled": FILLED, "hover": FILLED_HOVER, "lit": "#4c5665" if dark else "#d8d6d4",
        "theme": theme if theme in available_themes() else kind(theme), "field": napari.primary.as_hex(), "ticked": napari.current.as_hex(),
    }
    return (SHEET + (HINTS if QT6 else "")).format(**words)


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


def short(text: str, most: int) -> str:
    """A line of at most so many letters; what is cut off is told by an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def middle(text: str, most: int) -> str:
    """A name of at most so many letters, whose middle is left out: names of one kind differ at their ends."""
    return text if len(text) <= most else f"{text[: most // 2].rstrip()}…{text[len(text) - (most - 1 - most // 2):].lstrip()}"


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
        if name == "armed":
            widget.setAccessibleDescription("in the hand" if on else "")
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def fit_rows(table: QTableWidget, most: int) -> None:
    """As high as its rows, up to `most` of them; more scroll. Height is scarce on a small screen."""
    if table.property("rowsInSight") is None:
        table.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)  # by whole rows Qt keeps the place of a height before, and cuts the first
        table.horizontalHeader().geometriesChanged.connect(lambda: _fit(table))  # its letters get their size only in the window
    table.setProperty("rowsInSight", most)
    _fit(table)


def _fit(table: QTableWidget) -> None:
    rows = min(max(table.rowCount(), 1), int(table.property("rowsInSight")))
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
    icon = QIcon(picture)
    icon.addPixmap(picture, QIcon.Mode.Selected)  # a chosen row would tint it
    return icon
