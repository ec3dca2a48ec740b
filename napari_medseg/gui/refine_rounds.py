"""The rounds: what each came to, why it was taken or not, pictures of what it changed most, Adopt and Roll back."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QAbstractItemView, QFileDialog, QGridLayout, QHBoxLayout, QHeaderView, QTableWidget, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, fit_rows, mark, quiet, right
from napari_medseg.gui.thumbnail import Thumbnail
from napari_medseg.session.exporting import export
from napari_medseg.session.guide import next_step
from napari_medseg.session.refining_rounds import Row
from napari_medseg.session.round_pictures import MOST
from napari_medseg.session.round_words import COLUMNS, TIPS, cells, noted, scored_on, verdict

MOST_ROWS = 5


class RefineRounds(QWidget):
    """Views of the session's rounds."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._shown: object = None
        self._pictured: object = None
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setAccessibleName("Rounds")
        self.table.setHorizontalHeaderLabels(list(COLUMNS))
        for column, tip in enumerate(TIPS):
            self.table.horizontalHeaderItem(column).setToolTip(tip)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setTabKeyNavigation(False)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.horizontalHeader().setMinimumSectionSize(20)
        self.table.horizontalHeader().setHighlightSections(False)
        self.table.itemSelectionChanged.connect(self._on_chosen)
        self.scored = quiet()
        self.reason, self.noted = quiet(), quiet()
        self.adopt = button("Adopt", "", self._on_adopt)
        back = "Give all cases the labels of before this run again; what you painted or verified since stays"
        self.back = button("Roll back", back, desk.session.refining.roll_back)
        acts = QHBoxLayout()
        acts.setSpacing(SPACING)
        acts.addWidget(self.back, 1)
        acts.addWidget(self.adopt, 2)
        self.export = button("Export…", "Write the trained model into a folder of its own, with its card, for other machines and programs", self._on_export)
        acts.addWidget(self.export, 1)
        self.pictures = [Thumbnail(self._on_picture) for _ in range(MOST)]
        self.legend = quiet("Before (dashed, above) and after (below); click one to go there")
        grid = QGridLayout()
        grid.setSpacing(4)
        for place, picture in enumerate(self.pictures):
            grid.addWidget(picture, 0, place)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for part in (self.table, self.scored, self.reason, self.noted):
            column.addWidget(part)
        column.addLayout(acts)
        column.addLayout(grid)
        column.addWidget(self.legend)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session, refining = self._desk.session, self._desk.session.refining
        self.setVisible(bool(refining.rows))
        if not refining.rows:
            return
        chosen = refining.chosen
        now = [cells(row, refining.in_use) for row in refining.rows], chosen.figures.round if chosen is not None else None
        if now != self._shown:
            self._shown = now
            self._fill(refining.rows, refining.in_use, chosen)
        self.scored.setText(scored_on(refining.rows))
        used = chosen is not None and chosen.figures.round == refining.in_use
        self.reason.setText(verdict(chosen, over=not refining.is_training, used=used) if chosen is not None else "")
        self.noted.setText(noted(chosen) if chosen is not None else "")
        self.noted.setVisible(bool(self.noted.text()))
        self._act(chosen)
        self._picture(chosen)
        mark(self.adopt, "primary", session.tab == "refine" and next_step(session).action == "adopt")

    def _fill(self, rows: list[Row], in_use: int, chosen: Row | None) -> None:
        was = self.table.blockSignals(True)
        self.table.setRowCount(len(rows))
        for index, row in enumerate(rows):
            for column, text in enumerate(cells(row, in_use)):
                item = right(text)
                item.setToolTip(row.figures.reason)
                self.table.setItem(index, column, item)
            if row is chosen:
                self.table.selectRow(index)
        fit_rows(self.table, MOST_ROWS)
        self.table.blockSignals(was)

    def _act(self, chosen: Row | None) -> None:
        refining = self._desk.session.refining
        number = chosen.figures.round if chosen is not None else 0
        self.adopt.setText(f"Adopt round {number}" if number else "Adopt")
        self.adopt.setEnabled(bool(number) and refining.can_adopt(chosen))
        self.adopt.setToolTip("Its labels become a new version of every case; what you painted or verified stays as it is. Roll back undoes it")
        self.export.setEnabled(self._desk.session.refine.model is not None)
        self.back.setEnabled(bool(refining.in_use) and not self._desk.session.study.busy)

    def _picture(self, chosen: Row | None) -> None:
        changes = chosen.changes if chosen is not None else ()
        if changes is self._pictured:
            return
        self._pictured = changes
        names = self._desk.session.refining.name_of
        for picture, change in zip(self.pictures, (*changes, *[None] * (MOST - len(changes))), strict=True):
            picture.show_change(change, names(change.case) if change is not None else "")
        self.legend.setVisible(bool(changes))

    def _on_chosen(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        shown = self._desk.session.refining.rows
        if rows and rows[0].row() < len(shown):
            self._desk.session.refining.look_at(shown[rows[0].row()].figures.round)

    def _on_adopt(self) -> None:
        chosen = self._desk.session.refining.chosen
        if chosen is not None:
            self._desk.session.refining.adopt(chosen.figures.round)

    def _on_export(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Where to put the model")
        if path:
            export(self._desk.session, Path(path))

    def _on_picture(self, picture: Thumbnail) -> None:
        if picture.change is not None:
            self._desk.session.refining.go(picture.change.case, picture.change.voxel)
