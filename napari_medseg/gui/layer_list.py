"""The viewer's layers as they come, go and are selected: a layer becomes a scan or its labels, and what was removed is let go."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer, Points, Surface
from psygnal import EmitLoopError

from napari_medseg.errors import GridMismatchError, MedsegError
from napari_medseg.gui import foreign, layers
from napari_medseg.gui.adding import Adding
from napari_medseg.session import barrier, showing
from napari_medseg.session.state import Scan, labels_for
from napari_medseg.volume import Array, Volume

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk

log = logging.getLogger(__name__)


class LayerList:
    """Listens to the viewer's list of layers for a desk."""

    def __init__(self, desk: Desk, adding: Adding) -> None:
        self._desk, self._session, self._viewer, self._adding = desk, desk.session, desk.viewer, adding
        self._declined: dict[Layer, str] = {}
        self._behind: dict[Labels, Scan] = {}
        self._numbers = count(1)
        desk.pictures.replaced = self._on_replaced
        self._session.scan_closed.connect(self._show_theirs)
        layers = self._viewer.layers
        layers.events.inserted.connect(self._on_inserted)
        layers.events.removed.connect(self._on_removed)
        layers.selection.events.active.connect(self._follow_selection)

    def begin(self) -> None:
        """Take the layers that were there before."""
        for layer in list(self._viewer.layers):
            self._take(layer)
        self._follow_selection()

    def close(self) -> None:
        """Let the viewer go."""
        layers = self._viewer.layers
        layers.events.inserted.disconnect(self._on_inserted)
        layers.events.removed.disconnect(self._on_removed)
        layers.selection.events.active.disconnect(self._follow_selection)
        self._desk.pictures.close()
        self._show_theirs()
        self._declined.clear()

    def _on_inserted(self, event: Any) -> None:
        if self._adding.active:
            return
        self._take(event.value)
        if self._session.current is not None:
            try:
                foreign.require_world(self._viewer, self._session.current.name)
            except MedsegError as error:
                self._session.report(error)

    def _on_removed(self, event: Any) -> None:
        try:
            self._let_go(event.value)
        except (RuntimeError, EmitLoopError) as error:
            if "after shutdown" not in str(error):
                raise
            # Viewer.close() ends asynchronous slicing first: layers that are still there can show nothing new
            log.info("The viewer is being closed", exc_info=True)
            self._desk.shut()

    def _let_go(self, layer: Layer) -> None:
        self._declined.pop(layer, None)
        self._behind.pop(layer, None)
        if self._desk.glimpse.lost(layer):
            self._session.refining.glimpse.switch(False)
            return
        if self._desk.disagreement.lost(layer):
            self._session.reviewing.agreement.show_heat(False)
            return
        if self._desk.doubt.lost(layer):
            self._session.doubt.switch(False)
            return
        if self._desk.looks.lost(layer):
            self._session.looks.switch(False)
            return
        if self._desk.found.lost(layer):
            return
        pointed = self._desk.prompts.lost(layer)
        for scan in self._session.scans:
            if id(scan) == pointed:
                self._session.prompting.clear(scan)
        closed = self._desk.pictures.lost(layer)
        if closed is not None:
            self._session.close(closed)
            return
        if isinstance(layer, Surface):
            self._desk.surface.lost(layer)
        if isinstance(layer, Points):
            key = self._desk.seeds.lost(layer)
            for scan in self._session.scans:
                if id(scan) == key:
                    self._session.set_seeds(scan, {})
        if isinstance(layer, Labels):
            self._lost_labels(layer)

    def _lost_labels(self, layer: Labels) -> None:
        found = self._desk.writer.lost(layer)
        scan = next((s for s in self._session.scans if found is not None and id(s) == found[0]), None)
        if scan is None or found is None:
            return
        if found[1] == "labels":
            self._session.study.settle()  # napari takes the labels away before the scan when its window closes
            scan.hold(None)
            self._show_theirs(scan)
        elif found[1] in ("preview", "outline") and scan.preview is not None:
            self._session.discard()
        elif found[1] == "barrier":
            barrier.forget(self._session, scan)
        elif found[1] == "limit":
            scan.limit = scan.limit_weight = None
            scan.limit_log.clear()
            edge = self._desk.writer.of(scan).limit_edge
            if edge is not None:
                edge.visible = False
        elif found[1] == "strokes":
            scan.strokes = None
            scan.stroke_log.clear()
            self._session.stroked(scan)
        self._session.set(tool="")

    # -- scans ---------------------------------------------------------------------------------------------------------------------------------------------

    def _take(self, layer: Layer) -> None:
        if isinstance(layer, Image):
            self._take_image(layer)
        elif isinstance(layer, Labels):
            self._take_labels(layer)

    def _take_image(self, layer: Image) -> None:
        try:
            layers.require_scan(layer)
            foreign.require_world(self._viewer, layer.name)
            if not foreign.is_elsewhere(layer):
                self._open(layer)
                return
            foreign.require_room(layer)
        except MedsegError as error:
            self._decline(layer, error)
            return
        self._read(layer, lambda voxels: self._open_read(layer, voxels))

    def _open_read(self, layer: Image, voxels: Array) -> None:
        try:
            self._open(layer, voxels)
        except MedsegError as error:
            self._decline(layer, error)

    def _open(self, layer: Image, voxels: Array | None = None) -> None:
        scan = self._desk.pictures.take(layer, voxels)
        if scan is not None:
            self._session.open(scan)
            self._desk.pictures.begin(scan)
            self._take_waiting_labels()

    def _decline(self, layer: Layer, error: MedsegError) -> None:
        self._declined[layer] = str(error).rstrip(".")
        if self._session.current is None:
            self._session.decline(self._declined[layer])

    def _on_replaced(self, scan: Scan, layer: Image) -> None:
        """Somebody put other voxels into a scan's layer: the same scan with other values, or another scan."""
        try:
            layers.require_scan(layer)
            if foreign.is_elsewhere(layer):
                foreign.require_room(layer)
        except MedsegError as error:
            self._session.close(scan)
            self._decline(layer, error)
            return
        if foreign.is_elsewhere(layer):
            self._read(layer, lambda voxels: self._exchange(scan, layer, voxels))
        else:
            self._exchange(scan, layer, np.asarray(layer.data))

    def _exchange(self, scan: Scan, layer: Image, voxels: Array) -> None:
        if scan not in self._session.scans:
            return
        if voxels.shape == scan.display.geometry.shape and scan.aside is None:
            showing.replace_values(self._session, scan, foreign.as_shown(layer, voxels))
            return
        self._session.close(scan)
        self._open_read(layer, voxels)

    def _read(self, layer: Image | Labels, then: Callable[[Array], None]) -> None:
        """Read the voxels of a layer that lie elsewhere, beside the window."""
        data = layer.data
        made: list[Array] = []

        def done() -> None:
            if layer in self._viewer.layers and layer.data is data:
                then(made[0])

        def failed(error: MedsegError) -> None:
            self._decline(layer, error)
            self._session.report(error)

        key, title = f"read {next(self._numbers)}", f"Reading {layer.name}"
        self._session.jobs.start(key, title, lambda: foreign.read(data, layer.name, made), apply=lambda tick: None, done=done, failed=failed, own_thread=True)

    # -- labels --------------------------------------------------------------------------------------------------------------------------------------------

    def _take_waiting_labels(self) -> None:
        """Label maps that were there before their scan."""
        ours = {layer for scan in self._session.scans for layer in self._desk.writer.of(scan).all()}
        for layer in list(self._viewer.layers):
            if isinstance(layer, Labels) and layer not in ours and layer not in self._desk.study_view.leaving:
                self._take_labels(layer)

    def _take_labels(self, layer: Labels, voxels: Array | None = None) -> None:
        """A label map that came from a file or another tool becomes the labels of the scan whose grid it lies on, if that has none.

        A layer of somebody else's stays as it is: what is worked on is a copy, and theirs is out of sight for as long as ours lies in its place.
        """
        elsewhere = voxels is None and foreign.is_elsewhere(layer)
        volume = layers.labels_volume(layer, np.broadcast_to(np.uint8(0), layer.data.shape) if elsewhere else voxels)
        scan = self._fitting(layer, volume) if volume is not None else None
        if scan is None or volume is None:
            return
        if elsewhere:
            self._read(layer, lambda values: self._take_labels(layer, values))
            return
        named = layer.metadata.get(layers.KEY, {}).get("classes", ())
        if layers.KEY not in layer.metadata:
            self._copy_labels(scan, layer, volume)
            return
        if showing.adopt_stored(self._session, scan, volume, named):
            layer.visible = False  # the scan's own layer shows them on the patient's axes
            return
        layer.metadata = {**layer.metadata, **layers.scan_metadata(scan)}
        self._desk.writer.take_over(scan, layer, self._session.classes)
        self._session.adopt_labels(scan, layer.data, named)
        self._desk.writer.recolour(self._session.classes)

    def _fitting(self, layer: Labels, volume: Volume) -> Scan | None:
        """The scan without labels whose grid a label map lies on."""
        for scan in self._session.scans:
            if scan.labels is not None:
                continue
            if scan.aside is not None and scan.aside.axes.geometry(scan.geometry).matches(volume.geometry):
                return scan
            try:
                labels_for(scan, volume)
            except GridMismatchError:
                continue
            return scan
        return None

    def _copy_labels(self, scan: Scan, layer: Labels, volume: Volume) -> None:
        try:
            values = foreign.as_classes(volume.array, layer.name)
        except MedsegError as error:
            self._session.set(notice=str(error).rstrip("."))
            return
        if scan.aside is not None:
            showing.adopt_stored(self._session, scan, replace(volume, array=values))
        else:
            self._session.adopt_labels(scan, values)
        if layer.visible:
            layer.visible = False
            self._behind[layer] = scan
        self._session.set(notice=f"Medseg works on a copy of {layer.name}; that layer stays as it is, hidden while the copy is shown")

    def _show_theirs(self, scan: Scan | None = None) -> None:
        """Layers that ours lay in the place of are in sight again."""
        for layer in [layer for layer, of in self._behind.items() if scan is None or of is scan]:
            del self._behind[layer]
            if layer in self._viewer.layers:
                layer.visible = True

    def _follow_selection(self, event: Any = None) -> None:
        active = self._viewer.layers.selection.active
        if active is None or self._adding.active:
            return
        if active in self._declined and not self._session.scans:
            self._session.decline(self._declined[active])
            return
        scan = self._desk.pictures.scan_of(active)
        if scan is not None and scan is not self._session.current:
            self._session.activate(scan)
