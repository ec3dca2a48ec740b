"""The Refine tab: from accepted labels to a trained network and better labels, round by round."""

from __future__ import annotations

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.refine_cases import RefineCases
from napari_medseg.gui.refine_next import RefineNext
from napari_medseg.gui.refine_rounds import RefineRounds
from napari_medseg.gui.refine_run import RefineRun
from napari_medseg.gui.refine_setup import RefineSetup
from napari_medseg.gui.refine_single import RefineSingle
from napari_medseg.gui.refine_unfinished import RefineUnfinished
from napari_medseg.gui.style import SPACING

SOON_MS = 50


class RefineTab(QWidget):
    """Views of the session's refinement."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._seen = 0
        self._scroll = QTimer(self)
        self._scroll.setSingleShot(True)
        self._scroll.setInterval(SOON_MS)
        self._scroll.timeout.connect(self._on_scroll)
        self.cases = RefineCases(desk)
        self.setup = RefineSetup(desk)
        self.running = RefineRun(desk)
        self.unfinished = RefineUnfinished(desk)
        self.single = RefineSingle(desk)
        self.rounds = RefineRounds(desk)
        self.next = RefineNext(desk)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 6, 4, 4)
        column.setSpacing(SPACING)
        for part in (self.cases, self.unfinished, self.setup, self.running, self.rounds, self.next, self.single):
            column.addWidget(part)
        column.addStretch(1)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Bring what has just come into view, once it has its place."""
        rows = self._desk.session.refining.rows
        seen = len(rows) + sum(bool(row.changes) for row in rows)
        if seen > self._seen:
            self._scroll.start()
        self._seen = seen

    def _on_scroll(self) -> None:
        area = self.parent().parent() if self.parent() is not None else None
        if isinstance(area, QScrollArea) and self.rounds.isVisible():
            area.verticalScrollBar().setValue(self.rounds.geometry().top())
