"""The ring that napari draws where a brush would paint."""

from __future__ import annotations

from typing import Any

from napari.components.overlays import BrushCircleOverlay


def without_box(viewer: Any) -> None:
    """Take the background box from behind the ring: napari 0.9 leaves it on the canvas as a small black square when the brush is put away.

    Parameters
    ----------
    viewer : napari viewer
    """
    for overlay in viewer.canvas.overlays.values():
        if isinstance(overlay, BrushCircleOverlay):
            overlay.box = False
