"""The only code that makes and writes Labels layers.

Arrays are shared with the session: the session writes a box, this file shows it. Refreshes are gathered, so that an engine that answers a
hundred times a second still costs the window 25 redraws.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QObject, QTimer, Signal

from napari_medseg.annotation import LabelClass
from napari_medseg.gui.label_colours import BARRIER_COLOUR, CLEAR, LIMIT_COLOUR, colours, fading
from napari_medseg.gui.label_keepers import Accepted, Barrier, Limit, Strokes
from napari_medseg.gui.layers import move_layer, placement, scan_metadata
from napari_medseg.gui.limit_brush import LimitBrush
from napari_medseg.gui.lock_guard import LockGuard
from napari_medseg.gui.outlines import outline
from napari_medseg.gui.paint_log import PaintLog
from napari_medseg.gui.turns import AHEAD_MS, Turns, show
from napari_medseg.session import barrier
from napari_medseg.session.session import Session
from napari_medseg.session.state import Preview, Scan
from napari_medseg.volume import Array

REDRAW_MS, SLOWEST_MS = 40, 400
GROWTH_MS = 40  # a front's first mask waits so long for its first growth: with a picture of its own between, this came one picture later
OUTLINE = 2  # pixels
REST_MS = 1500  # before layers that nothing is awaited in are put out of sight: who turns the tabs has the tool in hand again sooner
warnings.filterwarnings("ignore", message="Contours are not displayed during 3D rendering")  # ours are hidden then, but napari looks first
TOUCHED, MOST_TOUCHED = 1 << 22, 1 << 28  # bytes: at once, and of a map
LIMIT_OPACITY = 0.25
SHOWN = "shown"  # in a layer's metadata: the classes its colours were made for


@dataclass(eq=False)
class ScanLabels:
    """The label layers of one scan; each is made when it is first needed and then stays. While a preview is awaited, its layers hold the scan's spare map."""

    labels: Labels | None = None
    preview: Labels | None = None
    outline: Labels | None = None
    limit: Labels | None = None
    limit_edge: Labels | None = None
    strokes: Labels | None = None
    barrier: Labels | None = None

    shows: Preview | None = None
    filled: Preview | None = None

    def all(self) -> tuple[Labels, ...]:
        """Those that exist."""
        held = (self.labels, self.preview, self.outline, self.limit, self.limit_edge, self.strokes, self.barrier)
        return tuple(layer for layer in held if layer is not None)


