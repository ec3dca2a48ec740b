"""The scribbles page of the Weak label tab."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, mark, quiet
from napari_medseg.session.guide import next_step


class ScribblePage(QWidget):
    """Strokes grow into labels."""

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
        """Show the session."""
        session = self._desk.session
        self.draw.setEnabled(session.current is not None)
        self.draw.setText("Drawing strokes" if session.tool == "scribbles" else "Draw strokes")
        self.side.setText("Background" if session.background else session.label_class.name)
        self.side.setEnabled(session.tool == "scribbles")
        mark(self.draw, "armed", session.tool == "scribbles")
        mark(self.draw, "primary", next_step(session).action == "scribbles")
