"""Charts of a comparison; a file of its own because pyqtgraph takes a while to load and is needed only once something was compared.

Models are told apart by shape and by colour, so that the charts can be read in black and white and by the colour-blind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyqtgraph as pg
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_medseg.gui.charts import chart, recoloured
from napari_medseg.review.calibration import ClassCalibration
from napari_medseg.review.comparing import Comparison
from napari_medseg.review.volumes import BlandAltman, VolumeFit

SHAPES = ("o", "s", "t", "d", "+", "x")
HEIGHT = 190


class ComparePlot(QWidget):
    """One chart at a time.

    Parameters
    ----------
    clicked : callable
        Told the case of a point that was clicked.
    theme : str
        Of the viewer.
    """

    def __init__(self, clicked: Callable[[str], None], theme: str) -> None:
        super().__init__()
        self._clicked = clicked
        self.setFixedHeight(HEIGHT)
        self.setMinimumWidth(100)
        self.plot = chart()
        self.rethemed(theme)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.plot)

    def rethemed(self, theme: str) -> None:
        """Take the colours of one of napari's themes; what is drawn is to be drawn again."""
        self._colours = recoloured(self.plot, theme)

    def show_cases(self, found: Comparison, title: str) -> None:
        """Each case with the figure of every model, the greatest loss first."""
        self._begin("case, the greatest loss first", title)
        for at, model in enumerate(found.models):
            rows = [(index, row.scores[at], row.case) for index, row in enumerate(found.cases) if row.scores[at] is not None]
            self._points([(float(x), float(y or 0.0), case) for x, y, case in rows], at, model)

    def show_bland_altman(self, found: BlandAltman) -> None:
        """Difference against mean, with bias and limits of agreement."""
        self._begin("mean of both (ml)", "last − truth (ml)")
        self._points(list(zip(found.means, found.differences, found.cases, strict=True)), 0, "")
        for value, style in ((found.bias, "SolidLine"), (found.lower, "DashLine"), (found.upper, "DashLine")):
            if value is not None:
                self._level(value, style)

    def show_volumes(self, found: VolumeFit) -> None:
        """Volume against true volume, with the line through it and that of identity."""
        self._begin("truth (ml)", "last (ml)")
        top = max((*found.x, *found.y), default=1.0)
        self.plot.plot([0, top], [0, top], pen=self._pen("DashLine"))
        if found.slope is not None and found.intercept is not None:
            self.plot.plot([0, top], [found.intercept, found.intercept + found.slope * top], pen=self._pen("SolidLine", self._colours.lines[0]))
        self._points(list(zip(found.x, found.y, found.cases, strict=True)), 0, "")

    def show_reliability(self, found: ClassCalibration, threshold: float) -> None:
        """Share that is true against what was predicted; Dice at every threshold, and the chosen one."""
        self._begin("probability, threshold", "share true; Dice")
        self.plot.plot([0, 1], [0, 1], pen=self._pen("DashLine"))
        known = [(each.predicted, each.observed) for each in found.bins if each.predicted is not None and each.observed is not None]
        self._points([(x, y, "") for x, y in known], 0, "share true")
        if known:
            self.plot.plot([x for x, _ in known], [y for _, y in known], pen=self._pen("SolidLine", self._colours.lines[0]))
        dice = [(point.threshold, point.dice) for point in found.curve if point.dice is not None]
        if dice:
            self.plot.plot([x for x, _ in dice], [y for _, y in dice], pen=self._pen("DotLine", self._colours.lines[1]), name="Dice")
        self.plot.addItem(pg.InfiniteLine(threshold, angle=90, pen=self._pen("SolidLine", self._colours.lines[4])))
        self.plot.setXRange(0, 1)
        self.plot.setYRange(0, 1)

    def _begin(self, x: str, y: str) -> None:
        self.plot.clear()
        if self.plot.plotItem.legend is not None:
            self.plot.plotItem.legend.clear()
        self.plot.enableAutoRange()
        self.plot.setLabel("bottom", x)
        self.plot.setLabel("left", y)

    def _points(self, places: Sequence[tuple[float, float, str]], number: int, name: str) -> None:
        if name and self.plot.plotItem.legend is None:
            self.plot.addLegend(offset=(8, 1), labelTextColor=self._colours.ink, labelTextSize="8pt")
        colours = self._colours
        fill = pg.mkColor(colours.lines[number % len(colours.lines)])
        fill.setAlpha(190)
        tip = "{data}: {y:.3g}".format if places and places[0][2] else None
        points = pg.ScatterPlotItem(
            [x for x, _, _ in places], [y for _, y, _ in places], data=[case for *_, case in places], symbol=SHAPES[number % len(SHAPES)], size=9,
            brush=fill, pen=pg.mkPen(colours.ink), name=name or None, hoverable=True, tip=tip,
        )
        points.sigClicked.connect(self._on_clicked)
        self.plot.addItem(points)

    def _level(self, value: float, style: str) -> None:
        label = {"position": 0.08, "color": self._colours.ink}
        self.plot.addItem(pg.InfiniteLine(value, angle=0, pen=self._pen(style), label=f"{value:.2f}", labelOpts=label))

    def _on_clicked(self, item: Any, points: Sequence[Any], event: Any) -> None:
        if len(points) and points[0].data():
            self._clicked(str(points[0].data()))

    def _pen(self, style: str, colour: str = "") -> Any:
        return pg.mkPen(colour or self._colours.ink, width=1.5, style=getattr(pg.QtCore.Qt.PenStyle, style))
