"""The prompt tools of the Segment tab, and the objects that were pointed at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHBoxLayout, QHeaderView, QTableWidget, QTableWidgetItem, QToolButton, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.label_colours import BACKGROUND_STROKE
from napari_medseg.gui.style import button, mark, middle, swatch
from napari_medseg.session import segmenting
from napari_medseg.session.guide import next_step
from napari_medseg.session.prompting import TOOLS
from napari_medseg.session.targets import Target

BUTTONS = {
    "point": ("Click", "Click inside the object; Shift and click, or Q, for outside it"),
    "box": ("Box", "Drag a box round the object; Shift and drag on another slice extends it over the slices between"),
    "scribbles": ("Stroke", "Draw inside the object; Q for outside it; [ and ] change the size"),
    "lasso": ("Lasso", "Draw an outline round the object, roughly"),
}
WORDS = {"points": "clicks", "boxes": "boxes", "scribbles": "strokes", "lassos": "lassos"}
SPACE, LEAST = 4, 48
MOST_ROWS, ROW = 3, 22
LONGEST_NAME = 10  # letters of a label on the button for inside and outside


class PromptTools(QWidget):
    """Four tools, inside or outside, and the objects."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        session = desk.session
        self.tools = {tool: button(BUTTONS[tool][0], "", partial(desk.arm, tool)) for tool, _ in TOOLS}
        self.side = button("", "Change between inside and outside of the object (Q)", session.flip)
        tip = "Start from the accepted label of the chosen class and correct it by clicks"
        self.start = button("From label", tip, desk.start_from_label)
        self.clear = button("Clear", "Take all clicks, boxes and strokes of this scan away; Ctrl+Z brings them back", self._on_clear)
        self.objects = Objects(desk)
        for each in (*self.tools.values(), self.side, self.start, self.clear):
            each.setMinimumWidth(LEAST)
        first, second = QHBoxLayout(), QHBoxLayout()
        for row in (first, second):
            row.setSpacing(SPACE)
        for each in self.tools.values():
            first.addWidget(each, 1)
        second.addWidget(self.side, 3)
        second.addWidget(self.start, 2)
        second.addWidget(self.clear, 2)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACE)
        column.addLayout(first)
        column.addLayout(second)
        column.addWidget(self.objects)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session, scan = self._desk.session, self._desk.session.current
        row = segmenting.chosen_engine(session)
        able, title = session.prompting.tools(), row.title if row is not None else session.engine
        for tool, kind in TOOLS:
            held = self.tools[tool]
            held.setEnabled(tool in able and scan is not None)
            why = f"{title} takes no {WORDS[kind]}" if tool not in able else f"{BUTTONS[tool][1]} (Shift+Q: next tool)"
            held.setToolTip(why if scan is not None or tool not in able else "Open a scan first")
            mark(held, "armed", session.tab == "segment" and session.tool == tool)
        mark(self.tools["point"], "primary", next_step(session).action == "point")
        interactive = row is not None and row.interactive
        name = session.label_class.name
        self.side.setText("Outside" if session.background else f"Inside {middle(name, LONGEST_NAME)}")
        self.side.setIcon(swatch(BACKGROUND_STROKE[:3] if session.background else session.label_class.colour))
        signed = session.prompting.can_flip() or session.tool == ""
        self.side.setEnabled(interactive and signed)
        self.side.setToolTip("Change between inside and outside of the object (Q)" if signed else "Boxes and lassos go round the object: they have no outside")
        takes = row is not None and "mask" in row.takes
        has = scan is not None and scan.voxels[session.chosen] > 0
        self.start.setEnabled(takes and has)
        good = f"Start from the accepted {name} and correct it by clicks" if has else f"{name} holds nothing yet: accept a label first"
        self.start.setToolTip(good if takes else f"{title} takes no label to start from")
        targets = scan.board.targets if scan is not None else ()
        self.clear.setEnabled(bool(targets) or (scan is not None and any(scan.drawn)))
        for part in (self.side, self.start, self.clear, self.objects):
            part.setVisible(interactive)

    def _on_clear(self) -> None:
        if self._desk.session.current is not None:
            self._desk.session.prompting.clear()


@dataclass(frozen=True, slots=True)
class Row:
    """An object as the table shows it."""

    number: int
    name: str
    counted: str
    colour: tuple[float, float, float]


