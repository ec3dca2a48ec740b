"""What the canvas tells of the patient: letters at its edges, and the place, value and label under the cursor in the status bar.

The letters are napari's own canvas overlays, drawn anew only when the view turns. The line in the status bar is plain Qt, so that moving the mouse
draws no picture.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from napari.components.overlays import TextOverlay
from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QLabel, QMainWindow

from napari_medseg.gui.layers import to_voxel
from napari_medseg.gui.pictures import Pictures
from napari_medseg.gui.turns import Turns
from napari_medseg.session.place import EDGES, edge_letters, turned_letters, under_cursor
from napari_medseg.session.session import Session
from napari_medseg.session.state import Scan
from napari_medseg.volume import Geometry

EVERY_MS = 40
POSITIONS = {"left": "middle_left", "right": "middle_right", "top": "top_center", "bottom": "bottom_center"}
SIZE = 12
COLOUR = "#c85500"
"""Of the letters: a vermilion as far from white as from black (4.4 and 4.8 to 1), since a letter may lie on any grey, and no grey has its hue."""
WIDEST = 560


class EdgeLetters:
    """R, L, A, P, S and I at the edges of the view of the current scan, in 3D as it is turned.

    napari takes some 40 ms to make each of them, so they come one a turn when the first scan is on screen, and stay. They have no box behind them: napari
    would build each box anew whenever any layer is shown, hidden, added or removed, 8 ms a letter.

    Parameters
    ----------
    session : Session
    viewer : napari viewer
    parent : QObject
        They are made while it lives.
    """

    def __init__(self, session: Session, viewer: Any, parent: QObject) -> None:
        self._session, self._viewer, self._closed = session, viewer, False
        self._turns = Turns(parent)
        self._asked: set[str] = set()
        self._made: set[str] = set()
        self._overlays = {edge: TextOverlay(position=POSITIONS[edge], font_size=SIZE, color=COLOUR, box=False, visible=False) for edge in EDGES}
        for edge, overlay in self._overlays.items():
            viewer.canvas.overlays[f"medseg_{edge}"] = overlay
        viewer.dims.events.order.connect(self._refresh)
        viewer.dims.events.ndisplay.connect(self._refresh)
        viewer.scene.camera.events.orientation.connect(self._refresh)
        viewer.scene.camera.events.angles.connect(self._refresh)
        session.changed.connect(self._refresh)

    def close(self) -> None:
        """Take them off the canvas."""
        if self._closed:
            return
        self._closed = True
        self._turns.close()
        self._viewer.dims.events.order.disconnect(self._refresh)
        self._viewer.dims.events.ndisplay.disconnect(self._refresh)
        self._viewer.scene.camera.events.orientation.disconnect(self._refresh)
        self._viewer.scene.camera.events.angles.disconnect(self._refresh)
        self._session.changed.disconnect(self._refresh)
        for edge in EDGES:
            del self._viewer.canvas.overlays[f"medseg_{edge}"]

    def texts(self) -> dict[str, str]:
        """What stands at each edge now; nothing while nothing is open."""
        return {edge: overlay.text if overlay.visible else "" for edge, overlay in self._overlays.items()}

    def _refresh(self, event: Any = None) -> None:
        letters = self._letters()
        for edge in EDGES:
            text = letters.get(edge, "")
            if edge in self._made:
                self._write(edge, text)
            elif text and edge not in self._asked:
                self._asked.add(edge)
                self._turns.add(partial(self._make, edge))

    def _make(self, edge: str) -> None:
        self._made.add(edge)
        self._write(edge, self._letters().get(edge, ""))

    def _write(self, edge: str, text: str) -> None:
        overlay = self._overlays[edge]
        if text and overlay.text != text:
            overlay.text = text
        if overlay.visible != bool(text):
            overlay.visible = bool(text)

    def _letters(self) -> dict[str, str]:
        dims, scan = self._viewer.dims, self._session.current
        axes = [axis - (dims.ndim - 3) for axis in dims.displayed]
        if scan is None or not self._session.letters or len(axes) < dims.ndisplay or min(axes) < 0:
            return {}
        if dims.ndisplay == 3:
            return self._turned(scan.display.geometry, axes)
        down, right = (str(way) for way in self._viewer.scene.camera.orientation2d)
        return edge_letters(scan.display.geometry, axes, right="right" in right.lower(), down="down" in down.lower())

    def _turned(self, grid: Geometry, axes: list[int]) -> dict[str, str]:
        """Letters of the 3D view: from where napari's camera looks, and how it says its axes run."""
        camera = self._viewer.scene.camera
        view, up = np.array(camera.view_direction, float), np.array(camera.up_direction, float)
        depth, down, right = (str(way).lower() for way in camera.orientation)
        sign = (1 if "away" in depth else -1) * (-1 if "down" in down else 1) * (1 if "right" in right else -1)
        columns = grid.matrix[:, ::-1][:, axes]
        return turned_letters(columns @ (sign * np.cross(view, up)), columns @ up)


class CursorLine(QObject):
    """One line in the window's status bar: where the cursor is in the patient, and what is there.

    Parameters
    ----------
    session : Session
    viewer : napari viewer
    pictures : Pictures
    """

    def __init__(self, session: Session, viewer: Any, pictures: Pictures, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._viewer, self._pictures = session, viewer, pictures
        self.label = QLabel()
        self.label.setObjectName("medsegCursor")
        self.label.setToolTip("The place under the cursor in the patient (L/R, A/P, S/I of the scanner's origin), the value there, and the label")
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(EVERY_MS)
        self._timer.timeout.connect(self.refresh)
        self._bar: Any = None
        self._closed = False
        viewer.cursor.events.position.connect(self._moved)
        viewer.dims.events.point.connect(self._moved)
        session.changed.connect(self._moved)  # what lies under a still cursor changes too

    def attach(self, window: Any) -> None:
        """Show it in the status bar of a window, once."""
        if self._bar is None and isinstance(window, QMainWindow):
            self._bar = window.statusBar()
            self._bar.addPermanentWidget(self.label)

    def close(self) -> None:
        """Take it off the status bar."""
        if self._closed:
            return
        self._closed = True
        self._timer.stop()
        self._viewer.cursor.events.position.disconnect(self._moved)
        self._viewer.dims.events.point.disconnect(self._moved)
        self._session.changed.disconnect(self._moved)
        try:
            if self._bar is not None:
                self._bar.removeWidget(self.label)
            self.label.deleteLater()
        except RuntimeError:  # the window went first and took it along
            pass

    def refresh(self) -> None:
        """Say what is under the cursor now."""
        scan = self._session.current
        text = self._text(scan) if scan is not None and self._session.readout else ""
        if text != self.label.text():
            self.label.setText(text)
            wanted = self.label.sizeHint()
            width = max(self.label.minimumWidth(), min(WIDEST, wanted.width()))
            if (width, wanted.height()) != (self.label.width(), self.label.height()):
                self.label.setFixedSize(width, wanted.height())  # with a size of its own it changes its text without the window being laid out anew

    def _text(self, scan: Scan) -> str:
        layer = self._pictures.image(scan)
        if layer is None or self._viewer.dims.ndisplay != 2:
            return ""
        position = np.array(self._viewer.cursor.position, float)
        if len(position) < 3:
            return ""
        return under_cursor(scan, to_voxel(scan.display.geometry, position), self._session.classes)

    def _moved(self, event: Any = None) -> None:
        if not self._timer.isActive():
            self._timer.start()
