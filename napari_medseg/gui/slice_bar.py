"""Where the slice in view lies in the patient, in the window's status bar: type millimetres to go there; beside it the switches of the views."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QMainWindow, QToolButton, QWidget

from napari_medseg.session.place import SIDES
from napari_medseg.session.views import PLANES

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk

_WRITTEN = re.compile(r"([A-Za-z]?)\s*([+-]?\d+(?:[.,]\d*)?)\s*(?:mm)?")
SHEET = "QToolButton { padding: 1px 5px; } QToolButton:checked { background-color: #0072b2; color: white; }"


class PlaceBox(QDoubleSpinBox):
    """A place on one of the patient's axes: "S 43.5 mm"; a number alone counts as LPS.

    Attributes
    ----------
    sides : (str, str)
        Letters of the positive and of the negative side.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sides = SIDES[2]
        self.setDecimals(1)
        self.setKeyboardTracking(False)
        self.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.setFixedWidth(98)

    def textFromValue(self, value: float) -> str:
        """With its side."""
        return f"{self.sides[0 if value >= 0 else 1]} {abs(value):.1f} mm"

    def valueFromText(self, text: str) -> float:
        """LPS mm."""
        found = _WRITTEN.fullmatch(text.strip())
        if found is None:
            return float(self.value())
        side, number = found[1].upper(), float(found[2].replace(",", "."))
        return (-abs(number) if side == self.sides[1] else abs(number)) if side else number

    def validate(self, text: str, at: int) -> tuple[QValidator.State, str, int]:
        """Whether it can be read, or become so."""
        found = _WRITTEN.fullmatch(text.strip())
        known = found is not None and found[1].upper() in ("", *self.sides)
        return QValidator.State.Acceptable if known else QValidator.State.Intermediate, text, at


class SliceBar(QWidget):
    """One line of the status bar.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._bar: Any = None
        self._own = False
        self._axis = 0
        views = desk.session.views
        self.ortho = _switch("2×2", "Orthogonal views on or off (U): axial, coronal, sagittal and 3D together", lambda: desk.views.toggle_ortho())
        self.crosshair = _switch("✛", "Crosshair on or off in the main view (Shift+U)", views.toggle_crosshair)
        tip = "Window and level by dragging with the right button, on or off (W): across is the width, up and down the level"
        self.level = _switch("W/L", tip, views.toggle_levelling)
        self.plane = QLabel()
        self.place = PlaceBox()
        self.place.setAccessibleName("Place of the slice, in mm")
        self.place.setToolTip("Where the slice lies in the patient, in mm of the scanner; type a place such as S 43.5 to go there")
        self.place.valueChanged.connect(self._on_typed)
        self.count = QLabel()
        self.count.setToolTip("Which slice of how many")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for part in (self.ortho, self.crosshair, self.level, self.plane, self.place, self.count):
            row.addWidget(part)
        self.setObjectName("medsegSliceBar")
        self.setStyleSheet(SHEET)

    def attach(self, window: QMainWindow) -> None:
        """Stand in the status bar of a window, once."""
        if self._bar is None:
            self._bar = window.statusBar()
            self._bar.addPermanentWidget(self)
            self.refresh()

    def close(self) -> bool:
        """Take it off the status bar."""
        try:
            if self._bar is not None:
                self._bar.removeWidget(self)
            self.deleteLater()
        except RuntimeError:  # the window went first
            return False
        return True

    def refresh(self) -> None:
        """Show the slice in view, and which views are on."""
        if self._bar is None:
            return
        try:
            self._show()
        except RuntimeError:  # the window went first
            self._bar = None

    def _show(self) -> None:
        views, axis = self._desk.session.views, self._desk.views.quad.main_axis
        for part, on in ((self.ortho, views.ortho), (self.crosshair, views.crosshair), (self.level, views.levelling)):
            if part.isChecked() != on:
                part.setChecked(on)
        here, span = views.slice(axis), views.span(axis)
        flat = self._desk.viewer.dims.ndisplay == 2
        shown = here is not None and flat
        for part in (self.plane, self.place, self.count):
            if part.isVisibleTo(self) != shown:
                part.setVisible(shown)
        if here is None or span is None or not shown:
            return
        self._axis = axis
        _write(self.plane, here.plane, here.plane)
        _write(self.count, f"{here.index + 1}/{here.count}", f"{here.count}/{here.count}")
        if not self.place.hasFocus() or self.place.value() != round(here.mm, 1):
            self._own = True
            try:
                self.place.sides = SIDES[PLANES.index(here.plane)]
                low, high = min(span[:2]), max(span[:2])
                if (self.place.minimum(), self.place.maximum()) != (round(low, 1), round(high, 1)):
                    self.place.setRange(low, high)
                    self.place.setSingleStep(abs(span[2]))
                if self.place.text() != self.place.textFromValue(round(here.mm, 1)):  # being told what it shows it is painted anew, and the window with it
                    self.place.setValue(here.mm)
            finally:
                self._own = False

    def _on_typed(self, value: float) -> None:
        if not self._own:
            self._desk.session.views.jump(self._axis, value)


def _write(label: QLabel, words: str, longest: str) -> None:
    """Change a label's text; with a size of its own, that of its longest text, the window is not laid out anew for it."""
    if label.text() == words:
        return
    metrics = label.fontMetrics()
    size = metrics.horizontalAdvance(longest) + 6, metrics.height() + 2
    if (label.width(), label.height()) != size:
        label.setFixedSize(*size)
    label.setText(words)


def _switch(text: str, tip: str, act: Any) -> QToolButton:
    made = QToolButton()
    made.setText(text)
    made.setToolTip(tip)
    made.setAccessibleName(tip)
    made.setCheckable(True)
    made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    made.clicked.connect(lambda _checked=False: act())
    return made
