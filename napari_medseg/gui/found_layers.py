"""What a network found, on the canvas: a Shapes layer a scan with a box and an outline for every object, in the colour of its class.

They are results: nothing reads them back. napari compiles its triangulation for the first shapes of a program, for seconds, and takes milliseconds for each
further one. So the first are made beside the window, where nobody sees them, and the others some at a turn.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Layer, Shapes
from qtpy.QtCore import QObject

from napari_medseg.annotation import LabelClass
from napari_medseg.gui.layers import placement
from napari_medseg.gui.turns import Turns, show
from napari_medseg.segmenters.found import Found
from napari_medseg.session.session import Session
from napari_medseg.session.state import Scan
from napari_medseg.volume import FloatArray

AT_A_TURN = 4  # objects
MOST = 500  # objects of a scan that are drawn, the surest of them
LINE_SHARE = 0.003  # of the field of view
WRITTEN: Mapping[str, Any] = {"string": "{words}", "size": 10, "anchor": "upper_left", "color": "#f0e442"}
Colour = tuple[float, float, float, float]
WHITE: Colour = (1.0, 1.0, 1.0, 1.0)


class FoundLayers:
    """One Shapes layer a scan, made when something is found for the first time; hidden where nothing is.

    Parameters
    ----------
    session : Session
    add : callable
        Adds a layer to the viewer without changing what is selected.
    parent : QObject
        Shapes are made while it lives.
    """

    def __init__(self, session: Session, add: Callable[[Layer], None], parent: QObject) -> None:
        self._session, self._add, self._turns = session, add, Turns(parent)
        self._of: dict[int, Shapes] = {}
        self._shown: dict[int, tuple[Found, ...]] = {}
        self._called: dict[int, dict[int, LabelClass]] = {}
        self._warm = False
        self._warming = False

    def close(self) -> None:
        """Make no more."""
        self._turns.close()

    def get(self, scan: Scan) -> Shapes | None:
        """The layer of a scan, if something was ever found on it."""
        return self._of.get(id(scan))

    def owns(self, layer: Layer) -> bool:
        """Whether a layer is one of these."""
        return any(mine is layer for mine in self._of.values())

    def forget(self, scan: Scan) -> None:
        """The scan is closed."""
        for held in (self._of, self._shown, self._called):
            held.pop(id(scan), None)
        self._turns.forget(scan)

    def lost(self, layer: Layer) -> bool:
        """A layer was removed from the viewer; whether it was one of these. It comes back with what is found next."""
        key = next((key for key, mine in self._of.items() if mine is layer), None)
        if key is not None:
            del self._of[key]
        return key is not None

    def move(self, scan: Scan) -> None:
        """The scan lies on another display grid: what was found on the old one goes."""
        scan.found = ()
        layer = self._of.get(id(scan))
        if layer is not None:
            place = placement(scan.display.geometry)
            layer.scale, layer.translate = place["scale"], place["translate"]
        self.show(scan)

    def show(self, scan: Scan) -> None:
        """Show what was found as it is now."""
        found = scan.objects
        if self._shown.get(id(scan), ()) is found or (not found and id(scan) not in self._shown):
            return
        if not self._warm:
            self._make_ready(scan)
            return
        self._shown[id(scan)] = found
        layer = self._of.get(id(scan))
        if layer is None and found:
            layer = self._of[id(scan)] = Shapes(
                None, ndim=3, name=f"{scan.name} found objects", features={"words": np.empty(0, str)}, face_color="transparent",
                edge_width=_width(scan), text=dict(WRITTEN), **placement(scan.display.geometry),
            )
            self._add(layer)
        if layer is None:
            return
        called = self._called[id(scan)] = self._classes(scan)
        layer.data = []
        layer.features = {"words": np.empty(0, str)}  # napari keeps those of the shapes that went
        show(layer, bool(found))
        chosen = sorted(sorted(found, key=lambda each: -each.score)[:MOST], key=lambda each: (each.index, each.label))
        for first in range(0, len(chosen), AT_A_TURN):
            self._turns.add(partial(self._draw, scan, called, chosen[first : first + AT_A_TURN]), scan)

    def recolour(self) -> None:
        """Classes may have other names or colours: what is written and drawn follows."""
        for scan in self._session.scans:
            if self._shown.get(id(scan)) and self._called.get(id(scan)) != self._classes(scan):
                del self._shown[id(scan)]
                self.show(scan)

    def _classes(self, scan: Scan) -> dict[int, LabelClass]:
        """The classes of what was found: those of the preview it came with, which join the table when that is accepted, else the table's."""
        known = [*(scan.preview.classes if scan.preview is not None else ()), *self._session.classes]
        wanted = {each.label for each in scan.found}
        return {each.value: each for each in known if each.value in wanted}

    def _draw(self, scan: Scan, called: dict[int, LabelClass], some: Sequence[Found]) -> None:
        """Some of what was found, unless all is drawn anew meanwhile."""
        layer = self._of.get(id(scan))
        if layer is None or self._called.get(id(scan)) is not called:
            return
        tints: list[Colour] = [(*called[each.label].colour, 1.0) if each.label in called else WHITE for each in some]
        names = [called[each.label].name if each.label in called else each.name for each in some]
        words = [*layer.features["words"], *("" for _ in some), *(f"{name} {100 * each.score:.0f} %" for name, each in zip(names, some, strict=True))]
        kinds, shapes = ["polygon"] * len(some) + ["rectangle"] * len(some), [_flat(each, part) for part in ("contour", "box") for each in some]
        layer.add(shapes, shape_type=kinds, edge_color=np.array([*tints, *tints]), face_color="transparent", edge_width=_width(scan))
        layer.features = {"words": words}
        layer.selected_data = set()

    def _make_ready(self, scan: Scan) -> None:
        """Have the first shapes of the program made beside the window, then show."""
        if self._warming:
            return
        self._warming = True

        def ready() -> None:
            self._warm = True
            for each in self._session.scans:
                self.show(each)

        def work() -> None:
            warm()
            self._session.jobs.dispatch(ready)

        threading.Thread(target=work, name="medseg shapes", daemon=True).start()


def warm() -> None:
    """Make shapes like ours, which are shown nowhere; may run on any thread."""
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = np.stack([np.zeros(12), 5 + 3 * np.sin(turn), 5 + 3 * np.cos(turn)], 1)
    square = np.array([[0, 2, 2], [0, 2, 8], [0, 8, 8], [0, 8, 2]], float)
    Shapes([ring.astype(np.float32), square], shape_type=["polygon", "rectangle"], ndim=3, face_color="transparent")


def _flat(each: Found, part: str) -> FloatArray:
    """Box or outline in the very slice they were found on: napari draws no shape beside its slice."""
    points: FloatArray = getattr(each, part).copy()
    points[:, each.axis] = each.index
    return points


def _width(scan: Scan) -> float:
    return LINE_SHARE * max(scan.display.geometry.shape)
