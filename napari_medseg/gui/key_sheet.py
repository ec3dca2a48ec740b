"""The sheet of keys: it lies over the window without stopping it, can be searched, and takes other keys. ? or F1 opens it; ? or Esc closes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QAction, QFont, QKeyEvent, QKeySequence
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QShortcut, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from napari_medseg.gui.key_clashes import napari_act, typed
from napari_medseg.gui.key_table import INFORMATION, TABLE, Key, assigned, matching, spelt, with_key
from napari_medseg.gui.style import SPACING, button, quiet, sheet

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk

LARGEST = (860, 660)
ROW = Qt.ItemDataRole.UserRole
HINT = "Choose a row and press Enter, or double-click it, to give it another key."


class KeySheets:
    """The sheet of a desk, made when it is first wanted, and the ? that opens it.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._window: QWidget | None = None
        self._shortcut: QShortcut | None = None
        self.shown: KeySheet | None = None

    def attach(self, window: QWidget) -> None:
        """The window that docks of the desk are in; ? works there from now on."""
        if self._window is not window:
            self.close()
            self._window = window
            self._shortcut = QShortcut(QKeySequence("?"), window)
            self._shortcut.activated.connect(self.toggle)
            window.destroyed.connect(self._forget)

    def toggle(self) -> None:
        """Open the sheet, or close it."""
        if self._window is None:
            return
        if self.shown is None:
            self.shown = KeySheet(self._desk, self._window)
        self.shown.leave() if self.shown.isVisible() else self.shown.come()

    def close(self) -> None:
        """The last dock went."""
        for made in (self._shortcut, self.shown):
            if made is not None:
                made.deleteLater()
        self._forget()

    def _forget(self) -> None:
        self._window = self._shortcut = self.shown = None


