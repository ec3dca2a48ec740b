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
from napari_medseg.volume import Shape, Spacing
from napari_medseg.weaklabel import scene
from napari_medseg.weaklabel.course import Course, Moment
from napari_medseg.weaklabel.evolution import Evolution
from napari_medseg.weaklabel.ground import Given
from napari_medseg.weaklabel.scene import Box, IntArray
from napari_medseg.weaklabel.settings import LevelSetSettings
from napari_medseg.weaklabel.stand import Stand
from napari_medseg.weaklabel.telling import as_it_stands, finished

__all__ = ["Evolution", "LevelSet", "LevelSetSettings", "evolve"]

DEFAULT = LevelSetSettings()


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
    unit : str
        What grey values are called where it tells what it follows, such as "HU".
    finely : bool
        Yield within an update too, after each of its iterations: so it looks smoother, and costs a copy of the mask each time. The course it takes is the same.

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
        probability: npt.NDArray[Any] | None = None, unit: str = "", finely: bool = False,
    ) -> None:
        scene.checked_image(image)
        shape: Shape = (image.shape[0], image.shape[1], image.shape[2])
        limit, init, barrier = (scene.checked_mask(m, shape, n) for m, n in ((limit, "limit"), (init, "starting mask"), (barrier, "barrier")))
        if limit is not None and not limit.any():
            raise InvalidInputError("nothing is painted", where="limit", todo="Paint roughly over the organ, or go on without a limit")
        if probability is not None and probability.shape != shape:
            scene.checked_mask(probability, shape, "probability")
        given = Given(image, scene.checked_spacing(spacing), np.zeros((0, 3), np.intp), limit, init, barrier, probability, unit)
        self._stand = Stand(replace(given, points=_checked(given, seeds)), settings)
        self._course, self._finely = Course(self._stand), finely and settings.device in ("auto", "cpu")
        self._under_way: Iterator[Moment] | None = None
        self._waiting: deque[Callable[[], Box | None]] = deque()
        self._paused, self._owed, self._stopping, self._begun = False, 0, False, False

    # -- steering --------------------------------------------------------------------------------------------------------------------------------------

    @property
    def updates(self) -> int:
        """How many updates one can go back."""
        return len(self._stand.trail)

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
        self._waiting.append(lambda: self._stand.rewind(updates))

    def change(self, settings: LevelSetSettings) -> None:
        """Go on with other settings."""
        self._waiting.append(lambda: self._stand.change(settings))

    def seeds(self, points: npt.ArrayLike) -> None:
        """Go on with these seeds in place of the earlier ones, (n, 3) voxel indices; the box grows where they lie outside.

        Raises
        ------
        NoSeedsError
            When one lies outside the scan, or all outside the painted limit.
        """
        checked = _checked(self._stand.given, points, running=True)
        self._waiting.append(lambda: self._stand.seed(checked))

    def add_seeds(self, points: npt.ArrayLike) -> None:
        """Go on with more seeds, (n, 3) voxel indices.

        Raises
        ------
        NoSeedsError
            When one lies outside the scan, or all outside the painted limit.
        """
        checked = _checked(self._stand.given, points, running=True)
        self._waiting.append(lambda: self._stand.seed(np.unique(np.concatenate([self._stand.given.points, checked]), axis=0)))

    def bubble(self, centre: tuple[int, int, int], radius_mm: float, add: bool) -> None:
        """Add a ball to the front, or take one away. It is the person's word, over the evidence and a painted limit, until a later one or a rewind.

        What was added stays inside; where one was taken nothing grows. Only a barrier is stronger.

        Raises
        ------
        InvalidInputError
            When the centre lies outside the scan or the radius is no length.
        """
        place = scene.checked_seeds([centre], self._stand.given.shape)[0]
        if not 0 < radius_mm < np.inf:
            raise InvalidInputError(f"{radius_mm} mm is no radius", where="bubble", todo="Give more than zero mm")
        self._waiting.append(lambda: self._stand.bubble(place, radius_mm, add))

    def bar(self, mask: npt.NDArray[Any], box: Box) -> None:
        """In this box of the scan the barrier is this mask, the box's (z, y, x), from now on; what it severs from the seeds goes.

        Raises
        ------
        InvalidInputError
            When the mask is not the box's.
        """
        z, y, x = (slice(*part.indices(count)) for part, count in zip(box, self._stand.given.shape, strict=True))
        barred = scene.checked_mask(mask, (z.stop - z.start, y.stop - y.start, x.stop - x.start), "barrier")
        if barred is not None:
            copy = barred.copy()
            self._waiting.append(lambda: self._stand.bar(copy, (z, y, x)))

    # -- running ---------------------------------------------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Evolution]:
        """Run until it settles, is paused or stopped; the first yield shows where it stands, the last of a run that ended is finished (closed)."""
        stand, course = self._stand, self._course
        if not self._begun:
            stand.begin()
            self._begun = True
        self._stopping, reason = False, ""
        course.run()
        yield as_it_stands(stand, course, stand.extent, "" if course.iteration else f"Starting ({stand.why})")
        while not reason:
            while self._waiting and self._under_way is None:
                changed = self._waiting.popleft()()
                course.steered()
                if changed is not None:
                    yield as_it_stands(stand, course, changed)
            if self._under_way is None:
                if self._stopping:
                    reason = "stopped"
                    break
                if self._paused:
                    if not self._owed:
                        return
                    self._owed -= 1
                self._under_way = course.update(self._finely)
            for changed, reason, whole in self._under_way:  # noqa: B007 - the last reason is the update's
                self._under_way = None if whole else self._under_way
                yield as_it_stands(stand, course, changed, whole=whole)
        yield finished(stand, course, reason)


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


def _checked(given: Given, seeds: npt.ArrayLike, *, running: bool = False) -> IntArray:
    """Seeds that can be used."""
    points = scene.checked_seeds(seeds, given.shape)
    if not points.size and not running and (given.init is None or not given.init.any()):
        raise NoSeedsError("no seed point was given", where="seeds", todo="Click three to five points inside the organ")
    if points.size and given.limit is not None and not given.limit[tuple(points.T)].any() and given.init is None:
        raise NoSeedsError("every seed lies outside the painted limit", where="seeds", todo="Place seeds inside the limit, or paint over them")
    return points
