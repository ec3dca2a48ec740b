"""Lines with their millimetres over a scan: the diameters of the label that is chosen in the statistics, and rulers.

A Vectors layer, the lightest of napari's layers, has the lines, and a Points layer their ends and what is written beside them. Both show what lies in the slice
that is looked at; of a line that goes through slices the ends are shown. They are made when there is something to show for the first time, and stay.
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
LINE_SHARE = 0.003
TEXT_SIZE = 12


@dataclass(frozen=True, slots=True)
class Stretch:
    """Straight lines from place to place, and what is written beside them.

    Attributes
    ----------
    places : (z, y, x) voxel positions on the display grid, two or more
    words : str
        Written at the middle of a line within a slice, else at its first place; at the second place where there are three.
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
        self._shown: dict[int, tuple[tuple[Stretch, ...], int]] = {}
        self._axis = 0

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
                self._shown.pop(key, None)
                return True
        return False

    def move(self, scan: Scan) -> None:
        """The scan lies on another display grid."""
        place = placement(scan.display.geometry)
        for layer in self.of(scan):
            layer.scale, layer.translate = place["scale"], place["translate"]
        self._shown.pop(id(scan), None)

    def look_along(self, axis: int) -> None:
        """Another plane is looked at: the axis across it. Lines are as thick on it as on others when they are drawn next."""
        self._axis = axis

    def draw(self, scan: Scan, stretches: Sequence[Stretch]) -> None:
        """Make the layers show these lines and no others."""
        wanted = (tuple(stretches), self._axis)
        if wanted == self._shown.get(id(scan)) or not (stretches or id(scan) in self._layers):
            return
        self._shown[id(scan)] = wanted
        points, lines = self._layers.get(id(scan)) or self._make(scan)
        vectors, width, tints = _vectors(stretches, scan, self._axis)
        lines.data = vectors
        if len(vectors):
            lines.edge_width, lines.edge_color = width, tints
        data, words, colours = _marks(stretches)
        points.data = data
        points.selected_data = set()
        if len(data):
            points.features = {"words": words}
            points.size = [0.0 if word else _size(scan) for word in words]
            points.face_color = points.border_color = colours
        for layer in (points, lines):
            show(layer, bool(stretches))

    def _make(self, scan: Scan) -> tuple[Points, Vectors]:
        grid = scan.display.geometry
        lines = Vectors(np.empty((0, 2, 3)), ndim=3, name=f"{scan.name} measured lines", vector_style="line", opacity=1.0, **placement(grid))
        text: dict[str, Any] = {"string": "{words}", "size": TEXT_SIZE, "color": "#f0e442", "anchor": "upper_left", "translation": _away(scan)}
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


def _away(scan: Scan) -> Array:
    """How far from its line a text stands, in voxels: a little down and to the right."""
    away = 0.01 * max(scan.display.geometry.shape[1:])
    return np.array([0.0, away, away])


def _vectors(stretches: Sequence[Stretch], scan: Scan, axis: int) -> tuple[Array, float, Array]:
    """Lines within a slice across an axis as vectors (n, 2, 3) of one width in voxels, with their colours.

    napari stretches a line's width with the voxels, and knows one width for all. So that all are equally thick on screen whichever way they run, the width is
    that of the thinnest, and the others are drawn several times side by side.
    """
    shown = [each for each in range(3) if each != axis]
    steps = np.array(scan.display.geometry.spacing)[shown]
    wanted = LINE_SHARE * max(size * step for size, step in zip(scan.display.geometry.shape, scan.display.geometry.spacing, strict=True))
    found: list[tuple[Array, Array, float, Colour]] = []
    for each in stretches:
        for ends in pairwise(each.places):
            begin, way = np.array(ends[0], float), np.subtract(ends[1], ends[0])
            flat = way[shown]
            if round(ends[0][axis]) == round(ends[1][axis]) and flat.any():
                found.append((begin, way, float(wanted * np.linalg.norm(flat * steps) / (np.linalg.norm(flat) * np.prod(steps))), each.colour))
    if not found:
        return np.empty((0, 2, 3)), 1.0, np.empty((0, 4))
    width = min(thick for _, _, thick, _ in found)
    vectors: list[tuple[Array, Array]] = []
    colours: list[Colour] = []
    for begin, way, thick, colour in found:
        aside = np.zeros(3)
        aside[shown] = np.array([-way[shown[1]], way[shown[0]]]) / np.linalg.norm(way[shown])
        times = round(thick / width)
        for number in range(times):
            vectors.append((begin + aside * width * (number - (times - 1) / 2), way))
            colours.append(colour)
    return np.array(vectors, float), width, np.array(colours, float)


def _marks(stretches: Sequence[Stretch]) -> tuple[Array, list[str], Array]:
    """Ends, and points of no size that carry the words; with their colours."""
    data: list[Sequence[float]] = []
    words: list[str] = []
    colours: list[Colour] = []
    for each in stretches:
        data += [*each.places, _beside(each)]
        words += [*("" for _ in each.places), each.words]
        colours += [each.colour] * (len(each.places) + 1)
    return np.array(data, float).reshape(-1, 3), words, np.array(colours, float).reshape(-1, 4)


def _beside(stretch: Stretch) -> Sequence[float]:
    """Where the words stand."""
    if len(stretch.places) > 2:
        return stretch.places[1]
    a, b = (np.array(place, float) for place in stretch.places)
    return tuple((a + b) / 2) if (np.rint(a) == np.rint(b)).any() else stretch.places[0]
