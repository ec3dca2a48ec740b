"""Pointing without a mouse: the crosshair goes over the slice by keys, and the tool in hand is set down at it.

A box or a lasso begins where it is set down, goes along with the crosshair and ends where it is set down again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.gui.ortho_hand import Box, Grip, Hand, Lasso
from napari_medseg.gui.prompt_layers import outline_segments
from napari_medseg.session.views import Places

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk

STEP_MM = 2.0


class Drawing:
    """The box or lasso that was begun by a key, in the slice where it was begun.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._grip: Grip | None = None
        self._slice, self._of = 0.0, self._now

    @property
    def _now(self) -> tuple[object, str, int]:
        session = self._desk.session
        return session.current, session.tool, self._desk.viewer.dims.order[0]

    def look(self) -> None:
        """It is given up with its tool, its scan or its plane."""
        if self._grip is not None and self._of != self._now:
            self._drop()

    def begin(self, grip: Grip, here: Places) -> None:
        """Begin here."""
        self._grip, self._of, self._slice = grip, self._now, here[self._now[2]]

    def follow(self, here: Places) -> None:
        """The crosshair went here."""
        self.look()
        scan = self._desk.session.current
        if self._grip is not None and scan is not None:
            self._grip.move(self._level(here))
            self._desk.prompts.draft(scan, outline_segments(np.array(self._grip.outline, np.float32)))

    def end(self, here: Places) -> bool:
        """End it here; False where none was begun."""
        self.look()
        grip = self._grip
        if grip is None:
            return False
        self._drop()
        grip.release(self._level(here), clicked=False)
        return True

    def _level(self, here: Places) -> Places:
        level = here.copy()
        level[self._of[2]] = self._slice
        return level

    def _drop(self) -> None:
        self._grip = None
        for scan in self._desk.session.scans:
            self._desk.prompts.draft(scan)


def move(desk: Desk, *, down: int = 0, right: int = 0) -> None:
    """Move the crosshair over the slice in view by 2 mm, a voxel at least; it is shown for that."""
    views = desk.session.views
    if views.grid is None:
        return
    _show(desk)
    for axis, by in zip(desk.viewer.dims.order[-2:], (down, right), strict=True):
        views.step(axis, by * max(1, round(STEP_MM / views.grid.spacing[axis])))
    if views.voxel is not None:
        desk.drawing.follow(np.array(views.voxel, np.float64))


def set_down(desk: Desk) -> None:
    """What a click at the crosshair would do: a seed, a click, a bubble, an end of a ruler, a dab of the brush, the beginning or end of a box or lasso."""
    views, hand = desk.session.views, Hand(desk, desk.viewer)
    _show(desk)
    if views.voxel is None or not hand.acts:
        return
    here = np.array(views.voxel, np.float64)
    if desk.drawing.end(here):
        return
    grip = hand.press(here, desk.viewer.dims.order[0], shift=False)
    if isinstance(grip, Box | Lasso):
        desk.drawing.begin(grip, here)
    else:
        grip.release(here, clicked=True)


def _show(desk: Desk) -> None:
    views = desk.session.views
    if not (views.crosshair or views.ortho) and views.grid is not None:
        views.toggle_crosshair()
