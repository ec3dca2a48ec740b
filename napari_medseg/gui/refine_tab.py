"""The Refine tab: from accepted labels to a trained network and better labels, round by round."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QScrollArea,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, combo, fit_rows, mark, quiet
from napari_medseg.session.guide import next_step
from napari_medseg.session.study_refinement import learners

COLUMNS = ("Round", "Dice", "Volume", "Time")
TIPS = (
    "0 is the labels you gave", "Agreement with your verified labels; – when none are verified",
    "Times the volume of the labels you gave; far from 1 means trouble", "Training and prediction",
)


class RefineTab(QWidget):
    """Views of the session's refinement."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._plot: object | None = None
        self._shown_cases: object = None
        self._shown_rounds: object = []
        self._appeared: QWidget | None = None
        self._scroll = QTimer(self)
        self._scroll.setSingleShot(True)
        self._scroll.setInterval(50)
        self._scroll.timeout.connect(self._on_scroll)
        session = desk.session
        self.cases = QTableWidget(0, 2)
        self.cases.setHorizontalHeaderLabels(["Learns from", "ml"])
        self.cases.setToolTip("Labelled cases of the study, or open scans with an accepted label; untick those that shall not take part")
        self.cases.verticalHeader().hide()
        self.cases.verticalHeader().setDefaultSectionSize(22)
        self.cases.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.cases.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.cases.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.cases.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.cases.itemChanged.connect(self._on_ticked)
        self.empty = quiet("No open scan has an accepted label yet. Make a weak label and accept it, or name two folders below.")
        self.images = _FolderField("folder of scans", lambda path: self._choose(images=path))
        self.labels = _FolderField("folder of their label maps", lambda path: self._choose(labels=path))
        self.recipe = combo("How rounds are run")
        for entry in session.catalogue.of_kind("recipe"):
            self.recipe.addItem(entry.title, entry.id)
            self.recipe.setItemData(self.recipe.count() - 1, entry.summary, Qt.ItemDataRole.ToolTipRole)
        self.recipe.activated.connect(lambda i: self._choose(recipe=self.recipe.itemData(i)))
        self.base = combo("The model every round starts from")
        self.base.activated.connect(self._on_base)
        self.rounds = QSpinBox()
        self.rounds.setRange(1, 10)
        self.rounds.setToolTip("How many times to train and predict; the paper took 3")
        self.rounds.setMinimumWidth(64)
        self.rounds.valueChanged.connect(lambda n: self._choose(rounds=n))
        self.folders = QToolButton()
        self.folders.setToolTip("Train on a whole folder of scans and a folder of label maps with the same file names")
        self.folders.setCheckable(True)
        self.folders.toggled.connect(self._fold)
        form = QFormLayout()
        form.setSpacing(4)
        if self.recipe.count() > 1:
            form.addRow("Recipe", self.recipe)
        form.addRow("Start from", self.base)
        form.addRow("Rounds", self.rounds)
        self.run = button("Start refinement", "", self._on_run)
        self.curve = QVBoxLayout()
        self.figures = QTableWidget(0, len(COLUMNS))
        self.figures.setHorizontalHeaderLabels(COLUMNS)
        for column, tip in enumerate(TIPS):
            self.figures.horizontalHeaderItem(column).setToolTip(tip)
        self.figures.verticalHeader().hide()
        self.figures.verticalHeader().setDefaultSectionSize(20)
        self.figures.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.figures.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.figures.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.figures.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 6, 4, 4)
        column.setSpacing(SPACING)
        column.addWidget(self.cases)
        column.addWidget(self.empty)
        column.addWidget(self.folders)
        column.addWidget(self.images)
        column.addWidget(self.labels)
        column.addLayout(form)
        column.addWidget(self.run)
        column.addLayout(self.curve)
        column.addWidget(self.figures)
        column.addStretch(1)
        self._fold(False)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session = self._desk.session
        choices = session.refine
        if choices.images is not None or choices.labels is not None:
            self.folders.setChecked(True)
        scans = learners(session)
        self._fill_cases([(each.key, each.name, each.ml, each.key not in choices.left_out) for each in scans])
        self.cases.setVisible(bool(scans))
        self.empty.setVisible(not scans)
        self.images.show_path(choices.images)
        self.labels.show_path(choices.labels)
        self.recipe.setCurrentIndex(max(0, self.recipe.findData(choices.recipe)))
        self._fill_bases()
        if self.rounds.value() != choices.rounds:
            self.rounds.setValue(choices.rounds)
        job = session.jobs.of("training")
        running = job is not None and job.is_active
        self.run.setText("Stop refinement" if running else "Start refinement")
        self.run.setToolTip("Stop; rounds that are finished are kept" if running else "Train in a process of its own; go on working meanwhile (G)")
        self.run.setEnabled(running or bool(scans) or (choices.images is not None and choices.labels is not None))
        mark(self.run, "primary", session.tab == "refine" and next_step(session).action in ("run", "stop"))
        self._draw_losses()
        self._fill_figures()

    def _fill_cases(self, rows: list[tuple[int | str, str, float, bool]]) -> None:
        if rows == self._shown_cases:
            return
        self._shown_cases = rows
        was = self.cases.blockSignals(True)
        self.cases.setRowCount(len(rows))
        for row, (key, name, ml, on) in enumerate(rows):
            title = QTableWidgetItem(name)
            title.setData(Qt.ItemDataRole.UserRole, key)
            title.setFlags(title.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            title.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
            self.cases.setItem(row, 0, title)
            self.cases.setItem(row, 1, _right(f"{ml:.1f}"))
        fit_rows(self.cases, 4)
        self.cases.blockSignals(was)

    def _fill_bases(self) -> None:
        choices = self._desk.session.refine
        bases: list[tuple[str, Path | None]] = [("M0 (synthetic CT)", None)]
        if choices.model is not None:
            bases.append(("Your last refinement", choices.model))
        if choices.base is not None and choices.base != choices.model:
            bases.append((choices.base.parent.name if choices.base.suffix else choices.base.name, choices.base))
        if [self.base.itemText(i) for i in range(self.base.count())] != [title for title, _ in bases]:
            self.base.clear()
            for title, path in bases:
                self.base.addItem(title, path)
        self.base.setCurrentIndex(max(0, [path for _, path in bases].index(choices.base)))

    def _fill_figures(self) -> None:
        rounds = self._desk.session.refine.figures
        if rounds == self._shown_rounds:
            return
        self._shown_rounds = list(rounds)
        self.figures.setVisible(bool(rounds))
        self.figures.setRowCount(len(rounds))
        for row, r in enumerate(rounds):
            best = "★ " if r.adopted else ""
            dice = "–" if r.dice_verified is None else f"{r.dice_verified:.3f}"
            for column, text in enumerate((f"{best}{r.round}", dice, f"× {r.volume_ratio:.2f}", f"{r.seconds:.0f} s" if r.round else "–")):
                item = _right(text)
                item.setToolTip(r.reason)
                self.figures.setItem(row, column, item)
        fit_rows(self.figures, 4)
        self.figures.scrollToBottom()
        self._bring_into_view(self.figures)

    def _draw_losses(self) -> None:
        choices = self._desk.session.refine
        if not choices.losses:
            return
        if self._plot is None:
            from napari_medseg.gui.loss_plot import LossPlot

            self._plot = LossPlot()
            self.curve.addWidget(self._plot)
            self._bring_into_view(self._plot)
        self._plot.show_losses(choices.losses, choices.round_starts)  # type: ignore[attr-defined]

    def _fold(self, open_: bool) -> None:
        self.folders.setText(("▾" if open_ else "▸") + " Folders instead of the open scans")
        self.images.setVisible(open_)
        self.labels.setVisible(open_)

    def _bring_into_view(self, widget: QWidget) -> None:
        """Scroll to what has just appeared, once it has its place."""
        self._appeared = widget
        self._scroll.start()

    def _on_scroll(self) -> None:
        area = self.parent().parent() if self.parent() is not None else None
        if isinstance(area, QScrollArea) and self._appeared is not None:
            area.verticalScrollBar().setValue(self._appeared.geometry().bottom() - area.viewport().height())

    def _choose(self, **values: object) -> None:
        choices = self._desk.session.refine
        for name, value in values.items():
            setattr(choices, name, value)
        self._desk.session.set(refine=choices)

    def _on_ticked(self, item: QTableWidgetItem) -> None:
        key = int(item.data(Qt.ItemDataRole.UserRole)) if item.column() == 0 else 0
        out = self._desk.session.refine.left_out
        if item.column() == 0:
            self._choose(left_out=out - {key} if item.checkState() == Qt.CheckState.Checked else out | {key})

    def _on_base(self, index: int) -> None:
        self._choose(base=self.base.itemData(index))

    def _on_run(self) -> None:
        session = self._desk.session
        job = session.jobs.of("training")
        session.set(tab="refine")
        if job is not None and job.is_active:
            session.stop()
        else:
            self._desk.run()


class _FolderField(QWidget):
    """A path field with a button beside it."""

    def __init__(self, hint: str, chosen: object) -> None:
        super().__init__()
        self._chosen = chosen
        self.field = QLineEdit()
        self.field.setPlaceholderText(hint)
        self.field.setMinimumWidth(60)
        self.field.setClearButtonEnabled(True)
        self.field.editingFinished.connect(self._tell)
        self.field.textChanged.connect(lambda text: self._tell() if not text else None)
        browse = QToolButton()
        browse.setText("…")
        browse.setToolTip(f"Choose the {hint}")
        browse.clicked.connect(self._browse)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.field, 1)
        row.addWidget(browse)

    def show_path(self, path: Path | None) -> None:
        """Show the session's path."""
        text = str(path) if path is not None else ""
        if not self.field.hasFocus() and self.field.text() != text:
            was = self.field.blockSignals(True)
            self.field.setText(text)
            self.field.blockSignals(was)

    def _browse(self) -> None:
        path = QFileDialog.getExistingDirectory(self, self.field.placeholderText().capitalize())
        if path:
            self.field.setText(path)
            self._tell()

    def _tell(self) -> None:
        text = self.field.text().strip()
        self._chosen(Path(text) if text else None)  # type: ignore[operator]


def _right(text: str) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    item.setTextAlignment(int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))
    return item