class LabelsWriter(QObject):
    """Shows the label maps of scans as layers.

    Parameters
    ----------
    session : Session
        Told what a person paints, takes back and does again.
    add : callable
        Adds a layer to the viewer without changing what is selected.
    unheard : callable
        A context in which napari's layer list does not hear of what layers tell: for a changed slice it would be drawn anew, and the window with it.

    Attributes
    ----------
    redrawing : signal
        Layers are drawn anew in this turn: with what else changes now, the window is put together once only.
    rested : signal
        The person has done something else for a while: what shows nothing is put out of sight.
    """

    redrawing = Signal()
    rested = Signal()

    def __init__(self, session: Session, add: Callable[[Labels], None], unheard: Callable[[], AbstractContextManager[Any]], parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._add, self._unheard = session, add, unheard
        self._of: dict[int, ScanLabels] = {}
        self._logs: dict[Labels, PaintLog] = {}
        self._brushes: dict[Labels, LimitBrush] = {}
        self._guards: dict[Labels, LockGuard] = {}
        self._stale: set[Labels] = set()
        self._flat = True
        self._began, self._pause, self._rested = 0.0, REDRAW_MS, True
        self._joins = False  # what waits to be drawn waits for more
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._redraw)
        self._turns, self._ahead = Turns(self), Turns(self, AHEAD_MS)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._tidy)
        self._awaited: Scan | None = None
        self._grows = False

    def close(self) -> None:
        """The window goes."""
        self._turns.close()
        self._ahead.close()
        self._timer.stop()
        self._rest.stop()

    def of(self, scan: Scan) -> ScanLabels:
        """The label layers of a scan."""
        return self._of.setdefault(id(scan), ScanLabels())

    def filled(self, scan: Scan) -> tuple[Labels, ...]:
        """Those that may show something: not the ones that lie empty for the next preview."""
        return tuple(layer for layer in self.of(scan).all() if scan.spare is None or layer.data is not scan.spare)

    def forget(self, scan: Scan) -> None:
        """The scan is closed; its label layers stay with the person, unwired."""
        self._awaited = None if self._awaited is scan else self._awaited
        self._turns.forget(scan)
        self._ahead.forget(scan)
        held = self._of.pop(id(scan), None)
        for layer in held.all() if held is not None else ():
            self._unwire(layer)

    def lost(self, layer: Labels) -> tuple[int, str] | None:
        """A layer was removed from the viewer: (id of its scan, which one it was), None when it is none of ours."""
        for key, held in self._of.items():
            for name in ("labels", "preview", "outline", "limit", "limit_edge", "strokes", "barrier"):
                if getattr(held, name) is layer:
                    setattr(held, name, None)
                    self._stale.discard(layer)
                    self._unwire(layer)
                    return key, name
        return None

    def take_over(self, scan: Scan, layer: Labels, classes: Sequence[LabelClass]) -> None:
        """Use a layer the person has as the scan's accepted labels."""
        self.of(scan).labels = layer
        self._wire(scan, layer)
        _colour(layer, classes, hidden=self._session.table.hidden)

    def show_labels(self, scan: Scan, classes: Sequence[LabelClass]) -> None:
        """Make the accepted labels visible as they are now."""
        held = self.of(scan)
        if scan.labels is None:
            return
        if held.labels is None:
            held.labels = self._make(scan, scan.labels, "labels", opacity=self._session.choices.fill / 100, colormap=self._colours(classes))
            self._wire(scan, held.labels)
        elif held.labels.data is not scan.labels:
            held.labels.data = scan.labels
        self._later(held.labels)

    def show_preview(self, scan: Scan, classes: Sequence[LabelClass]) -> None:
        """Show the preview as an outline with a light fill, the fill a turn later, or when a front stands still; put both away when there is none."""
        held, preview = self.of(scan), scan.preview
        if preview is None:
            held.shows = None
            self._turns.add(lambda: self._put_away(scan, held.outline), scan)
            self._turns.add(lambda: self._put_away(scan, held.preview), scan)
            return
        if held.shows is not preview:
            known = {c.value: c for c in classes} | {c.value: c for c in preview.classes}
            held.shows = preview
            line = self._outline(scan, preview.labels)
            if line.data is preview.labels and not _moves(preview):  # it was filled after it was laid out; what grows is drawn with its first mask
                self._later(line)
            self._put_in(line, preview.labels, f"{scan.name} {preview.title} outline", known.values())
            self._turns.add(lambda: self._fill_in(scan, preview, known.values()), scan)
            return
        for layer in (held.outline, held.preview):
            if layer is not None and layer.data is preview.labels and layer.visible:
                self._later(layer, GROWTH_MS if preview.iterations == 0 and _moves(preview) else 0)

    def follow_front(self, scan: Scan, classes: Sequence[LabelClass]) -> None:
        """A front that grew may stand still now: then the fill comes."""
        held, preview = self.of(scan), scan.preview
        if preview is None or held.shows is not preview or preview is held.filled or _moves(preview):
            return
        held.filled = preview
        known = {c.value: c for c in classes} | {c.value: c for c in preview.classes}
        self._turns.add(lambda: self._fill_in(scan, preview, known.values()), scan)

    def _fill_in(self, scan: Scan, preview: Preview, classes: Collection[LabelClass]) -> None:
        held = self.of(scan)
        if held.shows is not preview or scan.preview is not preview:
            return
        if _moves(preview):  # drawing both takes half as long again, and where a front is is told by its edge
            if held.preview is not None:
                show(held.preview, False)
            return
        held.filled = preview
        self._put_in(self._fill(scan, preview.labels), preview.labels, f"{scan.name} {preview.title}", classes)

    def _put_in(self, layer: Labels, array: Array, name: str, classes: Collection[LabelClass]) -> None:
        _replace(layer, array, name, classes)
        show(layer, self._flat)

    def _put_away(self, scan: Scan, layer: Labels | None) -> None:
        """Nothing is shown in a layer of the preview; it stays in sight, and empty, while the next preview is awaited."""
        held = self._of.get(id(scan))
        if layer is None or held is None or held.shows is not None or layer not in (held.preview, held.outline):
            return
        if self._awaited is not scan or (self._grows and layer is held.preview):
            show(layer, False)
        if self._awaited is scan and layer.data is not self._empty(scan):
            layer.data = self._empty(scan)

    def expect(self, scan: Scan | None, *, grows: bool = False) -> None:
        """A tool that will give a preview of this scan is in hand, or none is; `grows`: a front, whose fill comes when it stands still.

        Adding layers and bringing them in sight takes napari long, so it is done while the tool is not used yet, each layer in a turn of its own; then the
        preview is there with the next redraw.
        """
        before, self._awaited, self._grows = self._awaited, scan, grows
        if before is not None and before is not scan:
            self.rest()
        if scan is not None and scan.preview is None:
            self._ahead.add(lambda: self._lay_out(scan, self._outline), scan)
            self._ahead.add(lambda: self._lay_out(scan, self._fill), scan)

    def drawn_on(self) -> None:
        """Somebody draws: what is to be put out of sight waits until the stroke is done."""
        if self._rest.isActive():
            self._rest.start()

    def rest(self) -> None:
        """Another tool is in hand: what shows nothing is put out of sight, if it stays so for a while."""
        self._rest.start()

    def brush_in_hand(self) -> None:
        """The brush is in hand for labels: what shows nothing is put out of sight now, since all that is in sight is drawn again for every movement."""
        self._rest.stop()
        self._tidy()

    def _tidy(self) -> None:
        """Put the layers of previews that nobody awaits out of sight."""
        self.rested.emit()
        for scan in self._session.scans:
            held = self._of.get(id(scan))
            for layer in (held.outline, held.preview) if held is not None else ():
                self._ahead.add(partial(self._put_away, scan, layer), scan)

    def _lay_out(self, scan: Scan, make: Callable[[Scan, Array], Labels]) -> None:
        if scan in self._session.scans and self._awaited is scan and scan.preview is None:
            empty = self._empty(scan)
            layer = make(scan, empty)
            if layer.data is not empty:
                layer.data = empty
            show(layer, self._flat and not (self._grows and layer is self.of(scan).preview))

    def _empty(self, scan: Scan) -> Array:
        """The empty map that the scan's next preview will take."""
        before, empty = scan.spare, scan.lay_out()
        if empty is not before and empty.nbytes <= MOST_TOUCHED:
            self._ahead.add(partial(self._touch, scan, empty, 0), scan)
        return empty

    def _touch(self, scan: Scan, empty: Array, start: int) -> None:
        """Write zeros to a part of a map that lies empty: systems hand out memory when it is first written to, and a first result may fill half a scan."""
        if scan.spare is empty and start < len(empty):
            stop = start + max(1, TOUCHED // empty[0].nbytes)
            empty[start:stop] = 0
            self._ahead.add(partial(self._touch, scan, empty, stop), scan)

    def _outline(self, scan: Scan, array: Array) -> Labels:
        """The outline of a scan's preview."""
        held = self.of(scan)
        if held.outline is None:
            held.outline = self._make(scan, array, "preview outline", opacity=1.0, editable=False, outlined=True, visible=self._flat)
        return held.outline

    def _fill(self, scan: Scan, array: Array) -> Labels:
        """Its light fill."""
        held = self.of(scan)
        if held.preview is None:
            held.preview = self._make(scan, array, "preview", opacity=0.25, editable=False, visible=self._flat and not self._grows)
        return held.preview

    def show_flat(self, scan: Scan | None, flat: bool) -> None:
        """Whether slices are looked at; in 3D another layer shows the preview."""
        self._flat = flat
        held = self.of(scan) if scan is not None and (scan.preview is not None or self._awaited is scan) else ScanLabels()
        without_fill = self._grows if held.shows is None else _moves(held.shows)
        for layer in (held.preview, held.outline):
            if layer is not None:
                show(layer, flat and not (layer is held.preview and without_fill))

    def brush(self, scan: Scan, kind: str, classes: Sequence[LabelClass]) -> Labels | None:
        """The layer a person paints the limit or the scribbles on; made when the session has its array."""
        held = self.of(scan)
        if kind == "limit" and scan.limit is not None and scan.limit_weight is not None and held.limit is None:
            held.limit = self._make(scan, scan.limit_weight, "limit", opacity=LIMIT_OPACITY, colormap=fading(LIMIT_COLOUR))
            self._logs[held.limit] = PaintLog(held.limit, Limit(self, self._session, scan))
            self._brushes[held.limit] = LimitBrush(self._session, scan, held.limit)
            held.limit.selected_label, held.limit.n_edit_dimensions = 255, 3
            table = DirectLabelColormap(color_dict={None: LIMIT_COLOUR, 0: CLEAR})
            held.limit_edge = held.limit_edge or self._make(scan, scan.limit, "limit outline", opacity=0.9, colormap=table, editable=False, outlined=True)
            show(held.limit_edge, True)
        if kind == "scribbles" and scan.strokes is not None and held.strokes is None:
            held.strokes = self._make(scan, scan.strokes, "scribbles", opacity=0.8, colormap=colours(classes, background=True))
            self._logs[held.strokes] = PaintLog(held.strokes, Strokes(self._session, scan))
            held.strokes.brush_size = max(3, scan.display.geometry.shape[1] // 80)
        return held.limit if kind == "limit" else held.strokes

    def barrier_brush(self, scan: Scan) -> Labels | None:
        """The layer a person paints the barrier on, a ball a few millimetres thick at a time."""
        held = self.of(scan)
        if scan.barrier is not None and held.barrier is None:
            table = DirectLabelColormap(color_dict={None: CLEAR, 0: CLEAR, 1: BARRIER_COLOUR})
            held.barrier = self._make(scan, scan.barrier, "barrier", opacity=0.75, colormap=table)
            self._logs[held.barrier] = PaintLog(held.barrier, Barrier(self._session, scan))
            held.barrier.selected_label, held.barrier.n_edit_dimensions = 1, 3
            held.barrier.brush_size = max(3, round(barrier.BRUSH_MM / min(scan.display.geometry.spacing)))
        return held.barrier

    def move(self, scan: Scan) -> None:
        """The scan lies on another display grid: its layers go there, with the arrays that the session has for it now."""
        held, preview = self.of(scan), scan.preview.labels if scan.preview is not None else None
        arrays = (
            (held.labels, scan.labels), (held.preview, preview), (held.outline, preview), (held.limit, scan.limit_weight), (held.limit_edge, scan.limit),
            (held.strokes, scan.strokes), (held.barrier, scan.barrier),
        )
        for layer, array in arrays:
            if layer is not None:
                layer.metadata = {**layer.metadata, **scan_metadata(scan)}
                move_layer(layer, array if array is not None else np.zeros(scan.display.geometry.shape, np.uint8), scan.display.geometry)

    def follow_brush(self, scan: Scan) -> None:
        """The limit brush may have another size or side."""
        layer = self.of(scan).limit
        if layer is not None and layer in self._brushes:
            self._brushes[layer].show()

    def show_painted(self, scan: Scan, kind: str) -> None:
        """The session wrote into the scan's "limit", "strokes" or "barrier"."""
        held = self.of(scan)
        for layer in {"limit": (held.limit, held.limit_edge), "strokes": (held.strokes,), "barrier": (held.barrier,)}[kind]:
            if layer is not None:
                self._later(layer)

    def recolour(self, classes: Sequence[LabelClass]) -> None:
        """Something about the classes changed. Layers whose colours are the same stay as they are: for new ones napari draws much of its window anew."""
        for held in self._of.values():
            shown = held.shows.classes if held.shows is not None else ()
            known = {c.value: c for c in (*classes, *shown, *classes)}.values()
            _colour(held.labels, classes, hidden=self._session.table.hidden)
            _colour(held.preview, known)
            _colour(held.outline, known)
            _colour(held.strokes, classes, background=True)

    def fill(self, percent: int) -> None:
        """How opaque accepted labels are from now on."""
        for held in self._of.values():
            if held.labels is not None:
                held.labels.opacity = percent / 100

    def _make(self, scan: Scan, array: Array, title: str, **keywords: Any) -> Labels:
        editable, outlined = keywords.pop("editable", True), keywords.pop("outlined", False)
        if title != "labels":  # in 3D a light layer would hide by its depth what lies inside it
            keywords["blending"] = "translucent_no_depth"
        keywords.setdefault("colormap", colours(self._session.classes))
        layer = Labels(array, name=f"{scan.name} {title}", metadata=scan_metadata(scan), **placement(scan.display.geometry), **keywords)
        layer.editable = editable
        if outlined:
            outline(layer, OUTLINE)
        layer.metadata = {**layer.metadata, SHOWN: _look(self._session.classes, self._session.table.hidden if title == "labels" else ())}
        self._add(layer)
        return layer

    def _wire(self, scan: Scan, layer: Labels) -> None:
        """A layer shows accepted labels: what is drawn on it joins our log, and locked classes stay as they are."""
        self._logs[layer] = PaintLog(layer, Accepted(self, self._session, scan))
        self._guards[layer] = LockGuard(layer, lambda: self._session.table.locked, self._session.table.refuse_drawing)

    def _colours(self, classes: Sequence[LabelClass]) -> DirectLabelColormap:
        """Colours of accepted labels."""
        return colours(classes, hidden=self._session.table.hidden)

    def _unwire(self, layer: Labels) -> None:
        for wired in (self._brushes.pop(layer, None), self._guards.pop(layer, None), self._logs.pop(layer, None)):
            if wired is not None:
                wired.close()

    def _later(self, layer: Labels, wait: int = 0) -> None:
        """Draw it soon; what comes after a rest at once, or when something joins it within some ms."""
        self._stale.add(layer)
        if not self._timer.isActive() or (self._joins and not wait):
            self._joins = wait > 0
            self._timer.start(max(wait, self._pause - int(1000 * (time.perf_counter() - self._began))))

    @property
    def is_waiting(self) -> bool:
        """Whether layers are to be drawn anew soon."""
        return self._timer.isActive()

    def _redraw(self) -> None:
        stale, self._stale, self._joins = self._stale, set(), False
        before, self._began = self._began, time.perf_counter()
        self._rested = 1000 * (self._began - before) > SLOWEST_MS
        self.redrawing.emit()
        with self._unheard():
            for layer in stale:
                if layer.visible:
                    layer.refresh(extent=False, thumbnail=False, highlight=False)
        QTimer.singleShot(0, self._drawn)

    def _drawn(self) -> None:
        """Where drawing takes long, draw less often: at least a third of the window's time is the person's. The second picture after a rest comes soon."""
        took = 1000 * (time.perf_counter() - self._began)
        self._pause = REDRAW_MS if self._rested else int(min(SLOWEST_MS, max(REDRAW_MS, 1.5 * took)))


def _replace(layer: Labels, array: Array, name: str, classes: Collection[LabelClass]) -> None:
    """Another map in a layer, which is hidden while its colours change too: napari would slice it again for each of the steps."""
    if layer.metadata.get(SHOWN) != _look(classes):
        show(layer, False)
        _colour(layer, classes)
    if layer.data is not array:
        layer.data = array
    if layer.name != name:
        layer.name = name


def _moves(preview: Preview) -> bool:
    """Whether a front is growing into it."""
    return preview.live is not None and preview.live.state == "running"


def _look(classes: Collection[LabelClass], hidden: Collection[int] = ()) -> list[tuple[float, ...]]:
    """What a layer's colours are made of."""
    return [(c.value, *c.colour, c.value in hidden) for c in classes]


def _colour(layer: Labels | None, classes: Collection[LabelClass], *, background: bool = False, hidden: Collection[int] = ()) -> None:
    """Give a layer the colours of these classes, where it has others."""
    look = _look(classes, hidden)
    if layer is not None and layer.metadata.get(SHOWN) != look:
        layer.colormap = colours(classes, background=background, hidden=hidden)
        layer.metadata = {**layer.metadata, SHOWN: look}
