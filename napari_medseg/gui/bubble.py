"""The bubble tool: a click on the canvas adds a ball to what is grown, or cuts one out; a ring round the cursor shows its size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_medseg.errors import InvalidInputError
from napari_medseg.gui.canvas_tool import CanvasTool, voxel_at
from napari_medseg.gui.clicks import stays
from napari_medseg.session import levelset_live

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk


class BubbleTool(CanvasTool):
    """Adds and cuts balls while it is armed."""

    def __init__(self, desk: Desk, viewer: Any) -> None:
        super().__init__(desk, viewer)
        self._layer: Image | None = None

    def arm(self, layer: Image) -> None:
        """Show the ring over this scan's picture."""
        self._layer = layer
        layer.mode = "pan_zoom"
        self.resize()

    def resize(self) -> None:
        """The radius is another one."""
        if self._layer is not None:
            self._layer.cursor_size = max(1, round(2 * self._desk.session.levelset.bubble_mm))
            self._layer.cursor = "circle"

    def disarm(self) -> None:
        """Take the ring away."""
        if self._layer is not None:
            self._layer.cursor = "standard"
            self._layer = None

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        if self._desk.session.tool != "bubble" or self._layer is None or event.button != 1:
            return
        place, cut = np.array(event.position, float), "Shift" in event.modifiers
        if (yield from stays(event)):
            self._place(place, cut=cut)

    def _place(self, place: Any, *, cut: bool) -> None:
        session, scan = self._desk.session, self._desk.session.current
        if self._layer is None or scan is None:
            return
        if self._viewer.dims.ndisplay != 2:
            session.report(InvalidInputError("a bubble is placed on a slice", where="Bubble", todo="Change to the 2D view (Ctrl+Y)"))
            return
        voxel = voxel_at(scan, place)
        if voxel is not None:
            session.attempt(lambda: levelset_live.bubble(session, voxel, add=session.background == cut))
