"""What is open: scans on their display grid, their seeds, strokes and labels, and the preview that waits for a yes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_medseg.annotation import LabelClass
from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.annotation.rulers import Ruler
from napari_medseg.errors import GridMismatchError, InvalidInputError
from napari_medseg.session.history import Box, History, Step, count_values, moment
from napari_medseg.session.making import Making, brush
from napari_medseg.session.targets import Board
from napari_medseg.session.work_clock import WorkClock
from napari_medseg.volume import Array, AxisMap, Geometry, LabelArray, Volume, axis_map, format_shape, orient, orientation, require_same_grid
from napari_medseg.volume.fusion import split
from napari_medseg.volume.straighten import Straightening
from napari_medseg.volume.windows import Window

if TYPE_CHECKING:
    from napari_medseg.segmenters.found import Found
    from napari_medseg.session.levelset_live import LiveLevelSet

Tab = Literal["segment", "weak", "refine", "review"]
Mode = Literal["levelset", "scribbles", "limit", "interpolate", "cleanup"]
Tool = Literal["", "seeds", "limit", "scribbles", "pick", "barrier", "bubble", "point", "box", "lasso", "ruler", "angle"]
PointLPS = tuple[float, float, float]
Seeds = dict[int, tuple[PointLPS, ...]]
LARGE_BYTES = 1 << 26
"""Scans from this size on are shown without a copy."""


@dataclass(eq=False)
class Preview:
    """A result nobody has accepted yet.

    Attributes
    ----------
    labels : uint8 (z, y, x) on the display grid
        Written in place while the engine runs.
    title : str
        What made it, for people: "level set", "proposal round 2".
    classes : tuple of LabelClass
        What its values mean; one class means that it goes into the class chosen when it is accepted.
    detail : str
        The engine's last words.
    leaked : bool
        Whether the engine thinks that it ran out of the organ.
    doubt : str
        Why it should rather not be accepted; "" without a reason.
    finished : bool
    made : Making
        How it came to be.
    neck : (z, y, x) or None
        Voxel of a narrow neck through which it may have run out of the organ.
    held_mm : float or None
        How far from its seeds it may go, where nothing in the scan held it.
    rested_ml : float or None
        How large it is where it rested, while it tries to go farther and may come back to that.
    live : LiveLevelSet or None
        The run that fills it, which can be steered.
    iterations : int or None
        How far that run is in what is shown; None when it is finished.
    keeps_values : bool
        Whether it goes into the classes of its own values even where it has one only.
    replaces : bool
        Whether it takes the place of what its classes hold, whatever the person chose for other tools.
    keeps_settled : bool
        Whether voxels that a person painted or verified stay as they are when it is accepted.
    found : tuple of Found
        Objects that came with it, see `Scan.found`.
    """

    labels: LabelArray
    title: str
    classes: tuple[LabelClass, ...]
    detail: str = ""
    leaked: bool = False
    doubt: str = ""
    finished: bool = False
    made: Making = field(default_factory=brush)
    keeps_values: bool = False
    replaces: bool = False
    keeps_settled: bool = False
    neck: tuple[int, int, int] | None = None
    held_mm: float | None = None
    rested_ml: float | None = None
    live: LiveLevelSet | None = None
    iterations: int | None = None
    found: tuple[Found, ...] = ()
    _filled: tuple[int, ...] | None = None
    _looked: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing was outlined. Asked for many times with every redraw, so the whole map is looked at only where `put` cannot tell."""
        if not self._looked or (self._filled is not None and not self.labels[self._filled]):
            self.look()
        return self._filled is None

    def put(self, box: Box, labels: LabelArray) -> None:
        """Write a part of the map: (z, y, x) slices and what they hold from now on."""
        self.labels[box] = labels
        if self._looked and self._filled is None:
            found = _a_filled(labels)
            self._filled = found and tuple(at + (side.start or 0) for at, side in zip(found, box, strict=True))

    def look(self) -> None:
        """Find a voxel that is filled; beside the window where a whole result comes at once."""
        self._filled, self._looked = _a_filled(self.labels), True


