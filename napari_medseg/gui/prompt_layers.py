"""What a person pointed at, on the canvas: a Points layer for clicks and a Vectors layer for boxes and lassos, on the scan's own grid.

Clicks inside are discs in the colour of their class, clicks outside light crosses: told by shape and by colour. Vectors are the lightest of napari's layers;
a box has its outline on each slice it goes through, whichever plane is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Layer, Points, Vectors
from qtpy.QtCore import QObject

from napari_medseg.annotation import LabelClass
from napari_medseg.gui.label_colours import BACKGROUND_STROKE
from napari_medseg.gui.layers import placement
from napari_medseg.gui.turns import AHEAD_MS, Turns, show
from napari_medseg.session.session import Session
from napari_medseg.session.state import Scan
from napari_medseg.session.targets import Board, Mark
from napari_medseg.volume import FloatArray

SIZE_SHARE = 0.02  # of the field of view
LINE_SHARE = 0.004
INSIDE, OUTSIDE = "disc", "x"
DRAFT = (1.0, 0.62, 0.0, 1.0)
NOTHING = np.empty((0, 2, 3), np.float32)


class PromptLayers:
    """Two layers a scan, made when they are first wanted.

    Parameters
    ----------
    session : Session
    add : callable
        Adds a layer to the viewer without changing what is selected.
    parent : QObject
        Layers are put out of sight while it lives.
    """

    def __init__(self, session: Session, add: Callable[[Layer], None], parent: QObject) -> None:
        self._session, self._add, self._turns = session, add, Turns(parent, AHEAD_MS)
        self._awaited: Scan | None = None
        self._away: set[Layer] = set()  # by us: what the person hides with its eye stays hidden
        self._points: dict[int, Points] = {}
        self._lines: dict[int, Vectors] = {}
        self._shown: dict[int, tuple[Board, int, tuple[LabelClass, ...]]] = {}
        self._axis = 0
        self._draft: FloatArray = NOTHING

    def of(self, scan: Scan) -> tuple[Layer, ...]:
        """The layers of a scan that exist."""
        return tuple(layer for layer in (self._points.get(id(scan)), self._lines.get(id(scan))) if layer is not None)

    def forget(self, scan: Scan) -> None:
        """The scan is closed."""
        self._turns.forget(scan)
        self._away.difference_update(self.of(scan))
        self._awaited = None if self._awaited is scan else self._awaited
        for held in (self._points, self._lines, self._shown):
            held.pop(id(scan), None)

    def close(self) -> None:
        """The window goes."""
        self._turns.close()

    def lost(self, layer: Layer) -> int | None:
        """A layer was removed from the viewer; the id of its scan, None when it is none of ours."""
        for held in (self._points, self._lines):
            for key, mine in list(held.items()):
                if mine is layer:
                    del held[key]
                    self._shown.pop(key, None)
                    self._away.discard(layer)
                    return key
        return None

    def expect(self, scan: Scan | None) -> None:
        """A tool that points is in hand for this scan, or none is: its layers are there, and in sight."""
        self._awaited = scan
        if scan is not None:
            self.prepare(scan)
            for layer in self._away.intersection(self.of(scan)):
                self._turns.add(partial(self._bring, layer), scan)

    def rest(self) -> None:
        """Put out of sight what shows nothing and is not awaited, a layer a turn: napari draws an empty one as long as another, 2 ms of each picture."""
        for scan in self._session.scans:
            for layer in self.of(scan):
                self._turns.add(partial(self._put_away, scan, layer), scan)

    def _put_away(self, scan: Scan, layer: Layer) -> None:
        if scan is not self._awaited and layer in self.of(scan) and layer.visible and not len(layer.data):
            self._away.add(layer)
            show(layer, False)

    def _bring(self, layer: Layer) -> None:
        if layer in self._away:
            self._away.discard(layer)
            show(layer, True)

    def prepare(self, scan: Scan) -> None:
        """Make the layers before they are needed: adding layers takes napari long, and a click must not wait for it."""
        if id(scan) not in self._points:
            grid = scan.display.geometry
            self._points[id(scan)] = Points(
                np.empty((0, 3)), ndim=3, name=f"{scan.name} prompts", size=max(SIZE_SHARE * max(grid.shape[1:]), 2.0), border_color="white",
                border_width=0.15, **placement(grid),
            )
            self._add(self._points[id(scan)])
        if id(scan) not in self._lines:
            grid = scan.display.geometry
            self._lines[id(scan)] = Vectors(
                NOTHING, ndim=3, name=f"{scan.name} boxes and lassos", vector_style="line", edge_width=max(LINE_SHARE * max(grid.shape[1:]), 0.5), opacity=1.0,
                **placement(grid),
            )
            self._add(self._lines[id(scan)])

    def look_along(self, axis: int) -> None:
        """Another plane is looked at: the axis across it."""
        self._axis = axis

    def show(self, scan: Scan) -> None:
        """Make the layers show the scan's board, when that changed."""
        wanted = (scan.board, self._axis, tuple(self._session.classes))
        before = self._shown.get(id(scan))
        if before is not None and before[0] is wanted[0] and before[1:] == wanted[1:]:
            return
        if not scan.board.is_empty:
            self.prepare(scan)  # nothing to show never brings a layer back: napari may be taking them all away
        self._shown[id(scan)] = wanted
        if id(scan) in self._points:
            self._show_points(scan)
        if id(scan) in self._lines:
            self._show_lines(scan)

    def draft(self, scan: Scan, segments: FloatArray = NOTHING) -> None:
        """Show an outline that is being drawn; none takes it away."""
        self._draft = segments
        if id(scan) in self._lines:
            self._show_lines(scan)

    def move(self, scan: Scan) -> None:
        """The scan lies on another display grid; what was pointed at stays at its millimetres."""
        place = placement(scan.display.geometry)
        for layer in self.of(scan):
            layer.data = np.empty((0, 3)) if isinstance(layer, Points) else NOTHING
            layer.scale, layer.translate = place["scale"], place["translate"]
        self._shown.pop(id(scan), None)
        self.show(scan)

    def _show_points(self, scan: Scan) -> None:
        layer = self._points[id(scan)]
        marks = [(target.value, mark) for target in scan.board.targets for mark in target.of_kind("point")]
        colour = self._colours()
        layer.data = _voxels(scan, (mark.places[0] for _, mark in marks))
        layer.selected_data = set()
        if marks:
            layer.symbol = [INSIDE if mark.sign > 0 else OUTSIDE for _, mark in marks]
            layer.face_color = np.array([colour.get(value, (1, 1, 1, 1)) if mark.sign > 0 else BACKGROUND_STROKE for value, mark in marks], float)
            self._bring(layer)

    def _show_lines(self, scan: Scan) -> None:
        layer = self._lines[id(scan)]
        colour, parts, tints = self._colours(), [self._draft], [DRAFT] * len(self._draft)
        for target in scan.board.targets:
            for mark in target.marks:
                segments = self._segments(scan, mark)
                parts.append(segments)
                tints += [colour.get(target.value, (1.0, 1.0, 1.0, 1.0))] * len(segments)
        data = np.concatenate(parts)
        if not len(data) and not len(layer.data):
            return
        layer.data = data
        if tints:
            layer.edge_color = np.array(tints, float)
            self._bring(layer)

    def _segments(self, scan: Scan, mark: Mark) -> FloatArray:
        if mark.kind == "box":
            ends = _voxels(scan, mark.places)
            return box_segments(ends.min(0), ends.max(0), self._axis)
        if mark.kind == "lasso":
            return outline_segments(_voxels(scan, mark.places))
        return NOTHING

    def _colours(self) -> dict[int, Any]:
        return {c.value: (*c.colour, 1.0) for c in self._session.classes}


