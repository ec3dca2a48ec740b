"""What is asked for rarely in the Segment tab: averaging with other segmenters, mirroring, a model's own clean-up, overwriting other labels."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import Fold, quietly
from napari_medseg.gui.style import quiet
from napari_medseg.session import segmenting

ROW = 20  # pixels


class SegmentAdvanced(QWidget):
    """Folded away until it is wanted."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._shown: object = None
        session = desk.session
        self.over = QCheckBox("Accept may overwrite other labels")
        self.over.setToolTip("On: where the answer lies over another label, Accept takes the voxel. Off: other labels stay as they are.")
        self.over.toggled.connect(lambda on: session.set(over=on))
        self.mirrored = QCheckBox("Average with the mirrored scan")
        self.mirrored.setToolTip("The mean of the answers to the scan and to its mirror image, left for right; steadier, and takes twice as long")
        self.mirrored.toggled.connect(lambda on: session.set(segment=replace(session.segment, mirrored=on)))
        self.tidy = QCheckBox("Clean up as the model says")
        self.tidy.toggled.connect(lambda on: session.set(segment=replace(session.segment, cleanup=on)))
        self.words = quiet("Combine with (the mean of their probabilities):")
        self.others = QListWidget()
        self.others.setAccessibleName("Segmenters to average")
        self.others.setToolTip("Segmenters whose answers are averaged with the chosen one's; each takes its own time")
        self.others.itemChanged.connect(self._on_ticked)
        inside = QWidget()
        rows = QVBoxLayout(inside)
        rows.setContentsMargins(12, 0, 0, 0)
        rows.setSpacing(4)
        for part in (self.over, self.mirrored, self.tidy, self.words, self.others):
            part.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            rows.addWidget(part)
        self.fold = Fold("Advanced", "Averaging, mirroring, overwriting", inside)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.fold)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        quietly(self.over, "setChecked", session.over)
        quietly(self.mirrored, "setChecked", session.segment.mirrored)
        quietly(self.tidy, "setChecked", session.segment.cleanup)
        told = segmenting.cleanup_told(session)
        self.tidy.setVisible(bool(told))
        if told:
            self.tidy.setToolTip(f"On: the outline is tidied as when the model was trained; it {told}. Off: what the network says stays as it is.")
        rows = segmenting.combinable(session)
        self.words.setVisible(bool(rows))
        self.others.setVisible(bool(rows))
        wanted = (rows, session.segment.combined)
        if wanted == self._shown:
            return
        self._shown = wanted
        was = self.others.blockSignals(True)
        self.others.clear()
        for row in rows:
            item = QListWidgetItem(row.title)
            item.setData(Qt.ItemDataRole.UserRole, row.id)
            item.setToolTip(f"{row.summary} Licence: {row.licence}.")
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if row.id in session.segment.combined else Qt.CheckState.Unchecked)
            self.others.addItem(item)
        self.others.setFixedHeight(ROW * min(4, max(1, len(rows))) + 6)
        self.others.blockSignals(was)

    def _on_ticked(self, _item: QListWidgetItem) -> None:
        session = self._desk.session
        items = [self.others.item(index) for index in range(self.others.count())]
        ticked = tuple(str(i.data(Qt.ItemDataRole.UserRole)) for i in items if i.checkState() == Qt.CheckState.Checked)
        self._shown = None
        session.set(segment=replace(session.segment, combined=ticked))
