"""One desk a viewer: its session, and the wiring between the session and the viewer's layers. Docks come and go; the desk stays while one is open."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from napari.utils.notifications import show_error
from psygnal import EmitLoopError
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QApplication

from napari_medseg.annotation import LabelClass
from napari_medseg.errors import MedsegError
from napari_medseg.gui.acts import Acts
from napari_medseg.gui.adding import Adding
from napari_medseg.gui.brush_ring import without_box
from napari_medseg.gui.bubble import BubbleTool
from napari_medseg.gui.by_keys import Drawing
from napari_medseg.gui.closing import Closing
from napari_medseg.gui.dispatcher import Dispatcher
from napari_medseg.gui.doubt_layer import DoubtLayers, LookLayers
from napari_medseg.gui.drops import Drops
from napari_medseg.gui.found_layers import FoundLayers
from napari_medseg.gui.gl_context import CanvasContext
from napari_medseg.gui.glimpse_layer import GlimpseLayers
from napari_medseg.gui.hiding import Hiding
from napari_medseg.gui.in_hand import InHand
from napari_medseg.gui.keys import Keys
from napari_medseg.gui.labels_writer import LabelsWriter
from napari_medseg.gui.layer_list import LayerList
from napari_medseg.gui.opening import Opener
from napari_medseg.gui.pen import Pen
from napari_medseg.gui.picking import PickTool
from napari_medseg.gui.pictures import Pictures
from napari_medseg.gui.pointing import PointingTool
from napari_medseg.gui.preferences_page import PreferencesPage
from napari_medseg.gui.prompt_layers import PromptLayers
from napari_medseg.gui.reader import is_ours
from napari_medseg.gui.readout import CursorLine, EdgeLetters
from napari_medseg.gui.redraws import Redraws
from napari_medseg.gui.right_mark import RightMark
from napari_medseg.gui.rulers import RulerTool
from napari_medseg.gui.seeds import SeedLayers
from napari_medseg.gui.study_view import StudyView
from napari_medseg.gui.surface import PreviewSurface
from napari_medseg.gui.views import ViewsTool
from napari_medseg.session.session import Session
from napari_medseg.session.state import Scan
from napari_medseg.session.study import is_study
from napari_medseg.volume import Array

log = logging.getLogger(__name__)

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


def all_desks() -> tuple[Desk, ...]:
    """The desks of all viewers."""
    return tuple(_desks.values())


def classes_of(scan: Scan) -> tuple[LabelClass, ...]:
    """The classes of the session that a scan is open in; () when it is in none."""
    return next((tuple(desk.session.classes) for desk in _desks.values() if scan in desk.session.scans), ())


class Desk(QObject, Acts):
    """Session and viewer, kept in step. What docks ask for is in `Acts`.

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
        self._dispatcher = Dispatcher(self)
        self.session = Session(self._dispatcher)
        self.pictures = Pictures(self.session, viewer)
        self._adding = Adding(self.session, viewer, self.pictures)
        add, add_over = self._adding.add, self._adding.add_over
        self.writer = LabelsWriter(self.session, add, viewer.layers.events.blocker, self)
        self.seeds = SeedLayers(self.session, add)
        self.surface = PreviewSurface(self.session, viewer, add, self)
        self.prompts = PromptLayers(self.session, add, self)
        self.doubt = DoubtLayers(self.session, add_over)
        self.disagreement = DoubtLayers(self.session, add_over, "disagreement", self._disagreement)
        self.looks = LookLayers(self.session, add_over)
        self.glimpse = GlimpseLayers(self.session, add_over)
        self.found = FoundLayers(self.session, add, self)
        self.bubble = BubbleTool(self, viewer)
        self.pointing = PointingTool(self, viewer)
        self.picking = PickTool(self, viewer)
        self.keys = Keys(viewer, self)
        self.rulers = RulerTool(self, viewer, add)
        self.pen = Pen(self)
        self.opener = Opener(self.session, viewer, self.pictures, self)
        self.drops = Drops(lambda path: is_study(path) or is_ours(path), self.open_path, self)
        self.letters = EdgeLetters(self.session, viewer, self)
        self.right_mark = RightMark(viewer)
        without_box(viewer)
        self.cursor_line = CursorLine(self.session, viewer, self.pictures, self)
        self.study_view = StudyView(self, viewer)
        self.views = ViewsTool(self, viewer)
        self.preferences_page = PreferencesPage(self.session, lambda choices: self.writer.fill(choices.fill))
        self.in_hand = InHand(self)
        self.drawing = Drawing(self)
        self.hiding = Hiding(self)
        self.context = CanvasContext(viewer)
        self.closing = Closing(self)
        self._redraws = Redraws(self.session, self.writer, self.refreshed.emit, self)
        self._users = 0
        self._over = False
        self._connect()
        self._layer_list = LayerList(self, self._adding)
        self._layer_list.begin()

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
        parts = (
            self.views, self._dispatcher, self._redraws, self.hiding, self.in_hand, self.opener, self.writer, self.prompts, self.bubble, self.pointing,
            self.picking, self.found, self.rulers, self.pen, self.drops, self.letters, self.right_mark, self.cursor_line, self.study_view, self.context,
            self.preferences_page, self.closing,
        )
        for part in parts:
            _closed(part.close)
        self.session.shut()
        for close in (self.keys.unbind, self.keys.sheet.close, self._layer_list.close, self._unwire):
            _closed(close)

    def name_version(self) -> None:
        """Save a version of the labels: under a name where the Cases dock is there to ask for one."""
        if self.receivers(self.naming):
            self.naming.emit()
        else:
            self.session.study.save_version()

    # -- session -> viewer ---------------------------------------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        session, viewer = self.session, self.viewer
        session.changed.connect(self._on_changed)
        session.scan_closed.connect(self._on_scan_closed)
        session.preview_changed.connect(self._on_preview)
        session.labels_changed.connect(self._on_labels)
        session.painted_over.connect(self.writer.show_painted)
        session.place.connect(self.bring)
        session.classes_changed.connect(self._on_classes)
        session.grid_changed.connect(self._on_grid)
        session.problem.connect(self._say)
        self.writer.rested.connect(self.prompts.rest)
        viewer.events.theme.connect(self._on_theme)
        viewer.dims.events.ndisplay.connect(self._on_display)
        viewer.dims.events.order.connect(self._on_order)
        viewer.dims.events.current_step.connect(self._on_slice)
        viewer.canvas.grid.events.enabled.connect(self._redraws.ask)

    def _unwire(self) -> None:
        viewer = self.viewer
        viewer.events.theme.disconnect(self._on_theme)
        viewer.dims.events.ndisplay.disconnect(self._on_display)
        viewer.dims.events.order.disconnect(self._on_order)
        viewer.dims.events.current_step.disconnect(self._on_slice)
        viewer.canvas.grid.events.enabled.disconnect(self._redraws.ask)

    def _disagreement(self, scan: Scan) -> Array | None:
        return self.session.reviewing.agreement.shown if scan is self.session.current else None

    def _on_theme(self, event: Any) -> None:
        self.rethemed.emit(str(self.viewer.theme))
        self.opener.rethemed(str(self.viewer.theme))

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
        self._show_layers()
        self.right_mark.show(self.is_right())
        self.in_hand.follow()
        self.drawing.look()
        self.pen.follow()
        self._redraws.ask()

    def _show_layers(self) -> None:
        """What lies over the current scan is as the session says."""
        scan = self.session.current
        if scan is None:
            return
        self.seeds.show(scan)
        self.prompts.show(scan)
        self.doubt.show(scan)
        self.disagreement.show(scan)
        self.looks.show(scan)
        self.glimpse.show()
        self.found.show(scan)
        self.writer.follow_brush(scan)
        self.writer.follow_front(scan, self.session.classes)

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
        self.looks.move(scan)
        self.found.move(scan)
        self.glimpse.forget(scan)

    def _on_classes(self) -> None:
        self.writer.recolour(self.session.classes)
        self.seeds.recolour(self.session.classes)
        self.found.recolour()

    def _on_scan_closed(self, scan: Scan) -> None:
        self.writer.forget(scan)
        self.seeds.forget(scan)
        self.prompts.forget(scan)
        self.doubt.forget(scan)
        self.disagreement.forget(scan)
        self.looks.forget(scan)
        self.found.forget(scan)
        self.glimpse.forget(scan)
        self.surface.forget(scan)
        self.pictures.forget(scan)

    def _say(self, error: MedsegError) -> None:
        log.info("%s", error)
        show_error(str(error))


def _closed(close: Callable[[], object]) -> None:
    """Close a part of a desk. Where the window went first Qt has taken some of it already; the work is put away all the same."""
    try:
        close()
    except (RuntimeError, EmitLoopError):
        log.info("A part of the window was gone before it was closed", exc_info=True)


def on_quit(function: Callable[[], None]) -> None:
    """Call a function when the program ends."""
    app = QApplication.instance()
    if app is not None:
        app.aboutToQuit.connect(function)