def _a_filled(labels: LabelArray) -> tuple[int, ...] | None:
    """A voxel that is not 0, if there is one."""
    return tuple(map(int, np.unravel_index(int(labels.argmax()), labels.shape))) if labels.size and labels.max() else None


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What a segmenter thinks of one class.

    Attributes
    ----------
    title : str
        The segmenter's.
    chance : float16 (z, y, x) on the display grid, 0-1
    apart : float16 (z, y, x) or None
        How far those whose mean this is lie apart (standard deviation, 0-0.5); None for one that answered alone.
    """

    title: str
    chance: Array
    apart: Array | None = None


@dataclass(eq=False)
class AsStored:
    """What an oblique scan was while it was shown as it is stored; kept aside while it is shown on the patient's axes.

    Attributes
    ----------
    channels : tuple of Volume
    axes : AxisMap
    labels : integer (z, y, x) or None
        The accepted labels then, with their log in `history`.
    shown : integer (z, y, x) or None
        What `labels` became on the straight grid before anything was drawn there.
    by_hand : uint8 (z, y, x) or None
        As `Scan.by_hand` then.
    """

    channels: tuple[Volume, ...]
    axes: AxisMap
    labels: Array | None
    shown: Array | None
    history: History
    voxels: Counter[int]
    by_hand: LabelArray | None = None


@dataclass(eq=False)
class Scan:
    """One open scan.

    Attributes
    ----------
    display : Volume
        The channel that is worked on, (z, y, x) on the display grid.
    axes : AxisMap or Straightening
        From the file's grid to the display's and back, for labels; an `AxisMap` loses nothing.
    geometry : Geometry
        The file's grid.
    channels : tuple of Volume
        All of them on the display grid; one for a plain scan.
    channel : int
        Which of them is worked on.
    aside : AsStored or None
        What it is as stored, while it is shown on the patient's axes.
    window : Window or None
        Values drawn black and white; None before it was shown.
    preset : str
        Key of the preset it is shown through; "" for a window of the person's own.
    overlay : int or None
        The channel laid over the one that is worked on.
    blend : float
        Its opacity, 0-1.
    arriving : bool
        Whether its voxels are still being read.
    labels : integer (z, y, x) or None
        Accepted labels on the display grid; the array the window's label layer shows and the brush writes.
    limit_weight : uint8 (z, y, x) or None
        The limit as it was painted with a soft tip: 255 surely inside, above 127 inside.
    limit, strokes, barrier : uint8 (z, y, x) or None
        The hand-painted limit (1 inside); scribbles (0 unknown, 255 background, 1-254 classes); what a level set never enters nor crosses.
    seeds : class value to its points, LPS mm (x, y, z)
    preview, dropped : Preview or None
        The one that waits, and the one that was discarded or replaced last.
    is_saved : bool
        Whether the labels are on disk as they stand.
    case : str
        Its case in the open study; "" when it is in none.
    stroked : Counter
        Voxels of the strokes by value, kept by every stroke.
    board : Board
        What was pointed at, for a segmenter that takes prompts.
    learned : class value to Learned
        Probabilities of the segmenter that was run last; a level set can follow them.
    found : tuple of Found
        Objects that the segmenter that was run last found, on the display grid; `label` is the value of a class here.
    doubt : float16 (z, y, x) or None
        How uncertain that segmenter is, 0-1; see `doubting`.
    barred : int
        Voxels of the barrier, kept by every stroke.
    stroke_log, limit_log, barrier_log : History
        What was drawn there, to be taken back.
    voxels : Counter
        Voxels of the accepted labels by value, kept by every step, so that nothing counts a whole map to show a volume.
    by_hand : uint8 (z, y, x) or None
        1 where a person painted on the accepted labels, see `by_hand`; None before the first stroke.
    rulers : tuple of Ruler
        Distances and angles that were drawn.
    spare : uint8 (z, y, x) or None
        An empty label map for the next preview; views may show it before, so that nothing changes on screen when an engine begins.
    """

    display: Volume
    axes: AxisMap | Straightening
    geometry: Geometry
    labels: Array | None = None
    limit: LabelArray | None = None
    limit_weight: LabelArray | None = None
    strokes: LabelArray | None = None
    seeds: Seeds = field(default_factory=dict)
    preview: Preview | None = None
    dropped: Preview | None = None
    dropped_at: int = 0
    returned: Preview | None = None
    returned_at: int = 0
    history: History = field(default_factory=History)
    is_saved: bool = True
    stroked: Counter[int] = field(default_factory=Counter)
    stroke_log: History = field(default_factory=History)
    limit_log: History = field(default_factory=History)
    barrier: LabelArray | None = None
    board: Board = field(default_factory=Board)
    learned: dict[int, Learned] = field(default_factory=dict)
    found: tuple[Found, ...] = ()
    doubt: Array | None = None
    barred: int = 0
    barrier_log: History = field(default_factory=History)
    clock: WorkClock = field(default_factory=WorkClock)
    voxels: Counter[int] = field(default_factory=Counter)
    by_hand: LabelArray | None = None
    case: str = ""
    channels: tuple[Volume, ...] = ()
    channel: int = 0
    aside: AsStored | None = None
    window: Window | None = None
    preset: str = ""
    overlay: int | None = None
    blend: float = 0.6
    arriving: bool = False
    title: str = ""
    rulers: tuple[Ruler, ...] = ()
    spare: LabelArray | None = None

    def __post_init__(self) -> None:
        self.channels = self.channels or (self.display,)

    @property
    def name(self) -> str:
        """What the window calls it."""
        return self.title or self.display.name or "scan"

    @property
    def source(self) -> Volume:
        """The channel that is worked on, on the file's grid; turned back anew at each call."""
        return self.source_of(self.channel)

    def source_of(self, channel: int) -> Volume:
        """A channel on the file's grid."""
        shown, axes = (self.channels[channel], self.axes) if self.aside is None else (self.aside.channels[channel], self.aside.axes)
        return replace(shown, array=axes.undo(shown.array), geometry=self.geometry)

    @property
    def objects(self) -> tuple[Found, ...]:
        """What was found; nothing while the preview it came with is discarded or has given way to another."""
        return () if self.dropped is not None and self.dropped.found and self.dropped.found is self.found else self.found

    @property
    def has_labels(self) -> bool:
        """Whether anything was accepted."""
        return self.labels is not None and any(count > 0 for value, count in self.voxels.items() if value)

    @property
    def drawn(self) -> tuple[bool, bool]:
        """Whether there are strokes of a class, and of the background."""
        return any(count > 0 for value, count in self.stroked.items() if 0 < value < BACKGROUND), self.stroked[BACKGROUND] > 0

    def lay_out(self) -> LabelArray:
        """The empty label map that the next preview will take, on the display grid."""
        if self.spare is None or self.spare.shape != self.display.geometry.shape:
            self.spare = np.zeros(self.display.geometry.shape, np.uint8)
        return self.spare

    def fresh_map(self) -> LabelArray:
        """An empty label map for a preview, uint8 (z, y, x) on the display grid: the one that was laid out, where there is one."""
        taken = self.lay_out()
        self.spare = None
        return taken

    def orientation_note(self) -> str:
        """How it lies: the file's voxel axes, and whether they are turned against the patient's."""
        stored = orientation(self.geometry)
        if not self.geometry.is_oblique:
            return f"stored {stored}"
        cosines = np.abs(self.geometry.matrix).max(axis=0).min()
        return f"stored {stored}, oblique by {np.degrees(np.arccos(min(1.0, float(cosines)))):.0f}°"

    def grid_note(self) -> str:
        """The grid its labels lie on, voxels and mm as x, y, z; whose it is where there are several channels, and whether another one is on screen."""
        size = format_shape(self.geometry.shape).replace("x", "×")
        spacing = " × ".join(f"{s:.3g}" for s in self.geometry.spacing[::-1])
        whose = f"Labels on the grid of {self.channels[0].name or self.name}: " if len(self.channels) > 1 else ""
        slant = self.orientation_note().partition(", ")[2]
        note = f"{whose}{size}, {spacing} mm" + (f", {slant}" if slant else "")
        return note if self.aside is None else f"{note}; shown on the patient's axes (resampled)"

    def hold(self, labels: Array | None, voxels: Counter[int] | None = None) -> None:
        """Take an array as the accepted labels; the log begins anew. `voxels` spares counting it."""
        self.labels, self.by_hand = labels, None
        self.voxels = voxels if voxels is not None else count_values(labels) if labels is not None else Counter()
        self.history.clear()

    def hold_nothing(self) -> Array:
        """Begin with empty accepted labels, without touching their memory, and return them; what was pointed at before can still be taken back."""
        labels = np.zeros(self.display.geometry.shape, np.uint8)
        self.labels, self.voxels = labels, Counter({0: labels.size})
        return labels

    def learn(self, learned: dict[int, Learned]) -> None:
        """Remember what a segmenter thinks; what others thought of the same classes goes."""
        self.learned = {**self.learned, **learned}

    def drop(self) -> None:
        """The preview goes, and can be had back until something else is done."""
        self.preview, self.dropped, self.dropped_at, self.returned = None, self.preview, moment(), None

    def bring_back(self) -> None:
        """The preview that was dropped last is there again."""
        self.preview, self.dropped, self.returned, self.returned_at = self.dropped, None, self.dropped, moment()

    def keep(self, step: Step, at: int = 0) -> None:
        """Log a change of the accepted labels that was just made, or made at a moment."""
        self.history.push(step, at)
        self.voxels.update(step.gained)

    def undo(self) -> Step | None:
        """Take the last change of the accepted labels back; None when there is none."""
        step = self.history.undo()
        if step is not None:
            self.voxels.subtract(step.gained)
        return step

    def redo(self) -> Step | None:
        """Do again what was taken back last."""
        step = self.history.redo()
        if step is not None:
            self.voxels.update(step.gained)
        return step

    def keep_stroke(self, step: Step, at: int = 0) -> None:
        """Log a stroke that was just drawn, or drawn at a moment."""
        self.stroke_log.push(step, at)
        self.stroked.update(step.gained)

    def undo_stroke(self) -> Step | None:
        """Take the last stroke back; None when there is none."""
        step = self.stroke_log.undo()
        if step is not None:
            self.stroked.subtract(step.gained)
        return step

    def redo_stroke(self) -> Step | None:
        """Draw the stroke again that was taken back last."""
        step = self.stroke_log.redo()
        if step is not None:
            self.stroked.update(step.gained)
        return step

    def ml(self, value: int) -> float:
        """Volume of an accepted class in millilitres."""
        return 0.0 if self.labels is None else self.voxels[value] * self.display.geometry.voxel_ml


