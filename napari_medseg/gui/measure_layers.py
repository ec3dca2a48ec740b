"""Lines with their millimetres over a scan: the diameters of the label that is chosen in the statistics, and rulers.

A Vectors layer, the lightest of napari's layers, has the lines, and a Points layer their ends and what is written beside them. Both show what lies in the slice
that is looked at; of a line that goes through slices the ends are shown. They are made when there is something to show for the first time, and stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from napari.layers import Layer, Points, Vectors
from qtpy.QtCore import QObject

from napari_medseg.gui.layers import placement
from napari_medseg.gui.turns import Turns, show
from napari_medseg.session.state import Scan
from napari_medseg.volume import Array

Colour = tuple[float, float, float, float]
SIZE_SHARE = 0.012  # of the field of view
LINE_SHARE = 0.003
TEXT_SIZE = 12
RIM: Colour = (0.0, 0.0, 0.0, 1.0)
"""Beside every line, so that it stands out on a label of nearly its own colour."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Straight lines from place to place, and what is written beside them.

    Attributes
    ----------
    places : (z, y, x) voxel positions on the display grid, two or more
    words : str
        Written at the middle of a line within a slice, else at its first place; at the second place where there are three.
    colour : Colour
    at_end : bool
        Whether the words stand at an end all the same, where two lines cross.
    """

    places: tuple[tuple[float, float, float], ...]
    words: str
    colour: Colour
    at_end: bool = False


class MeasureLayers:
    """Two layers a scan.

    Parameters
    ----------
    add : callable
        Adds a layer to the viewer without changing what is selected.
    parent : QObject
        They are made while it lives, one a turn of its event loop: napari takes long for each.
    """

    def __init__(self, add: Callable[[Layer], None], parent: QObject) -> None:
        self._add, self._turns = add, Turns(parent)
        self._points: dict[int, Points] = {}
        self._lines: dict[int, Vectors] = {}
        self._asked: set[int] = set()
        self._waiting: dict[int, tuple[Stretch, ...]] = {}
        self._shown: dict[int, tuple[tuple[Stretch, ...], int]] = {}
        self._axis = 0

    def close(self) -> None:
        """Make no more."""
        self._turns.close()

    def of(self, scan: Scan) -> tuple[Points, Vectors] | None:
        """The layers of a scan, once both are there."""
        points, lines = self._points.get(id(scan)), self._lines.get(id(scan))
        return (points, lines) if points is not None and lines is not None else None

    def forget(self, scan: Scan) -> None:
        """The scan is closed."""
        for held in (self._points, self._lines, self._shown, self._waiting):
            held.pop(id(scan), None)
        self._asked.discard(id(scan))
        self._turns.forget(scan)

    def lost(self, layer: Layer) -> bool:
        """A layer was removed from the viewer; whether it was one of these. It comes back when what it shows next changes."""
        for held in (self._points, self._lines):
            for key, mine in list(held.items()):
                if mine is layer:
                    del held[key]
                    self._shown.pop(key, None)
                    self._asked.discard(key)
                    return True
        return False

    def prepare(self, scan: Scan) -> None:
        """Make the layers, so that a click need not wait for them."""
        if id(scan) not in self._asked:
            self._asked.add(id(scan))
            for make in (self._make_lines, self._make_points):
                self._turns.add(partial(make, scan), scan)
            self._turns.add(partial(self._draw_waiting, scan), scan)

    def move(self, scan: Scan) -> None:
        """The scan lies on another display grid."""
        place = placement(scan.display.geometry)
        for layer in self.of(scan) or ():
            layer.scale, layer.translate = place["scale"], place["translate"]
        self._shown.pop(id(scan), None)

    def look_along(self, axis: int) -> None:
        """Another plane is looked at: the axis across it. Lines are as thick on it as on others when they are drawn next."""
        self._axis = axis

    def draw(self, scan: Scan, stretches: Sequence[Stretch]) -> None:
        """Make the layers show these lines and no others."""
        wanted = (tuple(stretches), self._axis)
        held = self.of(scan)
        if held is None:
            self._waiting[id(scan)] = tuple(stretches)
            if stretches:
                self.prepare(scan)
            return
        self._waiting.pop(id(scan), None)
        if wanted == self._shown.get(id(scan)):
            return
        self._shown[id(scan)] = wanted
        points, lines = held
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

    def _make_lines(self, scan: Scan) -> None:
        if id(scan) in self._asked and id(scan) not in self._lines:
            place = placement(scan.display.geometry)
            lines = Vectors(np.empty((0, 2, 3)), ndim=3, name=f"{scan.name} measured lines", vector_style="line", opacity=1.0, **place)
            self._lines[id(scan)] = lines
            self._add(lines)

    def _make_points(self, scan: Scan) -> None:
        if id(scan) in self._asked and id(scan) not in self._points:
            text: dict[str, Any] = {"string": "{words}", "size": TEXT_SIZE, "color": "#f0e442", "anchor": "upper_left", "translation": _away(scan)}
            points = Points(
                np.empty((0, 3)), ndim=3, name=f"{scan.name} measured ends", size=_size(scan), features={"words": np.empty(0, str)}, text=text, border_width=0,
                **placement(scan.display.geometry),
            )
            self._points[id(scan)] = points
            self._add(points)

    def _draw_waiting(self, scan: Scan) -> None:
        waiting = self._waiting.pop(id(scan), None)
        if waiting is not None and id(scan) in self._asked:
            self.draw(scan, waiting)


def _size(scan: Scan) -> float:
    return max(SIZE_SHARE * max(scan.display.geometry.shape[1:]), 1.0)


def _away(scan: Scan) -> Array:
    """How far from its line a text stands, in voxels: a little down and to the right."""
    away = 0.01 * max(scan.display.geometry.shape[1:])
    return np.array([0.0, away, away])


def _vectors(stretches: Sequence[Stretch], scan: Scan, axis: int) -> tuple[Array, float, Array]:
    """Lines within a slice across an axis as vectors (n, 2, 3) of one width in voxels, with their colours.

    napari stretches a line's width with the voxels, and knows one width for all. So that all are equally thick on screen whichever way they run, the width is
    that of the thinnest, and the others are drawn several times side by side. On either side of each lies a dark one.
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
        for number in range(-1, times + 1):
            vectors.append((begin + aside * width * (number - (times - 1) / 2), way))
            colours.append(colour if 0 <= number < times else RIM)
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
    if stretch.at_end:
        return max(stretch.places, key=lambda place: (place[2], place[1]))
    a, b = (np.array(place, float) for place in stretch.places)
    return tuple((a + b) / 2) if (np.rint(a) == np.rint(b)).any() else stretch.places[0]
