"""The Image layers of the open scans, one a channel: kept in step with the channel, window and axes that the session says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from napari.layers import Image, Layer

from napari_medseg.gui import layers
from napari_medseg.gui.layers import KEY, move_layer
from napari_medseg.session import showing
from napari_medseg.session.session import Session
from napari_medseg.session.state import Scan
from napari_medseg.volume import Array, FloatArray, Volume
from napari_medseg.volume.windows import Window

FILLED = 0.95  # of the canvas, when a scan is brought into view


class Pictures:
    """Layers of scans.

    Parameters
    ----------
    session : Session
    viewer : napari viewer

    Attributes
    ----------
    replaced : callable
        Told of a scan and its layer when somebody else put other voxels into the layer.
    """

    def __init__(self, session: Session, viewer: Any) -> None:
        self._session, self._viewer = session, viewer
        self.replaced: Callable[[Scan, Image], None] = lambda scan, layer: None
        self._of: dict[int, dict[int, Image]] = {}
        self._scans: dict[int, Scan] = {}
        self._shown: dict[Image, Any] = {}
        self._ears: dict[Image, list[tuple[Any, Callable[[Any], None]]]] = {}
        self._own = False
        session.window_changed.connect(self._on_window)
        session.channel_changed.connect(self._on_channel)
        session.grid_changed.connect(self._on_grid)

    def take(self, layer: Image, voxels: Array | None = None) -> Scan | None:
        """A scan of a layer that was added; None when it is one more channel of a scan that is open.

        Parameters
        ----------
        layer : Image
        voxels : (z, y, x), optional
            Its data, where it was read from elsewhere.

        Raises
        ------
        InvalidInputError
            When it is no scan; says why.
        """
        study = layer.metadata.get(KEY, {}).get("study")
        index = int(layer.metadata.get(KEY, {}).get("channel", 0))
        for key, held in self._of.items():
            if study is not None and any(other.metadata.get(KEY, {}).get("study") is study for other in held.values()):
                held[index] = layer
                self._listen(self._scans[key], layer, index)
                return None
        scan = layers.adopt(layer, voxels)
        self._of[id(scan)], self._scans[id(scan)] = {scan.channel: layer}, scan
        self._listen(scan, layer, scan.channel)
        return scan

    def begin(self, scan: Scan) -> None:
        """Show a scan that was just opened through the window its kind was last shown with."""
        layer = self.image(scan)
        if layer is None:
            return
        self._bring_into_view(layer)
        preset = self._session.windows.first(scan.display)
        if KEY in layer.metadata:
            showing.set_window(self._session, scan, preset.of(scan.display.array), preset.key)
        else:
            self._as_it_is(scan, layer)

    def fit(self, scan: Scan) -> None:
        """Show a scan whole, from its middle, whatever else is in the viewer."""
        layer = self.image(scan)
        if layer is not None and self._viewer.dims.ndim == layer.ndim:
            low, high = layer.extent.world
            self._show_whole(np.array(low), np.array(high))

    def coming(self, layer: Image) -> None:
        """The voxels of a layer's scan still come."""
        scan = self.scan_of(layer)
        if scan is not None:
            scan.arriving = True

    def arrived(self, layer: Image) -> None:
        """All voxels of a layer's scan are there; where some had to be replaced they may lie in other memory."""
        scan = self.scan_of(layer)
        if scan is None:
            return
        scan.channels = layer.metadata[KEY]["study"].channels
        scan.display, scan.arriving = scan.channels[scan.channel], False
        if scan.preset:
            showing.choose_window(self._session, scan, scan.preset)
        self._session.changed.emit()

    def image(self, scan: Scan) -> Image | None:
        """The layer of the channel that is worked on."""
        return self._of.get(id(scan), {}).get(scan.channel)

    def all(self, scan: Scan) -> tuple[Image, ...]:
        """The layers of all its channels."""
        return tuple(self._of.get(id(scan), {}).values())

    def scan_of(self, layer: Layer) -> Scan | None:
        """The scan that a layer shows."""
        return next((self._scans[key] for key, held in self._of.items() if layer in held.values()), None)

    def lost(self, layer: Layer) -> Scan | None:
        """A layer was removed; the scan that goes with it, None when it still has another channel to show or was none of ours."""
        scan = self.scan_of(layer)
        if scan is None:
            return None
        held = self._of[id(scan)]
        gone = next(index for index, each in held.items() if each is layer)
        del held[gone]
        self._unlisten(layer)
        if not held:
            return scan
        if scan.overlay == gone:
            scan.overlay = None
        if scan.channel == gone:
            showing.choose_channel(self._session, scan, next(iter(held)))
        return None

    def forget(self, scan: Scan) -> None:
        """The scan is closed; its layers stay with the person."""
        for layer in self._of.pop(id(scan), {}).values():
            self._unlisten(layer)
        self._scans.pop(id(scan), None)

    def close(self) -> None:
        """Let every layer go."""
        for layer in list(self._ears):
            self._unlisten(layer)

    def volumes(self, chosen: Iterable[Layer]) -> list[Volume]:
        """The scans that layers show, on the grids of their files, each once."""
        found: list[Volume] = []
        for layer in chosen:
            scan = self.scan_of(layer)
            if scan is not None:
                index = next(i for i, each in self._of[id(scan)].items() if each is layer)
                found.append(scan.source_of(index))
        return found

    # -- inside --------------------------------------------------------------------------------------------------------------------------------------------

    def _bring_into_view(self, layer: Image) -> None:
        """A scan of another place than the one in view would not be seen: go to its middle then, and only then."""
        dims, camera = self._viewer.dims, self._viewer.scene.camera
        if dims.ndim != layer.ndim:
            return
        low, high = (np.array(side) for side in layer.extent.world)
        shown, centre = list(dims.displayed), np.array(camera.center, float)
        place = np.array(dims.point, float)
        place[shown] = centre[-len(shown):]
        if not ((low <= place) & (place <= high)).all():
            self._show_whole(low, high)

    def _show_whole(self, low: FloatArray, high: FloatArray) -> None:
        """Go to the middle of a box of napari's world, and fill the canvas with it."""
        dims, camera = self._viewer.dims, self._viewer.scene.camera
        shown, centre, middle = list(dims.displayed), np.array(camera.center, float), (low + high) / 2
        for axis in dims.not_displayed:
            dims.set_point(axis, float(middle[axis]))
        centre[-len(shown):] = middle[shown]
        camera.center = tuple(centre)
        if dims.ndisplay == 2:
            camera.zoom = FILLED * float((np.array(self._viewer.canvas.size) / np.maximum((high - low)[shown], 1e-6)).min())

    def _as_it_is(self, scan: Scan, layer: Image) -> None:
        """Somebody's own layer is shown as they show it."""
        self._own = True
        try:
            showing.set_window(self._session, scan, Window.between(*map(float, layer.contrast_limits)))
        finally:
            self._own = False

    def _listen(self, scan: Scan, layer: Image, index: int) -> None:
        self._shown[layer] = layer.data
        ears: list[tuple[Any, Callable[[Any], None]]] = [
            (layer.events.contrast_limits, lambda event: self._on_limits(scan, layer, index)), (layer.events.data, lambda event: self._on_data(scan, layer)),
        ]
        for emitter, ear in ears:
            emitter.connect(ear)
        self._ears[layer] = ears

    def _unlisten(self, layer: Image) -> None:
        self._shown.pop(layer, None)
        for emitter, ear in self._ears.pop(layer, []):
            emitter.disconnect(ear)

    def _on_data(self, scan: Scan, layer: Image) -> None:
        """Somebody put other voxels into a scan's layer. Those that we put there come from the scan itself, or from a file that is still being read."""
        if layer.data is self._shown.get(layer) or scan.arriving or any(layer.data is channel.array for channel in scan.channels):
            self._shown[layer] = layer.data
            return
        self._shown[layer] = layer.data
        self.replaced(scan, layer)

    def _on_limits(self, scan: Scan, layer: Image, index: int) -> None:
        held = self._of.get(id(scan), {})
        if not self._own and scan.channel == index and index in held and held[index] is layer:
            low, high = layer.contrast_limits
            showing.set_window(self._session, scan, Window.between(float(low), float(high)))

    def _on_window(self, scan: Scan) -> None:
        layer = self.image(scan)
        if layer is not None and scan.window is not None and not self._own:
            self._own = True
            try:
                layer.contrast_limits = scan.window.limits
            finally:
                self._own = False

    def _on_channel(self, scan: Scan) -> None:
        held = self._of.get(id(scan), {})
        if len(scan.channels) > 1 and not self._in_colour(scan):
            for index, layer in held.items():
                on_top = index == scan.overlay
                layer.visible = on_top or index == scan.channel
                layer.opacity = scan.blend if on_top else 1.0
                layer.colormap = "hot" if on_top else "gray"
            shown = [layer for layer in self._viewer.layers if layer in held.values() and layer.visible]
            for position, layer in enumerate(shown):
                layer.blending = "additive" if position else "translucent"
        if scan.window is None and self.image(scan) is not None:
            self.begin(scan)

    def _in_colour(self, scan: Scan) -> bool:
        """Whether the channels are the colours of a picture, which stay as they are."""
        layer = self.image(scan)
        study = layer.metadata.get(KEY, {}).get("study") if layer is not None else None
        return study is not None and study.in_colour

    def _on_grid(self, scan: Scan) -> None:
        """The scan lies on another display grid: its layers move there, and the same place of the patient stays in view."""
        held = self._of.get(id(scan), {})
        first = next(iter(held.values()), None)
        if first is None:
            return
        facts = first.metadata[KEY]
        before, after = facts["axes"].geometry(facts["geometry"]), scan.display.geometry
        was = np.array(first.scale), np.array(first.translate)
        for index, layer in held.items():
            layer.metadata = {**layer.metadata, KEY: {**layer.metadata[KEY], "axes": scan.axes}}
            move_layer(layer, scan.channels[index].array, after)
        self._keep_place(first, before, after, was)

    def _keep_place(self, layer: Image, before: Any, after: Any, was: tuple[Any, Any]) -> None:
        viewer = self._viewer
        if viewer.dims.ndim != 3:
            return
        centre = np.array(viewer.dims.point, float)
        shown = list(viewer.dims.displayed)
        camera = np.array(viewer.scene.camera.center, float)
        centre[shown] = camera[-len(shown):]
        place = before.world((centre - was[1]) / was[0])
        now = layers.to_world(after, after.voxel(place))
        viewer.dims.set_point(range(3), now)
        camera[-len(shown):] = now[shown]
        viewer.scene.camera.center = tuple(camera)
