"""The ground of every chart: the dock is seen through it, its axes have the colours of the theme. pyqtgraph takes a while to load: imported when wanted."""

from __future__ import annotations

from dataclasses import dataclass

import pyqtgraph as pg

from napari_medseg.gui.style import COLOURS, kind

LINES = {
    "dark": ("#56b4e9", "#e69f00", "#2fb78f", "#d58fb8", "#f0793a", "#a3adb7"),
    "light": ("#0072b2", "#8a5600", "#00694c", "#9c3d77", "#b32d00", "#525b64"),
}
"""Of what is drawn, by theme: at least 3 to 1 on the dock, in the order of Okabe and Ito's hues."""


@dataclass(frozen=True, slots=True)
class ChartColours:
    """Colours of a chart in one kind of theme.

    Attributes
    ----------
    ink : str
        Of axes, their words and what only guides the eye.
    lines : tuple of str
    """

    ink: str
    lines: tuple[str, ...]


def chart() -> pg.PlotWidget:
    """An empty chart that nobody can drag about; `recoloured` gives it its colours."""
    made = pg.PlotWidget(background=None)
    made.viewport().setAutoFillBackground(False)  # else Qt fills it with white whatever the theme
    made.setMouseEnabled(False, False)
    made.setMenuEnabled(False)
    made.hideButtons()
    for side in ("left", "bottom"):
        made.getAxis(side).enableAutoSIPrefix(False)
    return made


def recoloured(plot: pg.PlotWidget, theme: str) -> ChartColours:
    """Give a chart's axes the colours of one of napari's themes; what to draw the rest with."""
    found = ChartColours(COLOURS[kind(theme)].quiet, LINES[kind(theme)])
    plot.resetCachedContent()  # it keeps what lay behind it
    for side in ("left", "bottom"):
        axis = plot.getAxis(side)
        axis.setPen(found.ink)
        axis.setTextPen(found.ink)
    if plot.plotItem.legend is not None:
        plot.plotItem.legend.setLabelTextColor(found.ink)
    return found
