"""Layers of ours come into the viewer, and what was selected stays selected."""

from __future__ import annotations

from typing import Any

from napari.layers import Layer

from napari_medseg.gui.pictures import Pictures
from napari_medseg.session.session import Session


class Adding:
    """Adds layers of ours.

    Attributes
    ----------
    active : bool
        Whether a layer is being added right now: who listens to the viewer's list need not take it for somebody's.
    """

    def __init__(self, session: Session, viewer: Any, pictures: Pictures) -> None:
        self._session, self._viewer, self._pictures = session, viewer, pictures
        self.active = False

    def add(self, layer: Layer, place: int | None = None) -> None:
        """Add a layer on top, or at a place in the list."""
        chosen = self._viewer.layers.selection.active
        self._measure_alike(layer)
        self.active = True
        try:
            if place is None:
                self._viewer.add_layer(layer)
            else:
                self._viewer.layers.insert(place, layer)
            if chosen is not None:
                self._viewer.layers.selection.active = chosen
        finally:
            self.active = False

    def add_over(self, layer: Layer) -> None:
        """Add a layer directly over the current scan's picture, below its labels."""
        scan = self._session.current
        picture = self._pictures.image(scan) if scan is not None else None
        layers = self._viewer.layers
        self.add(layer, layers.index(picture) + 1 if picture in layers else None)

    def _measure_alike(self, layer: Layer) -> None:
        """The units of the scan's own picture: napari warns where layers of one viewer differ, and millimetres and pixels are the same number here."""
        scan = self._session.current
        picture = self._pictures.image(scan) if scan is not None else None
        if picture is not None and picture.ndim == layer.ndim and picture.units != layer.units:
            layer.units = picture.units
