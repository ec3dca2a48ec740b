"""Make it faster…: less work of the trained model against what that costs in Dice and brings in time, and the point of it that is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QHeaderView, QLabel, QProgressBar, QSlider, QTableWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.folding import Folding
from napari_medseg.gui.style import SPACING, button, fit_rows, quiet, right
from napari_medseg.session.guide import progress

if TYPE_CHECKING:
    from napari_medseg.refine.pruning.curve import Point

COLUMNS = ("Work", "ms", "Faster", "Dice")
TIPS = (
    "Floating-point operations for a window, against the whole model; how many there are stands in each row's tooltip",
    "For a window on this machine's processor, measured",
    "Measured in turns with the whole model, so that whatever else the machine does hits both alike",
    "On cases that did not say which filters can go",
)
KEEP = "Save this model beside the round's own, which stays; choose it in Segment, or as Base of a refinement"
ROWS = 5


class RefineFaster(Folding):
    """Views of the session's curve."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("Leave out the filters of the trained model that matter least: the same answers, nearly, in less time")
        self._desk = desk
        self._shown: object = None
        faster = desk.session.faster
        self.run = button("Measure", "", self._on_run)
        self.keep = button("Keep this one", KEEP, faster.keep)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.doing = quiet()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Share of the work")
        self.slider.setToolTip("How much of the work is left: all of it on the left")
        self.slider.setPageStep(1)
        self.slider.setTickPosition(QSlider.TickPosition.TicksBelow)
        self.slider.setTickInterval(1)
        self.slider.valueChanged.connect(faster.look_at)
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setAccessibleName("Work, time and Dice")
        self.table.setHorizontalHeaderLabels(list(COLUMNS))
        for column, tip in enumerate(TIPS):
            self.table.horizontalHeaderItem(column).setToolTip(tip)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        self.table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.table.setTabKeyNavigation(False)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.itemSelectionChanged.connect(self._on_row)
        self.words, self.judged = quiet(), quiet()
        acts = QHBoxLayout()
        acts.setSpacing(SPACING)
        acts.addWidget(self.run, 1)
        acts.addWidget(self.keep, 1)
        less = QHBoxLayout()
        less.setSpacing(SPACING)
        self.ends = [QLabel("all"), QLabel("less work")]
        less.addWidget(self.ends[0])
        less.addWidget(self.slider, 1)
        less.addWidget(self.ends[1])
        for part in (self.doing, self.bar, self.table):
            self.folded.addWidget(part)
        self.folded.addLayout(less)
        self.folded.addWidget(self.words)
        self.folded.addWidget(self.judged)
        self.folded.addLayout(acts)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session, faster = self._desk.session, self._desk.session.faster
        self.setVisible(session.refine.model is not None)
        self.name("Make it faster…")
        if self.isHidden() or not self.is_open:
            return
        running, job = faster.is_measuring, faster.job
        self.run.setText("Stop" if running else "Measure again" if faster.curve is not None and faster.curve.points else "Measure")
        can = "Weigh the filters of the trained model and measure smaller ones, in a process of its own; go on working meanwhile"
        self.run.setToolTip("Stop; what is measured stays" if running else can)
        self.run.setEnabled(running or faster.can_measure())
        self.bar.setVisible(running)
        self.bar.setValue(round(1000 * (job.fraction or 0)) if job is not None else 0)
        points = faster.curve.points if faster.curve is not None else []
        said = f"{job.message}: {progress(job)}" if job is not None and running else ""
        hint = "Nothing is trained: half of the cases ticked above say which filters matter least, the others what leaving them out costs."
        self.doing.setText(said or ("" if points else hint))
        self.doing.setVisible(bool(self.doing.text()))
        several = len(points) > 1
        for part in (self.slider, *self.ends):
            part.setVisible(several)
        self.table.setVisible(bool(points))
        self._fill(points)
        self.words.setText(faster.words())
        self.judged.setText(faster.judged_words())
        for label in (self.words, self.judged):
            label.setVisible(bool(label.text()))
        self.keep.setVisible(several)
        self.keep.setText("Kept" if faster.is_kept() else "Keep this one")
        self.keep.setEnabled(faster.can_keep() and not faster.is_kept())

    def _fill(self, points: list[Point]) -> None:
        faster = self._desk.session.faster
        now = id(faster.curve), len(points), faster.at
        if now == self._shown:
            return
        self._shown = now
        was = [part.blockSignals(True) for part in (self.slider, self.table)]
        self.slider.setRange(0, max(0, len(points) - 1))
        self.slider.setValue(faster.at)
        self.table.setRowCount(len(points))
        for row, point in enumerate(points):
            dice = "–" if point.dice is None else f"{point.dice:.3f}"
            speed = f"× {point.faster:.2f}" if row else "–"
            for column, text in enumerate((f"{100 * point.share:.0f} %", f"{point.ms:.0f}", speed, dice)):
                item = right(text)
                item.setToolTip(f"{point.flops / 1e9:.3g} GFLOP for a window, {point.parameters:,} parameters".replace(",", " "))
                self.table.setItem(row, column, item)
        if points:
            self.table.selectRow(faster.at)
        fit_rows(self.table, ROWS)
        for part, blocked in zip((self.slider, self.table), was, strict=True):
            part.blockSignals(blocked)

    def _on_run(self) -> None:
        faster = self._desk.session.faster
        faster.stop() if faster.is_measuring else faster.measure()

    def _on_row(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        if rows:
            self._desk.session.faster.look_at(rows[0].row())