def open_scan(volume: Volume) -> Scan:
    """Turn a volume to the display grid.

    Raises
    ------
    InvalidInputError
        When it holds no finite number.
    """
    channels = tuple(displayed(channel) for channel in split(volume))
    return scan_of(channels[0], axis_map(volume.geometry), volume.geometry, channels, title=volume.name if len(channels) > 1 else "")


def scan_of(display: Volume, axes: AxisMap, geometry: Geometry, channels: tuple[Volume, ...] = (), *, title: str = "") -> Scan:
    """A scan that lies on the display grid already.

    Raises
    ------
    InvalidInputError
        When it holds no finite number.
    """
    if not _has_numbers(display.array):
        raise InvalidInputError("holds no usable number", where=display.name or "scan", todo="Export it again from the source")
    return Scan(display, axes, geometry, channels=channels, title=title)


def displayed(volume: Volume) -> Volume:
    """A scan turned to the display grid; a large one whose slices stay slices is not copied, since it may lie on the disk."""
    turn = axis_map(volume.geometry)
    if volume.array.nbytes < LARGE_BYTES:
        return orient(volume)
    view = turn.view(volume.array)
    if turn.order != (0, 1, 2):
        from napari_medseg.io.memory import allocate

        copy = allocate(view.shape, view.dtype)
        for index in range(len(view)):
            copy[index] = view[index]
        view = copy
    return replace(volume, array=view, geometry=turn.geometry(volume.geometry))


