"""The clean-up page of the Weak label tab."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QFormLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import quietly


class CleanupPage(QWidget):
    """Accepted labels are tidied."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.smallest, self.close = QDoubleSpinBox(), QDoubleSpinBox()
        for box, unit, step, tip in (
            (self.smallest, " ml", 0.1, "Pieces smaller than this go; 0 keeps all"),
            (self.close, " mm", 0.5, "Gaps up to twice this are closed; 0 leaves them"),
        ):
            box.setRange(0, 100)
            box.setSingleStep(step)
            box.setSuffix(unit)
            box.setToolTip(tip)
        self.fill, self.largest = QCheckBox("Fill holes"), QCheckBox("Keep only the largest piece")
        self.smallest.valueChanged.connect(lambda v: self._choose(min_ml=v))
        self.close.valueChanged.connect(lambda v: self._choose(close_mm=v))
        self.fill.toggled.connect(lambda on: self._choose(fill=on))
        self.largest.toggled.connect(lambda on: self._choose(largest=on))
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Drop pieces below", self.smallest)
        form.addRow("Close gaps", self.close)
        form.addRow(self.fill)
        form.addRow(self.largest)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        choices = self._desk.session.cleanup
        quietly(self.smallest, "setValue", choices.min_ml)
        quietly(self.close, "setValue", choices.close_mm)
        quietly(self.fill, "setChecked", choices.fill)
        quietly(self.largest, "setChecked", choices.largest)

    def _choose(self, **values: Any) -> None:
        session = self._desk.session
        session.set(cleanup=replace(session.cleanup, **values))
