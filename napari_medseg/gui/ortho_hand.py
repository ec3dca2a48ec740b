"""What a press in a pane does: the tool in the person's hand does there what it does on the main canvas, and without one the shared place goes along.

Places are voxels of the display grid, (z, y, x) with fractions. Brushes write through the layer, as napari's own do, so that undo, locks and autosave hold.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_medseg.gui.layers import placement
from napari_medseg.session import levelset_live, limit_painting
from napari_medseg.session.rulers import KINDS as RULERS
from napari_medseg.session.state import Scan
from napari_medseg.session.views import Places

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk

BRUSHES = ("paint", "erase")
STEP = 0.7  # voxels between two places of a lasso


class Grip:
    """A press that goes on until it is released.

    Attributes
    ----------
    outline : list of voxels
        What is drawn in the pane meanwhile.
    closed : bool
        Whether its end is joined to its beginning.
    """

    closed = True

    def __init__(self) -> None:
        self.outline: list[Places] = []

    def move(self, voxel: Places) -> None:
        """The mouse went here."""

    def release(self, voxel: Places, *, clicked: bool) -> None:
        """The button was let go; `clicked`: the mouse stayed where it was."""


class Click(Grip):
    """Does something where the mouse was pressed and let go."""

    def __init__(self, act: Callable[[Places], object]) -> None:
        super().__init__()
        self._act = act

    def release(self, voxel: Places, *, clicked: bool) -> None:
        """Do it, unless it was a drag."""
        if clicked:
            self._act(voxel)


class Follow(Grip):
    """The shared place goes along."""

    def __init__(self, go: Callable[[Places], object], voxel: Places) -> None:
        super().__init__()
        self._go = go
        go(voxel)

    def move(self, voxel: Places) -> None:
        """Go here."""
        self._go(voxel)


class Box(Grip):
    """From corner to corner."""

    def __init__(self, axis: int, voxel: Places, act: Callable[[Places, Places], object]) -> None:
        super().__init__()
        self._axis, self._began, self._act = axis, np.rint(voxel), act

    def move(self, voxel: Places) -> None:
        """The other corner is here."""
        one, two = (each for each in range(3) if each != self._axis)
        here = np.rint(voxel)
        second, fourth = self._began.copy(), self._began.copy()
        second[one], fourth[two] = here[one], here[two]
        self.outline = [self._began, second, here, fourth]

    def release(self, voxel: Places, *, clicked: bool) -> None:
        """Point at what lies between."""
        here = np.rint(voxel)
        if (np.delete(self._began != here, self._axis)).all():
            self._act(self._began, here)


class Lasso(Grip):
    """A way around something."""

    def __init__(self, voxel: Places, act: Callable[[Places], object]) -> None:
        super().__init__()
        self.outline, self._act = [voxel], act

    def move(self, voxel: Places) -> None:
        """Go on here."""
        if np.abs(voxel - self.outline[-1]).max() >= STEP:
            self.outline.append(voxel)

    def release(self, voxel: Places, *, clicked: bool) -> None:
        """Point at what it goes around."""
        if len(self.outline) >= 3:
            self._act(np.array(self.outline))


class Brush(Grip):
    """Paints a label layer in the pane's plane, one step of the undo log from press to release."""

    def __init__(self, layer: Labels, axis: int, scale: Places, voxel: Places) -> None:
        super().__init__()
        self._layer, self._scale = layer, scale
        self._dims = (0, 1, 2) if layer.n_edit_dimensions >= 3 else tuple(each for each in range(3) if each != axis)
        self._value = layer.colormap.background_value if layer.mode == "erase" else layer.selected_label
        self._stroke = ExitStack()
        self._stroke.enter_context(layer.block_history())
        self._last = voxel
        self._dab(voxel)

    def move(self, voxel: Places) -> None:
        """Paint to here."""
        way = voxel - self._last
        reach = radius_mm(self._layer, self._scale, self._dims) / self._scale[list(self._dims)].max()
        count = max(1, int(np.ceil(np.abs(way).max() / max(0.5, reach / 2))))
        for part in range(1, count + 1):
            self._dab(self._last + way * (part / count))
        self._last = voxel

    def release(self, voxel: Places, *, clicked: bool) -> None:
        """Paint to here and end the stroke."""
        if not clicked:
            self.move(voxel)
        self._stroke.close()

    def _dab(self, voxel: Places) -> None:
        layer, shape = self._layer, self._layer.data.shape
        radius = radius_mm(layer, self._scale, self._dims)
        centre = np.rint(voxel).astype(int)
        sides = []
        for axis in range(3):
            reach = int(np.ceil(radius / self._scale[axis])) if axis in self._dims else 0
            sides.append(np.arange(max(centre[axis] - reach, 0), min(centre[axis] + reach + 1, shape[axis])))
        offsets = np.meshgrid(*sides, indexing="ij")
        squared = sum(((side - centre[axis]) * self._scale[axis]) ** 2 for axis, side in enumerate(offsets))
        within = squared <= max(radius, self._scale[list(self._dims)].min() / 2) ** 2
        where = tuple(side[within] for side in offsets)
        held = np.asarray(layer.data[where])
        keep = held != self._value
        if layer.preserve_labels:
            keep &= held == layer.colormap.background_value if layer.mode == "paint" else held == layer.selected_label
        if keep.any():
            layer.data_setitem(tuple(side[keep] for side in where), self._value)