class Objects(QWidget):
    """What was pointed at: colour and name, count of prompts, and a way to take it back."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._filling = False
        self._shown: tuple[Row, ...] | None = None
        self._chosen = 0
        self.table = QTableWidget(0, 3)
        self.table.setTabKeyNavigation(False)
        self.table.setAccessibleName("Prompts")
        self.table.setToolTip("Clicks are for the chosen object. Double-click a name to change it.")
        self.table.verticalHeader().hide()
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header = self.table.horizontalHeader()
        header.hide()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Fixed)
        header.setMinimumSectionSize(24)
        self.table.setColumnWidth(2, 26)
        self.table.verticalHeader().setDefaultSectionSize(ROW)
        self.table.itemSelectionChanged.connect(self._on_chosen)
        self.table.itemChanged.connect(self._on_edited)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session, scan = self._desk.session, self._desk.session.current
        targets = scan.board.targets if scan is not None else ()
        chosen = scan.board.chosen if scan is not None else 0
        colours = {c.value: c.colour for c in session.classes}
        rows = tuple(Row(each.number, each.name, _counted(each), colours.get(each.value, (0.6, 0.6, 0.6))) for each in targets)
        if (rows, chosen) == (self._shown, self._chosen):
            return
        before, self._shown, self._filling = self._shown, rows, True
        new = before is None or [row.number for row in rows] != [row.number for row in before]
        if new:
            self._build(rows)
        for place, row in enumerate(rows):
            if not new and before is not None and row != before[place]:
                self._renew(place, row)
            if row.number == chosen and (new or chosen != self._chosen):
                self.table.selectRow(place)
        self._chosen, self._filling = chosen, False

    def _build(self, rows: tuple[Row, ...]) -> None:
        self.table.clearContents()
        self.table.clearSpans()
        self.table.setRowCount(max(1, len(rows)))
        if not rows:
            none = QTableWidgetItem("Nothing pointed at yet")
            none.setFlags(Qt.ItemFlag.ItemIsEnabled)  # a hint is to be read
            self.table.setItem(0, 0, none)
            self.table.setSpan(0, 0, 1, 3)
        for place, row in enumerate(rows):
            self._fill(place, row)
        self.table.setFixedHeight(ROW * min(max(len(rows), 1), MOST_ROWS) + 4)

    def _renew(self, place: int, row: Row) -> None:
        """Another prompt or name in the row that is there: it comes with every click, while the canvas is drawn too."""
        name, count = self.table.item(place, 0), self.table.item(place, 1)
        name.setText(row.name)
        name.setIcon(swatch(row.colour))
        count.setText(row.counted)
        self.table.cellWidget(place, 2).setToolTip(_gone(row))

    def _fill(self, place: int, row: Row) -> None:
        name = QTableWidgetItem(swatch(row.colour), row.name)
        name.setData(Qt.ItemDataRole.UserRole, row.number)
        count = QTableWidgetItem(row.counted)
        count.setFlags(count.flags() & ~Qt.ItemFlag.ItemIsEditable)
        count.setTextAlignment(int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))
        gone = QToolButton()
        gone.setText("×")
        gone.setAutoRaise(True)
        gone.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        gone.setToolTip(_gone(row))
        gone.clicked.connect(lambda _checked=False, number=row.number: self._desk.session.prompting.remove(number))
        self.table.setItem(place, 0, name)
        self.table.setItem(place, 1, count)
        self.table.setCellWidget(place, 2, gone)

    def _on_chosen(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        number = self.table.item(rows[0].row(), 0).data(Qt.ItemDataRole.UserRole) if rows and not self._filling else None
        if number is not None:
            self._desk.session.prompting.choose(int(number))

    def _on_edited(self, item: QTableWidgetItem) -> None:
        if not self._filling and item.column() == 0:
            self._shown = None
            self._desk.session.prompting.rename(int(item.data(Qt.ItemDataRole.UserRole)), item.text())


def _gone(row: Row) -> str:
    return f"Take {row.name} away with all that was pointed at for it; Ctrl+Z brings it back"


def _counted(target: Target) -> str:
    """How much was pointed at for an object, in words."""
    count = len(target.marks)
    told = [f"{count} prompt{'s' if count != 1 else ''}"] if count or target.start is None else []
    return " + ".join([*told, *(["its label"] if target.start is not None else [])])