def _voxels(scan: Scan, places: Iterable[Sequence[float]]) -> FloatArray:
    return np.asarray(scan.display.geometry.voxel(np.array(list(places), float).reshape(-1, 3)), np.float32)


def outline_segments(places: FloatArray) -> FloatArray:
    """A closed outline (n, 3) as vectors (n, 2, 3): where each begins, and its way."""
    return np.stack([places, np.roll(places, -1, axis=0) - places], axis=1).astype(np.float32) if len(places) > 1 else NOTHING


def box_segments(low: FloatArray, high: FloatArray, axis: int) -> FloatArray:
    """The rectangle of a box on every slice across an axis, as vectors; voxels at its corners are inside it."""
    low, high = np.rint(np.asarray(low, float)), np.rint(np.asarray(high, float))
    one, two = (each for each in range(3) if each != axis)
    corners = np.empty((4, 3), np.float32)
    corners[:, one] = [low[one] - 0.5, low[one] - 0.5, high[one] + 0.5, high[one] + 0.5]
    corners[:, two] = [low[two] - 0.5, high[two] + 0.5, high[two] + 0.5, low[two] - 0.5]
    parts = []
    for index in range(int(low[axis]), int(high[axis]) + 1):
        corners[:, axis] = index
        parts.append(outline_segments(corners))
    return np.concatenate(parts) if parts else NOTHING
