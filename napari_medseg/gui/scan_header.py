"""The head of the dock: which scan, how large its grid is, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QShowEvent
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QMenu, QPushButton, QSlider, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import combo, quiet
from napari_medseg.session import showing
from napari_medseg.session.state import Scan
from napari_medseg.volume.windows import presets, unit_words

OWN = "Own window"
NOTHING = "nothing"
APART = "napari's grid mode lays labels beside the scan (Ctrl+G: together again)"


class ScanHeader(QWidget):
    """Views of the session's current scan."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._shown: object = None
        self.scans = combo("The scan you work on")
        self.scans.setAccessibleName("Scan")
        self.scans.activated.connect(self._on_chosen)
        self.facts = quiet()
        self.notes = QElidingLabel()
        self.notes.setProperty("quiet", True)
        self.window_row, self.channel_row = _WindowRow(desk), _ChannelRow(desk)
        self.straight = QCheckBox("On the patient's axes (resampled)")
        tip = "This scan lies at a slant. Off: its voxels as they are stored. On: sampled along the patient's axes. Labels are saved on the file's grid."
        self.straight.setToolTip(tip)
        self.straight.clicked.connect(self._on_straight)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        for part in (self.scans, self.facts, self.notes, self.channel_row, self.window_row, self.straight):
            column.addWidget(part)

    def showEvent(self, event: QShowEvent) -> None:
        """Now that there is a window, its status bar can tell what is under the cursor, and its canvas takes what is dropped."""
        self._desk.cursor_line.attach(self.window())
        self._desk.drops.attach(self.window())
        self._desk.views.attach(self.window())
        super().showEvent(event)

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        scan = session.current
        self.scans.setVisible(bool(session.scans))
        self.window_row.refresh(scan)
        self.channel_row.refresh(scan)
        job = session.jobs.of(showing.VIEW)
        self.straight.setVisible(scan is not None and scan.geometry.is_oblique)
        self.straight.setChecked(scan is not None and scan.aside is not None)
        self.straight.setEnabled((job is None or not job.is_active) and not (scan is not None and scan.arriving))
        apart = bool(self._desk.viewer.canvas.grid.enabled)
        shown = ([id(s) for s in session.scans], [s.name for s in session.scans], id(scan), scan is not None and scan.grid_note(), scan and scan.channel, apart)
        if shown == self._shown:
            return
        self._shown = shown
        self.scans.clear()
        for each in session.scans:
            self.scans.addItem(each.name)
        self.facts.setVisible(scan is not None)
        notes = (*([APART] if apart else []), *scan.display.notes) if scan is not None else ()
        self.notes.setVisible(bool(notes))
        if scan is None:
            return
        self.scans.setCurrentIndex(session.scans.index(scan))
        self.facts.setText(f"{scan.display.modality}. {scan.grid_note()}" if scan.display.modality else scan.grid_note())
        self.facts.setToolTip(f"Voxels and their size as x, y, z; labels are saved on this grid.\nThe file is {scan.orientation_note()}.")
        self.notes.setText(f"Note: {'; '.join(notes)}")
        self.notes.setToolTip("\n".join(notes))

    def _on_chosen(self, index: int) -> None:
        scan = self._desk.session.scans[index]
        layer = self._desk.image(scan)
        if layer is not None and layer in self._desk.viewer.layers:
            self._desk.viewer.layers.selection.active = layer
        self._desk.session.activate(scan)

    def _on_straight(self, on: bool) -> None:
        scan = self._desk.session.current
        if scan is not None:
            showing.straighten(self._desk.session, scan, on)


