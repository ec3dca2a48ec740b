"""The cases a refinement learns from: how many are how far, and which take part."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import fit_rows, quiet, right
from napari_medseg.session.cases import SIGNS
from napari_medseg.session.study_refinement import Learner, counted, learners

MOST_ROWS = 3
EMPTY = "Nothing is labelled yet. Make a weak label and accept it, or train on whole folders (below)."


class RefineCases(QWidget):
    """Views of what the session can learn from."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._shown: object = None
        self.counts = quiet()
        self.table = QTableWidget(0, 3)
        self.table.setAccessibleName("Scans to learn from")
        self.table.setHorizontalHeaderLabels(["Learns from", "Status", "ml"])
        self.table.setToolTip("Labelled cases of the study, or open scans with an accepted label; untick those that shall not take part")
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setTabKeyNavigation(False)
        self.table.setWordWrap(False)  # else only the first line's end is cut
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # names of one study differ at their ends
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.table.itemChanged.connect(self._on_ticked)
        self.empty = quiet(EMPTY)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        for part in (self.counts, self.table, self.empty):
            column.addWidget(part)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        rows, out = learners(session), session.refine.left_out
        now = [(row, row.key not in out) for row in rows]
        if now == self._shown:
            return
        self._shown = now
        self.counts.setText(counted(rows))
        self.counts.setVisible(bool(rows))
        self.table.setVisible(bool(rows))
        self.empty.setVisible(not rows)
        self._fill(now)

    def _fill(self, rows: list[tuple[Learner, bool]]) -> None:
        was = self.table.blockSignals(True)
        self.table.setRowCount(len(rows))
        for index, (row, on) in enumerate(rows):
            title = QTableWidgetItem(row.name)
            title.setData(Qt.ItemDataRole.UserRole, row.key)
            title.setFlags(title.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            title.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
            title.setToolTip(row.name)
            self.table.setItem(index, 0, title)
            self.table.setItem(index, 1, QTableWidgetItem(f"{SIGNS[row.status]} {row.status}"))
            self.table.setItem(index, 2, right(f"{row.ml:.1f}"))
        fit_rows(self.table, MOST_ROWS)
        self.table.blockSignals(was)

    def _on_ticked(self, item: QTableWidgetItem) -> None:
        if item.column() != 0:
            return
        session, key = self._desk.session, item.data(Qt.ItemDataRole.UserRole)
        out = session.refine.left_out
        session.refine.left_out = out - {key} if item.checkState() == Qt.CheckState.Checked else out | {key}
        session.set(refine=session.refine)
