"""A map from 0 to 1 as an Image layer that glows over the scan: the uncertainty of the segmenter that ran last, or where annotators disagree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from napari.layers import Image, Layer

from napari_medseg.gui.layers import move_layer, placement
from napari_medseg.gui.turns import show
from napari_medseg.session.session import Session
from napari_medseg.session.state import Scan
from napari_medseg.volume import Array


class DoubtLayers:
    """One Image layer a scan, made when it is first shown; hidden, not removed, when it is not.

    Parameters
    ----------
    session : Session
    add : callable
        Adds a layer to the viewer without changing what is selected.
    title : str
        What the layer is called beside the scan.
    map_of : callable, optional
        The map to show of a scan, None for none; its uncertainty when left out.
    """

    def __init__(
        self, session: Session, add: Callable[[Layer], None], title: str = "uncertainty", map_of: Callable[[Scan], Array | None] | None = None,
    ) -> None:
        self._add, self._title = add, title
        self._map_of = map_of or (lambda scan: scan.doubt if session.doubt.on else None)
        self._of: dict[int, Image] = {}

    def get(self, scan: Scan) -> Image | None:
        """The layer of a scan, if it was ever shown."""
        return self._of.get(id(scan))

    def owns(self, layer: Layer) -> bool:
        """Whether a layer is one of these, and no scan."""
        return any(mine is layer for mine in self._of.values())

    def forget(self, scan: Scan) -> None:
        """The scan is closed."""
        self._of.pop(id(scan), None)

    def lost(self, layer: Layer) -> bool:
        """A layer was removed from the viewer; whether it was one of these."""
        key = next((key for key, mine in self._of.items() if mine is layer), None)
        if key is not None:
            del self._of[key]
        return key is not None

    def show(self, scan: Scan) -> None:
        """Show the map as it is now; hide it where there is none or nobody wants it."""
        layer, wanted = self._of.get(id(scan)), self._map_of(scan)
        if layer is None and wanted is not None:
            layer = self._of[id(scan)] = Image(
                wanted, name=f"{scan.name} {self._title}", colormap="inferno", blending="additive", opacity=0.8, contrast_limits=(0.0, 1.0),
                **placement(scan.display.geometry),
            )
            self._add(layer)
        if layer is None:
            return
        if wanted is not None and layer.data is not wanted:
            layer.data = wanted
        show(layer, wanted is not None)

    def move(self, scan: Scan) -> None:
        """The scan lies on another display grid: what was known of the old one goes."""
        layer = self._of.get(id(scan))
        if layer is not None:
            move_layer(layer, np.zeros(scan.display.geometry.shape, np.float16), scan.display.geometry)
            layer.visible = False


class LookLayers(DoubtLayers):
    """Where the segmenter looks; drawn anew with each piece that comes."""

    def __init__(self, session: Session, add: Callable[[Layer], None]) -> None:
        super().__init__(session, add, "where it looks", session.looks.shown)
        self._looks = session.looks
        self._drawn: dict[int, int] = {}

    def show(self, scan: Scan) -> None:
        """Show the map as it is now; hide it where there is none or nobody wants it."""
        super().show(scan)
        layer, drawn = self.get(scan), self._looks.drawn(scan)
        if layer is not None and layer.visible and drawn != self._drawn.get(id(scan)):
            self._drawn[id(scan)] = drawn
            layer.refresh(extent=False, thumbnail=False, highlight=False)
