"""The row that shows where a segmenter is not sure, and goes there."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import quietly
from napari_medseg.gui.style import SPACING, button, combo
from napari_medseg.session.doubting import Kind

KINDS: tuple[tuple[Kind, str], ...] = (("unsure", "How unsure the mean is"), ("apart", "How far the answers lie apart"))


class DoubtRow(QWidget):
    """Views of the session's uncertainty."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.show_it = QCheckBox("Show uncertainty")
        self.show_it.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.show_it.toggled.connect(desk.session.doubt.switch)
        self.back = button("◀", "The doubtful place before (Shift+J)", lambda: desk.go_to_doubt(-1))
        self.back.setAccessibleName("The doubtful place before")
        self.on = button("▶", "The next doubtful place, the worst first (J)", lambda: desk.go_to_doubt(1))
        self.on.setAccessibleName("The next doubtful place")
        self.where = QLabel()
        self.kind = combo("The answer is a mean of several: what the glow shows, and what J goes by")
        self.kind.setAccessibleName("Kind of doubt")
        for key, title in KINDS:
            self.kind.addItem(title, key)
        self.kind.activated.connect(lambda i: desk.session.doubt.choose(self.kind.itemData(i)))
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        row.addWidget(self.show_it, 1)
        for part in (self.where, self.back, self.on):
            row.addWidget(part)
        for each in (self.back, self.on):
            each.setFixedWidth(32)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        column.addLayout(row)
        column.addWidget(self.kind)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session, scan = self._desk.session, self._desk.session.current
        known = scan is not None and bool(scan.learned)
        quietly(self.show_it, "setChecked", session.doubt.on)
        for each in (self.back, self.on):
            each.setEnabled(known)
        self.kind.setVisible(session.doubt.comparable(scan))
        self.kind.setCurrentIndex([key for key, _ in KINDS].index(session.doubt.kind))
        none = "A segmenter must have run on this scan first"
        shown = {
            "unsure": "Lay over the scan how unsure the segmenter is: dark is sure, bright is a toss-up",
            "apart": "Lay over the scan how far the answers lie apart: dark is agreed, bright is sure yes against sure no",
        }
        self.show_it.setToolTip(shown[session.doubt.shown(scan)] if scan is not None and known else none)
        spots, at = (session.doubt.spots(scan), session.doubt.at(scan)) if scan is not None else ((), None)
        self.where.setText(f"{at + 1} of {len(spots)}" if at is not None else f"{len(spots)} places" if spots else "")
