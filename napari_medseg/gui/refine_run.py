"""Start, pause, stop; the loss as it falls, and what is queued."""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_medseg.gui.desk import Desk
from napari_medseg.gui.style import SPACING, button, mark, quiet
from napari_medseg.session.guide import next_step
from napari_medseg.session.servers import name_of

if TYPE_CHECKING:
    from napari_medseg.gui.loss_plot import LossPlot

CURVE_HEIGHT = 94
START = "Start refinement"
PLOT = "napari_medseg.gui.loss_plot"


class RefineRun(QWidget):
    """Views of the session's training."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._plot: LossPlot | None = None
        self._drawn = (0, 0)
        self._loads: threading.Thread | None = None
        refining = desk.session.refining
        self.run = button(START, "", self._on_run)
        self.pause = button("Pause", "", refining.pause_or_go_on)
        self.queue = button("Queue another", "Train once more with these choices when this training has ended", refining.enqueue)
        self.waiting = quiet()
        self.warning = quiet()
        self.glimpse = QCheckBox("Show what it has learnt so far")
        self.glimpse.setToolTip("Every few seconds the network as it stands outlines the slice you look at; it is no label and is never saved")
        self.glimpse.toggled.connect(refining.glimpse.switch)
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        row.addWidget(self.run, 3)
        row.addWidget(self.pause, 2)
        row.addWidget(self.queue, 2)
        self.curve = QWidget()  # there from the start of a training: what came with the first loss would push the page about
        self.curve.setFixedHeight(CURVE_HEIGHT)
        QVBoxLayout(self.curve).setContentsMargins(0, 0, 0, 0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.waiting)
        column.addWidget(self.warning)
        column.addWidget(self.glimpse)
        column.addWidget(self.curve)
        desk.refreshed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the session."""
        session, refining = self._desk.session, self._desk.session.refining
        running = refining.is_training
        server = name_of(session.servers.chosen)
        self.run.setText("Stop" if running else f"{START} on a server" if server else START)
        where = f"Train on {server}, which the scans and their labels are sent to" if server else "Train in a process of its own"
        self.run.setToolTip("Stop; rounds that are finished are kept" if running else f"{where}; go on working meanwhile (G)")
        self.run.setEnabled(running or refining.can_start())
        self.pause.setVisible(running)
        self.pause.setText("Go on" if refining.paused else "Pause")
        self.pause.setToolTip("Train on from here" if refining.paused else "Let the training sleep; it keeps all it has learnt")
        self.queue.setVisible(running)
        self.waiting.setText(refining.waiting_words())
        self.waiting.setVisible(bool(self.waiting.text()))
        self.warning.setText(refining.warning)
        self.warning.setVisible(bool(refining.warning))
        self.glimpse.setVisible(running and refining.shows_looks)
        self.glimpse.setChecked(refining.glimpse.on)
        mark(self.run, "primary", session.tab == "refine" and next_step(session).action in ("run", "stop"))
        if running and self._loads is None:  # it takes a while, and the first loss comes only after some seconds
            self._loads = threading.Thread(target=lambda: importlib.import_module(PLOT), name="medseg plot", daemon=True)
            self._loads.start()
        self.curve.setVisible(running or bool(session.refine.losses))  # rounds of another day have no curve here
        self._draw()

    def _draw(self) -> None:
        choices = self._desk.session.refine
        now = len(choices.losses), id(choices.losses)
        if self._plot is not None:
            self._plot.setVisible(bool(choices.losses))
        if not choices.losses or now == self._drawn or (self._loads is not None and self._loads.is_alive()):
            return
        self._drawn = now
        if self._plot is None:
            from napari_medseg.gui.loss_plot import LossPlot

            self._plot = LossPlot(str(self._desk.viewer.theme))
            self._desk.rethemed.connect(self._plot.rethemed)
            self.curve.layout().addWidget(self._plot)
        self._plot.show_losses(choices.losses, choices.round_starts)

    def _on_run(self) -> None:
        session = self._desk.session
        session.set(tab="refine")
        if session.refining.is_training:
            session.stop()
        else:
            self._desk.run()
