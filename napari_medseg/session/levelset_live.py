"""A level set while a person steers it: run, pause, step, rewind; sliders, seeds, bubbles and barriers join it while it moves.

It runs on the session's worker, one update after another. What a person does meanwhile waits in a queue and is taken up between two updates, so the record
can say at which. A run that is paused or has settled holds no thread: to go on is to iterate the same level set again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from napari_medseg.annotation import seed_voxels
from napari_medseg.errors import InvalidInputError, MedsegError, NoLabelsError, NoSeedsError
from napari_medseg.session import limit_painting
from napari_medseg.session.history import Box, both
from napari_medseg.session.jobs import Job
from napari_medseg.session.making import Making
from napari_medseg.session.patches import Patch, of_evolution
from napari_medseg.session.settings import EDGE_STEPS, SIZES, SMOOTHS
from napari_medseg.session.state import PointLPS, Preview, Scan, Tool
from napari_medseg.volume import BoolArray
from napari_medseg.volume.windows import unit_words

if TYPE_CHECKING:
    from napari_medseg.session.session import Session
    from napari_medseg.weaklabel.levelset import Evolution, LevelSet
    from napari_medseg.weaklabel.settings import LevelSetSettings

State = Literal["running", "paused", "settled"]
Act = Callable[["LevelSet"], None]
TITLE = "level set"
SAMPLE_MM = 2.0  # round a seed
FARTHER = 1.5  # times the reach so far


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """What a run begins with; all arrays on the display grid.

    Attributes
    ----------
    seeds : points, LPS mm
    settings : LevelSetSettings
    limit, init, barrier : bool (z, y, x) or None
    probability : float (z, y, x) or None
        A segmenter's, in place of the scan's values.
    learned : str
        The segmenter it came from.
    """

    seeds: tuple[PointLPS, ...]
    settings: LevelSetSettings
    limit: BoolArray | None = None
    init: BoolArray | None = None
    barrier: BoolArray | None = None
    probability: npt.NDArray[Any] | None = None
    learned: str = ""


class LiveLevelSet:
    """One run of a level set into a preview.

    Attributes
    ----------
    scan, preview : Scan, Preview
    value : int
        The class it grows.
    """

    def __init__(self, session: Session, scan: Scan, value: int, start: Start) -> None:
        self._session, self.scan, self.value, self._start = session, scan, value, start
        self._settings, self._seeds = start.settings, start.seeds
        self._reach_mm: float | None = None
        self._engine: LevelSet | None = None
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._barred: Box | None = None
        self._steering: list[dict[str, Any]] = []
        self._state: State = "running"
        self._job: Job | None = None
        self._last: Evolution | None = None
        title = next(c for c in session.classes if c.value == value)
        self._title = f"Growing {title.name}"
        self.preview = Preview(scan.fresh_map(), TITLE, (title,))
        self.preview.live = self

    @property
    def state(self) -> State:
        """What it does; a run that something else stopped is paused."""
        idle = self._job is None or not self._job.is_active
        return "paused" if self._state == "running" and idle else self._state

    @property
    def reason(self) -> str:
        """Why it settled, in the engine's word; "" while it has not."""
        return self._last.stopped_because if self._last is not None and self.state == "settled" else ""

    @property
    def overran(self) -> bool:
        """Whether it came back from farther than its reach, where nothing held it either."""
        return self._last is not None and self._last.overran

    @property
    def updates(self) -> int:
        """Updates so far, less those taken back."""
        return self._engine.updates if self._engine is not None else 0

    @property
    def can_rewind(self) -> bool:
        """Whether there is an update to take back."""
        return self.updates > 0

    # -- what a person does ----------------------------------------------------------------------------------------------------------------------------

    def go(self) -> None:
        """Run on, until it settles."""
        self._state = "running"
        self._tell(lambda engine: engine.resume())

    def pause(self) -> None:
        """Stand still after the update that is being made; a run that has not begun shows what it begins with."""
        self._state = "paused"
        self._tell(lambda engine: engine.pause())

    def step(self, updates: int = 1) -> None:
        """Make a few updates and stand still."""
        self.pause()
        self._tell(lambda engine: engine.step(updates))

    def rewind(self, updates: int = 1) -> None:
        """Take a few updates back and stand still."""
        self.pause()
        self._tell(lambda engine: engine.rewind(updates), {"act": "rewind", "updates": updates})

    def change(self, settings: LevelSetSettings) -> None:
        """Go on with other settings; a run that was paused stays so."""
        if settings.reach_mm is None:
            settings = replace(settings, reach_mm=self._reach_mm)
        if settings == self._settings:
            return
        told = {name: value for name, value in asdict(settings).items() if value != getattr(self._settings, name)}
        self._settings = settings
        self._nudge(lambda engine: engine.change(settings), {"act": "settings", **told}, alone=True)

    def farther(self) -> None:
        """Go on, farther from the seeds than before; this run only."""
        if self.preview.held_mm is not None:
            self._reach_mm = float(round(FARTHER * self.preview.held_mm))
            self.change(replace(self._settings, reach_mm=self._reach_mm))

    def follow_seeds(self) -> None:
        """The class's seeds are others now."""
        points = self.scan.seeds.get(self.value, ())
        if points == self._seeds:
            return
        self._seeds = points
        voxels = seed_voxels(points, self.scan.display.geometry) if points else np.zeros((0, 3), np.intp)
        self._nudge(lambda engine: engine.seeds(voxels), {"act": "seeds", "points": [list(point) for point in points]}, alone=True)

    def bubble(self, centre: tuple[int, int, int], radius_mm: float, *, add: bool) -> None:
        """Add a ball to the front, or take one away; a ball added outside a painted limit widens it, since a click is meant."""
        limit = self._start.limit
        if add and limit is not None:
            box, inside = ball(self.scan, centre, radius_mm)
            limit[box] |= inside
            limit_painting.include(self._session, self.scan, box, inside)
        point = self.scan.display.geometry.world(np.array([centre], float))[0]
        told = {"act": "bubble", "centre": [round(float(v), 3) for v in point], "radius_mm": radius_mm, "adds": add}
        self._nudge(lambda engine: engine.bubble(centre, radius_mm, add), told)

    def bar(self, box: Box) -> None:
        """The barrier is another one in this box; boxes that are not taken up yet become one."""
        with self._lock:
            self._barred = both(self._barred, box)
        self._nudge(self._bar, {"act": "barrier"}, alone=True)

    def record(self) -> Making:
        """How the preview came to be, as it stands."""
        start, scan = self._start, self.scan
        barrier = scan.barrier if scan.barred else None
        arrays = {name: array.view(np.uint8) for name, array in (("limit", start.limit), ("init", start.init)) if array is not None}
        if barrier is not None:
            arrays["barrier"] = (barrier > 0).view(np.uint8)
        prompts: dict[str, Any] = {"seeds": {str(self.value): [list(point) for point in self._seeds]}}
        if self.preview.iterations is not None:
            prompts["iterations"] = self.preview.iterations
        if self._steering:
            prompts["steering"] = list(self._steering)
        if start.learned:
            prompts["learned"] = start.learned
        return Making("levelset", parameters=asdict(self._settings), prompts=prompts, arrays=arrays)

    # -- inside ----------------------------------------------------------------------------------------------------------------------------------------

    def _bar(self, engine: LevelSet) -> None:
        with self._lock:
            box, self._barred = self._barred, None
        if box is not None and self.scan.barrier is not None:
            engine.bar(self.scan.barrier[box] > 0, box)

    def _nudge(self, act: Act, told: dict[str, Any], *, alone: bool = False) -> None:
        """Something changes; a front that had come to rest moves again."""
        if self._state == "settled":
            self._state = "running"
        self._tell(act, told, alone=alone)

    def _tell(self, act: Act, told: dict[str, Any] | None = None, *, alone: bool = False) -> None:
        """Let the engine know at its next update; of what stands `alone` only the latest is told."""
        with self._lock:
            if alone and told is not None:
                self._waiting = [each for each in self._waiting if each.told is None or each.told["act"] != told["act"]]
            self._waiting.append(_Waiting(act, told))
        if self._job is None or not self._job.is_active:
            self.iterate()
        self._session.changed.emit()

    def iterate(self) -> None:
        """Work off what waits, and run on unless it is paused."""
        self.preview.finished = False
        self._job = self._session.fill(self.scan, self.preview, self._title, self._patches, self._ended)

    def _ended(self) -> None:
        if self._waiting:
            self.iterate()
            return
        if self._state == "running":
            self._state = "settled"
        self.preview.finished = self._state == "settled"

    def _patches(self) -> Iterator[Patch]:
        """On the worker: the front as patches, what a person does taken up in between."""
        if self._engine is None:
            self._engine = self._built()
        self._take_up(self._engine)
        yield from of_evolution(self._steps(self._engine), self.value)

    def _steps(self, engine: LevelSet) -> Iterator[Evolution]:
        for step in engine:
            self._last = step
            yield step
            if step.whole:
                self._take_up(engine)

    def _take_up(self, engine: LevelSet) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for each in waiting:
            try:
                each.act(engine)
            except MedsegError as error:
                self._session.jobs.dispatch(partial(self._session.report, error))
                continue
            if each.told is not None:
                self._note({"at": engine.updates, **each.told})

    def _note(self, told: dict[str, Any]) -> None:
        """Remember what was done; a slider that is dragged, a brush that is drawn are one act as long as they stand alone."""
        if self._steering and told["act"] in ("settings", "barrier", "rewind") and self._steering[-1]["act"] == told["act"]:
            before = self._steering.pop()
            told = {**before, **told, "updates": before["updates"] + told["updates"]} if told["act"] == "rewind" else {**before, **told}
        self._steering.append(told)

    def _built(self) -> LevelSet:
        from napari_medseg.weaklabel.levelset import LevelSet

        start, grid = self._start, self.scan.display.geometry
        seeds = seed_voxels(start.seeds, grid) if start.seeds else ()
        masks = {"limit": start.limit, "init": start.init, "barrier": start.barrier, "probability": start.probability}
        unit = unit_words(self.scan.display.modality, self.scan.display.units)
        return LevelSet(self.scan.display.array, grid.spacing, start.settings, seeds=seeds, unit=unit, finely=True, **masks)


