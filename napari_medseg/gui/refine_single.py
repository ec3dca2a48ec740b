"""One scan alone: propose the rest from the slices that were corrected."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.right_slice import RightSlice
from napari_medseg.gui.style import button, mark, quiet
from napari_medseg.session.guide import next_step

ENOUGH = 3
TIP = (
    "Learns from the slices you painted on or marked right, each as a whole, and proposes all others of this scan (up to about 1 min); "
    "these slices stay as they are"
)
NONE_YET = "Paint where the label is wrong, on 3 slices."


class RefineSingle(QWidget):
    """Views of what one scan's own corrections can do for its other slices."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.right = RightSlice(desk)
        self.propose = button("Propose the rest from my corrected slices", TIP, desk.propose_rest)
        self.said = quiet()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for part in (self.right, self.propose, self.said):
            column.addWidget(part)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session, scan = self._desk.session, self._desk.session.current
        ready = scan is not None and scan.has_labels and not scan.arriving
        self.propose.setVisible(ready)
        self.said.setVisible(ready)
        if scan is None or not ready:
            return
        slices = session.rest.slices(scan)
        report = session.rest.report(scan)
        self.propose.setEnabled(bool(slices))
        count = f"{len(slices)} slice{'s' if len(slices) != 1 else ''} corrected or right"
        if len(slices) < ENOUGH:
            said = f"{count}; {ENOUGH - len(slices)} more for a good proposal." if slices else NONE_YET
        else:
            said = f"{count}. {report.useful if report is not None else ''}".rstrip()
        self.said.setText(said)
        mark(self.propose, "primary", session.tab == "refine" and next_step(session).action == "rest")
