"""The row that shows where a segmenter is not sure, and goes there."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import quietly
from napari_medseg.gui.style import SPACING, button


class DoubtRow(QWidget):
    """Views of the session's uncertainty."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.show_it = QCheckBox("Show uncertainty")
        self.show_it.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.show_it.toggled.connect(desk.session.doubt.switch)
        self.back = button("◀", "The doubtful place before (Shift+J)", lambda: desk.go_to_doubt(-1))
        self.on = button("▶", "The next doubtful place, the worst first (J)", lambda: desk.go_to_doubt(1))
        self.where = QLabel()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(SPACING)
        row.addWidget(self.show_it, 1)
        for part in (self.where, self.back, self.on):
            row.addWidget(part)
        for each in (self.back, self.on):
            each.setFixedWidth(32)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session, scan = self._desk.session, self._desk.session.current
        known = scan is not None and bool(scan.learned)
        quietly(self.show_it, "setChecked", session.doubt.on)
        for each in (self.back, self.on):
            each.setEnabled(known)
        none = "A segmenter must have run on this scan first"
        self.show_it.setToolTip("Lay over the scan how unsure the segmenter is: dark is sure, bright is a toss-up" if known else none)
        spots, at = (session.doubt.spots(scan), session.doubt.at(scan)) if scan is not None else ((), None)
        self.where.setText(f"{at + 1} of {len(spots)}" if at is not None else f"{len(spots)} places" if spots else "")
