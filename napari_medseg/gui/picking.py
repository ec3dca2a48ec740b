"""Clicking the pieces that a clean-up keeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medseg.gui.clicks import stays
from napari_medseg.gui.layers import to_voxel

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk


class PickTool:
    """Listens to the canvas while it is armed.

    Parameters
    ----------
    desk : Desk
    viewer : napari viewer
    """

    def __init__(self, desk: Desk, viewer: Any) -> None:
        self._desk, self._viewer = desk, viewer
        viewer.mouse_drag_callbacks.append(self._on_press)

    def close(self) -> None:
        """Let the viewer go."""
        if self._on_press in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_press)

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        session = self._desk.session
        scan = session.current
        layer = self._desk.image(scan) if scan is not None else None
        if session.tool != "pick" or scan is None or layer is None or event.button != 1 or viewer.dims.ndisplay != 2:
            return
        place = np.array(event.position, float)
        if not (yield from stays(event)):
            return
        voxel = np.rint(to_voxel(scan.display.geometry, place)).astype(int)
        if ((voxel >= 0) & (voxel < scan.display.geometry.shape)).all():
            x, y, z = (float(v) for v in scan.display.geometry.world(voxel[None])[0])
            session.tidy.click(scan, (x, y, z))
