"""Rulers and diameters on the canvas: clicks place a ruler's ends, a drag moves one, and lines with their millimetres are drawn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medseg.annotation.prompts import PointLPS
from napari_medseg.annotation.rulers import Ruler
from napari_medseg.errors import InvalidInputError
from napari_medseg.gui.clicks import stays
from napari_medseg.gui.layers import to_voxel, to_world
from napari_medseg.gui.measure_layers import Colour, MeasureLayers, Stretch
from napari_medseg.session.rulers import KINDS
from napari_medseg.volume import Array

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk
    from napari_medseg.session.state import Scan

NEAR = 9.0  # pixels of the screen from an end, within which a press takes hold of it
RULER: Colour = (0.941, 0.894, 0.259, 1.0)  # Okabe and Ito's yellow
CHOSEN: Colour = (0.902, 0.624, 0.0, 1.0)  # and their orange
DRAFT: Colour = (1.0, 1.0, 1.0, 1.0)
REST = 0.04  # seconds between two pictures of a line that follows the mouse


class RulerTool:
    """Listens to the canvas while a ruler or an angle is in the hand, and draws what is measured.

    Parameters
    ----------
    desk : Desk
    viewer : napari viewer
    add : callable
        Adds a layer to the viewer without changing what is selected.
    """

    def __init__(self, desk: Desk, viewer: Any, add: Callable[[Any], None]) -> None:
        self._desk, self._viewer = desk, viewer
        self.layers = MeasureLayers(add, desk)
        self._held: tuple[int, int, PointLPS] | None = None  # the end that is being dragged: of which ruler, which, where it is
        self._here: PointLPS | None = None  # under the mouse, while a ruler is being drawn
        self._cursor = False
        self._drawn = 0.0
        session = desk.session
        session.changed.connect(self.show)
        session.scan_closed.connect(self.layers.forget)
        session.grid_changed.connect(self._on_grid)
        viewer.mouse_drag_callbacks.append(self._on_press)
        viewer.mouse_move_callbacks.append(self._on_move)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.dims.events.order.connect(self._on_order)

    def close(self) -> None:
        """Let the viewer go."""
        self.layers.close()
        session = self._desk.session
        session.changed.disconnect(self.show)
        session.scan_closed.disconnect(self.layers.forget)
        session.grid_changed.disconnect(self._on_grid)
        for callbacks, mine in ((self._viewer.mouse_drag_callbacks, self._on_press), (self._viewer.mouse_move_callbacks, self._on_move)):
            if mine in callbacks:
                callbacks.remove(mine)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.dims.events.order.disconnect(self._on_order)

    def show(self) -> None:
        """Draw the current scan's rulers, the one that is being drawn, and the diameters of the chosen label."""
        session = self._desk.session
        scan = session.current
        if scan is None:
            return
        picture = self._desk.pictures.image(scan)
        armed = session.tool in KINDS and picture is not None
        if picture is not None and armed != self._cursor:
            self._cursor = armed
            picture.cursor = "crosshair" if armed else "standard"
        if armed:
            self.layers.prepare(scan)
        if not session.reviewing.rulers.places:
            self._here = None
        self.layers.draw(scan, [*self._diameters(), *self._rulers(scan)])

    # -- what is drawn ---------------------------------------------------------------------------------------------------------------------------------

    def _diameters(self) -> Iterator[Stretch]:
        row = self._desk.session.reviewing.statistics.drawn
        if row is None:
            return
        lines = row.diameters
        for line, mm in ((lines.long, lines.long_mm), (lines.short, lines.short_mm)):
            yield Stretch(line, f"{mm:.1f} mm", RULER, at_end=True)

    def _rulers(self, scan: Scan) -> Iterator[Stretch]:
        rulers, voxel = self._desk.session.reviewing.rulers, scan.display.geometry.voxel
        for index, ruler in enumerate(scan.rulers):
            shown = self._moved(ruler, index)
            words = f"{shown.name}: {shown.words}" if shown.name else shown.words
            yield Stretch(_places(voxel(shown.places)), words, CHOSEN if index == rulers.chosen else RULER)
        places = (*rulers.places, self._here) if self._here is not None else rulers.places
        if rulers.kind is not None and len(places) > 1 and _apart(places):
            yield Stretch(_places(voxel(places)), Ruler(places).words, DRAFT)

    def _moved(self, ruler: Ruler, index: int) -> Ruler:
        if self._held is None or self._held[0] != index:
            return ruler
        places = tuple(self._held[2] if at == self._held[1] else place for at, place in enumerate(ruler.places))
        return Ruler(places, ruler.name) if _apart(places) else ruler

    # -- the mouse -------------------------------------------------------------------------------------------------------------------------------------

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        session = self._desk.session
        scan = session.current
        if session.tool not in KINDS or scan is None or event.button != 1:
            return
        if len(event.dims_displayed) != 2:
            if (yield from stays(event)):
                session.report(InvalidInputError("rulers are drawn on a slice", where="Rulers", todo="Change to the 2D view (Ctrl+Y)"))
            return
        place = self._place(scan, event)
        held = self._end_at(scan, event) if not session.reviewing.rulers.places else None
        if held is not None:
            yield from self._drag(scan, event, *held)
        elif place is not None and (yield from stays(event)):
            self._here = None
            self._desk.session.attempt(lambda: session.reviewing.rulers.click(place))

    def _drag(self, scan: Scan, event: Any, index: int, end: int) -> Iterator[None]:
        picture = self._desk.pictures.image(scan)
        rulers = self._desk.session.reviewing.rulers
        rulers.choose(index)
        if picture is not None:
            picture.mouse_pan = False
        place = None
        try:
            yield
            while event.type == "mouse_move":
                place = self._place(scan, event) or place
                if place is not None:
                    self._held = index, end, place
                    self._show_soon()
                yield
        finally:
            self._held = None
            if picture is not None:
                picture.mouse_pan = True
        if place is not None and index < len(scan.rulers):
            self._desk.session.attempt(lambda: rulers.move(scan, index, end, place))
        self.show()

    def _on_move(self, viewer: Any, event: Any) -> None:
        session = self._desk.session
        scan = session.current
        if session.tool not in KINDS or scan is None or not session.reviewing.rulers.places or len(event.dims_displayed) != 2:
            return
        self._here = self._place(scan, event)
        self._show_soon()

    def _show_soon(self) -> None:
        """Follow the mouse, not with each of its steps."""
        if time.monotonic() - self._drawn > REST:
            self.show()
            self._drawn = time.monotonic()

    def _place(self, scan: Scan, event: Any) -> PointLPS | None:
        """Where the mouse is, in the middle of the slice in view; None outside the scan."""
        picture = self._desk.pictures.image(scan)
        if picture is None:
            return None
        voxel = to_voxel(scan.display.geometry, event.position)
        across = next(axis for axis in range(3) if axis + len(event.position) - 3 not in event.dims_displayed)
        voxel[across] = np.rint(voxel[across])
        if not bool(scan.display.geometry.contains(voxel)):
            return None
        x, y, z = (float(v) for v in scan.display.geometry.world(voxel))
        return x, y, z

    def _end_at(self, scan: Scan, event: Any) -> tuple[int, int] | None:
        """The end of a ruler under the mouse, in this slice."""
        picture = self._desk.pictures.image(scan)
        if picture is None or not scan.rulers:
            return None
        at = np.array(event.position, float)[-3:]
        shown = [axis - (len(event.position) - 3) for axis in event.dims_displayed]
        across = next(axis for axis in range(3) if axis not in shown)
        reach = NEAR / float(self._viewer.scene.camera.zoom)
        thick = scan.display.geometry.spacing[across] / 2
        ends = [(index, end) for index, ruler in enumerate(scan.rulers) for end in range(len(ruler.places))]
        voxels = scan.display.geometry.voxel([scan.rulers[index].places[end] for index, end in ends])
        offsets = to_world(scan.display.geometry, voxels) - at
        flat = np.linalg.norm(offsets[:, shown], axis=1)
        flat[np.abs(offsets[:, across]) > thick] = np.inf
        nearest = int(flat.argmin())
        return ends[nearest] if flat[nearest] <= reach else None

    # -- what else happens -----------------------------------------------------------------------------------------------------------------------------

    def _on_grid(self, scan: Scan) -> None:
        self.layers.move(scan)
        self.show()

    def _on_order(self, event: Any) -> None:
        self.layers.look_along(int(self._viewer.dims.order[0]))
        self.show()

    def _on_removed(self, event: Any) -> None:
        self.layers.lost(event.value)


def _places(voxels: Array) -> tuple[tuple[float, float, float], ...]:
    return tuple((float(z), float(y), float(x)) for z, y, x in voxels)


def _apart(places: tuple[PointLPS, ...]) -> bool:
    """Whether no two places that follow each other are the same."""
    return all(np.linalg.norm(np.subtract(a, b)) > 1e-2 for a, b in pairwise(places))
