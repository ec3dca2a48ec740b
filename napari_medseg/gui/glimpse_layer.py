"""What a network that is still training makes of the slice in view, as a thin bright line over the scan; labels are filled, previews are other layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from napari.layers import Image, Layer

from napari_medseg.gui.layers import placement
from napari_medseg.gui.turns import show
from napari_medseg.session.glimpse import outline
from napari_medseg.session.session import Session
from napari_medseg.session.state import Scan

COLOUR = "yellow"


class GlimpseLayers:
    """One Image layer of one slice, for the scan that was looked at last; hidden, not removed, when nothing is to be shown.

    Parameters
    ----------
    session : Session
    add : callable
        Adds a layer to the viewer without changing what is selected.
    """

    def __init__(self, session: Session, add: Callable[[Layer], None]) -> None:
        self._session, self._add = session, add
        self._layer: Image | None = None
        self._scan: Scan | None = None
        self._shown: object = None
        self._index = 0

    def get(self) -> Image | None:
        """The layer, if there is one."""
        return self._layer

    def of(self, scan: Scan) -> tuple[Image, ...]:
        """The layer, where it lies over this scan."""
        return (self._layer,) if self._layer is not None and scan is self._scan else ()

    def lost(self, layer: Layer) -> bool:
        """A layer was removed from the viewer; whether it was this one."""
        if layer is not self._layer:
            return False
        self._layer, self._scan = None, None
        return True

    def forget(self, scan: Scan) -> None:
        """The scan is closed; its layers stay with the person."""
        if scan is self._scan:
            self._layer, self._scan, self._shown = None, None, None

    def show(self) -> None:
        """Show the latest glimpse; hide it where there is none."""
        glimpse = self._session.refining.glimpse
        scan, labels = glimpse.scan, glimpse.labels
        if scan is None or labels is None or scan is not self._session.current:
            if self._layer is not None:
                show(self._layer, False)
            return
        if labels is self._shown and self._layer is not None:
            show(self._layer, True)
            return
        place = placement(scan.display.geometry)
        place["translate"] = (place["translate"][0] + glimpse.index * place["scale"][0], *place["translate"][1:])
        rim = outline(labels)[np.newaxis]
        if self._layer is None or self._scan is not scan or self._layer.data.shape != rim.shape:
            if self._layer is not None:
                show(self._layer, False)
            self._layer = Image(
                rim, name=f"{scan.name} learnt so far", colormap=COLOUR, blending="additive", contrast_limits=(0, 1), interpolation2d="nearest", **place,
            )
            self._scan = scan
            self._add(self._layer)
        else:
            self._layer.data[:] = rim
            if self._index != glimpse.index:
                self._layer.translate = place["translate"]
            self._layer.refresh(extent=False, thumbnail=False, highlight=False)
        self._shown, self._index = labels, glimpse.index
        show(self._layer, True)
