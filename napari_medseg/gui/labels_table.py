"""The labels: colour, name, volume, sight and lock of each class, shared by every tab; all of it by mouse or by keys."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QPoint, Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QCheckBox, QFileDialog, QHBoxLayout, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_medseg.annotation import LabelClass
from napari_medseg.gui.class_icons import eye, numbered, padlock
from napari_medseg.gui.class_menu import ClassMenu
from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, fit_rows, ink, is_low, mark, right
from napari_medseg.session import saving
from napari_medseg.session.guide import next_step

COLOUR, NAME, ML, SHOWN, LOCKED = range(5)
VALUE = Qt.ItemDataRole.UserRole
TIPS = (
    "Number and colour. Click, or press Space, to change the colour", "Double-click, or press F2, to change the name",
    "Volume of the accepted label in millilitres", "Shown or hidden. Click, or press Space; with Shift only this label is shown",
    "A locked label is changed by no tool. Click, or press Space",
)


class Cells(QTableWidget):
    """A table whose cells are pressed like buttons; letters stay keys of the window, and Tab leaves the table.

    Attributes
    ----------
    pressed_cell : signal of row, column, bool
        A cell was clicked, or Space or Enter pressed on it; whether Shift was held.
    wants_menu : signal of row and place
    wants_removal : signal of row
    """

    pressed_cell = Signal(int, int, bool)
    wants_menu = Signal(int, QPoint)
    wants_removal = Signal(int)

    def __init__(self) -> None:
        super().__init__(0, len(TIPS))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the keys with the canvas
        self.setTabKeyNavigation(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(22)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._on_menu)
        self._shift = False
        self.cellClicked.connect(lambda row, column: self.pressed_cell.emit(row, column, self._shift))

    def mousePressEvent(self, event: object) -> None:
        """Remember whether Shift is held."""
        self._shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)  # type: ignore[attr-defined]
        super().mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Keys that act on a cell; letters go on to the window."""
        key, row, column = event.key(), self.currentRow(), self.currentColumn()
        if row >= 0 and key in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.pressed_cell.emit(row, column, bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))
            if column == NAME and key != Qt.Key.Key_Space:
                self.editItem(self.item(row, NAME))
        elif row >= 0 and key == Qt.Key.Key_Delete:
            self.wants_removal.emit(row)
        elif event.text().isprintable() and event.text().strip():
            event.ignore()
        else:
            super().keyPressEvent(event)

    def _on_menu(self, place: QPoint) -> None:
        row = self.rowAt(place.y())
        row = row if row >= 0 else self.currentRow()
        if row >= 0:
            self.wants_menu.emit(row, self.viewport().mapToGlobal(place))


