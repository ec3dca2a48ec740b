"""Pointing without a mouse: the crosshair goes over the slice by keys, and the tool in hand is set down at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.gui.ortho_hand import Hand

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk

STEP_MM = 2.0


def move(desk: Desk, *, down: int = 0, right: int = 0) -> None:
    """Move the crosshair over the slice in view by 2 mm, a voxel at least; it is shown for that."""
    views = desk.session.views
    if views.grid is None:
        return
    _show(desk)
    for axis, by in zip(desk.viewer.dims.order[-2:], (down, right), strict=True):
        views.step(axis, by * max(1, round(STEP_MM / views.grid.spacing[axis])))


def set_down(desk: Desk) -> None:
    """What a click at the crosshair would do: a seed, a click, a bubble, an end of a ruler, a dab of the brush."""
    views, hand = desk.session.views, Hand(desk, desk.viewer)
    _show(desk)
    if views.voxel is not None and hand.acts:
        here = np.array(views.voxel, np.float64)
        hand.press(here, desk.viewer.dims.order[0], shift=False).release(here, clicked=True)


def _show(desk: Desk) -> None:
    views = desk.session.views
    if not (views.crosshair or views.ortho) and views.grid is not None:
        views.toggle_crosshair()
