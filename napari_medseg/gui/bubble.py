"""The bubble tool: a click on the canvas adds a ball to what is grown, or cuts one out; a ring round the cursor shows its size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_medseg.errors import InvalidInputError, MedsegError
from napari_medseg.gui.clicks import stays
from napari_medseg.gui.layers import to_voxel
from napari_medseg.session import levelset_live

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk


class BubbleTool:
    """Listens to the canvas while it is armed.

    Parameters
    ----------
    desk : Desk
    viewer : napari viewer
    """

    def __init__(self, desk: Desk, viewer: Any) -> None:
        self._desk, self._viewer = desk, viewer
        self._layer: Image | None = None
        viewer.mouse_drag_callbacks.append(self._on_press)

    def close(self) -> None:
        """Let the viewer go."""
        self.disarm()
        if self._on_press in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_press)

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
        session, layer = self._desk.session, self._layer
        if layer is None or session.current is None:
            return
        try:
            if self._viewer.dims.ndisplay != 2:
                raise InvalidInputError("a bubble is placed on a slice", where="Bubble", todo="Change to the 2D view (Ctrl+Y)")
            voxel = np.rint(to_voxel(session.current.display.geometry, place)).astype(int)
            if ((voxel < 0) | (voxel >= session.current.display.geometry.shape)).any():
                return
            levelset_live.bubble(session, (int(voxel[0]), int(voxel[1]), int(voxel[2])), add=session.background == cut)
        except MedsegError as error:
            session.report(error)
