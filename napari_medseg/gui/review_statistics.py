"""Segment statistics: what each label of the current scan measures, in a table that sorts, copies and is saved as CSV."""

from __future__ import annotations

import math
from pathlib import Path

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QGuiApplication, QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QFileDialog, QHBoxLayout, QHeaderView, QShortcut, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, combo, fit_rows, quiet, swatch
from napari_medseg.io.names import plain_name
from napari_medseg.metrics.statistics import LabelStatistics
from napari_medseg.metrics.statistics_table import PLANES
from napari_medseg.session.statistics import Found, names

PAUSE_MS = 800  # of no editing, before labels are measured again
ROWS = 8
COLUMNS = (
    ("Label", "Name of the label"),
    ("ml", "Volume in millilitres"),
    ("mm", "Longest diameter in a slice, and the longest one at right angles to it there, as RECIST measures"),
    ("Mean", "Mean of the grey values"),
)
NOTHING = "No label is accepted yet. Make one in the other tabs; then its volume, diameters and grey values stand here."


class StatisticsPage(QWidget):
    """A table of the labels; it follows the editing, and the chosen row's diameters stand on the canvas."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._shown: tuple[object, ...] = ()
        self._filling = False
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setTabKeyNavigation(False)
        self.table.setAccessibleName("Segment statistics")
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.table.itemSelectionChanged.connect(self._on_chosen)
        for column, (title, tip) in enumerate(COLUMNS):
            item = QTableWidgetItem(title)
            item.setToolTip(f"{tip}. Click to sort.")
            self.table.setHorizontalHeaderItem(column, item)
            mode = QHeaderView.ResizeMode.Stretch if column == 0 else QHeaderView.ResizeMode.ResizeToContents
            self.table.horizontalHeader().setSectionResizeMode(column, mode)
        self.table.horizontalHeader().setHighlightSections(False)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Copy), self.table, self._copy, context=Qt.ShortcutContext.WidgetShortcut)
        self.plane = combo("The slices that the two diameters are measured on")
        self.plane.setAccessibleName("Plane of the diameters")
        for axis, plane in enumerate(PLANES):
            self.plane.addItem(f"mm on {plane} slices", axis)
        self.plane.activated.connect(lambda i: desk.session.reviewing.statistics.look_along(self.plane.itemData(i)))
        self.copy = button("Copy", "Copy the whole table with its units, for a spreadsheet (Ctrl+C)", self._copy)
        self.save = button("CSV…", "Write the whole table with its units as a CSV file", self._on_save)
        self.facts = quiet()
        self.facts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.note = quiet()
        taking = QHBoxLayout()
        taking.setSpacing(SPACING)
        for part in (self.plane, self.copy, self.save):
            taking.addWidget(part, 1 if part is self.plane else 0)
        column_of = QVBoxLayout(self)
        column_of.setContentsMargins(0, 0, 0, 0)
        column_of.setSpacing(SPACING)
        column_of.addWidget(self.table)
        column_of.addLayout(taking)
        column_of.addWidget(self.facts)
        column_of.addWidget(self.note)
        column_of.addStretch(1)
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
        if not session.reviewing.is_on("statistics"):
            return
        scan, statistics = session.current, session.reviewing.statistics
        ready = scan is not None and scan.has_labels and not scan.arriving
        found = statistics.of(scan) if ready else None
        stale = scan is not None and ready and statistics.is_stale(scan)
        if stale and not self._pause.isActive():
            self._pause.start(0 if found is None and not statistics.is_running else PAUSE_MS)
        for part in (self.table, self.plane, self.copy, self.save):
            part.setEnabled(found is not None)
        self.table.setVisible(ready)
        self.plane.setCurrentIndex(statistics.axis)
        self._fill(found)
        row = found.row(statistics.chosen) if found is not None else None
        self.facts.setText(facts(row, found) if row is not None and found is not None else "")
        self.facts.setVisible(row is not None)
        if not ready:
            self.note.setText(NOTHING)
        elif stale or statistics.is_running:
            self.note.setText("Measuring…" if found is None else "The labels changed; they are measured again when you pause.")
        else:
            self.note.setText(_measured_words(found))

    def _fill(self, found: Found | None) -> None:
        session = self._desk.session
        wanted = (found, tuple(session.classes), session.reviewing.statistics.chosen)
        if wanted == self._shown:
            return
        self._shown = wanted
        rows = found.rows if found is not None else ()
        called, colours = names(session.classes), {c.value: c.colour for c in session.classes}
        self._filling = True
        self.table.setSortingEnabled(False)
        self.table.setRowCount(len(rows))
        for at, row in enumerate(rows):
            title = QTableWidgetItem(swatch(colours.get(row.value, (0.5, 0.5, 0.5))), called.get(row.value, f"label {row.value}"))
            title.setData(Qt.ItemDataRole.UserRole, row.value)
            self.table.setItem(at, 0, title)
            lines, grey = row.diameters, row.values
            across = f"{lines.long_mm:.1f} × {lines.short_mm:.1f}"
            cells = ((f"{row.ml:.2f}", row.ml), (across, lines.long_mm), (short(grey.mean), grey.mean))
            for column, (text, figure) in enumerate(cells, 1):
                self.table.setItem(at, column, _Figure(text, figure))
        self.table.setSortingEnabled(True)
        for at in range(self.table.rowCount()):
            if int(self.table.item(at, 0).data(Qt.ItemDataRole.UserRole)) == session.reviewing.statistics.chosen:
                self.table.selectRow(at)
        fit_rows(self.table, ROWS)
        self._filling = False

    def _on_chosen(self) -> None:
        if self._filling:
            return
        rows = self.table.selectionModel().selectedRows()
        value = int(self.table.item(rows[0].row(), 0).data(Qt.ItemDataRole.UserRole)) if rows else 0
        statistics = self._desk.session.reviewing.statistics
        found = statistics.of(self._desk.session.current)
        row = found.row(value) if found is not None else None
        statistics.choose(value)
        if row is not None and found is not None:
            self._desk.show_slice(found.axis, row.diameters.slice)

    def _copy(self) -> None:
        text = self._desk.session.reviewing.statistics.text(delimiter="\t")
        if text:
            QGuiApplication.clipboard().setText(text)
            self.note.setText("Copied, with its units; paste it into a spreadsheet.")

    def _on_save(self) -> None:
        scan = self._desk.session.current
        if scan is None:
            return
        folder = scan.display.source.parent if scan.display.source is not None else Path.home()
        path, _ = QFileDialog.getSaveFileName(self, "Save the statistics", str(folder / f"{plain_name(scan.name)}_statistics.csv"), "CSV (*.csv)")
        if path:
            self._desk.session.reviewing.statistics.save(Path(path).with_suffix(".csv"))

    def _on_edited(self, scan: object, boxes: object) -> None:
        if self._pause.isActive():
            self._pause.start(PAUSE_MS)

    def _measure(self) -> None:
        session = self._desk.session
        scan = session.current
        if session.reviewing.is_on("statistics") and scan is not None and scan.has_labels and session.reviewing.statistics.is_stale(scan):
            session.reviewing.run()


class _Figure(QTableWidgetItem):
    """A number on the right, sorted as a number."""

    def __init__(self, text: str, figure: float) -> None:
        super().__init__(text)
        self._figure = figure
        self.setTextAlignment(int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))

    def __lt__(self, other: QTableWidgetItem) -> bool:
        return isinstance(other, _Figure) and self._figure < other._figure


def short(figure: float) -> str:
    """A grey value in few letters; a dash where there is none."""
    if math.isnan(figure):
        return "–"
    return f"{figure:.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


def facts(row: LabelStatistics, found: Found) -> str:
    """Everything about one label in a few lines."""
    lines, grey, unit = row.diameters, row.values, f" {found.unit}" if found.unit else ""
    p5, p25, median, p75, p95 = (short(mark) for mark in grey.percentiles)
    pieces = "one piece" if row.pieces == 1 else f"{row.pieces} pieces"
    return (
        f"{row.voxels:,} voxels, {row.ml:.2f} ml, surface {row.surface_cm2:.1f} cm², {pieces}\n"
        f"{lines.long_mm:.1f} × {lines.short_mm:.1f} mm on {PLANES[found.axis]} slice {lines.slice}; longest in 3D {lines.feret_mm:.1f} mm\n"
        f"Mean {short(grey.mean)} ± {short(grey.sd)}{unit} (SD), median {median}, quarters {p25} to {p75}, 5 to 95 % {p5} to {p95}, "
        f"all {short(grey.minimum)} to {short(grey.maximum)}"
    )


def _measured_words(found: Found | None) -> str:
    if found is None:
        return ""
    of = f"in {found.unit}" if found.unit else "as stored, since the scan names no unit"
    return f"Grey values {of}. Click on a row for its diameters and more."
