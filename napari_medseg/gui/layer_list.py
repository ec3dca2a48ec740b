"""The viewer's layers as they come, go and are selected: a layer becomes a scan or its labels, and what was removed is let go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Layer, Points, Surface

from napari_medseg.errors import GridMismatchError, MedsegError
from napari_medseg.gui import layers
from napari_medseg.gui.adding import Adding
from napari_medseg.session import barrier, showing
from napari_medseg.session.state import labels_for

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk


class LayerList:
    """Listens to the viewer's list of layers for a desk."""

    def __init__(self, desk: Desk, adding: Adding) -> None:
        self._desk, self._session, self._viewer, self._adding = desk, desk.session, desk.viewer, adding
        self._declined: dict[Layer, str] = {}
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

    def _on_inserted(self, event: Any) -> None:
        if not self._adding.active:
            self._take(event.value)

    def _on_removed(self, event: Any) -> None:
        layer = event.value
        self._declined.pop(layer, None)
        if self._desk.glimpse.lost(layer):
            self._session.refining.glimpse.switch(False)
            return
        if self._desk.disagreement.lost(layer):
            self._session.reviewing.agreement.show_heat(False)
            return
        if self._desk.doubt.lost(layer):
            self._session.doubt.switch(False)
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

    def _take(self, layer: Layer) -> None:
        if isinstance(layer, Image):
            try:
                scan = self._desk.pictures.take(layer)
            except MedsegError as error:
                self._declined[layer] = str(error).rstrip(".")
                if self._session.current is None:
                    self._session.decline(self._declined[layer])
                return
            if scan is not None:
                self._session.open(scan)
                self._desk.pictures.begin(scan)
                self._take_waiting_labels()
        elif isinstance(layer, Labels):
            self._take_labels(layer)

    def _take_waiting_labels(self) -> None:
        """Label maps that were there before their scan."""
        ours = {layer for scan in self._session.scans for layer in self._desk.writer.of(scan).all()}
        for layer in list(self._viewer.layers):
            if isinstance(layer, Labels) and layer not in ours:
                self._take_labels(layer)

    def _take_labels(self, layer: Labels) -> None:
        """A label map that came from a file or another tool becomes the labels of the scan whose grid it lies on, if that has none."""
        volume = layers.labels_volume(layer)
        for scan in self._session.scans if volume is not None else ():
            if scan.labels is not None or volume is None:
                continue
            named = layer.metadata.get(layers.KEY, {}).get("classes", ())
            if showing.adopt_stored(self._session, scan, volume, named):
                layer.visible = False  # the scan's own layer shows them on the patient's axes
                return
            try:
                labels_for(scan, volume)
            except GridMismatchError:
                continue
            layer.metadata = {**layer.metadata, **layers.scan_metadata(scan)}
            self._desk.writer.take_over(scan, layer, self._session.classes)
            self._session.adopt_labels(scan, layer.data, named)
            self._desk.writer.recolour(self._session.classes)
            return

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
