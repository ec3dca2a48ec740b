"""The views of one window: the panes beside napari's canvas, the place they share with it, and what the mouse does on it while they are on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QMainWindow

from napari_medseg.gui.canvas_mouse import CanvasMouse
from napari_medseg.gui.clicks import stays
from napari_medseg.gui.layers import placement
from napari_medseg.gui.levelling import Levelling
from napari_medseg.gui.ortho import Quad
from napari_medseg.gui.ortho_frame import Frame
from napari_medseg.gui.slice_bar import SliceBar
from napari_medseg.gui.views_veil import Cross, Veil
from napari_medseg.session.state import Scan
from napari_medseg.session.views import Places, hit, label_maps, plane_of

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk

DRAWS = ("paint", "erase", "fill", "polygon", "pick", "add", "select", "transform")


class ViewsTool(QObject):
    """Keeps the session's views and one viewer in step.

    Parameters
    ----------
    desk : Desk
    viewer : napari viewer
    """

    def __init__(self, desk: Desk, viewer: Any) -> None:
        super().__init__(desk)
        self._desk, self._viewer = desk, viewer
        self.views = desk.session.views
        self.level = Levelling(self.views, self.wanted)
        self.quad = Quad(desk, viewer, self.wanted, self.to_main, self.level)
        self.bar = SliceBar(desk)
        self._window: QMainWindow | None = None
        self._veil: Veil | None = None
        self._mouse: CanvasMouse | None = None
        self._own = self._closed = False
        session, dims = desk.session, viewer.dims
        self._wired = [
            (self.views.changed, self._on_changed), (self.views.moved, self._on_moved), (self.views.turned, self.quad.turned),
            (session.changed, self._on_session), (session.grid_changed, self._on_grid), (dims.events.point, self._on_point),
            (dims.events.order, self._on_order), (dims.events.ndisplay, self._on_order), (viewer.scene.camera.events, self._on_camera),
        ]
        for emitter, callback in self._wired:
            emitter.connect(callback)
        viewer.mouse_drag_callbacks.append(self._on_press)
        viewer.mouse_move_callbacks.append(self._on_mouse)
        self._letters = session.letters

    def attach(self, window: Any) -> None:
        """Use a window's canvas and status bar, once."""
        if self._window is None and isinstance(window, QMainWindow):
            self._window = window
            self.bar.attach(window)
            self._on_changed()

    def close(self) -> None:
        """Let the viewer go as it was before."""
        if self._closed:
            return
        self._closed = True
        for emitter, callback in self._wired:
            emitter.disconnect(callback)
        self.quad.close()
        self._put_away()
        self.bar.close()
        for callbacks, mine in ((self._viewer.mouse_drag_callbacks, self._on_press), (self._viewer.mouse_move_callbacks, self._on_mouse)):
            if mine in callbacks:
                callbacks.remove(mine)

    def wanted(self) -> Image | None:
        """The picture that is looked at: the current scan's, else the one that is selected, else the topmost in sight."""
        scan, layers = self._desk.session.current, self._viewer.layers
        if scan is not None:
            return self._desk.pictures.image(scan)
        active = layers.selection.active
        pictures = [layer for layer in layers if isinstance(layer, Image) and layer.visible]
        return active if isinstance(active, Image) else pictures[-1] if pictures else None

    def to_main(self, axis: int) -> None:
        """Bring the plane across an axis of the grid into napari's canvas, at the shared place."""
        dims = self._viewer.dims
        if dims.ndim < 3:
            return
        lead = dims.ndim - 3
        if dims.ndisplay == 3:
            dims.ndisplay = 2
        self._bring((axis,))
        down, across = (each for each in range(3) if each != axis)
        dims.order = (*range(lead), lead + axis, lead + down, lead + across)
        layer, grid = self.wanted(), self.views.grid
        if layer is not None and grid is not None:  # napari's camera would stay at the millimetres of other axes
            middle = self._to_world(layer, (np.array(grid.shape, float) - 1) / 2)
            self._viewer.scene.camera.center = (0.0, float(middle[down]), float(middle[across]))

    def toggle_ortho(self) -> None:
        """U: all four views, or the one."""
        if not self.views.ortho and self.views.grid is None:
            self.quad.look()
        self.views.toggle_ortho()

    # -- session -> viewer -------------------------------------------------------------------------------------------------------------------------------

    def _on_changed(self) -> None:
        """Other views are on."""
        if self._window is None:
            return
        if self.views.ortho:
            self._sync_from_dims()
            frame = Frame.of(self._window, self._viewer) if not self.quad.is_open else None
            if frame is not None:
                self.quad.open(frame)
        else:
            self.quad.close()
        wanted = self.views.ortho or self.views.levelling
        if wanted and self._mouse is None:
            self._mouse = CanvasMouse.of(self._window, self.views, self.level, self.step_main, self._say)
        if self._mouse is not None:
            self._mouse.listen(wanted)
        if (self.views.crosshair or self.views.ortho) and self._veil is None:
            self._veil = Veil.of(self._window, self._viewer, self._cross)
        if self._veil is not None:
            self._veil.show_cross(self.views.crosshair or self.views.ortho)
        self.bar.refresh()

    def _on_moved(self) -> None:
        """The shared place is another one: the canvas shows its slice."""
        if self._viewer.dims.ndisplay == 2:
            self._bring(self._across())
        self.quad.moved()
        if self._veil is not None:
            self._veil.follow()
        self.bar.refresh()

    def _bring(self, axes: tuple[int, ...]) -> None:
        layer, voxel = self.wanted(), self.views.voxel
        dims = self._viewer.dims
        if layer is None or voxel is None or self._own or dims.ndim < 3:
            return
        lead = dims.ndim - 3
        world = self._to_world(layer, np.array(voxel, float))
        self._own = True
        try:
            for axis in axes:
                step = float(dims.range[lead + axis].step)
                if abs(float(dims.point[lead + axis]) - world[axis]) > 0.49 * step:
                    dims.set_point(lead + axis, float(world[axis]))
        finally:
            self._own = False

    def _on_session(self) -> None:
        if self._letters != self._desk.session.letters:
            self._letters = self._desk.session.letters
            self.quad.moved()
        self.bar.refresh()

    def _on_grid(self, scan: Scan) -> None:
        if self._veil is not None:
            self._veil.follow()

    def _say(self, words: str) -> None:
        """What the window is while it is dragged, over the canvas."""
        if self._veil is None and self._window is not None:
            self._veil = Veil.of(self._window, self._viewer, self._cross)
        if self._veil is not None:
            self._veil.say(words)

    # -- viewer -> session -------------------------------------------------------------------------------------------------------------------------------

    def _across(self) -> tuple[int, ...]:
        """The axes of the grid that no view of the canvas shows: the one across the slice, none in 3D."""
        dims = self._viewer.dims
        lead = dims.ndim - 3
        return tuple(axis - lead for axis in dims.not_displayed if axis >= lead) if dims.ndim >= 3 else ()

    def _on_point(self, event: Any = None) -> None:
        if not self._own:
            self._sync_from_dims()

    def _sync_from_dims(self) -> None:
        """The slice in view is where the shared place lies."""
        layer, place, grid = self.wanted(), self.views.place, self.views.grid
        across = self._across()
        if layer is None or place is None or grid is None or not across or self._viewer.dims.ndisplay != 2:
            return
        voxel, here = grid.voxel(place), self._to_voxel(layer, np.array(self._viewer.dims.point, float)[-3:])
        for axis in across:
            voxel[axis] = round(float(here[axis]))
        self._own = True
        try:
            self.views.go_voxel(voxel)
        finally:
            self._own = False

    def _on_order(self, event: Any = None) -> None:
        """The canvas has turned: it shows the shared place in the other plane too."""
        if self.views.ortho or self.views.crosshair:
            self._bring(self._across())
        self.quad.arrange()
        if self._veil is not None:
            self._veil.follow()
        self.bar.refresh()

    def _on_camera(self, event: Any = None) -> None:
        if self._veil is not None:
            self._veil.follow()

    def step_main(self, by: int) -> None:
        """So many slices on in the canvas."""
        across = self._across()
        if across:
            self.views.step(across[0], by)

    def _on_mouse(self, viewer: Any, event: Any) -> None:
        """With Shift the shared place goes along with the mouse."""
        if "Shift" in event.modifiers and (self.views.ortho or self.views.crosshair) and viewer.dims.ndisplay == 2:
            self._go(np.array(event.position, float))

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        session, active = self._desk.session, viewer.layers.selection.active
        if event.button != 1 or str(getattr(active, "mode", "pan_zoom")) in DRAWS:
            return
        if viewer.dims.ndisplay == 3:
            way = (np.array(event.position, float), np.array(event.view_direction, float), list(viewer.dims.displayed))
            if (yield from stays(event)):
                self._pick(*way)
        elif not session.tool and (self.views.ortho or self.views.crosshair):
            place = np.array(event.position, float)
            if (yield from stays(event)):
                self._go(place)

    def _go(self, position: Places) -> None:
        layer, grid = self.wanted(), self.views.grid
        if layer is None or grid is None or len(position) < 3:
            return
        voxel = self._to_voxel(layer, position[-3:])
        if bool(grid.contains(voxel)):
            self.views.go_voxel(voxel)

    def _pick(self, position: Places, direction: Places, displayed: list[int]) -> None:
        """A click on a label in 3D takes the shared place to its surface, and the slices with it."""
        scan, layer = self._desk.session.current, self.wanted()
        if scan is None or layer is None:
            return
        start, end = layer.get_ray_intersections(position=position, view_direction=direction, dims_displayed=displayed, world=True)
        if start is None or end is None:
            return
        places = (self._to_voxel(layer, np.asarray(layer.data_to_world(end_of), float)[-3:]) for end_of in (start, end))
        voxel = hit(label_maps(scan), *places)
        if voxel is not None:
            self.views.go_voxel(voxel)
            self._bring((0, 1, 2))

    # -- places ------------------------------------------------------------------------------------------------------------------------------------------

    def _cross(self) -> Cross | None:
        """Where the shared place is on the axes that the canvas shows; None in 3D."""
        layer, place, grid = self.wanted(), self.views.place, self.views.grid
        dims = self._viewer.dims
        if layer is None or place is None or grid is None or dims.ndisplay != 2 or dims.ndim < 3:
            return None
        world = self._to_world(layer, grid.voxel(place))
        lead = dims.ndim - 3
        down, across = (axis - lead for axis in dims.displayed)
        if min(down, across) < 0:
            return None
        here = self.views.slice(self.quad.main_axis)
        title = f"{here.plane}  {here.place}" if here is not None and self.views.ortho else ""
        planes = plane_of(grid, down), plane_of(grid, across)
        return Cross(float(world[down]), float(world[across]), planes, title, plane_of(grid, self.quad.main_axis))

    def _to_world(self, layer: Image, voxel: Places) -> Places:
        place = self._scale(layer)
        return np.asarray(voxel * place[0] + place[1])

    def _to_voxel(self, layer: Image, world: Places) -> Places:
        place = self._scale(layer)
        return np.asarray((world - place[1]) / place[0])

    def _scale(self, layer: Image) -> tuple[Places, Places]:
        """Scale and translate of the grid that is looked at, in the canvas's world; somebody's own layer may show it mirrored, or in several resolutions."""
        scan, held = self._desk.session.current, self.quad.held
        if scan is not None:
            place = placement(scan.display.geometry)
            return np.array(place["scale"], float), np.array(place["translate"], float)
        if held is not None:
            return np.array(held.base.scale), np.array(held.base.translate)
        return np.array(layer.scale, float)[-3:], np.array(layer.translate, float)[-3:]

    def _put_away(self) -> None:
        if self._mouse is not None:
            self._mouse.listen(False)
        if self._veil is not None:
            self._veil.close()
        self._mouse = self._veil = None

