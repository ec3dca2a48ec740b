"""Segment statistics: what each label of the current scan measures."""

from __future__ import annotations

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, quiet, right, swatch
from napari_medseg.volume.windows import unit_words

PAUSE_MS = 800  # of no editing, before labels are measured again


class StatisticsPage(QWidget):
    """A table of the labels; it follows the editing."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._shown: tuple[object, ...] = ()
        self.table = QTableWidget(0, 5)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.note = quiet()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        column.addWidget(self.table)
        column.addWidget(self.note)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self._measure)
        desk.session.edited.connect(self._on_edited)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        scan, statistics = session.current, session.reviewing.statistics
        if not session.reviewing.is_on("statistics"):
            return
        ready = scan is not None and scan.has_labels and not scan.arriving
        if scan is not None and ready and statistics.is_stale(scan) and not statistics.is_running and not self._pause.isActive():
            self._pause.start(0 if statistics.of(scan) is None else PAUSE_MS)
        rows = statistics.of(scan) or () if scan is not None else ()
        unit = unit_words(scan.display.modality, scan.display.units) if scan is not None else ""
        names = {c.value: (c.name, c.colour) for c in session.classes}
        self.note.setText("" if ready else "No label is accepted yet. Make one in the tabs before this one; then its volume and grey values stand here.")
        self.note.setVisible(not ready)
        self.table.setVisible(ready)
        if (rows, unit, names) == self._shown:
            return
        self._shown = (rows, unit, names)
        of = f" ({unit})" if unit else ""
        self.table.setHorizontalHeaderLabels(["Label", "ml", "Pieces", f"Mean{of}", f"SD{of}"])
        self.table.setRowCount(len(rows))
        for at, row in enumerate(rows):
            name, colour = names.get(row.value, (f"label {row.value}", (0.5, 0.5, 0.5)))
            title = QTableWidgetItem(swatch(colour), name)
            title.setData(Qt.ItemDataRole.UserRole, row.value)
            self.table.setItem(at, 0, title)
            for column, text in enumerate((f"{row.ml:.2f}", str(row.pieces), f"{row.values.mean:.4g}", f"{row.values.sd:.4g}"), 1):
                self.table.setItem(at, column, right(text))

    def _on_edited(self, scan: object, boxes: object) -> None:
        if self._pause.isActive():
            self._pause.start(PAUSE_MS)

    def _measure(self) -> None:
        if self._desk.session.reviewing.is_on("statistics"):
            self._desk.session.reviewing.run()
