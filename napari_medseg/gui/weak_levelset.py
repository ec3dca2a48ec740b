"""The level-set page of the Weak label tab: seeds, limit, sliders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtWidgets import QCheckBox, QFormLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import beside, quietly, slider
from napari_medseg.gui.style import SPACING, button, combo, mark
from napari_medseg.session.guide import next_step

DRIVES = (("auto", "Chosen from the seeds"), ("region", "Grey values"), ("edge", "Edges"))


class LevelSetPage(QWidget):
    """Seeds and a limit grow into a label."""

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
        self.reach, self.reach_text = slider(0, 100, tip)
        self.reach.valueChanged.connect(lambda v: self._choose(reach_mm=v))
        self.smooth, self.smooth_text = slider(-3, 3, "Left: sharp, follows every detail. Right: smooth and round, closes narrow leaks")
        self.smooth.valueChanged.connect(lambda v: self._choose(smoothness=v))
        form = QFormLayout()
        form.setSpacing(4)
        form.addRow("Driven by", self.drive)
        form.addRow("Reach", beside(self.reach, self.reach_text))
        form.addRow("Surface", beside(self.smooth, self.smooth_text))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        for row in (first, second, form):
            column.addLayout(row)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
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
        quietly(self.use, "setChecked", choices.use_limit)
        self.drive.setCurrentIndex([key for key, _ in DRIVES].index(choices.drive))
        quietly(self.reach, "setValue", choices.reach_mm)
        quietly(self.smooth, "setValue", choices.smoothness)
        self.reach_text.setText(f"{choices.reach_mm} mm" if choices.reach_mm else "auto")
        self.smooth_text.setText(("sharper", "sharper", "sharper", "normal", "smoother", "smoother", "smoother")[choices.smoothness + 3])

    def _choose(self, **values: Any) -> None:
        session = self._desk.session
        session.set(levelset=replace(session.levelset, **values))
