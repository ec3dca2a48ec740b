"""Layers hidden while a key is held. napari builds its scene anew for each layer that is shown or hidden, so they go and come one a turn of the event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from napari.layers import Layer
from qtpy.QtCore import QObject

from napari_medseg.gui.turns import Turns, show


class Hiding:
    """Hides layers for a while.

    Parameters
    ----------
    parent : QObject
        The turns end with it.
    """

    def __init__(self, parent: QObject) -> None:
        self._turns = Turns(parent)
        self._hidden: list[Layer] = []

    def hide(self, layers: Iterable[Layer]) -> None:
        """Hide those that are in sight, the first of them at once."""
        self._hidden += [layer for layer in layers if layer.visible and layer not in self._hidden]
        self._spread([partial(show, layer, False) for layer in self._hidden])

    def bring_back(self) -> None:
        """Show again what was hidden."""
        self._spread([partial(self._bring_back, layer) for layer in self._hidden])

    def close(self) -> None:
        """Show at once what is still hidden."""
        self._turns.close()
        for layer in list(self._hidden):
            self._bring_back(layer)

    def _spread(self, pieces: list[Callable[[], None]]) -> None:
        self._turns.close()
        for piece in pieces[1:]:
            self._turns.add(piece)
        for piece in pieces[:1]:
            piece()

    def _bring_back(self, layer: Layer) -> None:
        self._hidden = [hidden for hidden in self._hidden if hidden is not layer]
        show(layer, True)
