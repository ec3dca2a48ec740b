"""Rulers: distances and angles, drawn on the slice, listed, named and deleted."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QFileDialog, QHBoxLayout, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, fit_rows, mark, quiet, right
from napari_medseg.io.names import plain_name

ROWS = 8
EMPTY = (
    "No ruler yet. A distance takes two clicks, an angle three, on any plane; scroll between two clicks to measure through slices. "
    "With the tool in the hand, drag an end to move it."
)


class RulersPage(QWidget):
    """A list of the current scan's rulers."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._filling = False
        self._shown: tuple[object, ...] = ()
        self.ruler = button("Distance", "Measure a distance in mm by two clicks; press again to put it down (Shift+R)", lambda: desk.arm("ruler"))
        tip = "Measure an angle in degrees by three clicks, the second at its corner; press again to put it down (Alt+R)"
        self.angle = button("Angle", tip, lambda: desk.arm("angle"))
        self.table = QTableWidget(0, 2)
        self.table.setTabKeyNavigation(False)
        self.table.setAccessibleName("Rulers")
        self.table.setHorizontalHeaderLabels(["Name (double-click)", "Measures"])
        self.table.setToolTip("Click on a ruler to go to its slice; double-click its name to change it")
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.horizontalHeader().setHighlightSections(False)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.table.itemSelectionChanged.connect(self._on_chosen)
        self.table.itemChanged.connect(self._on_edited)
        self.delete = button("Delete", "Delete the chosen ruler; Ctrl+Z brings it back", self._on_delete)
        self.save = button("Save…", "Write all rulers of this scan with their places in the patient, as CSV or JSON", self._on_save)
        self.note = quiet()
        tools, below = QHBoxLayout(), QHBoxLayout()
        for row, parts in ((tools, (self.ruler, self.angle)), (below, (self.delete, self.save))):
            row.setSpacing(SPACING)
            for part in parts:
                row.addWidget(part, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        column.addLayout(tools)
        column.addWidget(self.table)
        column.addLayout(below)
        column.addWidget(self.note)
        column.addStretch(1)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        if not session.reviewing.is_on("rulers"):
            return
        scan, model = session.current, session.reviewing.rulers
        rulers = model.of(scan)
        for tool, kind in ((self.ruler, "ruler"), (self.angle, "angle")):
            tool.setEnabled(scan is not None and not scan.arriving)
            mark(tool, "armed", model.kind == kind)
        self.delete.setEnabled(model.chosen >= 0)
        self.save.setEnabled(bool(rulers))
        self.table.setVisible(bool(rulers))
        kept = scan is not None and bool(scan.case) and not session.study.readonly
        where = "Kept with the case in the study." if kept else "Kept while the scan is open; save them to keep them longer, or work in a study."
        self.note.setText(where if rulers else EMPTY)
        if (id(scan), rulers, model.chosen) != self._shown:
            self._shown = (id(scan), rulers, model.chosen)
            self._fill()

    def _fill(self) -> None:
        model = self._desk.session.reviewing.rulers
        rulers = model.of(self._desk.session.current)
        self._filling = True
        self.table.setRowCount(len(rulers))
        for at, ruler in enumerate(rulers):
            self.table.setItem(at, 0, QTableWidgetItem(ruler.name or f"{'Angle' if ruler.is_angle else 'Distance'} {at + 1}"))
            words = right(ruler.words)
            words.setFlags(words.flags() & ~Qt.ItemFlag.ItemIsEditable)
            self.table.setItem(at, 1, words)
        self.table.clearSelection()
        if model.chosen >= 0:
            self.table.selectRow(model.chosen)
        fit_rows(self.table, ROWS)
        self._filling = False

    def _on_chosen(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        scan = self._desk.session.current
        if self._filling or scan is None:
            return
        index = rows[0].row() if rows else -1
        self._desk.session.reviewing.rulers.choose(index)
        if 0 <= index < len(scan.rulers):
            voxels = scan.display.geometry.voxel(scan.rulers[index].places)
            spread = voxels.max(0) - voxels.min(0)
            axis = int(spread.argmin())
            self._desk.show_slice(axis, round(float(voxels[0, axis])))

    def _on_edited(self, item: QTableWidgetItem) -> None:
        scan = self._desk.session.current
        if not self._filling and item.column() == 0 and scan is not None:
            self._shown = ()
            self._desk.session.reviewing.rulers.rename(scan, item.row(), item.text())

    def _on_delete(self) -> None:
        scan, model = self._desk.session.current, self._desk.session.reviewing.rulers
        if scan is not None:
            model.remove(scan, model.chosen)

    def _on_save(self) -> None:
        scan = self._desk.session.current
        if scan is None:
            return
        folder = scan.display.source.parent if scan.display.source is not None else Path.home()
        path, chosen = QFileDialog.getSaveFileName(self, "Save the rulers", str(folder / f"{plain_name(scan.name)}_rulers.csv"), "CSV (*.csv);;JSON (*.json)")
        if path:
            name = Path(path)
            named = name.suffix.lower() in (".csv", ".json")
            self._desk.session.reviewing.rulers.save(name if named else name.with_name(f"{name.name}.{'json' if 'json' in chosen else 'csv'}"))
