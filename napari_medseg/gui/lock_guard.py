"""napari's own brush, fill, polygon and eraser leave locked classes alone, while they draw and not only afterwards.

The layer's public drawing methods are ours as long as it shows a scan's accepted labels; without locks they are napari's, one call deeper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from napari.layers import Labels

from napari_medseg.session.locks import holding

METHODS = ("paint", "fill", "paint_polygon", "data_setitem")


class LockGuard:
    """The guard of one layer; `close` gives the layer back as it was.

    Parameters
    ----------
    layer : napari Labels
    locked : callable
        The class values that are locked now.
    refused : callable
        Told the locked class value that somebody tried to draw with, or to fill.
    """

    def __init__(self, layer: Labels, locked: Callable[[], frozenset[int]], refused: Callable[[int], None]) -> None:
        self._layer, self._locked, self._refused = layer, locked, refused
        self._napari = {name: getattr(layer, name) for name in METHODS}
        layer.paint, layer.fill, layer.paint_polygon, layer.data_setitem = self._paint, self._fill, self._polygon, self._set

    def close(self) -> None:
        """Let go of the layer."""
        for name in METHODS:
            self._layer.__dict__.pop(name, None)

    def _paint(self, coord: Sequence[float], new_label: int, refresh: bool = True) -> None:
        layer = self._layer
        reach = layer.brush_size / 2 + 1
        self._around(np.subtract(coord, reach), np.add(coord, reach), new_label, lambda: self._napari["paint"](coord, new_label, refresh))

    def _polygon(self, points: Any, new_label: int) -> None:
        corners = np.asarray(points, float)
        self._around(corners.min(axis=0), corners.max(axis=0), new_label, lambda: self._napari["paint_polygon"](points, new_label))

    def _fill(self, coord: Sequence[float], new_label: int, refresh: bool = True) -> None:
        place = tuple(int(np.round(at)) for at in coord)
        inside = all(0 <= at < size for at, size in zip(place, self._layer.data.shape, strict=True))
        if not self._refuses(int(self._layer.data[place]) if inside else 0) and not self._refuses(new_label):
            self._napari["fill"](coord, new_label, refresh)

    def _set(self, indices: Any, value: Any, refresh: bool = True) -> None:
        locked = self._locked()
        if locked:
            before = np.asarray(self._layer.data[indices])
            wanted = np.broadcast_to(np.asarray(value, before.dtype), before.shape)
            free = ~(holding(before, locked) | holding(wanted, locked))
            indices, value = tuple(np.asarray(index)[free] for index in np.broadcast_arrays(*indices)), wanted[free]
        self._napari["data_setitem"](indices, value, refresh)

    def _around(self, low: Any, high: Any, new_label: int, draw: Callable[[], None]) -> None:
        """Draw within a box (in voxels), and give what is locked there back."""
        locked = self._locked()
        if not locked:
            draw()
            return
        if self._refuses(new_label):
            return
        data = self._layer.data
        box = tuple(slice(max(0, int(np.floor(a))), min(size, int(np.ceil(b)) + 1)) for a, b, size in zip(low, high, data.shape, strict=True))
        before = np.asarray(data[box]).copy()
        kept = holding(before, locked)
        draw()
        if kept.any():
            part = data[box]
            part[kept] = before[kept]

    def _refuses(self, value: int) -> bool:
        if value not in self._locked():
            return False
        self._refused(value)
        return True
