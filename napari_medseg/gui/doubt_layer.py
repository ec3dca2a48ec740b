"""The uncertainty of the segmenter that ran last, as an Image layer that glows over the scan."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from napari.layers import Image, Layer

from napari_medseg.gui.layers import move_layer, placement
from napari_medseg.gui.turns import show
from napari_medseg.session.session import Session
from napari_medseg.session.state import Scan


class DoubtLayers:
    """One Image layer a scan, made when it is first shown; hidden, not removed, when it is not.

    Parameters
    ----------
    session : Session
    add : callable
        Adds a layer to the viewer without changing what is selected.
    """

    def __init__(self, session: Session, add: Callable[[Layer], None]) -> None:
        self._session, self._add = session, add
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
        layer, wanted = self._of.get(id(scan)), self._session.doubt.on and scan.doubt is not None
        if layer is None and wanted and scan.doubt is not None:
            layer = self._of[id(scan)] = Image(
                scan.doubt, name=f"{scan.name} uncertainty", colormap="inferno", blending="additive", opacity=0.8, contrast_limits=(0.0, 1.0),
                **placement(scan.display.geometry),
            )
            self._add(layer)
        if layer is None:
            return
        if scan.doubt is not None and layer.data is not scan.doubt:
            layer.data = scan.doubt
        show(layer, wanted)

    def move(self, scan: Scan) -> None:
        """The scan lies on another display grid: what was known of the old one goes."""
        layer = self._of.get(id(scan))
        if layer is not None:
            move_layer(layer, np.zeros(scan.display.geometry.shape, np.float16), scan.display.geometry)
            layer.visible = False