class _WindowRow(QWidget):
    """The window's presets, its level and width, and what the canvas tells."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._offered: object = None
        self.presets = combo("The window: which values are drawn black and white; remembered for the next scan of its kind")
        self.presets.setAccessibleName("Window")
        self.presets.activated.connect(self._on_chosen)
        self.reading = QLabel()
        self.reading.setProperty("quiet", True)
        self.reading.setToolTip("L is the value in the middle (level), W the range from black to white (width)")
        self.more = QPushButton("View ▾")
        self.more.setToolTip("What the canvas and the status bar tell; scans as channels")
        menu = QMenu(self.more)
        self.letters = self._toggle(menu, "Orientation letters", "letters")
        self.readout = self._toggle(menu, "Place and value at the cursor", "readout")
        menu.addSeparator()
        views = desk.session.views
        self.views = {
            "ortho": self._switch(menu, "Axial, coronal, sagittal and 3D (U)", desk.views.toggle_ortho),
            "crosshair": self._switch(menu, "Crosshair in the main view", views.toggle_crosshair),
            "levelling": self._switch(menu, "Right button drags the window (W)", views.toggle_levelling),
        }
        self.pen = self._switch(menu, "Pen pressure is the size of the brush", self._on_pen)
        menu.aboutToShow.connect(lambda: self.pen.setChecked(desk.session.choices.pen))
        menu.aboutToShow.connect(lambda: [switch.setChecked(getattr(views, name)) for name, switch in self.views.items()])
        menu.addSeparator()
        self.combine = QAction("Selected scans as channels of one", menu)
        self.combine.setToolTip("Bring the selected image layers onto the grid of the finest, PET over its CT")
        self.combine.triggered.connect(lambda _=False: desk.combine_selected())
        menu.addAction(self.combine)
        self.more.setMenu(menu)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.presets, 1)
        row.addWidget(self.reading)
        row.addWidget(self.more)

    def refresh(self, scan: Scan | None) -> None:
        """Show a scan's window."""
        self.setVisible(scan is not None)
        if scan is None:
            return
        offered = presets(scan.display.modality, scan.display.units)
        own = not scan.preset
        if (offered, own) != self._offered:
            self._offered = (offered, own)
            self.presets.clear()
            unit = unit_words(scan.display.modality, scan.display.units)
            for index, preset in enumerate(offered):
                self.presets.addItem(preset.title, preset.key)
                self.presets.setItemData(index, preset.words(unit), Qt.ItemDataRole.ToolTipRole)
            if own:
                self.presets.addItem(OWN, "")
        self.presets.setCurrentIndex(self.presets.findData(scan.preset))
        unit = unit_words(scan.display.modality, scan.display.units)
        self.reading.setText(scan.window.words(unit) if scan.window is not None else "")
        self.letters.setChecked(self._desk.session.letters)
        self.readout.setChecked(self._desk.session.readout)

    @staticmethod
    def _switch(menu: QMenu, title: str, act: Callable[[], object]) -> QAction:
        made = QAction(title, menu)
        made.setCheckable(True)
        made.triggered.connect(lambda _on: act())
        menu.addAction(made)
        return made

    def _toggle(self, menu: QMenu, title: str, name: str) -> QAction:
        made = QAction(title, menu)
        made.setCheckable(True)
        made.triggered.connect(lambda on: self._desk.session.set(**{name: bool(on)}))
        menu.addAction(made)
        return made

    def _on_pen(self) -> None:
        self._desk.preferences_page.set(pen=not self._desk.session.choices.pen)

    def _on_chosen(self, index: int) -> None:
        scan, key = self._desk.session.current, self.presets.itemData(index)
        if scan is not None and key:
            showing.choose_window(self._desk.session, scan, key)


class _ChannelRow(QWidget):
    """Which channel is worked on, and which one lies over it, how strongly."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._offered: object = None
        self.channel = combo("The channel that seeds, engines and networks work on")
        self.channel.setAccessibleName("Channel")
        self.channel.activated.connect(lambda index: self._act(showing.choose_channel, index))
        self.over = combo("The channel laid over it in colour")
        self.over.setAccessibleName("Overlay")
        self.over.activated.connect(lambda index: self._act(showing.choose_overlay, self.over.itemData(index)))
        self.blend = QSlider(Qt.Orientation.Horizontal)
        self.blend.setAccessibleName("Strength of the overlay")
        self.blend.setRange(0, 100)
        self.blend.setFixedWidth(64)
        self.blend.setToolTip("How strongly the channel on top shows")
        self.blend.valueChanged.connect(lambda value: self._act(showing.set_blend, value / 100))
        rows = QGridLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setVerticalSpacing(2)
        rows.addWidget(QLabel("Work on"), 0, 0)
        rows.addWidget(self.channel, 0, 1, 1, 2)
        rows.addWidget(QLabel("Over it"), 1, 0)
        rows.addWidget(self.over, 1, 1)
        rows.addWidget(self.blend, 1, 2)
        rows.setColumnStretch(1, 1)

    def refresh(self, scan: Scan | None) -> None:
        """Show a scan's channels."""
        several = scan is not None and len(scan.channels) > 1
        self.setVisible(several)
        if scan is None or not several:
            return
        offered = (id(scan), tuple(c.name for c in scan.channels), scan.channel)
        if offered != self._offered:
            self._offered = offered
            self.channel.clear()
            self.over.clear()
            self.over.addItem(NOTHING, None)
            for index, channel in enumerate(scan.channels):
                title = short_name(channel.name, scan.name)
                self.channel.addItem(title, index)
                if index != scan.channel:
                    self.over.addItem(title, index)
        self.channel.setCurrentIndex(scan.channel)
        self.over.setCurrentIndex(max(0, self.over.findData(scan.overlay)) if scan.overlay is not None else 0)
        self.blend.setEnabled(scan.overlay is not None)
        if not self.blend.isSliderDown():
            self.blend.blockSignals(True)
            self.blend.setValue(round(100 * scan.blend))
            self.blend.blockSignals(False)

    def _act(self, function: object, value: object) -> None:
        scan = self._desk.session.current
        if scan is not None and callable(function):
            function(self._desk.session, scan, value)


def short_name(channel: str, scan: str) -> str:
    """A channel's name without the name of its scan in front of it."""
    return channel.removeprefix(scan).strip() or channel
