"""Agreement between annotators: who agrees with whom, where they do not, and a consensus to accept."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QTableWidget,
    QVBoxLayout,
    QWidget,
)

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, combo, fit_rows, mark, quiet, right
from napari_medseg.session.agreeing import METHODS, Agreed, Source
from napari_medseg.session.guide import next_step

FIGURES = (
    ("dice", "Dice", "Overlap, 0 to 1; 1 is the same", "{:.3f}"),
    ("assd_mm", "Mean distance (mm)", "Average distance between the two outlines in mm", "{:.2f}"),
    ("hd95_mm", "95 % distance (mm)", "Distance that 95 % of either outline keep to the other, in mm", "{:.2f}"),
    ("surface_dice", "Surface Dice at 2 mm", "Share of both outlines that lie within 2 mm of each other", "{:.3f}"),
)
LINE = 17  # height of one label map in the list
EMPTY = "Here labels of several people are compared. Save a version of each in a study (the Cases dock asks who works), or add label files of this scan."
FORMATS = "Label maps (*.nii *.nii.gz *.nrrd *.seg.nrrd *.mha *.mhd);;All files (*)"


class AgreementPage(QWidget):
    """Choose annotators, see their matrix, walk to where they disagree, make a consensus."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._model = model = desk.session.reviewing.agreement
        self._filling = False
        self._listed: tuple[object, ...] = ()
        self._shown: tuple[object, ...] = ()
        self.list = QListWidget()
        self.list.setAccessibleName("Label maps")
        self.list.setToolTip("Tick the label maps to compare")
        self.list.itemChanged.connect(self._on_ticked)
        self.add = button("Add label files…", "Label maps of this scan by others, on its grid", self._on_add)
        self.run = button("Compare", "Compare what is ticked, class by class (G)", lambda: desk.session.run())
        self.value = combo("The class that the table is about")
        self.value.setAccessibleName("Class")
        self.value.activated.connect(lambda _: self.refresh())
        self.figure = combo("; ".join(f"{title}: {what.lower()}" for _, title, what, _ in FIGURES))
        self.figure.setAccessibleName("Figure")
        for key, title, _, _ in FIGURES:
            self.figure.addItem(title, key)
        self.figure.activated.connect(lambda _: self.refresh())
        self.table = QTableWidget(0, 0)
        self.table.setTabKeyNavigation(False)
        self.table.setAccessibleName("Agreement")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.horizontalHeader().setMinimumSectionSize(36)
        self.table.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.words = quiet()
        self.heat = QCheckBox("Glow")
        self.heat.setToolTip("Glows where annotators gave different labels: the share of them that gave another label than most")
        self.heat.toggled.connect(model.show_heat)
        tip = "Go to the slice with most disputed voxels, then to the next (J; back: Shift+J)"
        self.next = button("Next worst slice", tip, lambda: desk.go_to_disagreement(1))
        self.method = combo("Majority: what most drew; a tie is background. STAPLE: weighs annotators by how good they turn out to be")
        self.method.setAccessibleName("Consensus")
        for each, title in zip(METHODS, ("majority", "STAPLE"), strict=True):
            self.method.addItem(title, each)
        self.method.activated.connect(lambda i: model.choose(self.method.itemData(i)))
        self.consensus = button("Show consensus", "Preview one label map of all; Accept makes it a version", self._on_consensus)
        rows = [QHBoxLayout() for _ in range(4)]
        held = ((self.add, self.run), (self.value, self.figure), (self.heat, self.next), (self.method, self.consensus))
        for row, parts in zip(rows, held, strict=True):
            row.setSpacing(SPACING)
            for part in parts:
                row.addWidget(part, 0 if part is self.heat else 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        self.empty = quiet(EMPTY)
        column.addWidget(self.empty)
        column.addWidget(self.list)
        column.addLayout(rows[0])
        self.results = QWidget()
        below = QVBoxLayout(self.results)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(SPACING)
        below.addLayout(rows[1])
        below.addWidget(self.table)
        below.addWidget(self.words)
        below.addLayout(rows[2])
        column.addWidget(self.results)
        column.addLayout(rows[3])
        column.addStretch(1)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session, model = self._desk.session, self._model
        if not session.reviewing.is_on("agreement"):
            return
        scan = session.current
        sources, chosen = model.sources(scan), model.chosen(scan)
        self._list(sources, chosen)
        able = scan is not None and len(chosen) > 1 and not scan.arriving
        found = model.of(scan)
        self.empty.setVisible(not sources)
        self.list.setVisible(bool(sources))
        self.add.setEnabled(scan is not None)
        self.run.setEnabled(able)
        self.run.setText("Compare again" if found is not None else "Compare")
        mark(self.run, "primary", next_step(session).action == "run")
        for part in (self.method, self.consensus):
            part.setEnabled(able)
        self.results.setVisible(found is not None)
        self.heat.blockSignals(True)
        self.heat.setChecked(model.heat)
        self.heat.blockSignals(False)
        if found is not None and scan is not None:
            self.next.setEnabled(bool(found.worst))
            self._fill(found, old=model.is_old(scan))

    def _list(self, sources: tuple[Source, ...], chosen: tuple[Source, ...]) -> None:
        if (sources, chosen) == self._listed:
            return
        self._listed = (sources, chosen)
        self.list.setFixedHeight(8 + LINE * min(max(len(sources), 2), 5))
        self._filling = True
        self.list.clear()
        for source in sources:
            item = QListWidgetItem(source.title)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if source in chosen else Qt.CheckState.Unchecked)
            self.list.addItem(item)
        self._filling = False

    def _fill(self, found: Agreed, *, old: bool) -> None:
        agreement = found.agreement
        named = {c.value: c.name for c in self._desk.session.classes}
        values = [each.value for each in agreement.classes]
        if [self.value.itemData(i) for i in range(self.value.count())] != values:
            self.value.clear()
            for value in values:
                self.value.addItem(named.get(value, f"class {value}"), value)
        wanted = (found, self.value.currentIndex(), self.figure.currentIndex(), old)
        if wanted == self._shown:
            return
        self._shown = wanted
        each = agreement.classes[max(0, self.value.currentIndex())]
        key, title, what, shape = FIGURES[self.figure.currentIndex()]
        matrix = getattr(each, key)
        count = len(agreement.annotators)
        self.table.setRowCount(count)
        self.table.setColumnCount(count)
        self.table.setHorizontalHeaderLabels([str(at) for at in range(1, count + 1)])
        self.table.setVerticalHeaderLabels([f"{at} {_brief(name)}" for at, name in enumerate(agreement.annotators, 1)])
        for row in range(count):
            for column in range(count):
                figure = matrix[row][column]
                cell = right("" if row == column else "–" if figure is None else shape.format(figure))
                cell.setToolTip(f"{agreement.annotators[row]} and {agreement.annotators[column]}. {what}.")
                self.table.setItem(row, column, cell)
        fit_rows(self.table, 6)
        mean = getattr(each, f"mean_{key}")
        volumes = ", ".join(f"{at}: {ml:.2f} ml" for at, ml in enumerate(each.volume_ml, 1))
        words = f"{title}, mean of all pairs: {shape.format(mean) if mean is not None else 'not defined'}. Volumes: {volumes}."
        notes = " ".join(f"{note}." for note in agreement.notes)
        self.words.setText(f"{words} {notes}{' Other labels are ticked now; compare again.' if old else ''}".strip())

    def _on_ticked(self, item: QListWidgetItem) -> None:
        scan = self._desk.session.current
        if self._filling or scan is None:
            return
        source = next((each for each in self._model.sources(scan) if each.title == item.text()), None)
        if source is not None:
            self._model.tick(source, item.checkState() == Qt.CheckState.Checked)

    def _on_add(self) -> None:
        scan = self._desk.session.current
        if scan is None:
            return
        folder = scan.display.source.parent if scan.display.source is not None else Path.home()
        paths, _ = QFileDialog.getOpenFileNames(self, "Label maps of this scan", str(folder), FORMATS)
        if paths:
            self._model.add([Path(path) for path in paths])

    def _on_consensus(self) -> None:
        self._desk.session.attempt(self._model.propose)


def _brief(name: str) -> str:
    """Who, in a few letters."""
    author, _, version = name.partition(", version ")
    words = f"{author} v{version.partition(' ')[0]}" if version else name
    return words if len(words) <= 14 else f"{words[:13]}…"

