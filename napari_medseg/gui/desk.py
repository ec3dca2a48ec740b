"""One desk a viewer: its session, and the wiring between the session and the viewer's layers. Docks come and go; the desk stays while one is open."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image, Labels, Layer, Points, Surface
from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Qt, QTimer, Signal
from qtpy.QtWidgets import QApplication

from napari_medseg.annotation import LabelClass
from napari_medseg.errors import GridMismatchError, InvalidInputError, MedsegError
from napari_medseg.gui import layers
from napari_medseg.gui.bubble import BubbleTool
from napari_medseg.gui.doubt_layer import DoubtLayers
from napari_medseg.gui.drops import Drops
from napari_medseg.gui.glimpse_layer import GlimpseLayers
from napari_medseg.gui.keys import Keys
from napari_medseg.gui.labels_writer import LabelsWriter
from napari_medseg.gui.opening import Opener
from napari_medseg.gui.picking import PickTool
from napari_medseg.gui.pictures import Pictures
from napari_medseg.gui.pointing import TOOLS as POINTING
from napari_medseg.gui.pointing import PointingTool
from napari_medseg.gui.prompt_layers import PromptLayers
from napari_medseg.gui.reader import is_ours
from napari_medseg.gui.readout import CursorLine, EdgeLetters
from napari_medseg.gui.right_mark import RightMark
from napari_medseg.gui.rulers import RulerTool
from napari_medseg.gui.seeds import SeedLayers
from napari_medseg.gui.study_view import StudyView
from napari_medseg.gui.surface import PreviewSurface
from napari_medseg.gui.turns import show
from napari_medseg.session import barrier, levelset_live, showing
from napari_medseg.session.rulers import KINDS as RULERS
from napari_medseg.session.session import Session
from napari_medseg.session.state import Mode, Scan, labels_for
from napari_medseg.session.study import is_study
from napari_medseg.volume import Array

log = logging.getLogger(__name__)
REFRESH_MS = 30
BEGIN_MS = 150  # a front that was just told to run has the machine to itself for so long, or until its first mask is drawn

_desks: WeakKeyDictionary[Any, Desk] = WeakKeyDictionary()


def desk_for(viewer: Any) -> Desk:
    """The desk of a viewer, made for the first dock that opens; all its docks share it."""
    real = getattr(viewer, "__wrapped__", viewer)
    desk = _desks.get(real)
    if desk is None:
        desk = _desks[real] = Desk(real)
    return desk


@atexit.register
def _shut_all() -> None:
    """A script ends with its window open: what is left is stopped while Qt's objects still live."""
    for desk in list(_desks.values()):
        desk.shut()


def find_desk(viewer: Any) -> Desk | None:
    """The desk of a viewer that has one."""
    return _desks.get(getattr(viewer, "__wrapped__", viewer))


def classes_of(scan: Scan) -> tuple[LabelClass, ...]:
    """The classes of the session that a scan is open in; () when it is in none."""
    return next((tuple(desk.session.classes) for desk in _desks.values() if scan in desk.session.scans), ())


class _Dispatcher(QObject):
    """Brings a function from any thread to the one Qt runs on, in order."""

    _call = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._call.connect(self._run, Qt.ConnectionType.QueuedConnection)
        self._open = True

    def __call__(self, function: Callable[[], None]) -> None:
        if self._open:
            try:
                self._call.emit(function)
            except RuntimeError:  # the window is gone while a worker still spoke
                self._open = False

    def close(self) -> None:
        self._open = False

    def _run(self, function: Callable[[], None]) -> None:
        if self._open:
            function()


