"""The paper's weak label: contrast from the seeds, a level set, times the hand-painted limit, closed; and it can be steered while it runs.

Salah et al. (MIUA 2023): sigmoid contrast -> seeds -> level set -> binary; voxel-wise product with what an annotator painted roughly;
dilation and erosion to close holes. Here what drives the front is learned from the seeds and from both sides of the front (speed.py), and the front can be
watched, stopped, taken back, started from any mask, driven by a network's probabilities, and changed from another thread while it moves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InvalidInputError, NoSeedsError
from napari_medseg.volume import BoolArray, Shape, Spacing
from napari_medseg.weaklabel import leak, scene
from napari_medseg.weaklabel.blank import blank
from napari_medseg.weaklabel.evolution import Evolution
from napari_medseg.weaklabel.fronts import front_on
from napari_medseg.weaklabel.ground import Given, Ground, box_of, cut, cut_off, draw_balls, rooms_with
from napari_medseg.weaklabel.morphology import close_mm, drop_islands
from napari_medseg.weaklabel.scene import Box, IntArray
from napari_medseg.weaklabel.settings import LevelSetSettings
from napari_medseg.weaklabel.speed import Speed
from napari_medseg.weaklabel.trail import Trail, differences

__all__ = ["Evolution", "LevelSet", "LevelSetSettings", "evolve"]

DEFAULT = LevelSetSettings()
SETTLED = 0.002  # share of the mask that at most differs from what it was CALM iterations ago when it has come to rest
CALM = 12  # iterations; under tension single voxels may go to and fro for ever
CALM_ON_EDGES = 48  # a front that only edges hold creeps
STEADY = 0.0005  # share by which the volume may differ between looks while voxels go to and fro in noise
FLICKER = 0.02  # of the mask at most
STEADY_LOOKS = 3  # in a row
LEARN_EVERY = 40  # iterations
LEARN_SLICES = 4  # updates over which what was learned comes into force, so that none waits long; with more, a leak through a wide neck was not told
LEARNINGS = 3  # then the speed stays, so that the front can come to rest
LEARNINGS_IN_LIMIT = 1  # the paint's surroundings told much already; three rounds differed by less than 0.01 of Dice on the tuning cases
LEAK_SHARE = 0.05  # of the end of the reach: stop
LEAK_SUSPECTED = 0.005  # of it: say so
LOOK_EVERY = 4  # updates between two looks for a leak
HALF_WAY = 60  # iterations a usual run takes about twice
REBUILT_BY = ("shell_mm", "reach_mm", "device")  # settings that change where is looked, not only what is seen


class LevelSet:
    """One front on one scan, from its start to its rest and on.

    Iterating it runs until it settles, pauses or is stopped; iterating it again goes on from where it stands. All that steers it may be called from
    another thread while it runs; it is taken up in order at the next update, and what it changes is yielded at once.

    Parameters
    ----------
    image : (z, y, x), any real type
    spacing : mm per voxel (z, y, x)
    settings : LevelSetSettings
    seeds : (n, 3) voxel indices z, y, x
        Inside the target. May be empty when `init` is given.
    limit : mask (z, y, x), optional
        Painted roughly by hand: every step and the result stay inside. What lies outside informs the background.
    init : mask (z, y, x), optional
        Start from this mask instead of the seeds or the limit.
    barrier : mask (z, y, x), optional
        Never entered nor crossed.
    probability : float (z, y, x), 0-1, optional
        Drives the front in place of the scan's values, e.g. a network's.

    Raises
    ------
    NoSeedsError
        When there is no seed and no `init`, or a seed outside the scan.
    InvalidInputError
        When the limit is empty or holds no seed, a mask has another shape, or (when it is iterated) the scan is not usable around the seeds.
    """

    def __init__(
        self, image: npt.NDArray[Any], spacing: Spacing, settings: LevelSetSettings = DEFAULT, *, seeds: npt.ArrayLike = (),
        limit: npt.NDArray[Any] | None = None, init: npt.NDArray[Any] | None = None, barrier: npt.NDArray[Any] | None = None,
        probability: npt.NDArray[Any] | None = None,
    ) -> None:
        scene.checked_image(image)
        shape: Shape = (image.shape[0], image.shape[1], image.shape[2])
        limit, init, barrier = (scene.checked_mask(m, shape, n) for m, n in ((limit, "limit"), (init, "starting mask"), (barrier, "barrier")))
        if limit is not None and not limit.any():
            raise InvalidInputError("nothing is painted", where="limit", todo="Paint roughly over the organ, or go on without a limit")
        if probability is not None and probability.shape != shape:
            scene.checked_mask(probability, shape, "probability")
        self._given = Given(image, scene.checked_spacing(spacing), np.zeros((0, 3), np.intp), limit, init, barrier, probability)
        self._given = replace(self._given, points=self._checked(seeds))
        self._settings = settings
        self._trail = Trail(shape)
        self._waiting: deque[Callable[[], Box | None]] = deque()
        self._paused, self._owed, self._stopping = False, 0, False
        self._iteration, self._begun, self._own_barrier = 0, False, False
        self._bubbles: list[tuple[IntArray, float, bool, int]] = []  # centre, radius in mm, whether it was added, at which step of the trail
        self._why = ""
        self._stale = False  # whether the front still has to take up a mask that a person went back to
        self._insisted = False  # whether a person ran on past a leak that was told
        self._suspicions = self._voxels = self._held = self._steady = 0
        self._neck: tuple[int, int, int] | None = None

    # -- steering --------------------------------------------------------------------------------------------------------------------------------------

    @property
    def updates(self) -> int:
        """How many updates one can go back."""
        return len(self._trail)

    @property
    def is_paused(self) -> bool:
        """Whether it stands still until it is told to go on."""
        return self._paused

    def pause(self) -> None:
        """Stand still after the update that is being made: the iteration ends there."""
        self._paused, self._owed = True, 0

    def resume(self) -> None:
        """Go on when it is iterated."""
        self._paused, self._owed = False, 0

    def step(self, updates: int = 1) -> None:
        """Make a few updates and stand still again."""
        self._owed = (self._owed if self._paused else 0) + updates
        self._paused = True

    def stop(self) -> None:
        """Finish with what there is."""
        self._stopping = True

    def rewind(self, updates: int = 1) -> None:
        """Go back to the mask of some updates ago, and stand still there."""
        self.pause()
        self._waiting.append(lambda: self._rewind(updates))

    def change(self, settings: LevelSetSettings) -> None:
        """Go on with other settings."""
        self._waiting.append(lambda: self._change(settings))

    def seeds(self, points: npt.ArrayLike) -> None:
        """Go on with these seeds in place of the earlier ones, (n, 3) voxel indices; the box grows where they lie outside.

        Raises
        ------
        NoSeedsError
            When one lies outside the scan, or all outside the painted limit.
        """
        checked = self._checked(points, running=True)
        self._waiting.append(lambda: self._seed(checked))

    def add_seeds(self, points: npt.ArrayLike) -> None:
        """Go on with more seeds, (n, 3) voxel indices.

        Raises
        ------
        NoSeedsError
            When one lies outside the scan, or all outside the painted limit.
        """
        checked = self._checked(points, running=True)
        self._waiting.append(lambda: self._seed(np.unique(np.concatenate([self._given.points, checked]), axis=0)))

    def bubble(self, centre: tuple[int, int, int], radius_mm: float, add: bool) -> None:
        """Add a ball to the front, or take one away. It is the person's word, over the evidence and a painted limit, until a later one or a rewind.

        What was added stays inside; where one was taken nothing grows. Only a barrier is stronger.

        Raises
        ------
        InvalidInputError
            When the centre lies outside the scan or the radius is no length.
        """
        place = scene.checked_seeds([centre], self._given.shape)[0]
        if not 0 < radius_mm < np.inf:
            raise InvalidInputError(f"{radius_mm} mm is no radius", where="bubble", todo="Give more than zero mm")
        self._waiting.append(lambda: self._bubble(place, radius_mm, add))

    def bar(self, mask: npt.NDArray[Any], box: Box) -> None:
        """In this box of the scan the barrier is this mask from now on; what it severs from the seeds goes.

        Raises
        ------
        InvalidInputError
            When the mask is not the box's.
        """
        z, y, x = (slice(*part.indices(count)) for part, count in zip(box, self._given.shape, strict=True))
        barred = scene.checked_mask(mask, (z.stop - z.start, y.stop - y.start, x.stop - x.start), "barrier")
        if barred is not None:
            copy = barred.copy()
            self._waiting.append(lambda: self._bar(copy, (z, y, x)))

    # -- running ---------------------------------------------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Evolution]:
        """Run until it settles, is paused or stopped; the first yield shows where it stands, the last of a run that ended is finished (closed)."""
        if not self._begun:
            self._begin()
        self._stopping, self._suspicions, self._neck = False, 0, None
        self._watch()
        self._steady, self._held = 0, self._voxels
        self._first, reason = self._iteration, ""
        yield self._tick(self._extent, f"Starting ({self._why})" if not self._iteration else self._words())
        while not reason:
            while self._waiting:
                self._watch()
                changed = self._waiting.popleft()()
                if changed is not None:
                    yield self._tick(changed, self._words())
            if self._stopping:
                reason = "stopped"
                break
            if self._paused:
                if not self._owed:
                    return
                self._owed -= 1
            changed, reason = self._update(self._settings.iterations - (self._iteration - self._first))
            yield self._tick(changed, self._words())
        yield self._finished(reason)

    def _update(self, left: int) -> tuple[Box | None, str]:
        """Move on by some iterations: what changed, and why it should end here."""
        count = min(self._settings.iterations_per_update, left)
        before, known = self._front.iterations, not self._stale
        self._speed.refresh()
        if self._stale:
            self._front.reset(self._shown.copy())
            self._stale = False
        moved = self._front.advance(self._speed, count)
        ran = self._front.iterations - before
        self._iteration += ran
        left -= ran
        changed = self._take_changes(moved.box if known else self._everywhere)
        self._watched += 1
        self._since_watched += count
        self._since_learning += count
        if self._leaks():
            return changed, "leak"
        if ran < count or self._since_watched >= CALM + self._speed.edge * (CALM_ON_EDGES - CALM):
            differ = self._trail.net(self._watched)
            steady = abs(self._voxels - self._held) <= STEADY * self._voxels and differ <= FLICKER * self._voxels
            self._steady, self._held = self._steady + 1 if steady else 0, self._voxels
            rests = differ <= SETTLED * self._voxels or self._steady >= STEADY_LOOKS
            self._watch()
            if rests:
                return changed, self._rest()
        if self._since_learning >= LEARN_EVERY:
            self._learn()
        return changed, "iterations" if left <= 0 else ""

    def _watch(self) -> None:
        """Compare with the mask as it is now from now on."""
        self._watched = self._since_watched = 0

    def _rest(self) -> str:
        """What to do when it has come to rest: learn, put it under tension, or end."""
        self._steady = 0
        if self._speed.refresh(whole=True) or self._learn():
            return ""
        if self._speed.curvature_mm < self._speed.tension_mm:
            self._tense, self._speed.curvature_mm = True, self._speed.tension_mm
            return ""
        return "vanished" if self._voxels <= np.count_nonzero(self._ground.kept) else "converged"

    def _learn(self) -> bool:
        self._since_learning = 0
        if self._learned >= (LEARNINGS if self._given.limit is None else LEARNINGS_IN_LIMIT):
            return False
        self._learned += 1
        return self._speed.learn(self._front.inside, LEARN_SLICES)

    def _leaks(self) -> bool:
        """Whether the front has left the target: at the end of the reach, or through a neck at two looks in a row."""
        if self._given.limit is not None:
            return False
        if self._at_the_end() > LEAK_SHARE:
            return True
        self._looks += 1
        if self._looks % LOOK_EVERY or self._insisted:
            return False
        found = leak.suspected(self._front.inside, self._ground.kept, self._given.spacing)
        self._neck = None
        if found is not None:
            z, y, x = (int(v) + part.start for v, part in zip(found.neck, self._ground.box, strict=True))
            self._neck = z, y, x
        self._suspicions = self._suspicions + 1 if found is not None else 0
        self._insisted = self._suspicions >= 2
        return self._insisted

    def _at_the_end(self) -> float:
        rim = self._ground.rim
        return float(np.count_nonzero(self._shown.reshape(-1)[rim]) / rim.size) if rim.size else 0.0

    # -- the pieces ------------------------------------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        ground = cut(self._given, self._settings)
        inward = self._given.limit is not None and self._settings.start != "seeds"
        self._tense = inward or self._given.init is not None  # it would crush a front as small as the seeds
        speed = self._speed_on(ground, None)
        mask, around = ground.first_mask, None
        if mask is None and inward:
            mask = ground.allowed.copy()
        elif mask is None:
            mask, around = speed.start()
        if self._given.barrier is not None:
            mask &= ground.allowed
            mask = rooms_with(mask, ground.kept if ground.kept.any() else mask)
        self._set(ground, speed, mask, around)
        self._shown: BoolArray = blank(ground.shape)
        inside, around = self._front.inside, around or self._everywhere
        some = inside[around].any()
        self._extent = _moved(box_of(inside[around], 0, self._given.spacing), around, self._everywhere) if some else (slice(0, 1), slice(0, 1), slice(0, 1))
        self._shown[self._extent] = inside[self._extent]
        self._voxels = int(np.count_nonzero(self._shown[self._extent]))
        self._learned = self._since_learning = self._looks = 0
        self._begun = True

    def _speed_on(self, ground: Ground, mask: BoolArray | None) -> Speed:
        """What drives the front on some ground; without seeds and starting mask it learns from the mask."""
        init = ground.part(self._given.init)
        if init is None and not len(ground.points):
            init = mask
        speed = Speed(
            self._given.image[ground.box], self._given.spacing, self._settings, ground.points, limit=ground.part(self._given.limit), init=init,
            probability=ground.part(self._given.probability), allowed=ground.allowed,
            inward=self._given.limit is not None and self._settings.start != "seeds", reach_mm=ground.reach_mm,
        )
        self._pull(speed)
        return speed

    def _pull(self, speed: Speed) -> None:
        speed.curvature_mm = speed.tension_mm if self._tense else 0.0

    def _set(self, ground: Ground, speed: Speed, mask: BoolArray, around: Box | None = None) -> None:
        """Go on with another ground, speed and front, whose mask lies in a box; what was shown stays known, so that the change can be told."""
        self._front = front_on(self._settings.device, np.ascontiguousarray(mask), self._given.spacing, ground.allowed, ground.kept, around)
        self._ground, self._speed, self._stale = ground, speed, False
        self._why = speed.describe()
        self._insisted, self._suspicions, self._neck = False, 0, None

    def _rebuilt(self, given: Given, points: IntArray | None = None, least: Box | None = None) -> None:
        """Cut anew, at least as wide as now; new seeds begin with what looks like the target around them."""
        before, self._given = self._given, given
        try:
            ground = self._edited(cut(given, self._settings, self._ground.box if least is None else scene.joined(self._ground.box, least)))
            mask = ground.place(self._ground.box, self._shown)
            speed = self._speed_on(ground, mask)
        except InvalidInputError:
            self._given = before
            raise
        if points is not None and len(points):
            mask[tuple(speed.like_target(points - [part.start for part in ground.box]).T)] = True
        self._shown = ground.place(self._ground.box, self._shown)
        self._extent = _moved(self._extent, self._ground.box, ground.box)
        self._set(ground, speed, mask)
        self._learned = 0

    def _edited(self, ground: Ground) -> Ground:
        """The ground with the bubbles so far: where the front may be, and what it keeps."""
        for centre, radius, add, _ in self._bubbles:
            for mask in (ground.allowed, ground.kept):
                draw_balls(mask, centre[None] - [part.start for part in ground.box], radius, self._given.spacing, add)
        if self._bubbles and self._given.barrier is not None:
            ground.allowed[self._given.barrier[ground.box]] = False
        ground.kept[...] &= ground.allowed
        return ground

    def _allow_again(self, box: Box) -> None:
        """Where the front may be has changed in a box of the scan."""
        fresh = self._edited(cut(self._given, self._settings, self._ground.box))
        self._ground.allowed[...], self._ground.kept[...] = fresh.allowed, fresh.kept  # the speed reads this very array
        z, y, x = (slice(max(0, p.start - b.start), max(0, min(p.stop, b.stop) - b.start)) for p, b in zip(box, self._ground.box, strict=True))
        self._speed.remake((z, y, x))

    def _go_on_from(self, mask: BoolArray) -> Box | None:
        self._set(self._ground, self._speed, mask)
        return self._take_changes(self._everywhere)

    # -- what steering does ----------------------------------------------------------------------------------------------------------------------------

    def _rewind(self, updates: int) -> Box | None:
        changed: list[Box] = []
        for _ in range(min(updates, len(self._trail))):
            box, gain = self._trail.back(self._shown, self._ground.box)
            self._voxels += gain
            changed += [box] if box is not None else []
        self._stale = True
        self._insisted, self._suspicions, self._neck = False, 0, None
        undone = [bubble for bubble in self._bubbles if bubble[3] > self._trail.position]
        self._bubbles = [bubble for bubble in self._bubbles if bubble[3] <= self._trail.position]
        for centre, radius, _, _ in undone:
            self._allow_again(self._ball(centre, radius))
        return self._widened(changed)

    def _change(self, settings: LevelSetSettings) -> Box | None:
        before, self._settings = self._settings, settings
        try:
            if any(getattr(before, name) != getattr(settings, name) for name in REBUILT_BY):
                self._rebuilt(self._given)
            else:
                self._speed.change(settings)
        except InvalidInputError:
            self._settings = before
            raise
        self._pull(self._speed)
        self._why, self._learned = self._speed.describe(), 0
        return None

    def _seed(self, points: IntArray) -> Box | None:
        known = {tuple(point) for point in self._given.points.tolist()}
        new = np.array([point for point in points.tolist() if tuple(point) not in known], np.intp).reshape(-1, 3)
        self._rebuilt(replace(self._given, points=points), new)
        return self._take_changes(self._everywhere)

    def _bubble(self, centre: IntArray, radius_mm: float, add: bool) -> Box | None:
        box = self._ball(centre, radius_mm)
        self._bubbles.append((centre, radius_mm, add, self._trail.position + 1))
        if add and scene.joined(box, self._ground.box) != self._ground.box:
            self._rebuilt(self._given, least=box)
        else:
            self._allow_again(box)
        return self._go_on_from(self._shown.copy())

    def _ball(self, centre: IntArray, radius_mm: float) -> Box:
        return scene.box_around_points(centre[None], radius_mm, self._given.spacing, self._given.shape)

    def _bar(self, mask: BoolArray, box: Box) -> Box | None:
        if not self._own_barrier:
            self._own_barrier = True
            barrier = np.zeros(self._given.shape, bool) if self._given.barrier is None else self._given.barrier.copy()
            self._given = replace(self._given, barrier=barrier)
        assert self._given.barrier is not None
        self._given.barrier[box] = mask
        here = self._given.barrier[self._ground.box]
        mask = cut_off(self._shown, here, self._ground.kept & ~here)
        self._allow_again(box)
        return self._go_on_from(mask)

    # -- what is told ----------------------------------------------------------------------------------------------------------------------------------

    @property
    def _everywhere(self) -> Box:
        z, y, x = (slice(0, count) for count in self._ground.shape)
        return z, y, x

    def _take_changes(self, box: Box | None) -> Box | None:
        """Note where the front's mask differs from what was shown, within a box of the ground; around what does."""
        turned = differences(self._front.inside, self._shown, box) if box is not None else np.zeros(0, np.intp)
        self._trail.add(turned, self._ground.box)
        if not turned.size:
            return None
        self._voxels += 2 * int(np.count_nonzero(self._shown.reshape(-1)[turned])) - turned.size
        places = np.unravel_index(turned, self._ground.shape)
        z, y, x = (slice(int(place.min()), int(place.max()) + 1) for place in places)
        return self._widened([(z, y, x)])

    def _widened(self, boxes: list[Box]) -> Box | None:
        """One box around all; the extent grows with it."""
        if not boxes:
            return None
        changed = boxes[0]
        for box in boxes[1:]:
            changed = scene.joined(changed, box)
        self._extent = scene.joined(self._extent, changed)
        return changed

    def _words(self) -> str:
        ml = self._voxels * float(np.prod(self._given.spacing)) / 1000
        return f"{ml:.3g} ml ({self._why})"

    def _tick(self, changed: Box | None, message: str) -> Evolution:
        """The mask as it is shown; boxes are the ground's."""
        done = self._iteration - self._first
        fraction = min(0.99, max(done / (done + HALF_WAY), done / self._settings.iterations))
        return Evolution(
            self._on_scan(self._extent), self._shown[self._extent].copy(), self._given.shape, self._iteration, fraction, message, "", self._speed.method,
            self._neck, None if changed is None else self._on_scan(changed),
        )

    def _finished(self, reason: str) -> Evolution:
        """The last word: islands dropped and gaps closed around the mask, inside what is allowed."""
        ground, settings, spacing = self._ground, self._settings, self._given.spacing
        margins = [int(np.ceil(settings.close_mm / step)) + 1 for step in spacing]
        z, y, x = (slice(max(0, e.start - m), min(n, e.stop + m)) for e, m, n in zip(self._extent, margins, ground.shape, strict=True))
        self._extent = box = z, y, x
        allowed = ground.allowed[box]
        if self._given.image.dtype.kind == "f":
            allowed = allowed & np.isfinite(self._given.image[self._on_scan(box)])
        mask = close_mm(drop_islands(self._shown[box] & allowed, ground.kept[box]), settings.close_mm, spacing) & allowed
        size = f"{np.count_nonzero(mask) * float(np.prod(spacing)) / 1000:.3g} ml"
        return Evolution(
            self._on_scan(box), mask, self._given.shape, self._iteration, 1.0, f"{size}; {self._last_word(reason)}", reason, self._speed.method, self._neck,
            self._on_scan(box),
        )

    def _last_word(self, reason: str) -> str:
        """Why it ended, and what to do about it."""
        if reason == "leak" and self._neck is not None:
            return f"stopped: growth through a narrow neck near slice {self._neck[0]}. Draw a barrier across it, or run on if it belongs to the target"
        if reason == "leak":
            return "stopped: the front went as far from the seeds as it may and has leaked. Paint a limit, add seeds, or lower the reach"
        if self._at_the_end() > LEAK_SUSPECTED:
            return "part of it lies as far from the seeds as it may: probably a leak. Paint a limit, add seeds, or lower the reach"
        if reason == "vanished":
            return "nothing but the seeds looks like the target. Add seeds, or paint closer"
        if reason == "iterations":
            return f"stopped at the most iterations allowed ({self._why})"
        return f"{'stopped' if reason == 'stopped' else 'came to rest'} ({self._why})"

    def _on_scan(self, box: Box) -> Box:
        z, y, x = (slice(part.start + whole.start, part.stop + whole.start) for part, whole in zip(box, self._ground.box, strict=True))
        return z, y, x

    def _checked(self, seeds: npt.ArrayLike, *, running: bool = False) -> IntArray:
        """Seeds that can be used."""
        given = self._given
        points = scene.checked_seeds(seeds, given.shape)
        if not points.size and not running and (given.init is None or not given.init.any()):
            raise NoSeedsError("no seed point was given", where="seeds", todo="Click three to five points inside the organ")
        if points.size and given.limit is not None and not given.limit[tuple(points.T)].any() and given.init is None:
            raise NoSeedsError("every seed lies outside the painted limit", where="seeds", todo="Place seeds inside the limit, or paint over them")
        return points


def evolve(
    image: npt.NDArray[Any], seeds: npt.ArrayLike, spacing: Spacing, settings: LevelSetSettings = DEFAULT, *,
    limit: npt.NDArray[Any] | None = None, init: npt.NDArray[Any] | None = None, barrier: npt.NDArray[Any] | None = None,
    probability: npt.NDArray[Any] | None = None,
) -> Iterator[Evolution]:
    """Grow a weak label from seeds, yielding as it grows: a `LevelSet` that nobody steers. What is given and raised is told there.

    Yields
    ------
    Evolution
        The first at once, the last is the finished weak label, inside the limit. Stop iterating to cancel.
    """
    return iter(LevelSet(image, spacing, settings, seeds=seeds, limit=limit, init=init, barrier=barrier, probability=probability))


def _moved(box: Box, before: Box, now: Box) -> Box:
    """A box of one ground in the coordinates of another."""
    z, y, x = (slice(p.start + b.start - n.start, p.stop + b.start - n.start) for p, b, n in zip(box, before, now, strict=True))
    return z, y, x
