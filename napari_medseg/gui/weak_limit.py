"""The limit page of the Weak label tab: a big soft ball paints where the label may go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import beside, quietly, slider
from napari_medseg.gui.style import SPACING, button, mark, quiet
from napari_medseg.session import limit_painting
from napari_medseg.session.guide import next_step


class LimitPage(QWidget):
    """Brush, radius, softness, add or erase."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        tip = "Then paint roughly over the organ; the brush is a ball that reaches into the slices above and below"
        self.paint = button("Paint limit", tip, lambda: desk.arm("limit"))
        self.side = button("", "Change between adding and erasing (Q)", desk.session.flip)
        self.clear = button("Clear", "Remove the whole limit; Ctrl+Z on it brings it back", lambda: limit_painting.clear(desk.session))
        self.radius, self.radius_text = slider(1, round(limit_painting.LARGEST_MM), "Radius of the ball in mm; [ and ] change it too")
        self.radius.valueChanged.connect(lambda v: self._choose(radius_mm=float(v)))
        self.soft, self.soft_text = slider(0, 100, "How far the rim is shown to fade to either side; the level set keeps to the line, at the radius")
        self.soft.valueChanged.connect(lambda v: self._choose(softness=v / 100))
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        row.addWidget(self.paint, 2)
        row.addWidget(self.side, 2)
        row.addWidget(self.clear)
        form = QFormLayout()
        form.setSpacing(4)
        form.addRow("Radius", beside(self.radius, self.radius_text))
        form.addRow("Soft rim", beside(self.soft, self.soft_text))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        column.addLayout(row)
        column.addLayout(form)
        column.addWidget(quiet("The level set never leaves the line. Paint too much rather than too little; a few slices are enough."))
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        if session.mode != "limit":
            return
        scan, brush = session.current, session.limit_brush
        armed = session.tool == "limit"
        self.paint.setEnabled(scan is not None)
        self.paint.setText("Painting limit" if armed else "Paint limit")
        self.side.setText("Erase" if brush.erase else "Add")
        self.side.setEnabled(armed)
        self.clear.setEnabled(scan is not None and scan.limit_log.can_undo)
        quietly(self.radius, "setValue", round(brush.radius_mm))
        quietly(self.soft, "setValue", round(100 * brush.softness))
        self.radius_text.setText(f"{brush.radius_mm:.0f} mm")
        self.soft_text.setText(f"{brush.softness * brush.radius_mm:.0f} mm" if brush.softness else "hard")
        mark(self.paint, "armed", armed)
        mark(self.paint, "primary", next_step(session).action == "limit" and not armed)

    def _choose(self, **values: Any) -> None:
        session = self._desk.session
        session.set(limit_brush=replace(session.limit_brush, **values))