class LabelsTable(QWidget):
    """Choose, name, colour, show, lock, add and delete classes; save the labels."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._filling = False
        self._shown: tuple[object, ...] = ()
        self.table = Cells()
        self.table.setAccessibleName("Labels")
        self.table.setToolTip("The chosen label is the one that seeds, strokes and Accept are for. Right-click for all that can be done")
        self._set_headers()
        self.table.itemSelectionChanged.connect(self._on_chosen)
        self.table.itemChanged.connect(self._on_edited)
        self.table.pressed_cell.connect(self._on_pressed)
        self.table.wants_menu.connect(self._on_menu)
        self.table.wants_removal.connect(lambda row: self.remove(self._value(row)))
        self.add = button("New label", "Add a class with its own colour", desk.session.add_class)
        self.delete = button("Delete", "", lambda: self.remove(desk.session.chosen))
        self.save = button("Save…", "Write the labels of this scan on the grid of its own file: NIfTI, NRRD, MHA, or DICOM SEG for a DICOM scan", self._on_save)
        self.keep = QCheckBox("Add to it")
        self.keep.setToolTip("On: Accept adds to what the label holds. Off: Accept replaces what the label holds. Other labels are never overwritten.")
        self.keep.toggled.connect(lambda on: desk.session.set(add=on))
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        for each in (self.add, self.delete, self.save):
            row.addWidget(each)
        row.addStretch(1)
        row.addWidget(self.keep)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.table)
        column.addLayout(row)
        desk.refreshed.connect(self.refresh)
        desk.rethemed.connect(self._rethemed)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        scan, table = session.current, session.table
        rows = tuple((c, scan.ml(c.value) if scan is not None else 0.0, c.value not in table.hidden, c.value in table.locked) for c in session.classes)
        self.save.setEnabled(scan is not None and scan.has_labels)
        mark(self.save, "primary", next_step(session).action == "save")
        why = table.refuse(session.chosen)
        self.delete.setEnabled(not why)
        self.delete.setToolTip(why or f"Take {session.label_class.name} and its voxels out; Ctrl+Z brings both back (Delete)")
        if (rows, session.chosen) == self._shown:
            return
        self._shown = (rows, session.chosen)
        self._filling = True
        self.table.setRowCount(len(rows))
        for row, (one, ml, shown, locked) in enumerate(rows):
            self._fill(row, one, ml, shown, locked)
            if one.value == session.chosen and self.table.currentRow() != row:
                self.table.setCurrentCell(row, max(self.table.currentColumn(), 0) or NAME)
        fit_rows(self.table, 2 if is_low(self) else 4)
        self._filling = False

    def remove(self, value: int) -> None:
        """Take a class out."""
        session = self._desk.session
        session.attempt(lambda: session.table.remove(value))

    def rename(self, value: int) -> None:
        """Let the person type another name."""
        for row in range(self.table.rowCount()):
            if self._value(row) == value:
                self.table.editItem(self.table.item(row, NAME))

    def _fill(self, row: int, one: LabelClass, ml: float, shown: bool, locked: bool) -> None:
        colour = ink(str(self._desk.viewer.theme))
        fixed = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        volume = f"{ml:.2f}" if ml else "–"
        cells = (
            (QTableWidgetItem(numbered(one.colour, one.value, colour), ""), f"{one.name}, number {one.value}: colour"),
            (QTableWidgetItem(one.name), f"{one.name}, {'chosen label' if one.value == self._desk.session.chosen else 'label'}"),
            (right(volume), f"{one.name}: {volume} ml" if ml else f"{one.name}: empty"),
            (QTableWidgetItem(eye(colour, shown), ""), f"{one.name} is {'shown' if shown else 'hidden'}"),
            (QTableWidgetItem(padlock(colour, locked), ""), f"{one.name} is {'locked' if locked else 'not locked'}"),
        )
        for column, (item, words) in enumerate(cells):
            if column != NAME:
                item.setFlags(fixed)
            item.setData(VALUE, one.value)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, words)
            item.setToolTip(f"{words}. {TIPS[column]}")
            self.table.setItem(row, column, item)

    def _set_headers(self) -> None:
        colour = ink(str(self._desk.viewer.theme))
        titles = ("", "Label", "ml", "", "")
        for column, (title, tip) in enumerate(zip(titles, TIPS, strict=True)):
            item = QTableWidgetItem(title)
            item.setToolTip(tip)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, ("Colour", "Label", "Volume, ml", "Shown", "Locked")[column])
            self.table.setHorizontalHeaderItem(column, item)
        self.table.horizontalHeaderItem(SHOWN).setIcon(eye(colour, True))
        self.table.horizontalHeaderItem(LOCKED).setIcon(padlock(colour, True))
        header = self.table.horizontalHeader()
        header.setMinimumSectionSize(24)
        header.setHighlightSections(False)
        for column in (COLOUR, SHOWN, LOCKED):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            self.table.setColumnWidth(column, 28)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(ML, QHeaderView.ResizeMode.ResizeToContents)

    def _rethemed(self, theme: str) -> None:
        self._shown = ()
        self._set_headers()
        self.refresh()

    def _value(self, row: int) -> int:
        return int(self.table.item(row, NAME).data(VALUE))

    def _on_chosen(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        if rows and not self._filling:
            self._desk.session.choose_class(self._value(rows[0].row()))

    def _on_pressed(self, row: int, column: int, alone: bool) -> None:
        value, table = self._value(row), self._desk.session.table
        if column == COLOUR:
            below = self.table.visualItemRect(self.table.item(row, COLOUR)).bottomLeft()
            ClassMenu(self, self._desk, value).colours.popup(self.table.viewport().mapToGlobal(below))
        elif column == SHOWN:
            table.show_only(value) if alone else table.show(value, value in table.hidden)
        elif column == LOCKED:
            table.lock(value, value not in table.locked)

    def _on_menu(self, row: int, place: QPoint) -> None:
        ClassMenu(self, self._desk, self._value(row)).popup(place)

    def _on_edited(self, item: QTableWidgetItem) -> None:
        if self._filling or item.column() != NAME:
            return
        self._shown = ()
        if item.text().strip():
            self._desk.session.rename_class(int(item.data(VALUE)), item.text())
        else:
            self.refresh()

    def _on_save(self) -> None:
        scan = self._desk.session.current
        if scan is None:
            return
        kinds = {f"{title} (*{suffix})": suffix for title, suffix in saving.formats(scan)}
        path, chosen = QFileDialog.getSaveFileName(self, "Save the labels", str(saving.proposed(scan)), ";;".join(kinds))
        if path:
            self._desk.session.save_labels(saving.as_chosen(Path(path), kinds.get(chosen, ""), scan))