class LimitStroke(Grip):
    """Paints the limit's soft ball."""

    def __init__(self, desk: Desk, scan: Scan, voxel: Places, *, erase: bool) -> None:
        super().__init__()
        self._desk, self._scan, self._last, self._erase = desk, scan, _triple(voxel), erase
        scan.limit_log.press()
        limit_painting.paint(desk.session, scan, self._last, self._last, erase=erase)

    def move(self, voxel: Places) -> None:
        """Paint to here."""
        here = _triple(voxel)
        limit_painting.paint(self._desk.session, self._scan, self._last, here, erase=self._erase)
        self._last = here

    def release(self, voxel: Places, *, clicked: bool) -> None:
        """The stroke is one step."""
        self._scan.limit_log.release()


class Hand:
    """Takes hold of what a press in a pane is for.

    Parameters
    ----------
    desk : Desk
    viewer : napari viewer
    """

    def __init__(self, desk: Desk, viewer: Any) -> None:
        self._desk, self._viewer = desk, viewer

    def press(self, voxel: Places, axis: int, *, shift: bool) -> Grip:
        """The left button went down in the pane across an axis."""
        session, views = self._desk.session, self._desk.session.views
        scan = session.current
        if scan is None:
            return Follow(views.go_voxel, voxel)
        grid, tool, do = scan.display.geometry, session.tool, session.attempt
        brush = self._brush()
        if brush is not None:
            erase = brush.mode == "erase"
            if brush is self._desk.writer.of(scan).limit:
                return LimitStroke(self._desk, scan, voxel, erase=erase)
            return Brush(brush, axis, np.array(grid.spacing), voxel)
        if tool == "point":
            sign = -1 if session.background != shift else 1
            return Click(lambda at: do(lambda: session.prompting.point(grid.world(np.rint(at)), sign)))
        if tool == "box":
            return Box(axis, voxel, lambda one, two: do(lambda: session.prompting.box(grid.world(one), grid.world(two), extend=shift)))
        if tool == "lasso":
            return Lasso(voxel, lambda places: do(lambda: session.prompting.lasso(grid.world(places))))
        if tool == "seeds":
            return Click(lambda at: self._seed(scan, at))
        if tool == "bubble":
            add = session.background == shift
            return Click(lambda at: do(lambda: levelset_live.bubble(session, _whole(at), add=add)))
        if tool == "pick":
            return Click(lambda at: session.tidy.click(scan, _triple(grid.world(np.rint(at)))))
        if tool in RULERS:
            return Click(lambda at: do(lambda: session.reviewing.rulers.click(_triple(grid.world(at)))))
        return Follow(views.go_voxel, voxel)

    def ring(self, axis: int) -> float | None:
        """Radius in mm of the brush or bubble that would be set down in the pane across an axis; None without one."""
        session, brush = self._desk.session, self._brush()
        scan = session.current
        if scan is None:
            return None
        if brush is not None and brush is self._desk.writer.of(scan).limit:
            return session.limit_brush.radius_mm
        if brush is not None:
            dims = (0, 1, 2) if brush.n_edit_dimensions >= 3 else tuple(each for each in range(3) if each != axis)
            return radius_mm(brush, np.array(scan.display.geometry.spacing), dims)
        return float(session.levelset.bubble_mm) if session.tool == "bubble" else None

    @property
    def acts(self) -> bool:
        """Whether a press would do something else than show another place."""
        return self._brush() is not None or (self._desk.session.current is not None and bool(self._desk.session.tool))

    def _brush(self) -> Labels | None:
        """The label layer a brush is in hand for, on the grid of the scan."""
        layer: Any = self._viewer.layers.selection.active
        scan = self._desk.session.current
        if not isinstance(layer, Labels) or layer.mode not in BRUSHES or not layer.editable or scan is None or layer.multiscale:
            return None
        if layer.ndim != 3 or layer.data.shape != scan.display.geometry.shape or not isinstance(layer.data, np.ndarray):
            return None
        place = placement(scan.display.geometry)
        return layer if np.allclose(layer.translate, place["translate"]) and np.allclose(layer.scale, place["scale"]) else None

    def _seed(self, scan: Scan, voxel: Places) -> None:
        session = self._desk.session
        x, y, z = (round(v, 3) for v in _triple(scan.display.geometry.world(voxel)))
        session.set_seeds(scan, {**scan.seeds, session.chosen: (*scan.seeds.get(session.chosen, ()), (x, y, z))})


def radius_mm(layer: Labels, scale: Places, dims: tuple[int, ...]) -> float:
    """A brush's radius as napari counts it: its size is in voxels of the finest of the axes it paints."""
    return float(layer.brush_size / 2 * scale[list(dims)].min())


def _whole(voxel: Places) -> tuple[int, int, int]:
    z, y, x = (int(v) for v in np.rint(voxel))
    return z, y, x


def _triple(values: Any) -> tuple[float, float, float]:
    a, b, c = (float(v) for v in values)
    return a, b, c
