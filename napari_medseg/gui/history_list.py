"""The versions of the case in work: when, who, what and with which tool; look at one, or go back to it. Folded away until wanted."""

from __future__ import annotations

from datetime import datetime

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QListWidget, QListWidgetItem, QToolButton, QVBoxLayout, QWidget

from napari_medseg.gui.style import SPACING, button
from napari_medseg.project.records import Version
from napari_medseg.session.cases import SIGNS
from napari_medseg.session.guide import clock
from napari_medseg.session.study import Study

TOOLS = {
    "levelset": "level set", "scribble": "scribbles", "cleanup": "clean-up", "refine": "refinement", "brush": "by hand", "import": "from a file",
    "restore": "brought back",
}
KINDS = {"imported": "weak", "weak": "weak", "proposal": "refined", "corrected": "corrected", "verified": "verified"}


class HistoryList(QWidget):
    """Views of a study's versions."""

    def __init__(self, study: Study) -> None:
        super().__init__()
        self._study = study
        self._shown: object = None
        self.fold = QToolButton()
        self.fold.setAccessibleName("History")
        self.fold.setCheckable(True)
        self.fold.setAutoRaise(True)
        self.fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.fold.setToolTip("Earlier versions of this case's labels")
        self.fold.toggled.connect(self._on_fold)
        self.body = QWidget()
        self.list = QListWidget()
        self.list.setAccessibleName("Versions")
        self.list.setMinimumHeight(44)
        self.list.setMaximumHeight(140)
        self.list.itemSelectionChanged.connect(self._follow)
        self.list.itemDoubleClicked.connect(lambda _: self._on_view())
        self.view = button("View", "Show this version beside the labels; accept or discard it like any result", self._on_view)
        self.restore = button("Restore", "Make this version the latest again; what is there now stays in the history", self._on_restore)
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the version")
        self.name.setPlaceholderText("Name (may be empty)")
        self.name.setMaxLength(80)
        self.name.returnPressed.connect(self._on_save)
        self.save = button("Save version", "Keep the labels as they are now as a version of their own (Ctrl+Alt+V)", self._on_save)
        first, second = QHBoxLayout(), QHBoxLayout()
        for row, parts in ((first, (self.view, self.restore)), (second, (self.name, self.save))):
            row.setSpacing(SPACING)
            for part in parts:
                row.addWidget(part, 1)
        column = QVBoxLayout(self.body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        column.addWidget(self.list)
        column.addLayout(first)
        column.addLayout(second)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(2)
        self.state = QLabel()
        self.state.setProperty("quiet", True)
        head = QHBoxLayout()
        head.addWidget(self.fold)
        head.addStretch(1)
        head.addWidget(self.state)
        whole.addLayout(head)
        whole.addWidget(self.body)
        self.body.hide()
        self.refresh()

    def refresh(self) -> None:
        """Show the versions, the latest first."""
        versions = self._study.versions
        self.setVisible(bool(self._study.current))
        count = len(versions)
        self.fold.setText(f"History: {count} version{'s' if count != 1 else ''}" if count else "History")
        self.fold.setArrowType(Qt.ArrowType.DownArrow if self.fold.isChecked() else Qt.ArrowType.RightArrow)
        if versions is not self._shown:
            self._shown = versions
            self.list.clear()
            for version in reversed(versions):
                item = QListWidgetItem(_line(version))
                item.setData(Qt.ItemDataRole.UserRole, version.number)
                item.setToolTip(_tip(version))
                self.list.addItem(item)
        self._follow()

    def say(self, state: str) -> None:
        """How far the work has come to the disk."""
        self.state.setText(state)

    def name_one(self) -> None:
        """Ask for a name."""
        self.fold.setChecked(True)
        self.name.setFocus()

    def _follow(self) -> None:
        chosen = bool(self.list.selectedItems())
        self.view.setEnabled(chosen)
        self.restore.setEnabled(chosen and not self._study.readonly)
        scan = self._study.scan
        self.save.setEnabled(scan is not None and scan.has_labels and not self._study.readonly)

    def _number(self) -> int | None:
        items = self.list.selectedItems()
        return int(items[0].data(Qt.ItemDataRole.UserRole)) if items else None

    def _on_fold(self, open_: bool) -> None:
        self.body.setVisible(open_)
        self.refresh()

    def _on_view(self) -> None:
        number = self._number()
        if number is not None:
            self._study.view(number)

    def _on_restore(self) -> None:
        number = self._number()
        if number is not None:
            self._study.restore(number)

    def _on_save(self) -> None:
        self._study.save_version(self.name.text().strip())
        self.name.clear()


def _line(version: Version) -> str:
    when = version.created.astimezone()
    day = "" if when.date() == datetime.now().astimezone().date() else f"{when:%Y-%m-%d} "
    name = f" “{version.name}”" if version.name else ""
    return f"{version.number}{name}  {SIGNS[KINDS[version.kind]]} {version.kind}, {_tool(version.tool)}\n     {day}{when:%H:%M}, {version.author}"


def _tip(version: Version) -> str:
    parts = [f"Version {version.number}: {version.kind}, {_tool(version.tool)}", f"by {version.author}, {version.created.astimezone():%Y-%m-%d %H:%M}"]
    if version.parent is not None:
        parts.append(f"made from version {version.parent}")
    if version.seconds >= 1:
        parts.append(f"{clock(version.seconds)} of work")
    if version.model:
        parts.append(f"model {version.model[:12]}")
    return "\n".join(parts)


def _tool(tool: str) -> str:
    return TOOLS.get(tool, tool.removeprefix("segment:"))
