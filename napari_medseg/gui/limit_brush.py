"""The soft ball that paints a limit: napari's brush cursor and keys, our stamps.

The layer is in napari's paint or erase mode, so that its circle, its brush-size slider, [ and ], and space for moving the view work; only napari's own
drawing is taken out of the layer's callbacks, since it knows neither millimetres across slices nor a soft tip.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from napari.layers import Labels

from napari_medseg.session import limit_painting
from napari_medseg.session.session import Session
from napari_medseg.session.state import Scan

_NAPARI_S = "napari.layers.labels"


class LimitBrush:
    """The brush of one limit layer.

    Parameters
    ----------
    session : Session
    scan : Scan
    layer : Labels
        Shows the weights of the scan's limit.
    """

    def __init__(self, session: Session, scan: Scan, layer: Labels) -> None:
        self._session, self._scan, self._layer = session, scan, layer
        layer.mouse_drag_callbacks.append(self._on_drag)
        layer.events.mode.connect(self._on_mode)
        layer.events.brush_size.connect(self._on_size)
        self.show()

    def close(self) -> None:
        """Give the layer back to napari's own drawing."""
        self._layer.events.mode.disconnect(self._on_mode)
        self._layer.events.brush_size.disconnect(self._on_size)
        if self._on_drag in self._layer.mouse_drag_callbacks:
            self._layer.mouse_drag_callbacks.remove(self._on_drag)

    def show(self) -> None:
        """Take size and side of the brush from the session."""
        brush, layer = self._session.limit_brush, self._layer
        size = max(1, round(2 * brush.radius_mm / self._step))
        if layer.brush_size != size:
            layer.brush_size = size
        wanted = "erase" if brush.erase else "paint"
        if layer.mode in ("paint", "erase") and layer.mode != wanted:
            layer.mode = wanted

    @property
    def _step(self) -> float:
        """The millimetres that napari counts as one of its brush sizes."""
        return min(self._scan.display.geometry.spacing)

    def _on_mode(self, event: Any) -> None:
        layer = self._layer
        for callback in [each for each in layer.mouse_drag_callbacks if getattr(each, "__module__", "").startswith(_NAPARI_S)]:
            if callback.__name__ == "draw" and layer.mode in ("paint", "erase"):
                layer.mouse_drag_callbacks.remove(callback)
        if layer.mode in ("paint", "erase"):
            self._choose(erase=layer.mode == "erase")

    def _on_size(self, event: Any) -> None:
        radius = self._layer.brush_size * self._step / 2
        if abs(radius - self._session.limit_brush.radius_mm) > 0.51 * self._step:
            self._choose(radius_mm=min(radius, limit_painting.LARGEST_MM))

    def _choose(self, **values: Any) -> None:
        brush = replace(self._session.limit_brush, **values)
        if brush != self._session.limit_brush:
            self._session.set(limit_brush=brush)

    def _on_drag(self, layer: Labels, event: Any) -> Iterator[None]:
        if layer.mode not in ("paint", "erase") or getattr(event, "button", 1) != 1 or len(event.dims_displayed) != 2:
            return
        erase = layer.mode == "erase"
        last = self._place(event)
        limit_painting.paint(self._session, self._scan, last, last, erase=erase)
        yield
        while event.type == "mouse_move":
            here = self._place(event)
            limit_painting.paint(self._session, self._scan, last, here, erase=erase)
            last = here
            yield
        here = self._place(event)
        if here != last:  # napari gathers moves; the last may not have come
            limit_painting.paint(self._session, self._scan, last, here, erase=erase)

    def _place(self, event: Any) -> tuple[float, float, float]:
        z, y, x = (float(v) for v in self._layer.world_to_data(event.position)[-3:])
        return z, y, x
