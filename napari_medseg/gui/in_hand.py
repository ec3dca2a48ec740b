"""The tool in the person's hand: the layer it works on is there, selected and in the mode that tool needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image, Layer
from qtpy.QtCore import QTimer

from napari_medseg.gui.pointing import TOOLS as POINTING
from napari_medseg.gui.turns import show
from napari_medseg.session.rulers import KINDS as RULERS
from napari_medseg.session.state import Scan

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk


TURNED_MS = 45  # after a tab was turned its page comes first, then the docks' redraw, then the tool that the page begins with


class InHand:
    """Follows the session's tool, scan and class."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._armed = ("", 0, 0, False)
        self._tab, self._began = desk.session.tab, desk.session.tool  # and the tool that the tab began with
        self._turned = QTimer(desk)
        self._turned.setSingleShot(True)
        self._turned.setInterval(TURNED_MS)
        self._turned.timeout.connect(self._follow)

    def follow(self) -> None:
        """Take up what the session says, if that is news; a little later where a tab was turned: napari takes long to select a layer."""
        session = self._desk.session
        if session.tab != self._tab:
            self._tab, self._began = session.tab, session.tool
            self._turned.start()
        elif not self._turned.isActive() or session.tool != self._began:
            self._follow()

    def _follow(self) -> None:
        self._turned.stop()
        desk, session, scan = self._desk, self._desk.session, self._desk.session.current
        wanted = (session.tool, id(scan), session.chosen, session.background)
        if wanted == self._armed:
            return
        was, self._armed = self._armed, wanted
        if scan is None:
            return
        layer: Layer | None = None
        desk.writer.expect(scan if session.tool in ("seeds", "bubble", "scribbles", *POINTING) else None, grows=session.tool in ("seeds", "bubble"))
        desk.prompts.expect(scan if session.tool in POINTING else None)
        if was[0] in POINTING and session.tool not in POINTING:
            desk.writer.rest()
        if session.tool == "seeds":
            layer = desk.seeds.arm(scan)
        elif session.tool in ("limit", "scribbles"):
            layer = desk.writer.brush(scan, session.tool, session.classes)
            if layer is not None and session.tool == "scribbles":
                layer.selected_label = 255 if session.background else session.chosen
        elif session.tool == "barrier":
            layer = desk.writer.barrier_brush(scan)
        elif session.tool in ("bubble", "pick", *RULERS, *POINTING):
            layer = desk.pictures.image(scan)
        elif was[0]:
            layer = desk.pictures.image(scan)
            self._disarm(scan)
        if session.tool != "bubble":
            desk.bubble.disarm()
        if session.tool not in POINTING:
            desk.pointing.disarm()
        desk.seeds.follow_class(scan)
        held = desk.writer.of(scan)
        if held.labels is not None:
            held.labels.selected_label = session.chosen
        if layer is not None and layer in desk.viewer.layers:
            show(layer, True)
            desk.viewer.layers.selection.active = layer
            if session.tool == "bubble" and isinstance(layer, Image):
                desk.bubble.arm(layer)
            elif session.tool in POINTING and isinstance(layer, Image):
                desk.pointing.arm(layer, session.tool)
            elif session.tool in ("pick", *RULERS):
                layer.mode = "pan_zoom"
            elif session.tool == "limit":
                layer.mode = "erase" if session.limit_brush.erase else "paint"
            elif session.tool:  # after it is selected: napari takes the mode of a layer that is not
                layer.mode = "add" if session.tool == "seeds" else "paint"

    def again(self) -> None:
        """Take it up anew after layers went and others were selected: the tool of one case is still in the hand for the next."""
        self._armed = ("", 0, 0, False)
        self.follow()

    def close(self) -> None:
        """Nothing is in hand any more."""
        self._turned.stop()
        self._desk.session.set(tool="")

    def _disarm(self, scan: Scan) -> None:
        held = self._desk.writer.of(scan)
        for layer in (self._desk.seeds.get(scan), held.limit, held.strokes, held.barrier):
            if layer is not None:
                layer.mode = "pan_zoom"
