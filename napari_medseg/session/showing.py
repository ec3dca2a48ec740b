"""How a scan is shown: which channel, through which window, and whether as it is stored or on the patient's axes. None of it touches what is on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.annotation import LabelClass
from napari_medseg.session.history import History, change, count_values
from napari_medseg.session.jobs import PREVIEW
from napari_medseg.session.state import AsStored, Scan, full_box, labels_in_file
from napari_medseg.volume import Array, AxisMap, Volume
from napari_medseg.volume.straighten import Straightening, straightening
from napari_medseg.volume.windows import Preset, Window, presets, unit_words

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

VIEW = "view"
"""The lane of jobs that change how a scan is shown."""


@dataclass(frozen=True, slots=True)
class Turned:
    """A tick of the work."""

    fraction: float | None
    message: str


@dataclass(slots=True)
class Windows:
    """The windows a person chose, by modality: the next scan of that kind begins with them."""

    chosen: dict[str, Preset] = field(default_factory=dict)

    def first(self, volume: Volume) -> Preset:
        """The preset a scan begins with."""
        return self.chosen.get(kind_of(volume)) or presets(volume.modality, volume.units)[0]

    def remember(self, volume: Volume, preset: Preset) -> None:
        """The next scan of this kind begins with it."""
        self.chosen[kind_of(volume)] = preset


def kind_of(volume: Volume) -> str:
    """What windows are remembered by: the modality, and the unit of its values."""
    return f"{volume.modality} {unit_words(volume.modality, volume.units)}".strip()


# -- windows ---------------------------------------------------------------------------------------------------------------------------------------------


def choose_window(session: Session, scan: Scan, key: str) -> None:
    """Show a scan through one of its presets, and remember it."""
    shown = scan.display
    preset = next(p for p in presets(shown.modality, shown.units) if p.key == key)
    session.windows.remember(shown, preset)
    set_window(session, scan, preset.of(shown.array), key)


def set_window(session: Session, scan: Scan, window: Window, preset: str = "") -> None:
    """Show a scan through a window, whoever chose it."""
    if (scan.window, scan.preset) != (window, preset):
        scan.window, scan.preset = window, preset
        session.window_changed.emit(scan)
        session.changed.emit()


# -- channels --------------------------------------------------------------------------------------------------------------------------------------------


def choose_channel(session: Session, scan: Scan, index: int) -> None:
    """Work on another channel of a scan; seeds, strokes and labels stay, they belong to the grid."""
    if index == scan.channel or not 0 <= index < len(scan.channels):
        return
    session.jobs.stop(PREVIEW)
    if scan.overlay == index:
        scan.overlay = scan.channel
    scan.channel, scan.display, scan.window, scan.preset = index, scan.channels[index], None, ""
    session.notice = f"Working on {scan.display.name} now"
    session.channel_changed.emit(scan)
    session.changed.emit()


def choose_overlay(session: Session, scan: Scan, index: int | None) -> None:
    """Lay another channel over the one that is worked on, or none."""
    if index != scan.overlay and index != scan.channel:
        scan.overlay = index
        session.channel_changed.emit(scan)
        session.changed.emit()


def set_blend(session: Session, scan: Scan, blend: float) -> None:
    """How strongly the channel on top shows, 0-1."""
    scan.blend = min(1.0, max(0.0, blend))
    session.channel_changed.emit(scan)


def replace_values(session: Session, scan: Scan, values: Array) -> None:
    """Somebody put other values on the same grid into the channel that is worked on: labels, seeds and strokes stay, answers to the old values go."""
    session.jobs.stop(PREVIEW)
    shown = replace(scan.display, array=values)
    scan.channels = tuple(shown if index == scan.channel else channel for index, channel in enumerate(scan.channels))
    scan.display, scan.preview, scan.dropped, scan.learned, scan.doubt, scan.found = shown, None, None, {}, None, ()
    session.looks.forget(scan)
    session.notice = f"{scan.name} holds other values now; labels and seeds stay"
    session.channel_changed.emit(scan)
    session.preview_changed.emit(scan, None)
    session.changed.emit()


# -- as stored, or on the patient's axes -------------------------------------------------------------------------------------------------------------------


def straighten(session: Session, scan: Scan, on: bool) -> None:
    """Show an oblique scan on the patient's axes, or as it is stored again; the labels go along, the file's grid stays theirs. A fault becomes `problem`."""
    if (scan.aside is not None) == on:
        return
    if on:
        _turn(session, scan)
    else:
        _turn_back(session, scan)


def _turn(session: Session, scan: Scan) -> None:
    if not isinstance(scan.axes, AxisMap):
        return
    axes, before = scan.axes, None if scan.labels is None else scan.labels.copy()
    made: list[tuple[Straightening, list[Volume], Array | None]] = []

    def work() -> Iterator[Turned]:
        turn = straightening(scan.geometry)
        channels = []
        for index, channel in enumerate(scan.channels):
            yield Turned(index / (len(scan.channels) + 1), "Sampling the scan")
            channels.append(turn.sampled(channel))
        yield Turned(len(channels) / (len(channels) + 1), "Sampling the labels")
        made.append((turn, channels, None if before is None else turn.apply(axes.undo(before))))

    def done() -> None:
        turn, channels, labels = made[0]
        if scan.labels is not None and (before is None or not np.array_equal(before, scan.labels)):
            labels = turn.apply(axes.undo(scan.labels))  # somebody painted meanwhile
        drawn = scan.limit, scan.strokes, scan.barrier, scan.by_hand
        limit, strokes, barrier, by_hand = (None if array is None else turn.apply(axes.undo(array)) for array in drawn)
        scan.aside = AsStored(scan.channels, axes, scan.labels, None if labels is None else labels.copy(), scan.history, scan.voxels, scan.by_hand)
        _show(session, scan, tuple(channels), turn, labels)
        scan.limit, scan.strokes, scan.barrier, scan.by_hand = limit, strokes, barrier, by_hand
        session.notice = "Shown on the patient's axes; labels are saved on the grid of the file"
        _tell(session, scan)

    session.jobs.start(VIEW, f"Turning {scan.name} to the patient's axes", work, apply=lambda tick: None, done=done, failed=session.report, own_thread=True)


def _turn_back(session: Session, scan: Scan) -> None:
    aside = scan.aside
    if aside is None:
        return
    now = None if scan.labels is None else scan.labels.copy()
    made: list[Array | None] = []

    def work() -> Iterator[Turned]:
        yield Turned(None, "Bringing the labels back")
        made.append(None if now is None else aside.axes.apply(labels_in_file(scan, now)))

    def done() -> None:
        labels = made[0]
        if scan.labels is not None and (now is None or not np.array_equal(now, scan.labels)):
            labels = aside.axes.apply(labels_in_file(scan, scan.labels))
        drawn = scan.limit, scan.strokes, scan.barrier, scan.by_hand
        limit, strokes, barrier, by_hand = (None if array is None else aside.axes.apply(scan.axes.undo(array)) for array in drawn)
        _show(session, scan, aside.channels, aside.axes, aside.labels, aside.history)
        scan.limit, scan.strokes, scan.barrier, scan.aside = limit, strokes, barrier, None
        if labels is not None and aside.labels is None:
            scan.hold(labels)
        elif labels is not None and aside.labels is not None:
            scan.voxels = aside.voxels
            step = change(aside.labels, full_box(aside.labels), labels)
            if step is not None:
                scan.keep(step)
        if aside.by_hand is not None and by_hand is not None:
            np.maximum(aside.by_hand, by_hand, out=aside.by_hand)  # the log of that grid knows this array
        scan.by_hand = by_hand if aside.by_hand is None else aside.by_hand
        session.notice = "Shown as it is stored"
        _tell(session, scan)

    session.jobs.start(VIEW, f"Turning {scan.name} back", work, apply=lambda tick: None, done=done, failed=session.report, own_thread=True)


def adopt_stored(session: Session, scan: Scan, labels: Volume, classes: Iterable[LabelClass] = ()) -> bool:
    """Take labels that lie on the grid a scan has as stored, while it is shown on the patient's axes; whether they do."""
    aside = scan.aside
    if aside is None or not aside.axes.geometry(scan.geometry).matches(labels.geometry):
        return False
    aside.labels = labels.array.copy()
    aside.shown = scan.axes.apply(aside.axes.undo(aside.labels))
    aside.history, aside.voxels = History(), count_values(aside.labels)
    session.adopt_labels(scan, aside.shown.copy(), classes)
    return True


def _show(
    session: Session, scan: Scan, channels: tuple[Volume, ...], axes: AxisMap | Straightening, labels: Array | None, history: History | None = None,
) -> None:
    session.jobs.stop(PREVIEW)
    scan.preview = scan.dropped = None
    scan.learned, scan.found = {}, ()
    session.looks.forget(scan)
    scan.channels, scan.display, scan.axes = channels, channels[scan.channel], axes
    scan.labels, scan.history = labels, history or History()
    scan.voxels = count_values(labels) if labels is not None else count_values(np.zeros(0, np.uint8))


def _tell(session: Session, scan: Scan) -> None:
    scan.barred = 0 if scan.barrier is None else int(np.count_nonzero(scan.barrier))
    for log in (scan.stroke_log, scan.limit_log, scan.barrier_log):  # what they tell lies on the grid before
        log.clear()
    scan.limit_weight = None if scan.limit is None else scan.limit * np.uint8(255)
    session.grid_changed.emit(scan)
    session.stroked(scan)
    session.preview_changed.emit(scan, None)
    session.labels_changed.emit(scan, None)
    if scan.labels is not None and not scan.is_saved:  # boxes told before the grid changed mean nothing on the new one
        session.edited.emit(scan, None)
    session.changed.emit()
