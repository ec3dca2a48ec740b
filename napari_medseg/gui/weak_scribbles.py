"""The scribbles page of the Weak label tab: strokes, what solves them, and strokes made of labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QFormLayout, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import quietly
from napari_medseg.gui.label_colours import BACKGROUND_STROKE
from napari_medseg.gui.style import SPACING, button, combo, mark, swatch
from napari_medseg.session import stroke_making
from napari_medseg.session.guide import next_step

SOLVERS = (
    ("auto", "Auto", "Takes what suits the strokes and says which"),
    ("geodesic", "Geodesic", "The nearest stroke wins, where crossing other grey values counts as far; fast"),
    ("growcut", "GrowCut", "Strokes conquer their neighbours by likeness; good for many classes"),
    ("walker", "Random walker", "Smoothest where edges are faint; slower"),
)


class ScribblePage(QWidget):
    """Strokes grow into labels."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        session = desk.session
        tip = "Then draw a line inside the organ, and one on the background where it runs over. napari's eraser and Ctrl+Z work on strokes too"
        self.draw = button("Draw strokes", tip, lambda: desk.arm("scribbles"))
        self.side = button("", "Change between the chosen label and the background (Q)", session.flip)
        self.solver = combo("What grows the strokes")
        self.solver.setAccessibleName("Solver")
        for index, (key, title, what) in enumerate(SOLVERS):
            self.solver.addItem(title, key)
            self.solver.setItemData(index, what, Qt.ItemDataRole.ToolTipRole)
        self.solver.activated.connect(lambda i: self._choose(solver=self.solver.itemData(i)))
        self.live = QCheckBox("Live")
        self.live.setToolTip("On: every stroke answers at once. Off: strokes wait for Grow strokes (G).")
        self.live.toggled.connect(lambda on: self._choose(live=on))
        self.learn = QCheckBox("Learn what tissue looks like")
        self.learn.setToolTip("On: grey values and texture under the strokes say what belongs to a class. Off: only edges and distance count.")
        self.learn.toggled.connect(lambda on: self._choose(learn=on))
        tip = "Make strokes of the accepted labels, or of the preview if one is shown: the core of each label, and the background around it. Yours stay"
        self.seed = button("Use labels as strokes", tip, lambda: stroke_making.from_labels(session))
        self.clear = button("Clear", "Remove all strokes of this scan; Ctrl+Z on the strokes brings them back", lambda: stroke_making.clear(session))
        for box in (self.live, self.learn):
            box.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.words = QElidingLabel()
        self.words.setProperty("quiet", True)
        self.words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        first, second, last = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        for row in (first, second, last):
            row.setSpacing(SPACING)
        first.addWidget(self.draw, 1)
        first.addWidget(self.side, 1)
        second.addWidget(self.solver, 1)
        second.addWidget(self.live)
        form = QFormLayout()
        form.setSpacing(4)
        form.addRow("Solver", second)
        form.addRow("", self.learn)
        last.addWidget(self.seed, 1)
        last.addWidget(self.clear)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        column.addLayout(first)
        column.addLayout(form)
        column.addLayout(last)
        column.addWidget(self.words)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        if session.mode != "scribbles":
            return
        scan, choices = session.current, session.scribble
        armed = session.tool == "scribbles"
        self.draw.setEnabled(scan is not None)
        self.draw.setText("Drawing strokes" if armed else "Draw strokes")
        self.side.setText("Background" if session.background else session.label_class.name)
        self.side.setIcon(swatch(BACKGROUND_STROKE[:3] if session.background else session.label_class.colour))
        self.side.setEnabled(armed)
        self.solver.setCurrentIndex([key for key, *_ in SOLVERS].index(choices.solver))
        quietly(self.live, "setChecked", choices.live)
        quietly(self.learn, "setChecked", choices.learn)
        self.learn.setEnabled(choices.solver != "growcut")
        preview = scan.preview if scan is not None else None
        other = preview is not None and not session.live.owns(preview)
        self.seed.setEnabled(scan is not None and (scan.has_labels or other))
        self.seed.setText(f"Use {'preview' if other else 'labels'} as strokes")
        self.clear.setEnabled(scan is not None and any(scan.drawn))
        method = session.live.method(scan) if scan is not None else ""
        said = f"{'Auto: ' if choices.solver == 'auto' else ''}{method}" if method else ""
        self.words.setText(said)
        self.words.setToolTip(said)
        mark(self.draw, "armed", armed)
        mark(self.draw, "primary", next_step(session).action == "scribbles")

    def _choose(self, **values: Any) -> None:
        session = self._desk.session
        session.set(scribble=replace(session.scribble, **values))
        session.live.chosen()
