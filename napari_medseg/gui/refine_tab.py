"""The Refine tab: from accepted labels to a trained network and better labels, round by round."""

from __future__ import annotations

from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.faster import RefineFaster
from napari_medseg.gui.into_view import IntoView
from napari_medseg.gui.refine_cases import RefineCases
from napari_medseg.gui.refine_next import RefineNext
from napari_medseg.gui.refine_rounds import RefineRounds
from napari_medseg.gui.refine_run import RefineRun
from napari_medseg.gui.refine_setup import RefineSetup
from napari_medseg.gui.refine_single import RefineSingle
from napari_medseg.gui.refine_unfinished import RefineUnfinished
from napari_medseg.gui.style import SPACING


class RefineTab(QWidget):
    """Views of the session's refinement."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._seen = 0
        self._offered = self._trains = False
        self.view = IntoView(self)
        self.cases = RefineCases(desk)
        self.setup = RefineSetup(desk)
        self.running = RefineRun(desk)
        self.unfinished = RefineUnfinished(desk)
        self.single = RefineSingle(desk)
        self.rounds = RefineRounds(desk)
        self.faster = RefineFaster(desk)
        self.faster.head.toggled.connect(lambda open_: self.view.want(self.faster) if open_ else None)
        self.next = RefineNext(desk)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 6, 4, 4)
        column.setSpacing(SPACING)
        for part in (self.cases, self.unfinished, self.single, self.setup, self.running, self.rounds, self.faster, self.next):
            column.addWidget(part)
        column.addStretch(1)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Bring what has just come into view, once it has its place."""
        refining = self._desk.session.refining
        rows, offered = refining.rows, bool(refining.left) and not refining.is_training
        seen = sum(1 + bool(row.changes) for row in rows if row.figures.round)
        if seen > self._seen:
            self.view.want(self.rounds)
        if offered and not self._offered:
            self.view.want(self.unfinished)
        if refining.is_training and not self._trains:
            self.view.want(self.running, asked=True)
        self._seen, self._offered, self._trains = seen, offered, refining.is_training

    def showEvent(self, event: QShowEvent) -> None:
        """What came while the person was elsewhere."""
        super().showEvent(event)
        self.view.again()