class _Rows(QTreeWidget):
    """The rows; while a key is awaited, the next one that is pressed is taken."""

    def __init__(self, sheet: KeySheet) -> None:
        super().__init__()
        self._sheet = sheet
        self.setHeaderLabels(["Key", "What it does"])
        self.setRootIsDecorated(False)
        self.setAccessibleName("Keys and what they do")
        self.setToolTip(HINT)
        self.setColumnWidth(0, 150)
        self.setIndentation(12)

    def event(self, event: QEvent) -> bool:
        """A key that is awaited is no shortcut of the window."""
        if event.type() == QEvent.Type.ShortcutOverride and self._sheet.awaits:
            event.accept()
            return True
        return bool(super().event(event))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Take the key that is awaited, or begin to wait for one."""
        if self._sheet.awaits:
            self._sheet.pressed(event)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._sheet.ask()
        else:
            super().keyPressEvent(event)


class KeySheet(QFrame):
    """The sheet itself.

    Attributes
    ----------
    awaits : str
        Id of the act that the next key pressed is for; "" for none.
    """

    def __init__(self, desk: Desk, window: QWidget) -> None:
        super().__init__(window)
        self._desk = desk
        self.awaits = ""
        self.setObjectName("medsegKeys")
        self.setAccessibleName("Keys")
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search: accept, ruler, Shift+K …")
        self.search.setAccessibleName("Search keys")
        self.search.setToolTip("Shows the keys whose name, act or place holds all the words")
        self.search.textChanged.connect(self._filter)
        self.rows = _Rows(self)
        self.rows.itemDoubleClicked.connect(lambda item, column: self.ask())
        self.rows.currentItemChanged.connect(lambda now, before: self._enable())
        self.said = quiet(HINT)
        self.other = button("Other key", "Then press the key that it shall have", self.ask)
        self.none = button("No key", "The act has no key from now on", lambda: self._give(self._chosen(), ""))
        self.reset = button("All as from the start", "Every act gets the key it had when Medseg was installed", self._reset)
        close = button("Close", "Close the sheet (Esc or ?)", self.leave)
        title = QLabel("<b>Keys</b>")
        top = QHBoxLayout()
        for part, share in ((title, 0), (self.search, 1), (close, 0)):
            top.addWidget(part, share)
        foot = QHBoxLayout()
        foot.setSpacing(SPACING)
        for each in (self.other, self.none, self.reset):
            foot.addWidget(each)
        foot.addStretch(1)
        column = QVBoxLayout(self)
        column.addLayout(top)
        column.addWidget(self.rows, 1)
        column.addWidget(self.said)
        column.addLayout(foot)
        self._retheme(str(desk.viewer.theme))
        desk.rethemed.connect(self._retheme)
        window.installEventFilter(self)
        self.hide()

    def come(self) -> None:
        """Show it in the middle of the window, with the search in hand."""
        self._fill()
        self._place()
        self.show()
        self.raise_()
        self.search.setFocus(Qt.FocusReason.PopupFocusReason)
        self.search.selectAll()

    def leave(self) -> None:
        """Close it; the keys are the canvas's again."""
        self._stop_waiting()
        self.hide()
        self.parentWidget().setFocus(Qt.FocusReason.OtherFocusReason)

    def ask(self) -> None:
        """Wait for the key that the chosen act shall have."""
        row = self._chosen()
        if row is not None and row.run is not None:
            self.awaits = row.id
            self.rows.setFocus()
            self.said.setText(f"Press the key for: {row.words}. Esc keeps {spelt(self._desk.keys.now[row.id]) or 'it without a key'}.")

    def pressed(self, event: QKeyEvent) -> None:
        """A key was pressed while one is awaited."""
        if event.key() == Qt.Key.Key_Escape:
            self._stop_waiting()
            return
        key = typed(event)
        row = next(row for row in TABLE if row.id == self.awaits)
        if key:
            taken = napari_act(key, self.window().findChildren(QAction)) if key != row.key else ""
            if taken:
                self.said.setText(f"{spelt(key)} is napari's own, for: {taken}. Press another key, or Esc.")
            else:
                self._give(row, key)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc closes the sheet, and no key typed into it reaches the canvas."""
        if event.key() == Qt.Key.Key_Escape or event.text() == "?":
            self.leave()
        event.accept()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay in the middle of the window."""
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self._place()
        return False

    def _give(self, row: Key | None, key: str) -> None:
        if row is None or row.run is None:
            return
        keys = self._desk.keys
        other = next((one for one in TABLE if key and one.id != row.id and keys.now[one.id] == key), None)
        keys.change(with_key(keys.now, row.id, key))
        self._stop_waiting()
        self._fill()
        told = f"{row.words}: {spelt(key) or 'no key'}"
        self.said.setText(f"{told}. {other.words}: {spelt(keys.now[other.id]) or 'no key'}." if other is not None else f"{told}.")

    def _reset(self) -> None:
        self._desk.keys.change(assigned({}))
        self._fill()
        self.said.setText("All keys are as they were from the start.")

    def _chosen(self) -> Key | None:
        item = self.rows.currentItem()
        row = item.data(0, ROW) if item is not None else None
        return row if isinstance(row, Key) else None

    def _enable(self) -> None:
        row = self._chosen()
        for each in (self.other, self.none):
            each.setEnabled(row is not None and row.run is not None)

    def _fill(self) -> None:
        """The rows of the table that the search leaves, under their headings; a key that is not as from the start is bold."""
        chosen, keys = self._chosen(), self._desk.keys.now
        self.rows.clear()
        headings: dict[str, QTreeWidgetItem] = {}
        bold = QFont(self.rows.font())
        bold.setBold(True)
        for row in matching(self.search.text(), (*TABLE, *INFORMATION), keys):
            if row.where not in headings:
                headings[row.where] = QTreeWidgetItem(self.rows, [row.where])
                headings[row.where].setFirstColumnSpanned(True)
                headings[row.where].setFont(0, bold)
                headings[row.where].setFlags(Qt.ItemFlag.ItemIsEnabled)
            now = keys.get(row.id, row.key)
            item = QTreeWidgetItem(headings[row.where], [spelt(now) or "none", row.words + (f" (from the start {spelt(row.key)})" if now != row.key else "")])
            item.setData(0, ROW, row)
            item.setToolTip(1, row.words)
            if now != row.key:
                item.setFont(0, bold)
            if chosen is not None and row.id and row.id == chosen.id:
                self.rows.setCurrentItem(item)
        self.rows.expandAll()
        self._enable()

    def _filter(self, words: str) -> None:
        if "?" in words:
            self.search.setText(words.replace("?", ""))
            self.leave()
            return
        self._fill()

    def _stop_waiting(self) -> None:
        if self.awaits:
            self.awaits = ""
            self.said.setText(HINT)

    def _place(self) -> None:
        around = self.parentWidget().size()
        width, height = min(LARGEST[0], around.width() - 40), min(LARGEST[1], around.height() - 60)
        self.setGeometry((around.width() - width) // 2, (around.height() - height) // 2, width, height)

    def _retheme(self, theme: str) -> None:
        self.setStyleSheet(sheet(theme))
