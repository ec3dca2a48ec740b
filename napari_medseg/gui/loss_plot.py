"""The loss as it falls; a file of its own because pyqtgraph takes a while to load and is needed only once a training runs."""

from __future__ import annotations

from collections.abc import Sequence

import pyqtgraph as pg
from qtpy.QtWidgets import QVBoxLayout, QWidget

INK = (150, 160, 170)
CURVE = (86, 180, 233)
MOST_POINTS = 600


class LossPlot(QWidget):
    """Loss against update, with a mark where each round begins."""

    def __init__(self) -> None:
        super().__init__()
        self.setToolTip("Training loss by update, lower is better; each dashed line begins a round, which starts from the base model again")
        self._plot = pg.PlotWidget(background=None)
        self._plot.setMouseEnabled(False, False)
        self._plot.setMenuEnabled(False)
        self._plot.hideButtons()
        self._plot.getAxis("left").setLabel("loss")
        self._plot.getAxis("bottom").setLabel("updates")
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.setPen(INK)
            axis.setTextPen(INK)
            axis.enableAutoSIPrefix(False)
        self._curve = self._plot.plot(pen=pg.mkPen(CURVE, width=2))
        self._marks: list[pg.InfiniteLine] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._plot)

    def show_losses(self, losses: Sequence[float], starts: Sequence[int]) -> None:
        """Draw; long runs are thinned out so that drawing stays cheap."""
        step = max(1, len(losses) // MOST_POINTS)
        self._curve.setData(range(0, len(losses), step), list(losses[::step]))
        while len(self._marks) > len(starts):
            self._plot.removeItem(self._marks.pop())
        for start in list(starts)[len(self._marks):]:
            mark = pg.InfiniteLine(start, angle=90, pen=pg.mkPen(INK, style=pg.QtCore.Qt.PenStyle.DashLine))
            self._plot.addItem(mark)
            self._marks.append(mark)
