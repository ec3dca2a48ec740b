"""Pointing on the canvas: clicks, boxes and lassos, while their tool is in the hand.

A click adds a prompt, a drag with the click tool moves the picture as ever; the box and lasso tools take the drag. Shift turns a click to the other side,
and makes a box extend the last one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_medseg.errors import InvalidInputError
from napari_medseg.gui.canvas_tool import CanvasTool, voxel_at
from napari_medseg.gui.clicks import stays
from napari_medseg.gui.layers import to_voxel
from napari_medseg.gui.prompt_layers import box_segments, outline_segments
from napari_medseg.volume import FloatArray

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk
    from napari_medseg.session.state import Scan

TOOLS = ("point", "box", "lasso")
STEP = 0.7  # voxels between two places of a lasso


class PointingTool(CanvasTool):
    """Makes prompts while one of its tools is armed."""

    def __init__(self, desk: Desk, viewer: Any) -> None:
        super().__init__(desk, viewer)
        self._layer: Image | None = None

    def arm(self, layer: Image, tool: str) -> None:
        """Take a tool in the hand over this scan's picture."""
        self.disarm()
        self._layer = layer
        layer.mode = "pan_zoom"
        layer.mouse_pan = tool == "point"
        layer.cursor = "crosshair" if tool == "point" else "cross"

    def disarm(self) -> None:
        """The mouse is napari's own again."""
        if self._layer is not None:
            self._layer.mouse_pan = True
            self._layer.cursor = "standard"
            self._layer = None

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        session = self._desk.session
        layer, scan, tool = self._layer, session.current, session.tool
        if tool not in TOOLS or layer is None or scan is None or event.button != 1 or viewer.layers.selection.active is not layer:
            return
        if len(event.dims_displayed) != 2:
            if (yield from stays(event)):
                session.report(InvalidInputError("prompts are placed on a slice", where="Segment", todo="Change to the 2D view (Ctrl+Y)"))
            return
        shift = "Shift" in event.modifiers
        if tool == "point":
            place = np.array(event.position, float)
            if (yield from stays(event)):
                self._point(scan, layer, place, -1 if session.background != shift else 1)
        elif tool == "box":
            yield from self._box(scan, layer, event, extend=shift)
        else:
            yield from self._lasso(scan, layer, event)

    def _point(self, scan: Scan, layer: Image, place: FloatArray, sign: int) -> None:
        session, voxel = self._desk.session, voxel_at(scan, place)
        if voxel is not None:
            session.attempt(lambda: session.prompting.point(scan.display.geometry.world(voxel), sign))

    def _box(self, scan: Scan, layer: Image, event: Any, *, extend: bool) -> Iterator[None]:
        across = self._across(event)
        began = here = self._voxel(scan, layer, event)
        yield
        while event.type == "mouse_move":
            here = self._voxel(scan, layer, event)
            self._desk.prompts.draft(scan, box_segments(np.minimum(began, here), np.maximum(began, here), across))
            yield
        here = self._voxel(scan, layer, event)
        self._desk.prompts.draft(scan)
        if (np.delete(began != here, across)).all():  # as wide as high as two voxels at least: else it was a slip
            world = scan.display.geometry.world
            session = self._desk.session
            session.attempt(lambda: session.prompting.box(world(began), world(here), extend=extend))

    def _lasso(self, scan: Scan, layer: Image, event: Any) -> Iterator[None]:
        path = [self._place(scan, layer, event)]
        yield
        while event.type == "mouse_move":
            place = self._place(scan, layer, event)
            if np.abs(place - path[-1]).max() >= STEP:
                path.append(place)
                self._desk.prompts.draft(scan, outline_segments(np.array(path, np.float32)))
            yield
        self._desk.prompts.draft(scan)
        if len(path) >= 3:
            outline = scan.display.geometry.world(np.array(path))
            session = self._desk.session
            session.attempt(lambda: session.prompting.lasso(outline))

    @staticmethod
    def _across(event: Any) -> int:
        """The axis across the plane that is looked at."""
        return next(axis for axis in range(3) if axis not in event.dims_displayed)

    def _place(self, scan: Scan, layer: Image, event: Any) -> FloatArray:
        """Where the mouse is, inside the scan and in the middle of its slice."""
        place = np.clip(to_voxel(scan.display.geometry, event.position), -0.49, np.array(scan.display.geometry.shape) - 0.51)
        across = self._across(event)
        place[across] = np.rint(place[across])
        return place

    def _voxel(self, scan: Scan, layer: Image, event: Any) -> FloatArray:
        return np.rint(self._place(scan, layer, event))
