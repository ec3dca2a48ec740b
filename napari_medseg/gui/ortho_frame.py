"""Where the panes stand in napari's window: two beside its canvas, one below it. The canvas itself is not moved, so it keeps its OpenGL context and its mouse.

What is used is public: `napari.qt.QtViewer`, which is a splitter, and the layout of the main window's central widget. Where a later napari lays them out
otherwise, all three stand beside the canvas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from qtpy.QtCore import QObject, Qt
from qtpy.QtWidgets import QBoxLayout, QMainWindow, QSplitter, QWidget


class Places(Protocol):
    """Where three panes can stand."""

    def put(self) -> None:
        """Show them."""

    def arrange(self, below: QWidget, beside: QWidget, above: QWidget, others: Sequence[QWidget]) -> None:
        """Which pane stands where; the others are put away."""

    def take(self) -> None:
        """Take them away."""


class Frame(QObject):
    """The places of the panes in one window.

    Parameters
    ----------
    main : QWidget
        napari's view.
    layout : QBoxLayout
        Of the widget it stands in.
    viewer : napari viewer
        Its camera shows as much as before when the canvas changes its size.
    """

    def __init__(self, main: QWidget, layout: QBoxLayout, viewer: Any) -> None:
        super().__init__(main)
        self._main, self._layout, self._viewer = main, layout, viewer
        self._right = QSplitter(Qt.Orientation.Vertical)
        self._right.setChildrenCollapsible(False)
        self._below = QSplitter(Qt.Orientation.Vertical)
        self._before: tuple[tuple[float, ...], float] | None = None
        self._after: tuple[tuple[float, ...], float] | None = None
        self._size = (0, 0)

    @classmethod
    def of(cls, window: Any, viewer: Any) -> Frame | None:
        """The frame of a napari window; None for another."""
        from napari.qt import QtViewer

        centre = window.centralWidget() if isinstance(window, QMainWindow) else None
        main = centre.findChild(QtViewer) if centre is not None else None
        layout = centre.layout() if centre is not None else None
        return cls(main, layout, viewer) if main is not None and isinstance(layout, QBoxLayout) else None

    @property
    def canvas(self) -> QWidget:
        """What napari draws on."""
        native: QWidget = self._main.canvas.native
        return native

    def put(self) -> None:
        """Show the panes."""
        self._before = self._camera()
        before = self.canvas.size()
        centre = self._main.parentWidget()
        centre.setUpdatesEnabled(False)  # one picture when all is in its place
        if isinstance(self._main, QSplitter):
            self._main.addWidget(self._below)
            self._main.splitterMoved.connect(self._on_left)
            self._right.splitterMoved.connect(self._on_right)
        else:
            self._right.addWidget(self._below)
        self._layout.addWidget(self._right)
        at = self._layout.indexOf(self._main)
        self._layout.setStretch(at, 1)
        self._layout.setStretch(self._layout.indexOf(self._right), 1)
        self._main.setMinimumWidth(100)
        self._layout.activate()
        half = max(1, self._main.height() // 2)
        if isinstance(self._main, QSplitter):
            self._main.setSizes([half, half])
        self._right.setSizes([half, half])
        self._keep_view(before)
        self._after = self._camera()
        centre.setUpdatesEnabled(True)

    def arrange(self, below: QWidget, beside: QWidget, above: QWidget, others: Sequence[QWidget]) -> None:
        """Which pane stands below the canvas, which beside that, and which beside the canvas; the others are put away."""
        for splitter, wanted in ((self._below, (below,)), (self._right, (above, beside))):
            for place, widget in enumerate(wanted):
                if splitter.indexOf(widget) != place:
                    sizes = splitter.sizes()
                    splitter.insertWidget(place, widget)
                    if len(sizes) == splitter.count():
                        splitter.setSizes(sizes)
                widget.show()
        for widget in others:
            widget.hide()
            widget.setParent(None)
        height = self._right.height()
        if height > 1:
            self._right.setSizes([height // 2, height - height // 2])

    def take(self) -> None:
        """Take the panes away; the camera is as it was, unless the person moved it."""
        try:
            now, before = self._camera(), self.canvas.size()
            centre = self._main.parentWidget()
            centre.setUpdatesEnabled(False)
            untouched = self._after is not None and now == self._after
            if isinstance(self._main, QSplitter):
                self._main.splitterMoved.disconnect(self._on_left)
                self._right.splitterMoved.disconnect(self._on_right)
            self._layout.removeWidget(self._right)
            self._layout.setStretch(self._layout.indexOf(self._main), 0)
            self._main.setMinimumWidth(0)
            for part in (self._right, self._below):
                part.hide()
                part.setParent(None)
                part.deleteLater()
            self._layout.activate()
            self._keep_view(before)
            if untouched and self._before is not None:
                self._viewer.scene.camera.center, self._viewer.scene.camera.zoom = self._before
            centre.setUpdatesEnabled(True)
        except RuntimeError:  # the window went first
            return

    def _camera(self) -> tuple[tuple[float, ...], float]:
        camera = self._viewer.scene.camera
        return tuple(float(v) for v in camera.center), float(camera.zoom)

    def _keep_view(self, before: Any) -> None:
        """As much of the scan in view as before."""
        now = self.canvas.size()
        if min(before.width(), before.height(), now.width(), now.height()) > 0 and now != before:
            self._viewer.scene.camera.zoom *= min(now.width() / before.width(), now.height() / before.height())

    def _on_left(self, *_: object) -> None:
        self._right.setSizes(self._main.sizes())

    def _on_right(self, *_: object) -> None:
        self._main.setSizes(self._right.sizes())


def find_canvas(window: Any) -> QWidget | None:
    """The widget that a napari window draws on; None for another window."""
    from napari.qt import QtViewer

    centre = window.centralWidget() if isinstance(window, QMainWindow) else None
    main = centre.findChild(QtViewer) if centre is not None else None
    return main.canvas.native if main is not None else None