class Desk(QObject):
    """Session and viewer, kept in step.

    Attributes
    ----------
    session : Session
    refreshed : signal
        At most every 30 ms, after anything in the session changed; docks draw themselves from it. While a result grows on the canvas they do so together with
        it: with each that is drawn the whole window is put together anew.
    rethemed : signal of str
        The viewer's theme changed.
    naming : signal
        The person wants to save a version under a name; the Cases dock asks for it.
    moved : signal
        Another slice is in view.
    """

    refreshed = Signal()
    rethemed = Signal(str)
    naming = Signal()
    moved = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.viewer = viewer
        self._dispatcher = _Dispatcher(self)
        self.session = Session(self._dispatcher)
        self.writer = LabelsWriter(self.session, self._add, viewer.layers.events.blocker, self)
        self.seeds = SeedLayers(self.session, self._add)
        self.surface = PreviewSurface(self.session, viewer, self._add, self)
        self.prompts = PromptLayers(self.session, self._add)
        self.doubt = DoubtLayers(self.session, self._add_over)
        self.disagreement = DoubtLayers(self.session, self._add_over, "disagreement", self._disagreement)
        self.glimpse = GlimpseLayers(self.session, self._add_over)
        self.bubble = BubbleTool(self, viewer)
        self.pointing = PointingTool(self, viewer)
        self.picking = PickTool(self, viewer)
        self.keys = Keys(viewer, self)
        self.pictures = Pictures(self.session, viewer)
        self.rulers = RulerTool(self, viewer, self._add)
        self.opener = Opener(self.session, viewer, self.pictures, self)
        self.drops = Drops(lambda path: is_study(path) or is_ours(path), self.open_path, self)
        self.letters = EdgeLetters(self.session, viewer, self)
        self.right_mark = RightMark(viewer)
        self.cursor_line = CursorLine(self.session, viewer, self.pictures, self)
        self.study_view = StudyView(self, viewer)
        self._declined: dict[Layer, str] = {}
        self._users = 0
        self._over = False
        self._adding = self._behind = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._refresh)
        self.writer.redrawing.connect(self._refresh_too)
        self._connect()
        for layer in list(viewer.layers):
            self._take(layer)
        self._follow_selection()

    # -- docks -----------------------------------------------------------------------------------------------------------------------------------------

    def enter(self) -> None:
        """A dock opened."""
        self._users += 1
        self.keys.bind()

    def leave(self) -> None:
        """A dock went; with the last one the work stops and the keys are napari's again."""
        self._users -= 1
        if self._users <= 0:
            self.shut()

    def shut(self) -> None:
        """Stop everything and let the viewer go; a second time there is nothing left to stop."""
        if self._over:
            return
        self._over = True
        if _desks.get(self.viewer) is self:
            del _desks[self.viewer]
        self._dispatcher.close()
        self._timer.stop()
        self.session.set(tool="")
        self.opener.close()
        self.writer.close()
        self.bubble.close()
        self.pointing.close()
        self.picking.close()
        self.rulers.close()
        self.drops.close()
        self.letters.close()
        self.right_mark.close()
        self.cursor_line.close()
        self.study_view.close()
        self.session.shut()
        self.keys.unbind()
        layers = self.viewer.layers
        self.viewer.events.theme.disconnect(self._on_theme)
        self.viewer.dims.events.ndisplay.disconnect(self._on_display)
        self.viewer.dims.events.order.disconnect(self._on_order)
        self.viewer.dims.events.current_step.disconnect(self._on_slice)
        layers.events.inserted.disconnect(self._on_inserted)
        layers.events.removed.disconnect(self._on_removed)
        layers.selection.events.active.disconnect(self._follow_selection)

    # -- what docks ask for ------------------------------------------------------------------------------------------------------------------------------

    def image(self, scan: Scan) -> Image | None:
        """The layer a scan is shown by."""
        return self.pictures.image(scan)

    def focus(self) -> int | None:
        """Display slice in view of the current scan."""
        return self.slice_in_view(0)

    def run(self) -> None:
        """Run what the open tab is for, from the slice in view."""
        self.session.run(self.focus())

    def arm(self, tool: str) -> None:
        """Turn a canvas tool on, or off when it is on."""
        session = self.session
        try:
            if tool == "limit":
                session.begin_limit()
            elif tool in POINTING or (tool == "scribbles" and session.tab == "segment"):
                session.prompting.arm(tool)  # type: ignore[arg-type]
            elif tool == "scribbles":
                session.begin_scribbles()
            elif tool == "barrier":
                barrier.begin(session)
            elif tool == "bubble":
                levelset_live.begin_bubble(session)
            elif tool == "pick":
                session.begin_pick()
            elif tool in RULERS:
                session.reviewing.rulers.arm(tool)
            elif session.current is None:
                raise InvalidInputError(session.declined or "no scan is open", where="Seeds", todo="Drop a scan on the window, or try a sample")
            else:
                session.set(tool="" if session.tool == "seeds" else "seeds")
        except MedsegError as error:
            session.report(error)

    def enter_mode(self, mode: Mode) -> None:
        """Turn to one of the weak-label tools; one that begins with a brush has it in hand at once."""
        self.session.set(mode=mode)
        if mode in ("scribbles", "limit") and self.session.current is not None and not self.session.current.arriving:
            self.arm(mode)

    def paint_labels(self) -> None:
        """Put napari's brush on the accepted labels into the person's hand, with the chosen class; empty labels are begun."""
        session, scan = self.session, self.session.current
        if scan is None or scan.arriving:
            return
        if scan.labels is None:
            scan.hold_nothing()
            session.labels_changed.emit(scan, None)
        session.set(tool="")
        layer = self.writer.of(scan).labels
        if layer is not None and layer in self.viewer.layers:
            layer.visible, layer.selected_label = True, session.chosen
            self.viewer.layers.selection.active = layer
            layer.mode = "paint"

    def slice_in_view(self, axis: int) -> int | None:
        """Display slice that is looked at along an axis of the current scan."""
        scan = self.session.current
        layer = self.pictures.image(scan) if scan is not None else None
        if scan is None or layer is None:
            return None
        index = round(float(layer.world_to_data(self.viewer.dims.point)[axis]))
        return int(np.clip(index, 0, scan.display.geometry.shape[axis] - 1))

    def show_slice(self, axis: int, index: int) -> None:
        """Go to a display slice of the current scan; the plane in view is turned to it where it is another one."""
        scan = self.session.current
        layer = self.pictures.image(scan) if scan is not None else None
        if scan is None or layer is None:
            return
        dims = self.viewer.dims
        if dims.ndisplay == 2 and axis in dims.displayed:
            dims.order = (axis, *(each for each in range(3) if each != axis))
        voxel = [0.0, 0.0, 0.0]
        voxel[axis] = index
        dims.set_point(axis, float(layer.data_to_world(voxel)[axis]))

    def step(self) -> None:
        """Let the level set make one update."""
        self._or_report(levelset_live.step)

    def rewind(self) -> None:
        """Take the level set's last update back."""
        self._or_report(levelset_live.rewind)

    def show_neck(self) -> None:
        """Bring the narrow neck a front went through into the middle of the view."""
        scan = self.session.current
        layer = self.pictures.image(scan) if scan is not None else None
        if scan is None or layer is None or scan.preview is None or scan.preview.neck is None:
            return
        self._bring(scan, scan.preview.neck)

    def _bring(self, scan: Scan, voxel: tuple[int, int, int]) -> None:
        """Bring a voxel of a scan into the middle of the view."""
        layer = self.pictures.image(scan)
        if layer is None:
            return
        place = np.array(layer.data_to_world(voxel), float)
        self.viewer.dims.set_point(range(3), place)
        centre = np.array(self.viewer.scene.camera.center, float)
        shown = list(self.viewer.dims.displayed)
        centre[-len(shown):] = place[shown]
        self.viewer.scene.camera.center = tuple(centre)

    def next_prompt_tool(self) -> None:
        """Take the next prompt tool in the hand."""
        self._or_report(lambda session: session.prompting.next_tool())

    def new_object(self) -> None:
        """Begin another object of the chosen class."""
        self._or_report(lambda session: session.prompting.new_object())

    def start_from_label(self) -> None:
        """The accepted label of the chosen class is what the segmenter starts from."""
        self._or_report(lambda session: session.prompting.start_from_label())

    def go_to_doubt(self, by: int) -> None:
        """Go to the next place the segmenter is not sure of, or to the one before."""
        self._or_report(lambda session: session.doubt.go(by))

    def go_to_disagreement(self, by: int) -> None:
        """Go to the axial slice on which annotators disagree most, then to the next, or to the one before."""
        scan = self.session.current
        spot = self.session.reviewing.agreement.step(by)
        if scan is not None and spot is not None:
            self.show_slice(0, spot[0])
            self._bring(scan, spot)

    def mark_right(self) -> None:
        """The slice in view is right, or not after all."""
        axis = self._along()
        index = self.slice_in_view(axis) if axis is not None else None
        self._or_report(lambda session: session.verified.toggle(-1 if index is None else index, axis or 0))

    def is_right(self) -> bool:
        """Whether the slice in view is marked as right."""
        scan, axis = self.session.current, self._along()
        return scan is not None and axis is not None and self.slice_in_view(axis) in self.session.verified.of(scan, axis)

    def propose_rest(self) -> None:
        """Propose the other slices of the current scan from those that were corrected."""
        self._or_report(lambda session: session.rest.start())

    def _along(self) -> int | None:
        """The axis of the display grid that the flat view looks along; None in 3D."""
        dims = self.viewer.dims
        return int(dims.order[0]) - (dims.ndim - 3) if dims.ndisplay == 2 and dims.ndim >= 3 else None

    def clear_barrier(self) -> None:
        """Remove the current scan's barrier; Ctrl+Z on its layer brings it back."""
        if self.session.current is not None:
            barrier.clear(self.session, self.session.current)

    def _or_report(self, act: Callable[[Session], object]) -> None:
        try:
            act(self.session)
        except MedsegError as error:
            self.session.report(error)

    def name_version(self) -> None:
        """Save a version of the labels: under a name where the Cases dock is there to ask for one."""
        if self.receivers(self.naming):
            self.naming.emit()
        else:
            self.session.study.save_version()

    def clear_seeds(self) -> None:
        """Remove the chosen class's seeds from the current scan."""
        scan = self.session.current
        if scan is not None:
            self.session.set_seeds(scan, {v: p for v, p in scan.seeds.items() if v != self.session.chosen})

    def combine_selected(self) -> None:
        """Show the selected scans as the channels of one more."""
        chosen = self.viewer.layers.selection
        self.opener.combine(self.pictures.volumes(layer for layer in self.viewer.layers if layer in chosen))

    def open_path(self, path: Path, series: str | None = None) -> None:
        """Open a study, or a scan beside the window."""
        if is_study(path):
            self.session.study.open(path)
        else:
            self.opener.open(path, series)

    def open_sample(self, key: str) -> None:
        """Open a sample scan through napari, as its own menu would."""
        self.viewer.open_sample("napari-medseg", key)

    # -- session -> viewer ---------------------------------------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        session, viewer = self.session, self.viewer
        session.changed.connect(self._on_changed)
        session.scan_closed.connect(self._on_scan_closed)
        session.preview_changed.connect(self._on_preview)
        session.labels_changed.connect(self._on_labels)
        session.painted_over.connect(self.writer.show_painted)
        session.place.connect(self._bring)
        session.classes_changed.connect(self._on_classes)
        session.grid_changed.connect(self._on_grid)
        session.problem.connect(self._say)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.selection.events.active.connect(self._follow_selection)
        viewer.events.theme.connect(self._on_theme)
        viewer.dims.events.ndisplay.connect(self._on_display)
        viewer.dims.events.order.connect(self._on_order)
        viewer.dims.events.current_step.connect(self._on_slice)
        self._armed = ("", 0, 0, False)

    def _disagreement(self, scan: Scan) -> Array | None:
        return self.session.reviewing.agreement.shown if scan is self.session.current else None

    def _on_theme(self, event: Any) -> None:
        self.rethemed.emit(str(self.viewer.theme))

    def _on_display(self, event: Any) -> None:
        self.writer.show_flat(self.session.current, self.viewer.dims.ndisplay == 2)
        self.surface.follow(self.session.current)

    def _on_order(self, event: Any) -> None:
        self.prompts.look_along(self.viewer.dims.order[0])
        if self.session.current is not None:
            self.prompts.show(self.session.current)

    def _on_slice(self, event: Any) -> None:
        """A network that runs follows the scrolling."""
        if self.session.jobs.active:
            self.session.in_view = self.focus()
        self.right_mark.show(self.is_right())
        self.moved.emit()

    def _on_changed(self) -> None:
        self._follow_tool()
        self._behind = True
        if not self._timer.isActive():
            front = self.session.front
            begins = front is not None and front.state == "running" and not front.updates
            self._timer.start(BEGIN_MS if begins else REFRESH_MS)

    def _refresh(self) -> None:
        if self._behind and not self.writer.is_waiting:
            self._behind = False
            self.refreshed.emit()

    def _refresh_too(self) -> None:
        """The canvas is drawn now: docks that are behind draw themselves too."""
        if self._behind:
            self._timer.stop()
            self._behind = False
            self.refreshed.emit()

    def _follow_tool(self) -> None:
        session, scan = self.session, self.session.current
        wanted = (session.tool, id(scan), session.chosen, session.background)
        if scan is not None:
            self.seeds.show(scan)
            self.prompts.show(scan)
            self.doubt.show(scan)
            self.disagreement.show(scan)
            self.glimpse.show()
            self.writer.follow_brush(scan)
            self.writer.follow_front(scan, session.classes)
        self.right_mark.show(self.is_right())
        if wanted == self._armed:
            return
        was, self._armed = self._armed, wanted
        if scan is None:
            return
        layer: Layer | None = None
        self.writer.expect(scan if session.tool in ("seeds", "bubble", "scribbles", *POINTING) else None, grows=session.tool in ("seeds", "bubble"))
        if session.tool in POINTING:
            self.prompts.prepare(scan)
        if session.tool == "seeds":
            layer = self.seeds.arm(scan)
        elif session.tool in ("limit", "scribbles"):
            layer = self.writer.brush(scan, session.tool, session.classes)
            if layer is not None and session.tool == "scribbles":
                layer.selected_label = 255 if session.background else session.chosen
        elif session.tool == "barrier":
            layer = self.writer.barrier_brush(scan)
        elif session.tool in ("bubble", "pick", *RULERS, *POINTING):
            layer = self.pictures.image(scan)
        elif was[0]:
            layer = self.pictures.image(scan)
            self._disarm(scan)
        if session.tool != "bubble":
            self.bubble.disarm()
        if session.tool not in POINTING:
            self.pointing.disarm()
        self.seeds.follow_class(scan)
        held = self.writer.of(scan)
        if held.labels is not None:
            held.labels.selected_label = session.chosen
        if layer is not None and layer in self.viewer.layers:
            show(layer, True)
            self.viewer.layers.selection.active = layer
            if session.tool == "bubble" and isinstance(layer, Image):
                self.bubble.arm(layer)
            elif session.tool in POINTING and isinstance(layer, Image):
                self.pointing.arm(layer, session.tool)
            elif session.tool in ("pick", *RULERS):
                layer.mode = "pan_zoom"
            elif session.tool == "limit":
                layer.mode = "erase" if session.limit_brush.erase else "paint"
            elif session.tool:  # after it is selected: napari takes the mode of a layer that is not
                layer.mode = "add" if session.tool == "seeds" else "paint"

    def _disarm(self, scan: Scan) -> None:
        held = self.writer.of(scan)
        for layer in (self.seeds.get(scan), held.limit, held.strokes, held.barrier):
            if layer is not None:
                layer.mode = "pan_zoom"

    def _on_preview(self, scan: Scan, box: object) -> None:
        self.writer.show_preview(scan, self.session.classes)
        self.surface.follow(scan)
        if box is not None:
            self._on_changed()

    def _on_labels(self, scan: Scan, box: object) -> None:
        if scan.labels is not None:
            self.writer.show_labels(scan, self.session.classes)

    def _on_grid(self, scan: Scan) -> None:
        self.writer.move(scan)
        self.seeds.move(scan)
        self.prompts.move(scan)
        self.doubt.move(scan)
        self.disagreement.move(scan)
        self.glimpse.forget(scan)

    def _on_classes(self) -> None:
        self.writer.recolour(self.session.classes)
        self.seeds.recolour(self.session.classes)

    def _on_scan_closed(self, scan: Scan) -> None:
        self.writer.forget(scan)
        self.seeds.forget(scan)
        self.prompts.forget(scan)
        self.doubt.forget(scan)
        self.disagreement.forget(scan)
        self.glimpse.forget(scan)
        self.surface.forget(scan)
        self.pictures.forget(scan)

    def _say(self, error: MedsegError) -> None:
        log.info("%s", error)
        show_error(str(error))

    def _add_over(self, layer: Layer) -> None:
        """Add a layer of ours directly over the current scan's picture, below its labels."""
        scan = self.session.current
        picture = self.pictures.image(scan) if scan is not None else None
        layers = self.viewer.layers
        self._add(layer, layers.index(picture) + 1 if picture in layers else None)

    def _add(self, layer: Layer, place: int | None = None) -> None:
        """Add a layer of ours, on top or at a place in the list; what was selected stays selected."""
        chosen = self.viewer.layers.selection.active
        self._adding = True
        try:
            if place is None:
                self.viewer.add_layer(layer)
            else:
                self.viewer.layers.insert(place, layer)
            if chosen is not None:
                self.viewer.layers.selection.active = chosen
        finally:
            self._adding = False

    # -- viewer -> session ---------------------------------------------------------------------------------------------------------------------------------

    def _on_inserted(self, event: Any) -> None:
        if not self._adding:
            self._take(event.value)

    def _on_removed(self, event: Any) -> None:
        layer = event.value
        self._declined.pop(layer, None)
        if self.glimpse.lost(layer):
            self.session.refining.glimpse.switch(False)
            return
        if self.disagreement.lost(layer):
            self.session.reviewing.agreement.show_heat(False)
            return
        if self.doubt.lost(layer):
            self.session.doubt.switch(False)
            return
        pointed = self.prompts.lost(layer)
        for scan in self.session.scans:
            if id(scan) == pointed:
                self.session.prompting.clear(scan)
        closed = self.pictures.lost(layer)
        if closed is not None:
            self.session.close(closed)
            return
        if isinstance(layer, Surface):
            self.surface.lost(layer)
        if isinstance(layer, Points):
            key = self.seeds.lost(layer)
            for scan in self.session.scans:
                if id(scan) == key:
                    self.session.set_seeds(scan, {})
        if isinstance(layer, Labels):
            self._lost_labels(layer)

    def _lost_labels(self, layer: Labels) -> None:
        found = self.writer.lost(layer)
        scan = next((s for s in self.session.scans if found is not None and id(s) == found[0]), None)
        if scan is None or found is None:
            return
        if found[1] == "labels":
            self.session.study.settle()  # napari takes the labels away before the scan when its window closes
            scan.hold(None)
        elif found[1] in ("preview", "outline") and scan.preview is not None:
            self.session.discard()
        elif found[1] == "barrier":
            barrier.forget(self.session, scan)
        elif found[1] == "limit":
            scan.limit = scan.limit_weight = None
            scan.limit_log.clear()
            edge = self.writer.of(scan).limit_edge
            if edge is not None:
                edge.visible = False
        elif found[1] == "strokes":
            scan.strokes = None
            scan.stroke_log.clear()
            self.session.stroked(scan)
        self.session.set(tool="")

    def _take(self, layer: Layer) -> None:
        if isinstance(layer, Image):
            try:
                scan = self.pictures.take(layer)
            except MedsegError as error:
                self._declined[layer] = str(error).rstrip(".")
                if self.session.current is None:
                    self.session.decline(self._declined[layer])
                return
            if scan is not None:
                self.session.open(scan)
                self.pictures.begin(scan)
                self._take_waiting_labels()
        elif isinstance(layer, Labels):
            self._take_labels(layer)

    def _take_waiting_labels(self) -> None:
        """Label maps that were there before their scan."""
        ours = {layer for scan in self.session.scans for layer in self.writer.of(scan).all()}
        for layer in list(self.viewer.layers):
            if isinstance(layer, Labels) and layer not in ours:
                self._take_labels(layer)

    def _take_labels(self, layer: Labels) -> None:
        """A label map that came from a file or another tool becomes the labels of the scan whose grid it lies on, if that has none."""
        volume = layers.labels_volume(layer)
        for scan in self.session.scans if volume is not None else ():
            if scan.labels is not None or volume is None:
                continue
            named = layer.metadata.get(layers.KEY, {}).get("classes", ())
            if showing.adopt_stored(self.session, scan, volume, named):
                layer.visible = False  # the scan's own layer shows them on the patient's axes
                return
            try:
                labels_for(scan, volume)
            except GridMismatchError:
                continue
            layer.metadata = {**layer.metadata, **layers.scan_metadata(scan)}
            self.writer.take_over(scan, layer, self.session.classes)
            self.session.adopt_labels(scan, layer.data, named)
            self.writer.recolour(self.session.classes)
            return

    def _follow_selection(self, event: Any = None) -> None:
        active = self.viewer.layers.selection.active
        if active is None or self._adding:
            return
        if active in self._declined and not self.session.scans:
            self.session.decline(self._declined[active])
            return
        scan = self.pictures.scan_of(active)
        if scan is not None and scan is not self.session.current:
            self.session.activate(scan)


def on_quit(function: Callable[[], None]) -> None:
    """Call a function when the program ends."""
    app = QApplication.instance()
    if app is not None:
        app.aboutToQuit.connect(function)
