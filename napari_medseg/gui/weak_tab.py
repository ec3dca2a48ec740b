"""The Weak label tab: seeds and a limit grow into a label; scribbles and clean-up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QFormLayout, QHBoxLayout, QLabel, QSlider, QStackedWidget, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, combo, mark, quiet
from napari_medseg.session.guide import next_step

MODES = (("levelset", "Level set"), ("scribbles", "Scribbles"), ("cleanup", "Clean up"))
DRIVES = (("auto", "Chosen from the seeds"), ("region", "Grey values"), ("edge", "Edges"))


class WeakTab(QWidget):
    """Views of the session's weak-label tools."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        session = desk.session
        self.mode = combo("Level set: grows from a few clicks. Scribbles: grows strokes. Clean up: tidies accepted labels.")
        for key, title in MODES:
            self.mode.addItem(title, key)
        self.mode.activated.connect(lambda i: session.set(mode=self.mode.itemData(i)))
        self.pages = QStackedWidget()
        for page in (_LevelSetPage(desk), _ScribblePage(desk), _CleanupPage(desk)):
            self.pages.addWidget(page)
        head = QHBoxLayout()
        head.addWidget(QLabel("Tool"))
        head.addWidget(self.mode, 1)
        self.run = button("Grow from seeds", "", self._on_run)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 6, 4, 4)
        column.setSpacing(SPACING)
        column.addLayout(head)
        column.addWidget(self.pages)
        column.addWidget(self.run)
        column.addStretch(1)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        index = [key for key, _ in MODES].index(session.mode)
        self.mode.setCurrentIndex(index)
        self.pages.setCurrentIndex(index)
        job = session.jobs.of("preview")
        running = job is not None and job.is_active
        title = {"levelset": "Grow from seeds", "scribbles": "Grow scribbles", "cleanup": "Clean up labels"}[session.mode]
        self.run.setText("Stop" if running else title)
        self.run.setToolTip("Stop here; the preview so far stays" if running else f"{title} into a preview you can accept or discard (G)")
        self.run.setEnabled(running or session.current is not None)
        mark(self.run, "primary", next_step(session).action in ("run", "stop") and session.tab == "weak")

    def _on_run(self) -> None:
        job = self._desk.session.jobs.of("preview")
        if job is not None and job.is_active:
            self._desk.session.stop()
        else:
            self._desk.session.set(tab="weak")
            self._desk.run()


class _LevelSetPage(QWidget):
    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.seeds = button("Add seeds", "Then click 3 to 5 points inside the organ, on different slices (Q turns this on and off)", lambda: desk.arm("seeds"))
        self.clear = button("Clear", "Remove the seeds of this label", desk.clear_seeds)
        self.count = QLabel()
        self.limit = button("Paint limit", "Paint roughly over the organ with a big ball; nothing outside it will be taken", lambda: desk.arm("limit"))
        self.use = QCheckBox("Keep inside it")
        self.use.setToolTip("On: the painted limit bounds the label. Off: it is ignored.")
        self.use.toggled.connect(lambda on: self._choose(use_limit=on))
        first, second = QHBoxLayout(), QHBoxLayout()
        for row in (first, second):
            row.setSpacing(SPACING)
        first.addWidget(self.seeds, 2)
        first.addWidget(self.count, 1)
        first.addWidget(self.clear)
        second.addWidget(self.limit, 2)
        second.addWidget(self.use, 2)
        self.drive = combo("What stops the front: other grey values, or edges")
        for key, title in DRIVES:
            self.drive.addItem(title, key)
        self.drive.activated.connect(lambda i: self._choose(drive=self.drive.itemData(i)))
        tip = "How far from the seeds it may go: smaller or bigger. 0 leaves it to the seeds; a painted limit replaces it"
        self.reach, self.reach_text = _slider(0, 100, tip)
        self.reach.valueChanged.connect(lambda v: self._choose(reach_mm=v))
        self.smooth, self.smooth_text = _slider(-3, 3, "Left: sharp, follows every detail. Right: smooth and round, closes narrow leaks")
        self.smooth.valueChanged.connect(lambda v: self._choose(smoothness=v))
        form = QFormLayout()
        form.setSpacing(4)
        form.addRow("Driven by", self.drive)
        form.addRow("Reach", _beside(self.reach, self.reach_text))
        form.addRow("Surface", _beside(self.smooth, self.smooth_text))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        for row in (first, second, form):
            column.addLayout(row)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        session = self._desk.session
        choices, scan, count = session.levelset, session.current, session.seed_count
        step = next_step(session).action
        self.count.setText(f"{count} seed{'' if count == 1 else 's'}")
        self.clear.setEnabled(count > 0)
        self.seeds.setText("Adding seeds" if session.tool == "seeds" else "Add seeds")
        self.limit.setText("Painting limit" if session.tool == "limit" else "Paint limit")
        for widget in (self.seeds, self.limit):
            widget.setEnabled(scan is not None)
        mark(self.seeds, "armed", session.tool == "seeds")
        mark(self.limit, "armed", session.tool == "limit")
        mark(self.seeds, "primary", step == "seeds" and session.tool != "seeds")
        mark(self.limit, "primary", step == "limit" and session.tool != "limit")
        limited = scan is not None and scan.limit is not None
        self.use.setEnabled(limited)
        self.reach.setEnabled(not (limited and choices.use_limit))
        _quietly(self.use, "setChecked", choices.use_limit)
        self.drive.setCurrentIndex([key for key, _ in DRIVES].index(choices.drive))
        _quietly(self.reach, "setValue", choices.reach_mm)
        _quietly(self.smooth, "setValue", choices.smoothness)
        self.reach_text.setText(f"{choices.reach_mm} mm" if choices.reach_mm else "auto")
        self.smooth_text.setText(("sharper", "sharper", "sharper", "normal", "smoother", "smoother", "smoother")[choices.smoothness + 3])

    def _choose(self, **values: Any) -> None:
        session = self._desk.session
        session.set(levelset=replace(session.levelset, **values))


