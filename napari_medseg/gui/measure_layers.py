"""Lines with their millimetres over a scan: the diameters of the label that is chosen in the statistics, and rulers.

A Vectors layer has the lines, a Points layer their ends and what is written beside them. Both show what lies in the slice that is looked at. They are made when
there is something to show for the first time, and stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from napari.layers import Layer, Points, Vectors

from napari_medseg.gui.layers import placement
from napari_medseg.gui.turns import show
from napari_medseg.session.state import Scan
from napari_medseg.volume import Array

Colour = tuple[float, float, float, float]
SIZE_SHARE = 0.012  # of the field of view
LINE_SHARE = 0.004
TEXT_SIZE = 12


@dataclass(frozen=True, slots=True)
class Stretch:
    """Straight lines from place to place, and what is written beside them.

    Attributes
    ----------
    places : (z, y, x) voxel positions on the display grid, two or more
    words : str
        Written at the middle of the first line, or at the second place where there are three.
    colour : Colour
    """

    places: tuple[tuple[float, float, float], ...]
    words: str
    colour: Colour


class MeasureLayers:
    """Two layers a scan.

    Parameters
    ----------
    add : callable
        Adds a layer to the viewer without changing what is selected.
    """

    def __init__(self, add: Callable[[Layer], None]) -> None:
        self._add = add
        self._layers: dict[int, tuple[Points, Vectors]] = {}
        self._shown: dict[int, tuple[Stretch, ...]] = {}

    def of(self, scan: Scan) -> tuple[Layer, ...]:
        """The layers of a scan that exist."""
        return self._layers.get(id(scan), ())

    def forget(self, scan: Scan) -> None:
        """The scan is closed."""
        self._layers.pop(id(scan), None)
        self._shown.pop(id(scan), None)

    def lost(self, layer: Layer) -> bool:
        """A layer was removed from the viewer; whether it was one of these. What it showed comes back when that next changes."""
        for key, mine in list(self._layers.items()):
            if layer in mine:
                del self._layers[key]
                self._shown[key] = ()
                return True
        return False

    def move(self, scan: Scan) -> None:
        """The scan lies on another display grid."""
        place = placement(scan.display.geometry)
        for layer in self.of(scan):
            layer.scale, layer.translate = place["scale"], place["translate"]
        self._shown.pop(id(scan), None)

    def draw(self, scan: Scan, stretches: Sequence[Stretch]) -> None:
        """Make the layers show these lines and no others."""
        wanted = tuple(stretches)
        if wanted == self._shown.get(id(scan), ()):
            return
        self._shown[id(scan)] = wanted
        points, lines = self._layers.get(id(scan)) or self._make(scan)
        lines.data = _vectors(wanted)
        if wanted:
            lines.edge_color = np.array([each.colour for each in wanted for _ in each.places[1:]])
        data, words, colours = _marks(wanted)
        points.data = data
        points.selected_data = set()
        if len(data):
            points.features = {"words": words}
            points.size = [0.0 if word else _size(scan) for word in words]
            points.face_color = points.border_color = colours
        for layer in (points, lines):
            show(layer, bool(wanted))

    def _make(self, scan: Scan) -> tuple[Points, Vectors]:
        grid = scan.display.geometry
        lines = Vectors(
            np.empty((0, 2, 3)), ndim=3, name=f"{scan.name} measured lines", vector_style="line", edge_width=max(LINE_SHARE * max(grid.shape[1:]), 0.5),
            opacity=1.0, **placement(grid),
        )
        text: dict[str, Any] = {"string": "{words}", "size": TEXT_SIZE, "color": "#f0e442", "anchor": "upper_left", "translation": _beside(scan)}
        points = Points(
            np.empty((0, 3)), ndim=3, name=f"{scan.name} measured ends", size=_size(scan), features={"words": np.empty(0, str)}, text=text, border_width=0,
            **placement(grid),
        )
        for layer in (lines, points):
            self._add(layer)
        self._layers[id(scan)] = points, lines
        return points, lines


def _size(scan: Scan) -> float:
    return max(SIZE_SHARE * max(scan.display.geometry.shape[1:]), 1.0)


def _beside(scan: Scan) -> Array:
    """How far from its line a text stands, in voxels: a little down and to the right."""
    away = 0.01 * max(scan.display.geometry.shape[1:])
    return np.array([0.0, away, away])


def _vectors(stretches: Sequence[Stretch]) -> Array:
    """Where each line begins, and its way, (n, 2, 3)."""
    found = [(begin, np.subtract(end, begin)) for each in stretches for begin, end in pairwise(each.places)]
    return np.array(found, float).reshape(-1, 2, 3)


def _marks(stretches: Sequence[Stretch]) -> tuple[Array, list[str], Array]:
    """Ends, and points of no size that carry the words; with their colours."""
    data: list[Sequence[float]] = []
    words: list[str] = []
    colours: list[Colour] = []
    for each in stretches:
        middle = tuple((a + b) / 2 for a, b in zip(*each.places[:2], strict=True)) if len(each.places) == 2 else each.places[1]
        data += [*each.places, middle]
        words += [*("" for _ in each.places), each.words]
        colours += [each.colour] * (len(each.places) + 1)
    return np.array(data, float).reshape(-1, 3), words, np.array(colours, float).reshape(-1, 4)
