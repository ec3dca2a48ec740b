"""Which series of a folder to open: a table with a picture, what it is, how large, and what to know. The window stays usable meanwhile."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QCloseEvent, QIcon, QImage, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QDialog, QHBoxLayout, QHeaderView, QLabel, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_medseg.errors import MedsegError
from napari_medseg.gui.style import SPACING, button, mark, quiet, sheet
from napari_medseg.io.middle import middle
from napari_medseg.session.choosing import PICTURE, Row, folder_name, picture

log = logging.getLogger(__name__)
COLUMNS = ("", "Description", "Type", "Size", "Images", "Notes")
NOTES = COLUMNS.index("Notes")
TEXT = Qt.ItemDataRole.DisplayRole


class SeriesChooser(QDialog):
    """A table of series; several may be ticked.

    Parameters
    ----------
    path : Path
        The folder.
    rows : tuple of Row
    parent : QWidget or None
    theme : str
        Of the viewer.

    Attributes
    ----------
    chosen, chosen_together : signal of tuple of str
        Keys of the series to open, each as a scan, or all as the channels of one.
    """

    chosen = Signal(object)
    chosen_together = Signal(object)
    _drawn = Signal(int, object)

    def __init__(self, path: Path, rows: tuple[Row, ...], parent: QWidget | None = None, theme: str = "dark") -> None:
        super().__init__(parent)
        self._path, self._rows, self._stop = path, rows, threading.Event()
        self.setWindowTitle(f"Series in {folder_name(path)}")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setModal(False)
        self.setStyleSheet(sheet(theme))
        self.table = QTableWidget(len(rows), len(COLUMNS))
        self.table.setTabKeyNavigation(False)
        self.table.setAccessibleName("Series")
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(PICTURE + 8)
        self.table.setIconSize(QSize(PICTURE, PICTURE))
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setWordWrap(True)
        self._fill()
        self.table.itemChanged.connect(self._on_ticked)
        self.table.itemDoubleClicked.connect(self._on_double)
        self.open = button("Open", "Open every ticked series as a scan of its own", lambda: self._take(self.chosen))
        tip = "Open the ticked series as one scan on the grid of the finest, PET over its CT"
        self.together = button("Open as channels", tip, lambda: self._take(self.chosen_together))
        self.cancel = button("Cancel", "Open nothing", self.close)
        mark(self.open, "primary", True)
        head = QLabel(f"{folder_name(path)} holds {len(rows)} series. Tick what to open.")
        self.hint = quiet()
        foot = QHBoxLayout()
        foot.addWidget(self.hint, 1)
        for each in (self.cancel, self.together, self.open):
            foot.addWidget(each)
        column = QVBoxLayout(self)
        column.setSpacing(SPACING)
        column.addWidget(head)
        column.addWidget(self.table, 1)
        column.addLayout(foot)
        self.resize(760, min(620, 150 + len(rows) * (PICTURE + 8)))
        self._drawn.connect(self._show_picture)
        self._on_ticked()
        threading.Thread(target=self._draw, name="medseg series pictures", daemon=True).start()

    def ticked(self) -> tuple[str, ...]:
        """Keys of the ticked series, in the order of the table."""
        on = Qt.CheckState.Checked
        return tuple(row.key for index, row in enumerate(self._rows) if row.readable and self.table.item(index, 0).checkState() == on)

    def tick(self, index: int, on: bool = True) -> None:
        """Tick a row that can be opened."""
        if not self._rows[index].readable:
            return
        self.table.item(index, 0).setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)

    def rethemed(self, theme: str) -> None:
        """The viewer's theme changed."""
        self.setStyleSheet(sheet(theme))

    def closeEvent(self, event: QCloseEvent) -> None:
        """Draw no more pictures."""
        self._stop.set()
        super().closeEvent(event)

    def done(self, result: int) -> None:
        """However it ends, draw no more pictures."""
        self._stop.set()
        super().done(result)

    # -- inside --------------------------------------------------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        first = next((i for i, row in enumerate(self._rows) if row.readable), -1)
        for index, row in enumerate(self._rows):
            for column, text in enumerate(("", row.title, row.modality, row.size, row.images, row.notes)):
                item = QTableWidgetItem(text)
                item.setToolTip(row.notes if column in (0, NOTES) else text.replace("\n", ", "))
                flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
                if not row.readable:
                    flags = Qt.ItemFlag.ItemIsEnabled if column == NOTES else Qt.ItemFlag.NoItemFlags  # why not is to be read
                elif column == 0:
                    flags |= Qt.ItemFlag.ItemIsUserCheckable
                item.setFlags(flags)
                if column == 0 and row.readable:
                    item.setCheckState(Qt.CheckState.Checked if index == first else Qt.CheckState.Unchecked)
                self.table.setItem(index, column, item)
        header = self.table.horizontalHeader()
        for column in range(len(COLUMNS)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(NOTES, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Fixed)
        self.table.setColumnWidth(0, PICTURE + 36)

    def _on_ticked(self, item: Any = None) -> None:
        ticked = len(self.ticked())
        self.open.setText("Open" if ticked < 2 else f"Open {ticked} scans")
        self.open.setEnabled(ticked > 0)
        self.together.setEnabled(ticked > 1)
        closed = sum(not row.readable for row in self._rows)
        self.hint.setText(f"{closed} cannot be opened; the notes say why" if closed else "")

    def _on_double(self, item: QTableWidgetItem) -> None:
        if self._rows[item.row()].readable:
            for index in range(len(self._rows)):
                if self._rows[index].readable:
                    self.tick(index, index == item.row())
            self._take(self.chosen)

    def _take(self, signal: Any) -> None:
        keys = self.ticked()
        if keys:
            signal.emit(keys)
            self.close()

    def _draw(self) -> None:
        """In a thread: the pictures, one after the other."""
        for index, row in enumerate(self._rows):
            if self._stop.is_set():
                return
            if not row.readable:
                continue
            try:
                made = picture(middle(self._path, row.key))
            except MedsegError as error:  # the row says what its header tells; opening it will say what is wrong
                log.info("no picture of a series: %s", error.what)
                continue
            try:
                self._drawn.emit(index, made)
            except RuntimeError:  # closed meanwhile
                return

    def _show_picture(self, index: int, grey: Any) -> None:
        square = np.zeros((PICTURE, PICTURE), np.uint8)
        top, left = (PICTURE - grey.shape[0]) // 2, (PICTURE - grey.shape[1]) // 2
        square[top:top + grey.shape[0], left:left + grey.shape[1]] = grey
        image = QImage(square.data, PICTURE, PICTURE, PICTURE, QImage.Format.Format_Grayscale8).copy()
        self.table.item(index, 0).setIcon(QIcon(QPixmap.fromImage(image)))
