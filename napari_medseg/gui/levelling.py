"""A drag that changes the window: of the open scan, or of somebody's own picture where none is open."""

from __future__ import annotations

from collections.abc import Callable

from napari.layers import Image

from napari_medseg.session.views import Views, dragged
from napari_medseg.volume.windows import Window


class Levelling:
    """One drag at a time.

    Parameters
    ----------
    views : Views
    wanted : callable
        The picture that is looked at.

    Attributes
    ----------
    active : bool
        Whether a drag is going on.
    """

    def __init__(self, views: Views, wanted: Callable[[], Image | None]) -> None:
        self._views, self._wanted = views, wanted
        self._layer: tuple[Image, Window] | None = None
        self.active = False

    def begin(self) -> None:
        """The button went down."""
        layer = self._wanted()
        if self._views.begin_drag() is not None:
            self.active = True
        elif layer is not None and not layer.rgb:
            low, high = (float(v) for v in layer.contrast_limits)
            self._layer, self.active = (layer, Window.between(low, high)), True

    def drag(self, right: float, down: float) -> str:
        """The mouse is so many pixels from where it was pressed; the window now, in words."""
        if self._layer is None:
            self._views.drag(right, down)
            return self._views.window_words
        layer, began = self._layer
        window = dragged(began, right, down)
        layer.contrast_limits = window.limits
        return window.words()

    def end(self) -> None:
        """The button was let go."""
        if self._layer is None:
            self._views.end_drag()
        self._layer, self.active = None, False
