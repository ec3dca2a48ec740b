"""Seed points: a Points layer on the scan's own grid, so that slices keep their step, that tells the session what was clicked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from napari.layers import Points

from napari_medseg.annotation import LabelClass
from napari_medseg.errors import NoSeedsError
from napari_medseg.gui.layers import placement
from napari_medseg.session.session import Session
from napari_medseg.session.state import PointLPS, Scan

SIZE_SHARE = 0.018  # of the field of view
CLASS = "class"


class SeedLayers:
    """One Points layer a scan, made when seeds are first wanted.

    Parameters
    ----------
    session : Session
    add : callable
        Adds a layer to the viewer without changing what is selected.
    """

    def __init__(self, session: Session, add: Callable[[Points], None]) -> None:
        self._session, self._add = session, add
        self._of: dict[int, Points] = {}
        self._shown: dict[int, dict[int, tuple[PointLPS, ...]]] = {}
        self._own = False

    def get(self, scan: Scan) -> Points | None:
        """The seeds layer of a scan, if it has one."""
        return self._of.get(id(scan))

    def forget(self, scan: Scan) -> None:
        """The scan is closed."""
        self._of.pop(id(scan), None)
        self._shown.pop(id(scan), None)

    def lost(self, layer: Points) -> int | None:
        """A layer was removed from the viewer; the id of its scan, None when it is none of ours."""
        for key, mine in list(self._of.items()):
            if mine is layer:
                del self._of[key]
                self._shown.pop(key, None)
                return key
        return None

    def arm(self, scan: Scan) -> Points:
        """The layer, its next points of the chosen class."""
        layer = self._of.get(id(scan)) or self._make(scan)
        self.follow_class(scan)
        return layer

    def follow_class(self, scan: Scan) -> None:
        """New points are of the chosen class."""
        layer = self._of.get(id(scan))
        if layer is None:
            return
        layer.selected_data = set()
        layer.feature_defaults = {CLASS: self._session.chosen}
        layer.current_face_color = np.array([*self._session.label_class.colour, 1.0])

    def show(self, scan: Scan) -> None:
        """Make the layer show the session's seeds, when they were changed elsewhere."""
        if (not scan.seeds and id(scan) not in self._of) or (id(scan) in self._of and self._shown.get(id(scan)) is scan.seeds):
            return
        layer = self._of.get(id(scan)) or self._make(scan)
        self._shown[id(scan)] = scan.seeds
        if self._read(layer, scan) == scan.seeds:
            return
        points = [(value, point) for value, group in scan.seeds.items() for point in group]
        colour = {c.value: (*c.colour, 1.0) for c in self._session.classes}
        self._own = True
        try:
            layer.data = scan.display.geometry.voxel(np.array([p for _, p in points], float).reshape(-1, 3))
            layer.features = {CLASS: np.array([value for value, _ in points], int)}
            layer.feature_defaults = {CLASS: self._session.chosen}  # of none left napari would make NaN
            if points:
                layer.face_color = np.array([colour.get(value, (1, 1, 1, 1)) for value, _ in points])
        finally:
            self._own = False

    def move(self, scan: Scan) -> None:
        """The scan lies on another display grid; its seeds stay at their millimetres."""
        layer = self._of.get(id(scan))
        if layer is None:
            return
        self._own = True
        try:
            place = placement(scan.display.geometry)
            layer.data = np.empty((0, 3))
            layer.scale, layer.translate = place["scale"], place["translate"]
        finally:
            self._own = False
        self._shown.pop(id(scan), None)
        self.show(scan)

    def recolour(self, classes: Sequence[LabelClass]) -> None:
        """Colours of the classes changed."""
        for layer in self._of.values():
            colour = {c.value: (*c.colour, 1.0) for c in classes}
            if len(layer.data):
                layer.face_color = np.array([colour.get(int(v), (1, 1, 1, 1)) for v in layer.features[CLASS]])

    def _make(self, scan: Scan) -> Points:
        grid = scan.display.geometry
        layer = Points(
            np.empty((0, 3)), ndim=3, name=f"{scan.name} seeds", size=max(SIZE_SHARE * max(grid.shape[1:]), 2.0), border_color="white", border_width=0.15,
            symbol="disc", features={CLASS: np.empty(0, int)}, **placement(grid),
        )
        self._of[id(scan)] = layer
        layer.events.data.connect(lambda event: self._told(layer, scan))
        self._add(layer)
        return layer

    def _told(self, layer: Points, scan: Scan) -> None:
        if not self._own and self._of.get(id(scan)) is layer:
            self._take(layer, scan)

    def _take(self, layer: Points, scan: Scan) -> None:
        """The session's seeds are what the layer holds, unless one lies beside the scan: then the layer is as before."""
        places = np.rint(np.reshape(layer.data, (-1, 3)))
        if ((places < 0) | (places >= scan.display.geometry.shape)).any():
            self._shown.pop(id(scan), None)
            self.show(scan)
            self._session.report(NoSeedsError("this place lies outside the scan", where="Seed", todo="Click inside the organ"))
        else:
            self._session.set_seeds(scan, self._read(layer, scan))

    @staticmethod
    def _read(layer: Points, scan: Scan) -> dict[int, tuple[PointLPS, ...]]:
        seeds: dict[int, list[PointLPS]] = {}
        classes = layer.features[CLASS] if CLASS in layer.features else np.ones(len(layer.data), int)
        for value, point in zip(classes, scan.display.geometry.world(np.reshape(layer.data, (-1, 3))), strict=False):
            seeds.setdefault(int(value), []).append((round(float(point[0]), 3), round(float(point[1]), 3), round(float(point[2]), 3)))
        return {value: tuple(points) for value, points in seeds.items()}
