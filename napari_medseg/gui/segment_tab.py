"""The Segment tab: networks from the catalogue, run live from the slice in view outwards."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, combo, mark, quiet
from napari_medseg.session.engines import segmenters
from napari_medseg.session.guide import next_step

DEVICES = (("auto", "Automatic"), ("cpu", "Processor"), ("cuda", "NVIDIA GPU"), ("mps", "Apple GPU"))


class SegmentTab(QWidget):
    """Views of the session's segmenters."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        session = desk.session
        self._shown: object = None
        self.engines = QListWidget()
        self.engines.setToolTip("What can outline this scan; greyed out where a package is missing")
        self.engines.setFixedHeight(66)
        self.engines.currentItemChanged.connect(self._on_chosen)
        self.about = quiet()
        self.device = combo("Where it runs. Automatic takes a graphics card when there is one; the processor always works")
        for key, title in DEVICES:
            self.device.addItem(title, key)
        self.device.activated.connect(lambda i: session.set(device=self.device.itemData(i)))
        self.free = quiet()
        form = QFormLayout()
        form.addRow("Runs on", self.device)
        self.run = button("Run", "", self._on_run)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 6, 4, 4)
        column.setSpacing(SPACING)
        column.addWidget(self.engines)
        column.addWidget(self.about)
        column.addLayout(form)
        column.addWidget(self.free)
        column.addWidget(self.run)
        column.addStretch(1)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        rows = segmenters(session)
        if (rows, session.engine) != self._shown:
            self._shown = (rows, session.engine)
            self._fill(rows)
        self.device.setCurrentIndex([key for key, _ in DEVICES].index(session.device))
        self.free.setText(f"Last run on: {session.devices}" if session.devices else "Device and free memory are shown after the first run.")
        job = session.jobs.of("preview")
        running = job is not None and job.is_active
        title, about, missing = next(((t, a, m) for key, t, a, m in rows if key == session.engine), ("", "", ()))
        self.about.setText(about + (f" Missing: pip install {' '.join(missing)}" if missing else ""))
        self.run.setText("Stop" if running else f"Run {title}")
        tip = "Outline the scan, the slice in view first, into a preview you can accept or discard (G)"
        self.run.setToolTip("Stop here; the preview so far stays" if running else tip)
        self.run.setEnabled(running or (session.current is not None and not missing))
        mark(self.run, "primary", next_step(session).action in ("run", "stop") and session.tab == "segment")

    def _fill(self, rows: list[tuple[str, str, str, tuple[str, ...]]]) -> None:
        was = self.engines.blockSignals(True)
        self.engines.clear()
        for key, title, about, missing in rows:
            item = QListWidgetItem(title + (" (not installed)" if missing else ""))
            item.setData(Qt.ItemDataRole.UserRole, key)
            item.setToolTip(about + (f"\nMissing: pip install {' '.join(missing)}" if missing else ""))
            if missing:
                item.setForeground(self.palette().color(self.palette().ColorGroup.Disabled, self.palette().ColorRole.Text))
            self.engines.addItem(item)
            if key == self._desk.session.engine:
                self.engines.setCurrentItem(item)
        self.engines.blockSignals(was)

    def _on_chosen(self, item: QListWidgetItem | None, _before: QListWidgetItem | None = None) -> None:
        if item is not None:
            self._desk.session.set(engine=item.data(Qt.ItemDataRole.UserRole))

    def _on_run(self) -> None:
        job = self._desk.session.jobs.of("preview")
        if job is not None and job.is_active:
            self._desk.session.stop()
        else:
            self._desk.session.set(tab="segment")
            self._desk.run()
