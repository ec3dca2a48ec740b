"""Compare models or rounds: which is better and for whom it is not, case by case, by volume, and what another threshold would give."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QFileDialog, QFormLayout, QHBoxLayout, QHeaderView, QListWidget, QSlider, QTableWidget, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.fields import Fold
from napari_medseg.gui.folder_field import FolderField
from napari_medseg.gui.style import SPACING, button, combo, fit_rows, mark, quiet, right
from napari_medseg.session.compare_measuring import Measured
from napari_medseg.session.compare_rounds import RoundModel
from napari_medseg.session.compare_words import group_rows, pair_words, threshold_words
from napari_medseg.session.comparing import FIGURES
from napari_medseg.session.guide import next_step

if TYPE_CHECKING:
    from napari_medseg.gui.compare_plot import ComparePlot

TITLES = {
    "dice": "Dice", "surface_dice_2mm": "Surface Dice at 2 mm", "hd95_mm": "95 % distance (mm)", "assd_mm": "Mean distance (mm)",
    "volume_error_ml": "Volume error (ml)", "precision": "Precision", "recall": "Recall",
}
CHARTS = (("cases", "Case by case"), ("bland", "Bland-Altman of volumes"), ("volumes", "Volume against truth"), ("reliability", "Reliability and threshold"))
EMPTY = "Rounds of the open study, or folders of label maps, case by case against the truth: a folder of true maps, or the study's verified cases."


class ComparePage(QWidget):
    """Choose folders, see what a paired comparison says, and look at single cases."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._model = model = desk.session.reviewing.comparing
        self._shown: tuple[object, ...] = ()
        self._seen: Measured | None = None
        self._plot: ComparePlot | None = None
        self.models = QListWidget()
        self.models.setAccessibleName("Sets of label maps")
        self.models.setMaximumHeight(58)
        self.models.setToolTip("Folders of label maps, the earlier one first")
        self.add = button("Add folder…", "A folder of label maps: a round, a model, a person", self._on_add)
        tip = "The labels given and every round of this study's latest refinement, as models to compare"
        self.rounds = button("Add rounds", tip, model.add_rounds)
        self.remove = button("Remove", "Leave the chosen folder out", self._on_remove)
        self.truth = FolderField("folder of true label maps", lambda path: model.choose(truth=path))
        self.chances = FolderField("folder of probability maps (if any)", lambda path: model.choose(probabilities=path))
        tip = "A CSV table with a column `case` and others such as scanner and site: who got worse is said group by group"
        self.groups = button("Groups…", tip, self._on_groups)
        self.run = button("Compare", "Measure every case against the truth (G)", desk.session.run)
        self.figure = combo("What is compared")
        self.figure.setAccessibleName("Figure")
        for key in FIGURES:
            self.figure.addItem(TITLES[key], key)
        self.figure.activated.connect(lambda i: model.look_at(figure=self.figure.itemData(i)))
        self.value = combo("The class, or the mean over classes")
        self.value.setAccessibleName("Class")
        self.value.activated.connect(lambda i: model.look_at(value=self.value.itemData(i)))
        self.verdict = quiet()
        self.verdict.setProperty("quiet", False)
        self.table = QTableWidget(0, 4)
        self.table.setTabKeyNavigation(False)
        self.table.setAccessibleName("Comparison")
        self.table.setHorizontalHeaderLabels(["Group", "n", "change", "verdict"])
        self.table.setToolTip("The change from the first to the last, group by group; a mean over all hides a group that got worse")
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.chart = combo("What is drawn; click on a point to open that case")
        self.chart.setAccessibleName("Chart")
        for key, title in CHARTS:
            self.chart.addItem(title, key)
        self.chart.activated.connect(lambda _: self.refresh())
        self.keep = button("Keep in the study", "The study keeps these figures and its report tells them; no name or path goes along", self._on_keep)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Threshold")
        self.slider.setRange(1, 99)
        self.slider.setToolTip("From which probability on a voxel belongs to the class; a higher one keeps false positives down")
        self.slider.valueChanged.connect(lambda value: model.look_at(threshold=value))
        self.told = quiet()
        self.note = quiet(EMPTY)
        self._lay_out()
        desk.refreshed.connect(self.refresh)
        desk.rethemed.connect(self._rethemed)
        self.refresh()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        inside = QWidget()
        choices = QVBoxLayout(inside)
        choices.setContentsMargins(0, 0, 0, 0)
        choices.setSpacing(SPACING)
        choices.addWidget(self.note)
        choices.addWidget(self.models)
        choices.addLayout(_row(self.rounds, self.add))
        choices.addLayout(_row(self.remove, self.groups))
        fields = QFormLayout()
        fields.setSpacing(SPACING)
        fields.addRow("Truth", self.truth)
        fields.addRow("Chances", self.chances)
        choices.addLayout(fields)
        choices.addWidget(self.run)
        self.choices = Fold("What is compared", "Folders of label maps, the truth, groups and probabilities", inside)
        self.choices.head.setChecked(True)
        column.addWidget(self.choices)
        self.results = QWidget()
        below = self._below = QVBoxLayout(self.results)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(SPACING)
        below.addLayout(_row(self.figure, self.value))
        for part in (self.verdict, self.table, self.keep, self.chart, self.slider, self.told):
            below.addWidget(part)
        column.addWidget(self.results)
        column.addStretch(1)

    def refresh(self) -> None:
        """Show the session."""
        session, model = self._desk.session, self._model
        if not session.reviewing.is_on("compare"):
            return
        titles = [f"{number} {_title(each)}" for number, each in enumerate(model.choices.models, 1)]
        if titles != [self.models.item(row).text() for row in range(self.models.count())]:
            self.models.clear()
            self.models.addItems(titles)
        self.models.setVisible(bool(titles))
        self.remove.setEnabled(bool(titles))
        self.rounds.setEnabled(session.study.is_open)
        self.keep.setEnabled(model.can_keep)
        self.keep.setText("Kept" if model.is_kept else "Keep in the study")
        self.note.setVisible(model.found is None and not titles)
        self.truth.show_path(model.choices.truth)
        self.chances.show_path(model.choices.probabilities)
        self.groups.setText(f"Groups: {model.choices.groups.name}" if model.choices.groups is not None else "Groups…")
        self.run.setEnabled(not model.missing)
        self.run.setText("Compare again" if model.found is not None else "Compare")
        mark(self.run, "primary", next_step(session).action == "run")
        self.results.setVisible(model.found is not None)
        if model.found is not self._seen:
            self._seen = model.found
            self.choices.head.setChecked(model.found is None)  # makes room for what was found
        wanted = (model.comparison, model.threshold, self.chart.currentIndex(), tuple(session.classes))
        if model.comparison is not None and wanted != self._shown:
            self._shown = wanted
            self._fill()

    def _fill(self) -> None:
        model = self._model
        found, comparison = model.found, model.comparison
        if found is None or comparison is None:
            return
        named = {str(c.value): c.name for c in self._desk.session.classes}
        if [self.value.itemData(i) for i in range(self.value.count())] != [None, *found.values]:
            self.value.clear()
            self.value.addItem("all classes", None)
            for value in found.values:
                self.value.addItem(named.get(value, f"class {value}"), value)
        self.value.setCurrentIndex(0 if model.value is None else 1 + found.values.index(model.value))
        self.figure.setCurrentIndex(FIGURES.index(model.figure))
        self.verdict.setText(pair_words(comparison, TITLES[model.figure], found.left_out))
        rows = group_rows(comparison)
        self.table.setVisible(bool(rows))
        self.table.setRowCount(len(rows))
        for at, cells in enumerate(rows):
            for column, text in enumerate(cells):
                self.table.setItem(at, column, right(text))
        fit_rows(self.table, 4)
        self._draw()

    def _draw(self) -> None:
        model, chart = self._model, self.chart.currentData()
        comparison, volumes = model.comparison, model.volumes
        if comparison is None or volumes is None:
            return
        plot = self._chart()
        calibration = model.reliability
        reliability = chart == "reliability"
        plot.setVisible(not reliability or calibration is not None)
        self.slider.setVisible(reliability and calibration is not None)
        if chart == "cases":
            plot.show_cases(comparison, TITLES[model.figure])
            self.told.setText("One column a case; click on a point to open it.")
        elif chart == "bland":
            plot.show_bland_altman(volumes[0])
            self.told.setText(volumes[0].note or "Solid: bias. Dashed: limits of agreement (95 % of differences lie between them).")
        elif chart == "volumes":
            fit = volumes[1]
            plot.show_volumes(fit)
            words = f"Line: {fit.slope:.2f} × truth {fit.intercept:+.2f} ml; concordance {fit.concordance:.3f}. " if fit.slope and not fit.note else ""
            self.told.setText(f"{words}{fit.note or 'Dashed: the same volume as the truth.'}")
        elif calibration is None:
            self.told.setText("Choose a folder of probability maps above (float, one channel a class, the names of the truths) and compare again.")
        else:
            plot.show_reliability(calibration, model.threshold / 100)
            self.slider.blockSignals(True)
            self.slider.setValue(model.threshold)
            self.slider.blockSignals(False)
            self.told.setText(threshold_words(calibration, model.threshold))

    def _chart(self) -> ComparePlot:
        if self._plot is None:
            from napari_medseg.gui.compare_plot import ComparePlot

            self._plot = ComparePlot(self._model.open_case, str(self._desk.viewer.theme))
            self._below.insertWidget(self._below.indexOf(self.slider), self._plot)
        return self._plot

    def _rethemed(self, theme: str) -> None:
        if self._plot is not None:
            self._plot.rethemed(theme)
            self._draw()

    def _on_add(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "A folder of label maps")
        if path and Path(path) not in self._model.choices.models:
            self._model.choose(models=(*self._model.choices.models, Path(path)))

    def _on_keep(self) -> None:
        self._desk.session.attempt(self._model.keep)

    def _on_remove(self) -> None:
        models = self._model.choices.models
        at = self.models.currentRow() if self.models.currentRow() >= 0 else len(models) - 1
        self._model.choose(models=models[:at] + models[at + 1:])

    def _on_groups(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "A table of groups", "", "CSV (*.csv)")
        self._model.choose(groups=Path(path) if path else None)


def _title(model: Path | RoundModel) -> str:
    return model.title if isinstance(model, RoundModel) else f"{model.parent.name}/{model.name}"


def _row(*parts: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(SPACING)
    for part in parts:
        row.addWidget(part, 1)
    return row