def _has_numbers(array: Array) -> bool:
    """Whether any value is finite; looks no further than the first slice that holds one."""
    if array.dtype.kind != "f":
        return bool(array.size)
    middle = len(array) // 2
    return any(bool(np.isfinite(part).any()) for part in (array[middle], *array))


def labels_for(scan: Scan, labels: Volume) -> LabelArray:
    """A label map read from a file, on the scan's display grid.

    Raises
    ------
    GridMismatchError
        When it does not lie on the scan's grid.
    """
    return labels_on(scan.display.geometry, scan.geometry, scan.axes, labels)


def labels_on(display: Geometry, stored: Geometry, axes: AxisMap | Straightening, labels: Volume) -> LabelArray:
    """A label map read from a file, on the display grid of a scan that `axes` brings there from its stored grid.

    Raises
    ------
    GridMismatchError
        When it lies on neither.
    """
    turned = orient(labels)
    try:
        require_same_grid(display, turned.geometry, where=labels.name or "labels")
    except GridMismatchError:
        require_same_grid(stored, labels.geometry, where=labels.name or "labels")
        return np.asarray(axes.apply(labels.array), np.uint8)
    return np.asarray(turned.array, np.uint8)


def full_box(array: Array) -> Box:
    """The whole of a (z, y, x) array as slices with start and stop."""
    z, y, x = array.shape
    return slice(0, z), slice(0, y), slice(0, x)


def source_labels(scan: Scan) -> Volume:
    """A scan's accepted labels on the grid of the file they were drawn on."""
    labels = scan.labels if scan.labels is not None else np.zeros(scan.display.geometry.shape, np.uint8)
    kind = np.uint8 if not labels.size or labels.max() <= 255 else np.uint16
    return Volume(labels_in_file(scan, labels.astype(kind)), scan.geometry, name=f"{scan.name} labels", source=None)


def labels_in_file(scan: Scan, labels: Array) -> Array:
    """Labels on the display grid in the file's own order; where the display is resampled, what nobody changed there stays as it was, bit for bit."""
    if scan.aside is None or isinstance(scan.axes, AxisMap):
        return scan.axes.undo(labels)
    stored, shown = scan.aside.labels, scan.aside.shown
    if stored is None or shown is None:
        return scan.axes.undo(labels)
    return scan.axes.undo_changes(labels, shown, scan.aside.axes.undo(stored))
