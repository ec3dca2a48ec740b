"""The canvas's own OpenGL context is the current one while layers are taken out of the viewer.

napari 0.9 frees what a layer held on the graphics card at once, outside of drawing. Where Qt has another context current by then, its own, what was freed
and made there is missing when the canvas is drawn next: software OpenGL (Mesa) then draws without a shader, and the process ends. Bare napari does so too.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QMainWindow, QOpenGLWidget


class CanvasContext:
    """Makes the canvases' context current before layers go.

    Parameters
    ----------
    viewer : napari viewer
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._canvases: list[QOpenGLWidget] = []

    def attach(self, window: Any) -> None:
        """Know the canvases of a window, once."""
        if self._canvases or not isinstance(window, QMainWindow) or window.centralWidget() is None:
            return
        self._canvases = window.centralWidget().findChildren(QOpenGLWidget)
        if self._canvases:
            events = self._viewer.layers.events
            events.removing.connect(self._make_current)
            events.removed.connect(self._make_current)  # first of all who hear it: a list that drew something meanwhile may have changed it

    def close(self) -> None:
        """Leave the viewer alone."""
        if self._canvases:
            events = self._viewer.layers.events
            events.removing.disconnect(self._make_current)
            events.removed.disconnect(self._make_current)
            self._canvases = []

    def _make_current(self, event: Any = None) -> None:
        for canvas in self._canvases:
            try:
                canvas.makeCurrent()
            except RuntimeError:  # the window went before its layers
                self._canvases = []
                return