class _ScribblePage(QWidget):
    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.draw = button("Draw strokes", "Then draw a line inside the organ, and one on the background around it", lambda: desk.arm("scribbles"))
        self.side = button("", "Change between the chosen label and the background (Q)", desk.session.flip)
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        row.addWidget(self.draw, 1)
        row.addWidget(self.side, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(quiet("One stroke inside each organ and one on the background are enough; every voxel then takes the likeliest class."))
        column.addStretch(1)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        session = self._desk.session
        self.draw.setEnabled(session.current is not None)
        self.draw.setText("Drawing strokes" if session.tool == "scribbles" else "Draw strokes")
        self.side.setText("Background" if session.background else session.label_class.name)
        self.side.setEnabled(session.tool == "scribbles")
        mark(self.draw, "armed", session.tool == "scribbles")
        mark(self.draw, "primary", next_step(session).action == "scribbles")


class _CleanupPage(QWidget):
    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.smallest, self.close = QDoubleSpinBox(), QDoubleSpinBox()
        for box, unit, step, tip in (
            (self.smallest, " ml", 0.1, "Pieces smaller than this go; 0 keeps all"),
            (self.close, " mm", 0.5, "Gaps up to twice this are closed; 0 leaves them"),
        ):
            box.setRange(0, 100)
            box.setSingleStep(step)
            box.setSuffix(unit)
            box.setToolTip(tip)
        self.fill, self.largest = QCheckBox("Fill holes"), QCheckBox("Keep only the largest piece")
        self.smallest.valueChanged.connect(lambda v: self._choose(min_ml=v))
        self.close.valueChanged.connect(lambda v: self._choose(close_mm=v))
        self.fill.toggled.connect(lambda on: self._choose(fill=on))
        self.largest.toggled.connect(lambda on: self._choose(largest=on))
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Drop pieces below", self.smallest)
        form.addRow("Close gaps", self.close)
        form.addRow(self.fill)
        form.addRow(self.largest)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        choices = self._desk.session.cleanup
        _quietly(self.smallest, "setValue", choices.min_ml)
        _quietly(self.close, "setValue", choices.close_mm)
        _quietly(self.fill, "setChecked", choices.fill)
        _quietly(self.largest, "setChecked", choices.largest)

    def _choose(self, **values: Any) -> None:
        session = self._desk.session
        session.set(cleanup=replace(session.cleanup, **values))


def _slider(low: int, high: int, tip: str) -> tuple[QSlider, QLabel]:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(low, high)
    slider.setToolTip(tip)
    text = QLabel()
    text.setMinimumWidth(58)
    return slider, text


def _beside(left: QWidget, right: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.addWidget(left, 1)
    row.addWidget(right)
    return row


def _quietly(widget: QWidget, setter: str, value: object) -> None:
    """Show a value without telling the session what it has just told us."""
    was = widget.blockSignals(True)
    getattr(widget, setter)(value)
    widget.blockSignals(was)
