"""A training that was cut off by a crash or a reboot: go on, or forget it."""

from __future__ import annotations

from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, quiet
from napari_medseg.session.round_words import cut_off


class RefineUnfinished(QFrame):
    """Views of the run that was cut off last."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.setObjectName("medsegGuide")
        self.said = quiet()
        self.go_on = button("Go on with it", "Train on from the last checkpoint, on the labels it was started with", desk.session.refining.resume)
        self.forget = button("Forget it", "Finished rounds stay in its folder; the rest of the run is given up", desk.session.refining.forget_unfinished)
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
        refining = self._desk.session.refining
        refining.look_for_unfinished()
        found = refining.unfinished
        self.setVisible(bool(found) and not refining.is_training)
        if found:
            self.said.setText(cut_off(found[0], len(found)))

    def showEvent(self, event: QShowEvent) -> None:
        """Look whether there is one."""
        self._desk.session.refining.look_for_unfinished()
        super().showEvent(event)
