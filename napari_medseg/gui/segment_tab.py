"""The Segment tab: segmenters of the catalogue, what is pointed at for them, and their answer as it comes."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QBrush, QShowEvent, QStandardItemModel
from qtpy.QtWidgets import QCheckBox, QFormLayout, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_medseg.catalogue import install_hint
from napari_medseg.gui.desk import Desk
from napari_medseg.gui.engine_form import EngineForm
from napari_medseg.gui.fields import quietly
from napari_medseg.gui.segment_advanced import SegmentAdvanced
from napari_medseg.gui.segment_doubt import DoubtRow
from napari_medseg.gui.segment_looks import LooksRow
from napari_medseg.gui.segment_prompts import PromptTools
from napari_medseg.gui.server_form import ServerForm
from napari_medseg.gui.style import button, combo, mark, quiet
from napari_medseg.session import segmenting
from napari_medseg.session.guide import next_step
from napari_medseg.session.servers import name_of

WARM_AFTER_MS = 1000  # once the tab stands
LEAST = 84  # pixels of a button, whose name may be a model's: it is cut short rather than widening the dock
DEVICES = (("auto", "Automatic"), ("cpu", "Processor"), ("cuda", "NVIDIA GPU"), ("mps", "Apple GPU"))
ADD = ("add", "A server…")
LIVE = (
    "On: every click, box or stroke is answered at once. Off: they wait for Run (G).",
    "On: while it runs, the slices you scroll to come first. Off: the slice in view at the start, then the others.",
)


class SegmentTab(QWidget):
    """Views of the session's segmenters."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        session = desk.session
        self._shown: object = None
        self._devices: object = None
        self.engines = combo("What outlines this scan; greyed out where a package is missing")
        self.engines.setAccessibleName("Segmenter")
        self.engines.activated.connect(lambda i: session.set(engine=self.engines.itemData(i)))
        self.about, self.free = _line(), _line()
        self.missing = quiet()
        self.missing.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.device = combo("Where it runs. Automatic takes a graphics card when there is one; the processor always works; a server is a card elsewhere")
        self.device.setAccessibleName("Device")
        self.device.activated.connect(lambda i: self._on_device(self.device.itemData(i)))
        self.live = QCheckBox("Live")
        self.live.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.live.toggled.connect(self._on_live)
        self.free.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        runs_on = QHBoxLayout()
        runs_on.addWidget(self.device, 1)
        runs_on.addWidget(self.live)
        form = QFormLayout()
        form.setSpacing(4)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Segmenter", self.engines)
        form.addRow("Runs on", runs_on)
        self.server = ServerForm(desk)
        self.form = EngineForm(desk)
        self.tools = PromptTools(desk)
        self.run = button("Run", "", self._on_run)
        self.another = button("New object", "Begin another object of the same label (0)", desk.new_object)
        for each in (self.run, self.another):
            each.setMinimumWidth(LEAST)
        running = QHBoxLayout()
        running.addWidget(self.run, 2)
        running.addWidget(self.another, 1)
        self.doubt = DoubtRow(desk)
        self.looks = LooksRow(desk)
        self.advanced = SegmentAdvanced(desk)
        self.advanced.fold.top.addWidget(self.free, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 2)
        column.setSpacing(4)
        column.addLayout(form)
        for part in (self.server, self.about, self.missing, self.form, self.tools):
            column.addWidget(part)
        column.addLayout(running)
        for part in (self.doubt, self.looks, self.advanced):
            column.addWidget(part)
        column.addStretch(1)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        """Somebody will click soon: what answers is made ready meanwhile."""
        QTimer.singleShot(WARM_AFTER_MS, self._desk.session.prompting.warm)
        super().showEvent(event)

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        rows = segmenting.engines(session)
        if (rows, session.engine) != self._shown:
            self._shown = (rows, session.engine)
            self._fill(rows)
        self._show_devices()
        self.free.setText(session.devices)
        self.free.setToolTip("What it ran on last, and the memory that was free then")
        quietly(self.live, "setChecked", session.segment.live)
        row = segmenting.chosen_engine(session)
        self.live.setToolTip(LIVE[row is None or not row.interactive])
        missing = row.missing if row is not None else ()
        self.about.setText(f"{row.can()}. Licence: {row.licence}" if row is not None else "")
        self.about.setToolTip(_said(row) if row is not None else "")
        self.missing.setText(install_hint(missing) if missing else "")
        self.missing.setVisible(bool(missing))
        job = session.jobs.of("preview")
        running = job is not None and job.is_active
        title = row.title if row is not None else session.engine
        self.run.setText("Stop" if running else f"Run {title}")
        tip = "Outline the scan, the slice in view first, into a preview you can accept or discard (G)"
        pointed = "Answer what was pointed at, into a preview you can accept or discard (G)"
        self.run.setToolTip("Stop here; the preview so far stays" if running else pointed if row is not None and row.interactive else tip)
        self.run.setEnabled(running or (session.current is not None and row is not None and not missing))
        self.another.setVisible(row is not None and row.interactive)
        self.another.setEnabled(session.current is not None and bool(session.current.board.targets))
        mark(self.run, "primary", next_step(session).action in ("run", "stop") and session.tab == "segment")

    def _fill(self, rows: list[segmenting.Engine]) -> None:
        was = self.engines.blockSignals(True)
        self.engines.clear()
        grey = QBrush(self.palette().color(self.palette().ColorGroup.Disabled, self.palette().ColorRole.Text))
        for index, row in enumerate(rows):
            self.engines.addItem(row.title + (" (not installed)" if row.missing else ""), row.id)
            self.engines.setItemData(index, _said(row), Qt.ItemDataRole.ToolTipRole)
            model = self.engines.model()
            if row.missing and isinstance(model, QStandardItemModel):
                model.item(index).setForeground(grey)
            if row.id == self._desk.session.engine:
                self.engines.setCurrentIndex(index)
        self.engines.blockSignals(was)

    def _show_devices(self) -> None:
        session = self._desk.session
        rows = (*DEVICES, *((server.address, name_of(server.address)) for server in session.servers.known), ADD)
        if rows != self._devices:
            self._devices = rows
            was = self.device.blockSignals(True)
            self.device.clear()
            for key, title in rows:
                self.device.addItem(title, key)
            self.device.insertSeparator(len(DEVICES))
            self.device.blockSignals(was)
        shown = ADD[0] if session.servers.adding else session.servers.chosen or session.device
        self.device.setCurrentIndex(self.device.findData(shown))

    def _on_device(self, key: str) -> None:
        session = self._desk.session
        if key == ADD[0]:
            session.servers.begin()
        elif any(server.address == key for server in session.servers.known):
            session.servers.choose(key)
        else:
            session.servers.choose("")
            session.set(device=key)

    def _on_live(self, on: bool) -> None:
        session = self._desk.session
        session.set(segment=replace(session.segment, live=on))
        if session.current is not None:
            session.prompting.follow(session.current)

    def _on_run(self) -> None:
        job = self._desk.session.jobs.of("preview")
        if job is not None and job.is_active:
            self._desk.session.stop()
        else:
            if self._desk.session.tab != "segment":
                self._desk.session.set(tab="segment")
            self._desk.run()


def _line() -> QElidingLabel:
    """One line of small print, cut short where it is too long."""
    line = QElidingLabel()
    line.setProperty("quiet", True)
    line.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return line


def _said(row: segmenting.Engine) -> str:
    """All there is to say of a segmenter, for a tooltip."""
    return f"{row.summary}\n{row.can()}. Licence: {row.licence}." + (f"\n{install_hint(row.missing)}" if row.missing else "")
