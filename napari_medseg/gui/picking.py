"""Clicking the pieces that a clean-up keeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from napari_medseg.gui.canvas_tool import CanvasTool, voxel_at
from napari_medseg.gui.clicks import stays


class PickTool(CanvasTool):
    """Tells the session which pieces are clicked while it is armed."""

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        session = self._desk.session
        scan = session.current
        layer = self._desk.image(scan) if scan is not None else None
        if session.tool != "pick" or scan is None or layer is None or event.button != 1 or viewer.dims.ndisplay != 2:
            return
        place = np.array(event.position, float)
        if not (yield from stays(event)):
            return
        voxel = voxel_at(scan, place)
        if voxel is not None:
            x, y, z = (float(v) for v in scan.display.geometry.world(voxel))
            session.tidy.click(scan, (x, y, z))
