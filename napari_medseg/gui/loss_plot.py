"""The loss as it falls; a file of its own because pyqtgraph takes a while to load and is needed only once a training runs."""

from __future__ import annotations

from collections.abc import Sequence

import pyqtgraph as pg
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_medseg.gui.charts import chart, recoloured

MOST_POINTS = 600


class LossPlot(QWidget):
    """Loss against update, with a mark where each round begins.

    Parameters
    ----------
    theme : str
        Of the viewer.
    """

    def __init__(self, theme: str) -> None:
        super().__init__()
        self.setToolTip("Training loss by update, lower is better; each dashed line begins a round, which starts from the base model again")
        self._plot = chart()
        self._plot.getAxis("left").setLabel("loss")
        self._plot.getAxis("bottom").setLabel("updates")
        self._curve = self._plot.plot()
        self._marks: list[pg.InfiniteLine] = []
        self.rethemed(theme)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._plot)

    def rethemed(self, theme: str) -> None:
        """Take the colours of one of napari's themes."""
        colours = recoloured(self._plot, theme)
        self._ink = colours.ink
        self._curve.setPen(pg.mkPen(colours.lines[0], width=2))
        for mark in self._marks:
            mark.setPen(self._dashes())

    def _dashes(self) -> pg.QtGui.QPen:
        return pg.mkPen(self._ink, style=pg.QtCore.Qt.PenStyle.DashLine)

    def show_losses(self, losses: Sequence[float], starts: Sequence[int]) -> None:
        """Draw; long runs are thinned out so that drawing stays cheap."""
        step = max(1, len(losses) // MOST_POINTS)
        self._curve.setData(range(0, len(losses), step), list(losses[::step]))
        while len(self._marks) > len(starts):
            self._plot.removeItem(self._marks.pop())
        for start in list(starts)[len(self._marks):]:
            mark = pg.InfiniteLine(start, angle=90, pen=self._dashes())
            self._plot.addItem(mark)
            self._marks.append(mark)
