"""Trainings that were not brought to their end, by a crash, a reboot or the person: go on, or forget them."""

from __future__ import annotations

from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, mark, quiet
from napari_medseg.session.guide import next_step
from napari_medseg.session.round_words import left_over

GO_ON = "Train on from the last checkpoint, on the labels it was started with; what waited behind it follows"
BEGIN = "Train with the choices they were asked for with, on the labels as they are now"
FORGET_RUN = "Finished rounds stay in its folder; the rest of the run is given up"


class RefineUnfinished(QFrame):
    """Views of what can be gone on with."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.setObjectName("medsegGuide")
        self.said = quiet()
        left = desk.session.refining.left
        self.go_on = button("Go on with it", GO_ON, left.go_on)
        self.forget = button("Forget it", FORGET_RUN, left.forget)
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        row.addWidget(self.forget, 1)
        row.addWidget(self.go_on, 2)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 4, 4)
        column.setSpacing(4)
        column.addWidget(self.said)
        column.addLayout(row)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session, refining = self._desk.session, self._desk.session.refining
        left = refining.left
        left.look()
        self.setVisible(bool(left) and not refining.is_training)
        if left:
            self.said.setText(left_over(left.runs, len(left.waiting)))
            self.said.setToolTip("\n".join(asked.title for asked in left.waiting))
            them = "it" if left.runs or len(left.waiting) == 1 else "them"
            self.go_on.setText(f"Go on with {them}" if left.runs else f"Start {them}")
            self.go_on.setToolTip(GO_ON if left.runs else BEGIN)
            self.forget.setText(f"Forget {them}")
            self.forget.setToolTip(FORGET_RUN if left.runs else "They are not trained")
        mark(self.go_on, "primary", session.tab == "refine" and next_step(session).action == "resume")

    def showEvent(self, event: QShowEvent) -> None:
        """Look whether there is something."""
        self._desk.session.refining.left.look()
        super().showEvent(event)
