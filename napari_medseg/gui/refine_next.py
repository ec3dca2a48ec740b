"""What to correct next: the places where a correction would teach most, and one at random to compare with."""

from __future__ import annotations

from qtpy.QtWidgets import QAbstractItemView, QHBoxLayout, QLabel, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, mark
from napari_medseg.session.guide import next_step

ROW = 20


class RefineNext(QWidget):
    """Views of the places a round points at."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._shown: object = None
        refining = desk.session.refining
        self.go = button("Next place", "Go to the next place where a correction would teach most (J); Shift+J goes back", lambda: refining.step(1))
        self.case = button("Next case", "Open the next case of the Cases table (N)", lambda: desk.session.study.step(1))
        self.list = QListWidget()
        self.list.setAccessibleName("Places to correct")
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setUniformItemSizes(True)
        self.list.setToolTip("The most promising first; the last one was picked at random, to see whether the order is worth anything")
        self.list.itemClicked.connect(lambda item: refining.visit(self.list.row(item)))
        self.list.itemActivated.connect(lambda item: refining.visit(self.list.row(item)))
        head = QHBoxLayout()
        head.setSpacing(SPACING)
        head.addWidget(QLabel("Correct next"), 1)
        head.addWidget(self.go)
        head.addWidget(self.case)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(self.list)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session, refining = self._desk.session, self._desk.session.refining
        spots = refining.spots
        self.setVisible(bool(spots))
        self.case.setVisible(session.study.is_open)
        mark(self.go, "primary", session.tab == "refine" and next_step(session).action == "look")
        if (spots, refining.at) == self._shown:
            return
        self._shown = spots, refining.at
        self.list.clear()
        for number, spot in enumerate(spots, 1):
            place = f"{refining.name_of(spot.case)}, slice {spot.voxel[0]}: {spot.reason}"
            item = QListWidgetItem(f"⚄ {place}" if spot.control else f"{number}. {place}")
            item.setToolTip(place)
            self.list.addItem(item)
        if refining.at is not None and refining.at < len(spots):
            self.list.setCurrentRow(refining.at)
        self.list.setFixedHeight(max(1, len(spots)) * max(ROW, self.list.sizeHintForRow(0)) + 6)
