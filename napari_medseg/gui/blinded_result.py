"""The result of a blinded review: a table of the raters, the figures in words, and ways to take them along."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPlainTextEdit,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, fit_rows, quiet, right
from napari_medseg.review.blinded.summary import Preference, Summary
from napari_medseg.review.blinded.words import headline, percent, told

COLUMNS = ("Rater", "First", "Tie", "Second", "No ties", "Of all")
ROWS = 6


class BlindedResult(QWidget):
    """Views of `session.reviewing.blinded.summary`."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._blinded = desk.session.reviewing.blinded
        self._shown: Summary | None = None
        self.title, self.sets = QLabel(), quiet()
        self.title.setWordWrap(True)
        self.title.setStyleSheet("font-weight: bold;")
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setAccessibleName("Result")
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for column in range(len(COLUMNS)):
            mode = QHeaderView.ResizeMode.Stretch if column == 0 else QHeaderView.ResizeMode.ResizeToContents
            self.table.horizontalHeader().setSectionResizeMode(column, mode)
        tips = ("", "Answers for the first set", "Answers for neither", "Answers for the second set", "The first set's share of the answers that chose a side",
                "The first set's share of all answers, ties among them")
        for column, tip in enumerate(tips):
            self.table.horizontalHeaderItem(column).setToolTip(tip)
        self.words = QPlainTextEdit()
        self.words.setReadOnly(True)
        self.words.setMinimumHeight(120)
        self.words.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.copy = button("Copy", "Copy the figures in words", self._on_copy)
        self.csv = button("Save answers…", "Every answer as a CSV table", lambda: self._on_save("answers.csv", "CSV (*.csv)"))
        self.json = button("Save figures…", "All figures as JSON", lambda: self._on_save("result.json", "JSON (*.json)"))
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        for one in (self.copy, self.csv, self.json):
            row.addWidget(one)
        row.addStretch(1)
        column_of = QVBoxLayout(self)
        column_of.setContentsMargins(0, 0, 0, 0)
        column_of.setSpacing(SPACING)
        column_of.addWidget(self.title)
        column_of.addWidget(self.sets)
        column_of.addWidget(self.table)
        column_of.addLayout(row)
        column_of.addWidget(self.words, 1)

    def refresh(self) -> None:
        """Show the session."""
        summary = self._blinded.summary
        if summary is None or summary is self._shown:
            return
        self._shown = summary
        self.title.setText(headline(summary))
        self.sets.setText(f"First: {summary.a}.  Second: {summary.b}.")
        rows = [(one.rater, one.preference) for one in summary.raters]
        if len(rows) > 1:
            rows.append(("All", summary.together))
        self.table.setRowCount(len(rows))
        for index, (name, preference) in enumerate(rows):
            self.table.setItem(index, 0, QTableWidgetItem(name))
            for column, text in enumerate(_cells(preference), 1):
                self.table.setItem(index, column, right(text))
        fit_rows(self.table, ROWS)
        self.words.setPlainText(told(summary))

    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(self.words.toPlainText())

    def _on_save(self, name: str, kind: str) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save", name, kind)
        if path:
            self._blinded.save(Path(path))


def _cells(one: Preference) -> tuple[str, str, str, str, str]:
    shares = ["-" if share.share is None else percent(share.share) for share in (one.without_ties, one.of_all)]
    return str(one.a), str(one.tie), str(one.b), shares[0], shares[1]
