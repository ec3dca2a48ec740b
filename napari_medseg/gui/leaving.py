"""Layers of a case that was left go one a turn of the event loop: napari takes some 30 ms for each, and the next case is in view before them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QObject

from napari_medseg.gui.turns import Turns


class Leaving:
    """Removes layers from a viewer, which goes on showing the place it shows: napari's sliders count slices, and go to another where a longer scan leaves.

    Parameters
    ----------
    viewer : napari viewer
    parent : QObject
        They are removed while it lives.
    """

    def __init__(self, viewer: Any, parent: QObject) -> None:
        self._viewer, self._turns = viewer, Turns(parent)
        self._waiting: list[Layer] = []

    def __contains__(self, layer: object) -> bool:
        return any(layer is waiting for waiting in self._waiting)

    def add(self, layers: Iterable[Layer]) -> None:
        """Take these out, in this order."""
        for layer in layers:
            if layer in self._viewer.layers and layer not in self:
                self._waiting.append(layer)
                self._turns.add(partial(self._remove, layer))

    def finish(self) -> None:
        """Take out at once what still waits."""
        for layer in list(self._waiting):
            self._remove(layer)

    def close(self) -> None:
        """The viewer is let go: what waits goes first."""
        self._turns.close()
        self.finish()

    def _remove(self, layer: Layer) -> None:
        if layer in self:
            self._waiting = [waiting for waiting in self._waiting if waiting is not layer]
            if layer in self._viewer.layers:
                dims = self._viewer.dims
                place = dims.point
                self._viewer.layers.remove(layer)
                if dims.ndim == len(place):
                    dims.point = place
