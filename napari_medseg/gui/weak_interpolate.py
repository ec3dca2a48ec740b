"""The interpolation page of the Weak label tab: which slices are annotated, and filling what lies between."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QHBoxLayout, QListView, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, combo, mark, quiet
from napari_medseg.session.guide import next_step

AXES = ((None, "Slices as drawn"), (0, "Axial slices"), (1, "Coronal slices"), (2, "Sagittal slices"))
METHODS = ((True, "Follow image"), (False, "Shape only"))
HEIGHT = 76


class InterpolatePage(QWidget):
    """Annotated slices, the method, and slices that are empty on purpose."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._shown: object = None
        self.axis = combo("Which slices count as annotated; a label drawn in another plane is filled along that plane")
        self.axis.setAccessibleName("Plane")
        for key, title in AXES:
            self.axis.addItem(title, key)
        self.axis.activated.connect(lambda i: self._choose(axis=AXES[i][0]))
        self.method = combo("Follow image: between slices outlines move to the edges of the scan. Shape only: outlines are blended, whatever it shows")
        self.method.setAccessibleName("Method")
        for follow, title in METHODS:
            self.method.addItem(title, follow)
        self.method.activated.connect(lambda i: self._choose(follow=METHODS[i][0]))
        self.slices = QListWidget()
        self.slices.setAccessibleName("Annotated slices")
        self.slices.setToolTip("Annotated slices of the chosen label. Click one to go there; without its tick it does not count")
        self.slices.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the keys with the canvas
        self.slices.setFlow(QListView.Flow.LeftToRight)
        self.slices.setWrapping(True)
        self.slices.setResizeMode(QListView.ResizeMode.Adjust)
        self.slices.setUniformItemSizes(True)
        self.slices.setGridSize(QSize(74, 22))
        self.slices.setFixedHeight(HEIGHT)
        self.nothing = quiet("Slices that you painted are listed here.")
        QVBoxLayout(self.slices.viewport()).addWidget(self.nothing, 0, Qt.AlignmentFlag.AlignTop)
        self.slices.itemChanged.connect(self._on_ticked)
        self.slices.itemClicked.connect(lambda item: desk.show_slice(desk.session.between.axis, item.data(Qt.ItemDataRole.UserRole)))
        tip = "Say that the slice in view holds nothing of this label on purpose: the shape ends towards it. A second time takes it back"
        self.empty = button("Empty here", tip, self._on_empty)
        tip = "Takes napari's brush to the labels of this scan, with the chosen label; paint slices some slices apart"
        self.paint = button("Paint slices", tip, desk.paint_labels)
        self.note = quiet()
        first = QHBoxLayout()
        first.setSpacing(SPACING)
        first.addWidget(self.method, 1)
        first.addWidget(self.axis, 1)
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        row.addWidget(self.paint)
        row.addWidget(self.empty)
        row.addWidget(self.note, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        column.addLayout(first)
        column.addWidget(self.slices)
        column.addLayout(row)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        if session.mode != "interpolate":
            return
        choices, between = session.interpolation, session.between
        self.axis.setCurrentIndex([key for key, _ in AXES].index(choices.axis))
        self.method.setCurrentIndex([key for key, _ in METHODS].index(choices.follow))
        rows = between.slices() if session.current is not None else []
        here = self._desk.slice_in_view(between.axis)
        self.empty.setEnabled(here is not None and all(index != here or not voxels for index, voxels, _ in rows))
        marked = any(index == here and not voxels for index, voxels, _ in rows)
        self.empty.setText("Not empty" if marked else "Empty here")
        self.paint.setEnabled(session.current is not None)
        mark(self.paint, "primary", next_step(session).action == "paint")
        gaps = between.gaps()
        self.note.setText(f"{gaps} between" if gaps else "")
        if rows != self._shown:
            self._fill(rows)

    def _fill(self, rows: list[tuple[int, int, bool]]) -> None:
        self._shown = rows
        self.nothing.setVisible(not rows)
        self.slices.blockSignals(True)
        self.slices.clear()
        for index, voxels, counts in rows:
            item = QListWidgetItem(str(index) if voxels else f"{index} empty")
            item.setData(Qt.ItemDataRole.UserRole, index)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if counts else Qt.CheckState.Unchecked)
            item.setToolTip(f"Slice {index}: {voxels:,} voxels" if voxels else f"Slice {index}: empty on purpose")
            self.slices.addItem(item)
        self.slices.blockSignals(False)

    def _on_ticked(self, item: QListWidgetItem) -> None:
        self._shown = None
        self._desk.session.between.use(int(item.data(Qt.ItemDataRole.UserRole)), item.checkState() == Qt.CheckState.Checked)

    def _on_empty(self) -> None:
        here = self._desk.slice_in_view(self._desk.session.between.axis)
        if here is not None:
            self._desk.session.between.mark_empty(here)

    def _choose(self, **values: Any) -> None:
        session = self._desk.session
        session.set(interpolation=replace(session.interpolation, **values))
