"""The pressure of a pen is the size of the brush while it draws; where Qt tells no pressure, and with a mouse, all is as ever.

Qt tells a pen's pressure before the mouse event that napari draws by, so the brush is resized in between and given its size back when the pen is lifted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari.layers import Labels
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QApplication, QWidget

from napari_medseg.session.pen import size_under

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk

PRESSED, LIFTED = (QEvent.Type.TabletPress, QEvent.Type.TabletMove), QEvent.Type.TabletRelease


class Pen(QObject):
    """Listens for pens while the person wants it.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._desk = desk
        self._on = False
        self._layer: Labels | None = None
        self._full = 0.0

    def follow(self) -> None:
        """Listen if the session says so; the program's events are seen by this only then."""
        wanted, app = self._desk.session.choices.pen, QApplication.instance()
        if wanted != self._on and app is not None:
            self._on = wanted
            app.installEventFilter(self) if wanted else app.removeEventFilter(self)
            self._lift()

    def close(self) -> None:
        """The desk goes."""
        app = QApplication.instance()
        if self._on and app is not None:
            app.removeEventFilter(self)
        self._on = False

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Resize the brush before the pen draws with it; the event itself stays Qt's, which makes a mouse event of it."""
        if event.type() in PRESSED and isinstance(watched, QWidget):
            self._press(event.pressure())
        elif event.type() == LIFTED:
            self._lift()
        return False

    def _press(self, pressure: float) -> None:
        session, brush = self._desk.session, self._brush()
        scan = session.current
        if brush is None or scan is None or not pressure:  # a pen that hovers
            return
        is_limit = brush is self._desk.writer.of(scan).limit
        begins = self._layer is not brush
        if begins:
            self._lift()
            self._layer, self._full = brush, session.limit_brush.radius_mm if is_limit else float(brush.brush_size)
        if is_limit:
            session.limit_brush = replace(session.limit_brush, radius_mm=size_under(self._full, pressure))
            self._desk.writer.follow_brush(scan)
        else:
            brush.brush_size = max(1.0, size_under(self._full, pressure))

    def _lift(self) -> None:
        layer, self._layer = self._layer, None
        session = self._desk.session
        if layer is None:
            return
        if session.current is not None and layer is self._desk.writer.of(session.current).limit:
            session.limit_brush = replace(session.limit_brush, radius_mm=self._full)
            self._desk.writer.follow_brush(session.current)
        else:
            layer.brush_size = self._full

    def _brush(self) -> Labels | None:
        """The layer of ours that a pen would draw on now."""
        scan, layer = self._desk.session.current, self._desk.viewer.layers.selection.active
        ours = self._desk.writer.of(scan).all() if scan is not None else ()
        return layer if isinstance(layer, Labels) and layer in ours and layer.mode in ("paint", "erase") else None
