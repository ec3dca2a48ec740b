"""The clean-up page of the Weak label tab: steps that are on or off, each with its size, shown at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_medseg.annotation import LabelClass
from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import Fold, quietly
from napari_medseg.gui.style import SPACING, button, combo, mark, swatch

OPERATIONS = (("subtract", "without"), ("union", "together with"), ("intersect", "only where it is"))


class CleanupPage(QWidget):
    """Accepted labels are tidied."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        tidy = desk.session.tidy
        self._shows: list[Callable[[], None]] = []
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(4)
        grid.setVerticalSpacing(3)
        for column in (0, 2):
            grid.setColumnStretch(column, 1)
        tip = "Separate pieces smaller than this go; 1 ml is 1000 mm³"
        self.smallest = self._sized(grid, 0, 0, "Drop below", "dropping", "min_ml", "ml", 0.1, tip)
        self.smooth = self._sized(grid, 0, 2, "Smooth", "smoothing", "smooth_mm", "mm", 0.5, "Outlines are rounded; every label keeps its volume")
        self.close = self._sized(grid, 1, 0, "Close gaps", "closing", "close_mm", "mm", 0.5, "Gaps up to twice this wide are filled")
        self.open = self._sized(grid, 1, 2, "Cut thin", "opening", "open_mm", "mm", 0.5, "Bridges and spikes thinner than twice this go")
        tip = "Above 0 mm every label grows by this, never into another; below 0 mm it shrinks"
        self.margin = self._sized(grid, 2, 0, "Grow by", "resizing", "margin_mm", "mm", 0.5, tip, low=-50.0)
        self.fill = self._switch("Fill holes", "fill", "Holes that a label encloses in its slice are filled")
        self.largest = self._switch("Largest piece", "largest", "Of each label only its largest piece stays")
        self.live = self._switch("Live", "live", "On: every change shows at once. Off: press Clean up labels (G)")
        self.only = self._switch("Chosen label only", "only_chosen", "On: only the label chosen in the table is tidied. Off: all of them")
        for switch, row, left in ((self.fill, 2, 2), (self.largest, 3, 0), (self.live, 3, 2)):
            grid.addWidget(switch, row, left, 1, 2)
        grid.addWidget(self.only, 4, 0, 1, 2)
        self.clicking = self._switch("Clicked piece", "clicking", "Only the pieces that you clicked stay; labels that were not clicked stay whole")
        self.pick = button("Click", "Then click every piece that shall stay", lambda: desk.arm("pick"))
        self.unpick = button("Clear", "Forget the clicks", tidy.forget_clicks)
        clicks = QHBoxLayout()
        clicks.setSpacing(4)
        for part in (self.clicking, self.pick, self.unpick):
            clicks.addWidget(part, part is self.clicking)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(grid)
        column.addLayout(clicks)
        column.addWidget(Fold("Combine with another label", "The chosen label without, together with, or only where another one is", self._combining()))
        column.addWidget(Fold("Change only where", "Only inside a label, only in a range of grey values, never this label", self._masking()))
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        if session.mode != "cleanup":
            return
        scan = session.current
        for show in self._shows:
            show()
        armed = session.tool == "pick"
        count = len(session.tidy.clicked(scan)) if scan is not None else 0
        self.pick.setText("Clicking" if armed else "Click")
        self.clicking.setText(f"{count} clicked pieces" if count > 1 else "Clicked piece")
        self.clicking.setEnabled(count > 0)
        self.unpick.setEnabled(count > 0)
        self.pick.setEnabled(scan is not None and scan.has_labels)
        mark(self.pick, "armed", armed)
        self.combining.setText(f"{session.label_class.name}")
        others = [c for c in session.classes if c.value != session.chosen]
        self._classes(self.other, others, session.cleanup.other, "another label")
        self._classes(self.inside, session.classes, session.cleanup.inside, "anywhere")
        locked = session.chosen in session.cleanup.locked
        self.lock.setText(f"Never change {session.label_class.name}")
        quietly(self.lock, "setChecked", locked)

    # -- parts ----------------------------------------------------------------------------------------------------------------------------------------------

    def _combining(self) -> QWidget:
        inside = QWidget()
        self.combining = self._switch("", "combining", "Combine the chosen label with another one")
        self.operation = combo("How they are combined")
        self.operation.setAccessibleName("How they are combined")
        for key, title in OPERATIONS:
            self.operation.addItem(title, key)
        self.operation.activated.connect(lambda i: self._choose(operation=OPERATIONS[i][0], combining=True))
        self._shows.append(lambda: self.operation.setCurrentIndex([k for k, _ in OPERATIONS].index(self._desk.session.cleanup.operation)))
        self.other = combo("The other label")
        self.other.setAccessibleName("Other label")
        self.other.activated.connect(lambda i: self._choose(other=self.other.itemData(i), combining=self.other.itemData(i) > 0))
        self.near = self._number("near_mm", "mm", 0.5, "How many mm around the other label count as it")
        rows = QVBoxLayout(inside)
        rows.setContentsMargins(12, 0, 0, 0)
        rows.setSpacing(3)
        for parts in ((self.combining, self.operation), (self.other, QLabel("plus"), self.near)):
            row = QHBoxLayout()
            row.setSpacing(SPACING)
            for part in parts:
                row.addWidget(part, int(part is self.other))
            rows.addLayout(row)
        return inside

    def _masking(self) -> QWidget:
        inside = QWidget()
        self.inside = combo("Nothing outside this label changes")
        self.inside.setAccessibleName("Only inside")
        self.inside.activated.connect(lambda i: self._choose(inside=self.inside.itemData(i)))
        self.windowed = self._switch("Grey values", "windowed", "Only voxels in this range of the scan's own units change")
        self.low, self.high = self._bound(0, "Lowest grey value that may change"), self._bound(1, "Highest grey value that may change")
        self.lock = QCheckBox()
        self.lock.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.lock.setToolTip("The label chosen in the table is left exactly as it is")
        self.lock.toggled.connect(self._on_lock)
        rows = QVBoxLayout(inside)
        rows.setContentsMargins(12, 0, 0, 0)
        rows.setSpacing(3)
        for parts in ((QLabel("Inside"), self.inside), (self.windowed, self.low, QLabel("to"), self.high), (self.lock,)):
            row = QHBoxLayout()
            row.setSpacing(SPACING)
            for part in parts:
                row.addWidget(part, 1 if isinstance(part, (QComboBox, QDoubleSpinBox)) else 0)
            rows.addLayout(row)
        return inside

    def _switch(self, title: str, name: str, tip: str) -> QCheckBox:
        made = QCheckBox(title)
        made.setToolTip(tip)
        made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        made.toggled.connect(lambda on: self._choose(**{name: on}))
        self._shows.append(lambda: quietly(made, "setChecked", getattr(self._desk.session.cleanup, name)))
        return made

    def _number(self, name: str, unit: str, step: float, tip: str, low: float = 0.0, switch: str = "") -> QDoubleSpinBox:
        made = QDoubleSpinBox()
        made.setRange(low, 100.0)
        made.setDecimals(2 if unit == "ml" else 1)
        made.setSingleStep(step)
        made.setSuffix(f" {unit}")
        made.setToolTip(tip)
        made.setAccessibleName(tip)
        made.setKeyboardTracking(False)
        made.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)  # the wheel and the arrow keys step it; there is no room for more
        made.setProperty("narrow", True)
        made.valueChanged.connect(lambda value: self._choose(**{name: value}, **({switch: True} if switch else {})))
        self._shows.append(lambda: quietly(made, "setValue", getattr(self._desk.session.cleanup, name)))
        return made

    def _sized(
        self, grid: QGridLayout, row: int, left: int, title: str, switch: str, name: str, unit: str, step: float, tip: str, low: float = 0.0,
    ) -> QDoubleSpinBox:
        """A step and its size, side by side; changing the size turns the step on."""
        number = self._number(name, unit, step, tip, low, switch)
        number.setAccessibleName(f"{title}, in {unit}")
        grid.addWidget(self._switch(title, switch, tip), row, left)
        grid.addWidget(number, row, left + 1)
        return number

    def _bound(self, which: int, tip: str) -> QDoubleSpinBox:
        made = QDoubleSpinBox()
        made.setRange(-1e6, 1e6)
        made.setDecimals(0)
        made.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        made.setProperty("narrow", True)
        made.setToolTip(tip)
        made.setAccessibleName(tip)
        made.setKeyboardTracking(False)
        made.valueChanged.connect(lambda value: self._on_bound(which, value))
        self._shows.append(lambda: quietly(made, "setValue", self._desk.session.cleanup.window[which]))
        return made

    def _classes(self, box: QComboBox, classes: list[LabelClass], value: int, nothing: str) -> None:
        rows = [(0, nothing), *((c.value, c.name) for c in classes)]
        if [(box.itemData(i), box.itemText(i)) for i in range(box.count())] != rows:
            box.clear()
            box.addItem(nothing, 0)
            for each in classes:
                box.addItem(swatch(each.colour), each.name, each.value)
        box.setCurrentIndex(next((i for i, (key, _) in enumerate(rows) if key == value), 0))

    def _on_bound(self, which: int, value: float) -> None:
        low, high = self._desk.session.cleanup.window
        self._choose(window=(value, high) if which == 0 else (low, value), windowed=True)

    def _on_lock(self, on: bool) -> None:
        session = self._desk.session
        self._choose(locked=session.cleanup.locked | {session.chosen} if on else session.cleanup.locked - {session.chosen})

    def _choose(self, **values: Any) -> None:
        self._desk.session.tidy.choose(**values)
