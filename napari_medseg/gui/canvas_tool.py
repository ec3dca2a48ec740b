"""What the tools share that take presses on the canvas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from napari_medseg.gui.layers import to_voxel

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk
    from napari_medseg.session.state import Scan


class CanvasTool:
    """Is asked at every press; one that is not in the hand leaves it to napari.

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
        self.disarm()
        if self._on_press in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_press)

    def disarm(self) -> None:
        """The mouse is napari's own again."""

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        raise NotImplementedError


def voxel_at(scan: Scan, place: ArrayLike) -> tuple[int, int, int] | None:
    """The voxel (z, y, x) of the display grid at a place of the viewer's world; None outside the scan."""
    grid = scan.display.geometry
    z, y, x = (int(v) for v in np.rint(to_voxel(grid, place)))
    return (z, y, x) if all(0 <= v < size for v, size in zip((z, y, x), grid.shape, strict=True)) else None