# -- what the session and its views call -----------------------------------------------------------------------------------------------------------------


def run(session: Session) -> None:
    """The one button: start, pause, go on; a front that has settled is grown anew.

    Raises
    ------
    NoSeedsError, NoLabelsError, InvalidInputError
        When there is nothing to start from.
    """
    front = session.front
    if front is not None and front.state == "running":
        front.pause()
    elif front is not None and front.state == "paused":
        front.go()
    else:
        _begin(session, _start(session), LiveLevelSet.go)


def step(session: Session) -> None:
    """Make one update; the first one starts the run."""
    if session.front is None:
        _begin(session, _start(session), LiveLevelSet.step)
    else:
        session.front.step()


def rewind(session: Session) -> None:
    """Take one update back."""
    if session.front is not None:
        session.front.rewind()


def farther(session: Session) -> None:
    """Go on, farther from the seeds, where nothing but the distance from them held it."""
    if session.front is not None:
        session.front.farther()


def begin_bubble(session: Session) -> None:
    """Arm the bubble tool, or put it down."""
    _scan(session)
    session.set(tool="" if session.tool == "bubble" else "bubble", background=False)


def bubble(session: Session, centre: tuple[int, int, int], *, add: bool) -> None:
    """A ball at a voxel joins what is grown, or is taken away; without a run it is what one will start from.

    Raises
    ------
    InvalidInputError
        When there is nothing to take it from.
    """
    scan, radius = _scan(session), session.levelset.bubble_mm
    front = session.front
    if front is not None:
        front.bubble(centre, radius, add=add)
        return
    if scan.preview is None and not add:
        raise InvalidInputError("there is nothing to cut a bubble from", where="Bubble", todo="Add one, or grow a label first")
    shown = _mask_of_preview(session, scan) if scan.preview is not None and not scan.preview.is_empty else None
    first = shown
    if first is None:
        box, inside = ball(scan, centre, radius)
        first = np.zeros(scan.display.geometry.shape, bool)
        first[box] = inside
    front = _begin(session, replace(_start(session, bare=True), init=first), LiveLevelSet.pause, tool="bubble")
    if shown is not None:
        front.bubble(centre, radius, add=add)


