"""The report on the Review tab: what goes in, where to, making it with progress, and opening it."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QCheckBox, QFileDialog, QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import quietly
from napari_medseg.gui.folder_field import FolderField
from napari_medseg.gui.style import SPACING, button, mark, quiet
from napari_medseg.session.guide import next_step
from napari_medseg.session.reporting import PARTS

NAMES = "Names of scans and annotators"
NAMES_TIP = "Off: nothing in the report says who a patient is, neither in its text nor in its pictures. On: give it only to those who may know them"
TABLES = "Figures as CSV and JSON beside it"


class ReportPage(QWidget):
    """Views of `session.reviewing.reporting`."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._report = desk.session.reviewing.reporting
        change = self._report.change
        self.of = quiet()
        self.folder = FolderField("folder of a refinement", lambda path: change(folder=path))
        self.parts: dict[str, QCheckBox] = {}
        ticks = QGridLayout()
        ticks.setContentsMargins(0, 0, 0, 0)
        ticks.setHorizontalSpacing(SPACING)
        for index, (name, (title, tip)) in enumerate(PARTS.items()):
            self.parts[name] = self._tick(title, tip, name)
            ticks.addWidget(self.parts[name], index // 2, index % 2)
        self.names = self._tick(NAMES, NAMES_TIP, "names")
        self.tables = self._tick(TABLES, "Every figure of every case, stage and class, for a spreadsheet or a program", "tables")
        self.target = quiet()
        self.choose = button("Save as…", "Choose the report's file", self._on_choose)
        self.make = button("Make the report", "", desk.session.reviewing.run)
        self.note = quiet()
        self.open = button("Open it", "Open the report in the browser", self._on_open)
        self.show_folder = button("Show folder", "Open the folder that the report lies in", self._on_folder)
        where, acts = QHBoxLayout(), QHBoxLayout()
        where.addWidget(self.target, 1)
        where.addWidget(self.choose)
        acts.addWidget(self.make, 1)  # on a small screen all that is to be pressed is in sight without scrolling
        for each in (self.open, self.show_folder):
            acts.addWidget(each)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        column.addWidget(self.of)
        column.addWidget(self.folder)
        column.addLayout(ticks)
        for part in (self.names, self.tables):
            column.addWidget(part)
        column.addLayout(acts)
        column.addWidget(self.note)
        column.addLayout(where)
        column.addStretch(1)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session, report = self._desk.session, self._report
        if not session.reviewing.is_on("report"):
            return
        source, running, target = report.source, report.is_running, report.target
        self.folder.setVisible(not session.study.is_open)
        self.folder.show_path(source)
        lacking = "No study is open; a refinement's folder will do."
        called = session.study.title or (source.name if source is not None else "")
        self.of.setText(f"Of the study {called}, as saved so far." if session.study.is_open else lacking)
        for name, tick in self.parts.items():
            quietly(tick, "setChecked", report.parts[name])
        quietly(self.names, "setChecked", report.names)
        quietly(self.tables, "setChecked", report.tables)
        for part in (*self.parts.values(), self.names, self.tables, self.choose, self.folder):
            part.setEnabled(not running)
        self.target.setText(f"Into {target.name}" if target is not None else "")
        self.target.setToolTip(str(target) if target is not None else "")
        self.make.setText("Stop" if running else "Make the report")
        self.make.setToolTip("Stop; nothing has been written yet" if running else "Read and measure every case, beside the window (G)")
        self.make.setEnabled(running or (source is not None and any(report.parts.values())))
        mark(self.make, "primary", next_step(session).action == "run")
        made = report.made
        several = "" if made is not None and made.pictures == 1 else "s"
        size = "" if made is None else f"{made.bytes / 1e6:.1f} MB" if made.bytes >= 1e5 else f"{made.bytes / 1e3:.0f} kB"
        self.note.setText("" if made is None else f"{size}, {made.pictures} picture{several}. Print it from the browser.")
        for each in (self.open, self.show_folder):
            each.setVisible(made is not None)

    def _tick(self, title: str, tip: str, name: str) -> QCheckBox:
        made = QCheckBox(title)
        made.setToolTip(tip)
        made.toggled.connect(lambda on: self._report.change(**{name: on}))
        return made

    def _on_choose(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the report", str(self._report.target or Path.home() / "report.html"), "Web page (*.html)")
        if path:
            self._report.change(out=Path(path).with_suffix(".html"))

    def _on_open(self) -> None:
        if self._report.made is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._report.made.files[0])))

    def _on_folder(self) -> None:
        if self._report.made is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._report.made.files[0].parent)))
