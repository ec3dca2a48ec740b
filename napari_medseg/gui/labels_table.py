"""The labels: colour, name and volume of each class, shared by every tab."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QCheckBox, QFileDialog, QHBoxLayout, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, fit_rows, mark, swatch
from napari_medseg.session.guide import next_step

FORMATS = "NIfTI (*.nii.gz);;NRRD (*.nrrd);;MetaImage (*.mha)"


class LabelsTable(QWidget):
    """Choose, name and add classes; save the labels."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._filling = False
        self._shown: tuple[object, ...] = ()
        self.table = QTableWidget(0, 2)
        self.table.setHorizontalHeaderLabels(["Label", "ml"])
        self.table.setToolTip("The chosen class is the one that seeds, strokes and Accept are for. Double-click a name to change it.")
        self.table.verticalHeader().hide()
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.itemSelectionChanged.connect(self._on_chosen)
        self.table.itemChanged.connect(self._on_edited)
        self.add = button("New label", "Add a class with its own colour", desk.session.add_class)
        self.save = button("Save…", "Write the labels of this scan as NIfTI, NRRD or MHA, on the grid of the scan's own file", self._on_save)
        self.keep = QCheckBox("Add to it")
        self.keep.setToolTip("On: Accept adds to what the label holds. Off: Accept replaces what the label holds. Other labels are never overwritten.")
        self.keep.toggled.connect(lambda on: desk.session.set(add=on))
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        row.addWidget(self.add)
        row.addWidget(self.save)
        row.addStretch(1)
        row.addWidget(self.keep)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.table)
        column.addLayout(row)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        scan = session.current
        rows = tuple((c.value, c.name, c.colour, scan.ml(c.value) if scan is not None else 0.0) for c in session.classes)
        self.save.setEnabled(scan is not None and scan.has_labels)
        mark(self.save, "primary", next_step(session).action == "save")
        if (rows, session.chosen) == self._shown:
            return
        self._shown = (rows, session.chosen)
        self._filling = True
        self.table.setRowCount(len(rows))
        for row, (value, name, colour, ml) in enumerate(rows):
            title = QTableWidgetItem(swatch(colour), name)
            title.setData(Qt.ItemDataRole.UserRole, value)
            volume = QTableWidgetItem(f"{ml:.2f}" if ml else "–")
            volume.setFlags(volume.flags() & ~Qt.ItemFlag.ItemIsEditable)
            volume.setTextAlignment(int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))
            self.table.setItem(row, 0, title)
            self.table.setItem(row, 1, volume)
            if value == session.chosen:
                self.table.selectRow(row)
        fit_rows(self.table, 4)
        self._filling = False

    def _on_chosen(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        if rows and not self._filling:
            self._desk.session.choose_class(int(self.table.item(rows[0].row(), 0).data(Qt.ItemDataRole.UserRole)))

    def _on_edited(self, item: QTableWidgetItem) -> None:
        if self._filling or item.column() != 0:
            return
        self._shown = ()
        if item.text().strip():
            self._desk.session.rename_class(int(item.data(Qt.ItemDataRole.UserRole)), item.text())
        else:
            self.refresh()

    def _on_save(self) -> None:
        scan = self._desk.session.current
        if scan is None:
            return
        folder = scan.display.source.parent if scan.display.source is not None else Path.home()
        path, chosen = QFileDialog.getSaveFileName(self, "Save the labels", str(folder / f"{scan.name}_labels.nii.gz"), FORMATS)
        if path:
            suffix = chosen[chosen.find("*") + 1:chosen.find(")")] if chosen else ".nii.gz"
            name = Path(path)
            self._desk.session.save_labels(name if name.suffix else name.with_name(name.name + suffix))