def choose(session: Session, **values: Any) -> None:
    """Other settings, from the window's sliders; a run goes on with them."""
    session.set(levelset=replace(session.levelset, **values))
    front = session.front
    if front is not None:
        front.change(session.levelset.settings())


def slide(session: Session, slider: str, by: int) -> None:
    """Move one of the three sliders: "size", "smoothness" or "edge"."""
    low, high, rest = {"size": (-SIZES, SIZES, 0), "smoothness": (-SMOOTHS, SMOOTHS, 0), "edge": (0, EDGE_STEPS, EDGE_STEPS // 2)}[slider]
    now = getattr(session.levelset, slider)
    choose(session, **{slider: min(high, max(low, (rest if now is None else now) + by))})


def follow_seeds(session: Session, scan: Scan) -> None:
    """The seeds of a scan are others now; a fault is reported."""
    front = _front_of(scan)
    if front is not None:
        session.attempt(front.follow_seeds)


def follow_barrier(session: Session, scan: Scan, boxes: tuple[Box, ...]) -> None:
    """The barrier of a scan is another one in these boxes."""
    front = _front_of(scan)
    if front is not None:
        for box in boxes:
            front.bar(box)


def window_of_seeds(session: Session) -> tuple[float, float]:
    """The range of values round the chosen class's seeds, a little wider, in the scan's units.

    Raises
    ------
    NoSeedsError
        When there is none.
    """
    scan = _scan(session)
    grid = scan.display.geometry
    points = seed_voxels(scan.seeds.get(session.chosen, ()), grid)
    reach = [max(1, round(SAMPLE_MM / s)) for s in grid.spacing]
    boxes = (tuple(slice(max(0, c - r), c + r + 1) for c, r in zip(point, reach, strict=True)) for point in points)
    values = np.concatenate([np.asarray(scan.display.array[box], float).ravel() for box in boxes])
    low, high = np.percentile(values[np.isfinite(values)], (2, 98)) if np.isfinite(values).any() else (0.0, 1.0)
    spare = max(float(high - low), 1e-3) / 4
    digits = 0 if high - low > 20 else 3
    return round(float(low) - spare, digits), round(float(high) + spare, digits)


def ball(scan: Scan, centre: tuple[int, int, int], radius_mm: float) -> tuple[Box, BoolArray]:
    """A ball on a scan's display grid: its box, and bool (z, y, x) in there; its centre always belongs to it."""
    grid = scan.display.geometry
    sides = zip(centre, grid.spacing, grid.shape, strict=True)
    z, y, x = (slice(max(0, c - int(radius_mm / s)), min(n, c + int(radius_mm / s) + 1)) for c, s, n in sides)
    away = sum(((axis - c) * s) ** 2 for axis, c, s in zip(np.ogrid[z, y, x], centre, grid.spacing, strict=True))
    return (z, y, x), np.asarray(away <= radius_mm**2)


def _begin(session: Session, start: Start, act: Callable[[LiveLevelSet], None], tool: Tool | None = None) -> LiveLevelSet:
    scan = _scan(session)
    front = LiveLevelSet(session, scan, session.chosen, start)
    kept = session.tool if session.tool in ("seeds", "barrier", "bubble") else ""
    session.show_preview(scan, front.preview, tool=tool or kept, begin=partial(act, front))
    return front


def _start(session: Session, *, bare: bool = False) -> Start:
    """What a run would begin with now; `bare` asks for no seeds."""
    scan, choices, name = _scan(session), session.levelset, session.label_class.name
    points = scan.seeds.get(session.chosen, ())
    init = None if bare else _init(session, scan)
    if not points and init is None and not bare:
        raise NoSeedsError("no seed point was given", where=name, todo="Press Add seeds and click three to five points inside the organ")
    if points:
        seed_voxels(points, scan.display.geometry)
    limit = scan.limit > 0 if scan.limit is not None and choices.use_limit and scan.limit.any() else None
    barrier = scan.barrier > 0 if scan.barrier is not None and scan.barred else None
    learned = scan.learned.get(session.chosen) if choices.learned else None
    if learned is None:
        return Start(points, choices.settings(), limit, init, barrier)
    return Start(points, choices.settings(), limit, init, barrier, learned.chance, learned.title)


def _init(session: Session, scan: Scan) -> BoolArray | None:
    """The mask a run begins with, where the person chose one."""
    if session.levelset.begin == "label":
        if scan.labels is None or not scan.voxels[session.chosen]:
            raise NoLabelsError("holds no accepted voxel to start from", where=session.label_class.name, todo="Start from the seeds instead")
        return np.asarray(scan.labels == session.chosen)
    if session.levelset.begin == "preview":
        if scan.preview is None or scan.preview.is_empty:
            raise NoLabelsError("there is no preview to start from", where="Level set", todo="Start from the seeds instead")
        return _mask_of_preview(session, scan)
    return None


def _mask_of_preview(session: Session, scan: Scan) -> BoolArray | None:
    """The chosen class in the preview; all of it where it holds one class only."""
    if scan.preview is None:
        return None
    labels = scan.preview.labels
    return np.asarray(labels > 0 if len(scan.preview.classes) == 1 else labels == session.chosen)


def _front_of(scan: Scan) -> LiveLevelSet | None:
    return scan.preview.live if scan.preview is not None else None


def _scan(session: Session) -> Scan:
    if session.current is None:
        raise InvalidInputError(session.declined or "no scan is open", where="Medseg", todo="Drop a scan on the window, or try a sample")
    if session.current.arriving:
        raise InvalidInputError("is still being read", where=session.current.name, todo="Try again when all of its slices are there")
    return session.current


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """An act that is not taken up yet, and what the record says of it."""

    act: Act
    told: dict[str, Any] | None = field(default=None)
