"""A word in the corner of the canvas where the slice in view is marked as right; drawn anew only when that changes."""

from __future__ import annotations

from typing import Any

from napari.components.overlays import TextOverlay

KEY = "medseg_is_right"
TEXT = "✓ right"


class RightMark:
    """The mark of one viewer.

    Parameters
    ----------
    viewer : napari viewer
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer, self._closed = viewer, False
        self._overlay = TextOverlay(position="top_right", font_size=12, box=True, text=TEXT, visible=False)
        viewer.canvas.overlays[KEY] = self._overlay

    @property
    def is_shown(self) -> bool:
        """Whether it stands there."""
        return bool(self._overlay.visible)

    def show(self, on: bool) -> None:
        """Show it, or do not."""
        if self._overlay.visible != on:
            self._overlay.visible = on

    def close(self) -> None:
        """Take it off the canvas."""
        if not self._closed:
            self._closed = True
            del self._viewer.canvas.overlays[KEY]
