"""Axial, coronal, sagittal and 3D together: napari's own canvas stays one of the four, panes of ours are the other three.

A pane asks for its slice when that or anything drawn on it changes; slices and surfaces are drawn by one thread beside the window, the newest question first
of its kind. So the window does no more than put pictures on the screen, and napari's canvas keeps every tool it has.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer, Points
from qtpy.QtCore import QObject, QTimer
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QWidget

from napari_medseg.annotation.prompts import PointLPS
from napari_medseg.gui.levelling import Levelling
from napari_medseg.gui.ortho_frame import Places
from napari_medseg.gui.ortho_hand import Hand
from napari_medseg.gui.ortho_pane import PlanePane
from napari_medseg.gui.ortho_sheets import Held, Sheets
from napari_medseg.gui.ortho_solid import SolidPane
from napari_medseg.session.latest import Latest
from napari_medseg.session.outlines import Outline, outlines
from napari_medseg.session.planes import MOST_READ, Cut, cut
from napari_medseg.session.solid import Picture, Solid, draw, solid_of
from napari_medseg.session.state import Scan
from napari_medseg.session.views import Views, hit, label_maps, plane_of

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk

RULER = QColor("#f0e442")  # Okabe and Ito's yellow
REDRAW_MS = 40  # between two pictures of what changes by itself
REST_SHARE = 3  # a surface that took long is made anew after so many times as long
TOLD = ("contrast_limits", "gamma", "colormap", "visible", "opacity", "blending", "scale", "translate", "affine", "data")
TOLD_BY_LABELS = ("paint", "labels_update", "contour")


class Quad(QObject):
    """The panes of one window; they exist while they are shown.

    Parameters
    ----------
    desk : Desk
    viewer : napari viewer
    wanted : callable
        The layer whose grid is looked at.
    to_main : callable
        Brings the plane across an axis into napari's canvas.
    level : Levelling
        Drags that change the window.
    """

    def __init__(self, desk: Desk, viewer: Any, wanted: Callable[[], Image | None], to_main: Callable[[int], None], level: Levelling) -> None:
        super().__init__(desk)
        self._desk, self._viewer, self._wanted, self.to_main, self.level = desk, viewer, wanted, to_main, level
        self.views: Views = desk.session.views
        self.hand = Hand(desk, viewer)
        self.held: Held | None = None
        self._sheets = Sheets(viewer)
        self._latest: Latest | None = None
        self.planes: tuple[PlanePane, ...] = ()
        self.solid: SolidPane | None = None
        self._shown: list[PlanePane] = []
        self._frame: Places | None = None
        self._solids: list[Solid] = []
        self._rest = 0.0
        self._over: tuple[object, object] = (None, ())
        self._soon = _timer(self, REDRAW_MS, self._redraw)
        self._solid_soon = _timer(self, REDRAW_MS, self._make_solids)
        self._wired: list[tuple[Any, Callable[..., Any]]] = []

    # -- on and off ------------------------------------------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether the panes are there."""
        return self.solid is not None

    @property
    def views_letters(self) -> bool:
        """Whether orientation letters are wanted."""
        return bool(self._desk.session.letters)

    def open(self, frame: Places) -> None:
        """Show the panes beside napari's canvas."""
        if self.is_open:
            return
        self._frame = frame
        self._latest = Latest(self._desk.session.jobs.dispatch, "medseg views")
        self.planes = tuple(PlanePane(self, axis) for axis in range(3))
        self.solid = SolidPane(self)
        self._read()
        self._wire()
        self.arrange()
        frame.put()
        self._redraw()
        self._make_solids()

    def close(self) -> None:
        """Take the panes away; what they drew goes with them."""
        if not self.is_open:
            return
        self._soon.stop()
        self._solid_soon.stop()
        if self._latest is not None:
            self._latest.close()
        for emitter, callback in self._wired:
            emitter.disconnect(callback)
        self._wired = []
        parts: list[QWidget] = [*self.planes, *([self.solid] if self.solid is not None else [])]
        for part in parts:
            with suppress(RuntimeError):  # the window went first
                part.deleteLater()
        if self._frame is not None:
            self._frame.take()
        self._frame = self._latest = self.solid = self.held = None
        self.planes, self._shown, self._solids = (), [], []

    def look(self) -> None:
        """Find out what could be cut, though the panes are not there."""
        self._read()

    def arrange(self) -> None:
        """The main view has turned: the panes show the other planes, and 3D where that is none of them."""
        if self._frame is None or self.solid is None:
            return
        flat = self._viewer.dims.ndisplay == 2
        main = self.main_axis if flat else None
        below, beside = [axis for axis in (1, 2, 0) if axis != main][:2]
        wanted = (self.planes[below], self.planes[beside], self.solid if flat else self.planes[0])
        self._shown = [pane for pane in self.planes if pane in wanted]
        self._frame.arrange(*wanted, [part for part in (*self.planes, self.solid) if part not in wanted])
        self._redraw()

    @property
    def main_axis(self) -> int:
        """The axis that napari's canvas looks along."""
        return max(0, int(self._viewer.dims.order[0]) - (self._viewer.dims.ndim - 3)) if self._viewer.dims.ndim >= 3 else 0

    # -- what panes ask --------------------------------------------------------------------------------------------------------------------------------

    def index(self, axis: int) -> int | None:
        """The slice across an axis that is looked at."""
        voxel = self.views.voxel
        return None if voxel is None else voxel[axis]

    def plane(self, axis: int) -> str:
        """What the slices across an axis are called."""
        grid = self.views.grid
        return plane_of(grid, axis) if grid is not None else "Axial"

    def outlines(self, axis: int) -> list[tuple[Outline, QColor]]:
        """Boxes, lassos and rulers in the slice that is looked at, with their colours."""
        scan, index = self._desk.session.current, self.index(axis)
        if scan is None or index is None:
            return []
        colours = {c.value: QColor.fromRgbF(*c.colour) for c in self._desk.session.classes}
        return [(each, colours.get(each.value, RULER)) for each in outlines(scan, axis, index)]

    def go_to_surface(self, point: PointLPS) -> None:
        """A point of a surface was clicked: the first labelled voxel on the way there; surfaces are smooth, and may lie beside it."""
        scan = self._desk.session.current
        if scan is None:
            return
        grid, near = scan.display.geometry, self.views.turn.matrix[2]
        far = float(np.linalg.norm(np.array(grid.shape) * np.array(grid.spacing)))
        voxel = hit(label_maps(scan), grid.voxel(np.array(point) + near * far), grid.voxel(np.array(point) - near * far))
        self.views.go_voxel(voxel) if voxel is not None else self.views.go(point)

    # -- what changes ----------------------------------------------------------------------------------------------------------------------------------

    def moved(self) -> None:
        """The shared place is another one: a pane whose slice stays draws its lines only."""
        if not self.is_open:
            return
        for pane in self._shown:
            if pane.index != self.index(pane.axis):
                self._ask(pane)
            pane.update()
        if self.solid is not None:
            self.solid.update()

    def changed(self, event: Any = None) -> None:
        """Something that is drawn changed."""
        if self.is_open and not self._soon.isActive():
            self._soon.start()

    def labels_changed(self, scan: Scan | None = None, *_: object) -> None:
        """Labels or a preview changed."""
        self.changed()
        if self.is_open and not self._solid_soon.isActive():
            self._solid_soon.start(max(REDRAW_MS, int(self._rest)))

    def _on_session(self) -> None:
        """Boxes, lassos and rulers lie over what is drawn; other changes are told by signals of their own."""
        scan = self._desk.session.current
        drawn = (None, ()) if scan is None else (scan.board, scan.rulers)
        if drawn[0] is not self._over[0] or drawn[1] is not self._over[1]:
            self._over = drawn
            for pane in self._shown:
                pane.update()

    def edited(self, scan: Scan, boxes: object) -> None:
        """Labels were painted; a surface is made when the stroke is there, not while it is drawn."""
        self.changed()
        if boxes != ():
            self.labels_changed()

    def turned(self) -> None:
        """3D is looked at from elsewhere."""
        self._draw_solids()

    def _read(self) -> None:
        self.held = self._sheets.read(self._wanted())
        self.views.shown = self.held.grid if self.held is not None else None

    def _redraw(self) -> None:
        if not self.is_open:
            return
        self._read()
        for pane in self._shown:
            self._ask(pane)

    def _ask(self, pane: PlanePane) -> None:
        held, index, latest = self.held, self.index(pane.axis), self._latest
        if latest is None:
            return
        if held is None or index is None or index >= held.base.shape[pane.axis]:
            pane.put(None, 0, words="Nothing in view can be cut along this plane")
            return
        axis = pane.axis
        costs = {sheet: sheet.read_for(axis, index) for sheet in held.sheets}
        within = [sheet for sheet, cost in costs.items() if cost <= MOST_READ]
        if any(costs.values()):
            most = max(costs.values())
            pane.wait(f"This plane crosses {most / 1e9:.0f} GB on the disk: too much to read" if most > MOST_READ else "Reading the slice")
        words = pane.words if len(within) < len(costs) else ""
        latest.ask(axis, partial(cut, within, held.base, axis, index), partial(self._put, pane, axis, index, held, words))

    def _put(self, pane: PlanePane, axis: int, index: int, held: Held, words: str, answer: Cut | Exception) -> None:
        if pane not in self.planes or pane.axis != axis:
            return
        if isinstance(answer, Exception):
            pane.put(None, index, words=f"This slice cannot be read: {answer}")
        else:
            pane.put(answer, index, held.dots, words)

    # -- 3D ----------------------------------------------------------------------------------------------------------------------------------------------

    def _make_solids(self) -> None:
        scan, latest = self._desk.session.current, self._latest
        if latest is None or self.solid is None:
            return
        if scan is None:
            self._solids = []
            self._draw_solids()
            return
        grid, held, preview = scan.display.geometry, self._desk.writer.of(scan), scan.preview
        hidden = self._desk.session.table.hidden
        classes = {c.value: c.colour for c in self._desk.session.classes if c.value not in hidden}
        parts: list[tuple[Any, dict[int, Any], bool]] = []
        if scan.labels is not None and (held.labels is None or held.labels.visible):
            parts.append((scan.labels, classes, False))
        if preview is not None:
            parts.append((preview.labels, classes | {c.value: c.colour for c in preview.classes}, True))

        def work() -> tuple[list[Solid], float]:
            began = time.perf_counter()
            made = [solid_of(labels, grid, colours, lighter=lighter) for labels, colours, lighter in parts]
            return [solid for solid in made if solid is not None], time.perf_counter() - began

        latest.ask("surfaces", work, self._have_solids)

    def _have_solids(self, answer: tuple[list[Solid], float] | Exception) -> None:
        if isinstance(answer, Exception) or not self.is_open:
            return
        self._solids, took = answer
        self._rest = 1000 * took * REST_SHARE
        self._draw_solids()

    def _draw_solids(self) -> None:
        pane, latest = self.solid, self._latest
        if pane is None or latest is None:
            return
        if not self._solids:
            pane.put(None)
            return
        latest.ask("3D", partial(draw, self._solids, self.views.turn, pane.centre, pane.height(), pane.width(), pane.zoom), self._put_solids)

    def _put_solids(self, answer: Picture | Exception) -> None:
        if self.solid is not None and not isinstance(answer, Exception):
            self.solid.put(answer)

    # -- wiring ------------------------------------------------------------------------------------------------------------------------------------------

    def _wire(self) -> None:
        session, viewer = self._desk.session, self._viewer
        for signal, callback in (
            (session.preview_changed, self.labels_changed), (session.labels_changed, self.labels_changed), (session.edited, self.edited),
            (session.changed, self._on_session),
            (session.painted_over, self.changed), (session.channel_changed, self.changed), (session.grid_changed, self._on_scan),
            (session.classes_changed, self.labels_changed), (session.scan_opened, self._on_scan), (session.scan_closed, self._on_scan),
            (viewer.layers.events.inserted, self._on_inserted), (viewer.layers.events.removed, self._on_removed),
            (viewer.layers.events.reordered, self.changed), (viewer.layers.selection.events.active, self._on_scan),
        ):
            self._join(signal, callback)
        if viewer.dims.ndim > 3:
            self._join(viewer.dims.events.current_step, self.changed)
        for layer in viewer.layers:
            self._wire_layer(layer)

    def _join(self, emitter: Any, callback: Callable[..., Any]) -> None:
        emitter.connect(callback)
        self._wired.append((emitter, callback))

    def _wire_layer(self, layer: Layer) -> None:
        if not isinstance(layer, Image | Labels | Points):
            return
        names = (*TOLD, *TOLD_BY_LABELS) if isinstance(layer, Labels) else TOLD
        for name in names:
            if name in layer.events:
                self._join(layer.events[name], self.changed)
        if isinstance(layer, Labels):
            self._join(layer.events.visible, self.labels_changed)

    def _on_inserted(self, event: Any) -> None:
        self._wire_layer(event.value)
        self._on_scan()

    def _on_removed(self, event: Any) -> None:
        emitters = {id(emitter) for emitter in event.value.events.emitters.values()}
        self._wired = [(emitter, callback) for emitter, callback in self._wired if id(emitter) not in emitters]
        self._on_scan()

    def _on_scan(self, *_: object) -> None:
        """Another scan may be looked at."""
        self._read()
        self.labels_changed()


def _timer(parent: QObject, pause: int, function: Callable[[], None]) -> QTimer:
    made = QTimer(parent)
    made.setSingleShot(True)
    made.setInterval(pause)
    made.timeout.connect(function)
    return made

