"""The level-set page of the Weak label tab: tools on the canvas, three sliders, run and steer, and the rest folded away."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QGridLayout, QHBoxLayout, QLabel, QStackedWidget, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import Between, Fold, opposites, quietly
from napari_medseg.gui.run_row import RunRow
from napari_medseg.gui.style import SPACING, button, mark
from napari_medseg.gui.weak_advanced import AdvancedFields
from napari_medseg.session import levelset_live
from napari_medseg.session.guide import next_step
from napari_medseg.session.settings import EDGE_STEPS, SIZES, SMOOTHS

TOOLS = (
    ("seeds", "Add seeds", "Then click 3 to 5 points inside the organ, on different slices (Q turns this on and off). While it grows they join at once"),
    ("bubble", "Bubble", "Then click: a ball joins what is grown. With Shift, or after Q, it is cut out (Shift+O)"),
    ("barrier", "Barrier", "Then paint a wall that the front never enters nor crosses, also while it grows (Shift+B)"),
    ("limit", "Limit", "Paint roughly over the organ with a big ball; nothing outside it will be taken"),
)
THROTTLE_MS = 60


class LevelSetPage(QWidget):
    """Seeds grow into a label that can be steered."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._pending: dict[str, Any] = {}
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(THROTTLE_MS)
        self._soon.timeout.connect(self._send)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        tools = QHBoxLayout()
        tools.setSpacing(4)
        self.tools = {}
        for key, title, tip in TOOLS:
            self.tools[key] = button(title, tip, partial(desk.arm, key))
            tools.addWidget(self.tools[key], len(title))
        self.seeds, self.bubble, self.barrier, self.limit = self.tools.values()
        column.addLayout(tools)
        self.of_tool = QStackedWidget()
        self.of_tool.addWidget(self._of_seeds())
        self.of_tool.addWidget(self._of_bubble())
        self.of_tool.addWidget(self._of_barrier())
        self.of_tool.setFixedHeight(28)
        column.addWidget(self.of_tool)
        column.addLayout(self._sliders())
        self.run_row = RunRow(desk)
        column.addWidget(self.run_row)
        self.advanced = AdvancedFields(desk, self._choose)
        column.addWidget(Fold("Advanced", "Start, window of values, reach, closing, statistics, device", self.advanced))
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def _of_seeds(self) -> QWidget:
        self.count = QLabel()
        self.clear = button("Clear", "Remove the seeds of this label", self._desk.clear_seeds)
        self.use = QCheckBox("Inside limit")
        self.use.setToolTip("On: the painted limit bounds the label. Off: it is ignored.")
        self.use.toggled.connect(lambda on: self._choose(use_limit=on))
        return _row(self.count, self.use, self.clear)

    def _of_bubble(self) -> QWidget:
        self.radius = QDoubleSpinBox()
        self.radius.setAccessibleName("Radius of a bubble, in mm")
        self.radius.setRange(0.5, 200)
        self.radius.setSingleStep(0.5)
        self.radius.setDecimals(1)
        self.radius.setPrefix("radius ")
        self.radius.setSuffix(" mm")
        self.radius.setToolTip("How big the next bubble is; the ring round the cursor shows it")
        self.radius.valueChanged.connect(self._on_radius)
        self.side = button("", "Change between adding and cutting out (Q); Shift does it for one click", self._desk.session.flip)
        return _row(self.radius, self.side)

    def _of_barrier(self) -> QWidget:
        self.walls = QLabel()
        self.no_walls = button("Clear barrier", "Remove the whole barrier; Ctrl+Z on its layer takes back one stroke", self._desk.clear_barrier)
        return _row(self.walls, self.no_walls)

    def _sliders(self) -> QGridLayout:
        self.size = Between(-SIZES, SIZES, "Smaller or bigger: how readily a voxel counts as the organ; acts while it grows (8 and 9)")
        self.smooth = Between(-SMOOTHS, SMOOTHS, "Sharper follows every detail, smoother is round and closes narrow leaks (Alt+8 and Alt+9)")
        self.edge = Between(0, EDGE_STEPS, "What stops the front: other grey values, or edges; found from the seeds until you move it (Ctrl+8 and Ctrl+9)")
        self.edge_text = QLabel()
        self.size.valueChanged.connect(lambda v: self._later(size=v))
        self.smooth.valueChanged.connect(lambda v: self._later(smoothness=v))
        self.edge.valueChanged.connect(lambda v: self._later(edge=v))
        self.size.rested.connect(lambda: self._choose(size=0))
        self.smooth.rested.connect(lambda: self._choose(smoothness=0))
        self.edge.rested.connect(lambda: self._choose(edge=None))
        ends = (("Smaller", self.size, QLabel("Bigger")), ("Sharper", self.smooth, QLabel("Smoother")), ("Greys", self.edge, self.edge_text))
        return opposites(*ends)

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        choices, scan, count = session.levelset, session.current, session.seed_count
        action = next_step(session).action
        self.count.setText(f"{count} seed{'' if count == 1 else 's'}")
        self.clear.setEnabled(count > 0)
        for key, tool in self.tools.items():
            tool.setEnabled(scan is not None)
            mark(tool, "armed", session.tool == key)
            mark(tool, "primary", action == key and session.tool != key)
        self.of_tool.setCurrentIndex({"bubble": 1, "barrier": 2}.get(session.tool, 0))
        self.use.setVisible(scan is not None and scan.limit is not None)
        quietly(self.use, "setChecked", choices.use_limit)
        quietly(self.radius, "setValue", choices.bubble_mm)
        self.side.setText("Cuts out" if session.background else "Adds")
        barred = scan is not None and scan.barred > 0
        self.walls.setText("Paint across the leak" if not barred else f"{scan.barred * scan.display.geometry.voxel_ml:.2g} ml of barrier" if scan else "")
        self.no_walls.setEnabled(barred)
        if not self._soon.isActive():
            quietly(self.size, "setValue", choices.size)
            quietly(self.smooth, "setValue", choices.smoothness)
            quietly(self.edge, "setValue", EDGE_STEPS // 2 if choices.edge is None else choices.edge)
        self.edge_text.setText("Edges (auto)" if choices.edge is None and "edge" not in self._pending else "Edges")

    def _on_radius(self, radius: float) -> None:
        self._choose(bubble_mm=radius)
        self._desk.bubble.resize()

    def _later(self, **values: Any) -> None:
        """A slider moves: what it says is sent at most every 60 ms."""
        self._pending.update(values)
        if not self._soon.isActive():
            self._soon.start()

    def _send(self) -> None:
        values, self._pending = self._pending, {}
        if values:
            self._choose(**values)

    def _choose(self, **values: Any) -> None:
        levelset_live.choose(self._desk.session, **values)


def _row(*widgets: QWidget) -> QWidget:
    made = QWidget()
    row = QHBoxLayout(made)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(SPACING)
    for widget in widgets:
        row.addWidget(widget, 1)
    return made
