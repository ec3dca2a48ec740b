"""The paper's weak label: contrast from the seeds, a level set, times the hand-painted limit, closed.

Salah et al. (MIUA 2023): sigmoid contrast -> seeds -> level set -> binary; voxel-wise product with what an annotator painted roughly;
dilation and erosion to close holes. Here the contrast is fitted to the seeds and to what lies around (contrast.py), and the front can be
watched, stopped, started from any mask and driven by a network's probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from napari_medseg.errors import InvalidInputError, NoSeedsError
from napari_medseg.volume import BoolArray, FloatArray, Shape, Spacing
from napari_medseg.weaklabel import scene
from napari_medseg.weaklabel.contrast import LN9, Contrast, fit_contrast, sigmoid
from napari_medseg.weaklabel.front import Front
from napari_medseg.weaklabel.morphology import close_mm, drop_islands
from napari_medseg.weaklabel.settings import LevelSetSettings

__all__ = ["Evolution", "LevelSetSettings", "evolve"]

DEFAULT = LevelSetSettings()
FARTHEST_ODDS = 4.0  # no voxel's value alone is surer than 98 %
INDISTINCT = 0.8  # overlap of values above which edges say more than values
SAMPLE_MM = 2.1
START_MM = 5.0
SURROUNDINGS = 1.5  # times the reach: where the background is looked at when nothing was painted
SETTLED = 0.002  # share of the mask that still changes in an update when it has come to rest
CALM_UPDATES = 4  # a front needs about ten iterations for a voxel
REFIT_EVERY = 40  # iterations
REFITS = 4  # then the contrast stays, so that the front can come to rest
LEAK_SHARE = 0.05  # of the reach's outer rim: stop
LEAK_SUSPECTED = 0.005  # of it: say so
EDGE_PERCENTILES = (30, 80)  # of the gradient: flat below, an edge above
BALLOON = 0.1  # of a geodesic contour; more runs over edges


@dataclass(frozen=True, slots=True, eq=False)
class Evolution:
    """The front as it stands.

    Attributes
    ----------
    box : three slices (z, y, x)
        Outside it the mask is empty.
    part : bool, the box's (z, y, x)
        The mask inside the box.
    shape : (z, y, x)
        Of the whole scan.
    iteration : int
        Iterations so far.
    fraction : float or None
        Share of the work done, 0-1.
    message : str
        What is being done, for people.
    stopped_because : str
        "" while it moves; at the end "converged", "iterations", "vanished" or "leak".
    method : str
        What moves the front: "region", "edge" or "probability".
    """

    box: scene.Box
    part: BoolArray
    shape: Shape
    iteration: int
    fraction: float | None
    message: str
    stopped_because: str = ""
    method: str = ""

    @property
    def mask(self) -> BoolArray:
        """The mask on the whole scan's grid, bool (z, y, x); made anew at each call."""
        whole = np.zeros(self.shape, bool)
        whole[self.box] = self.part
        return whole


def evolve(
    image: npt.NDArray[Any],
    seeds: npt.ArrayLike,
    spacing: Spacing,
    settings: LevelSetSettings = DEFAULT,
    *,
    limit: npt.NDArray[Any] | None = None,
    init: npt.NDArray[Any] | None = None,
    barrier: npt.NDArray[Any] | None = None,
    probability: npt.NDArray[Any] | None = None,
) -> Iterator[Evolution]:
    """Grow a weak label from seeds, yielding as it grows.

    Parameters
    ----------
    image : (z, y, x), any real type
    seeds : (n, 3) voxel indices z, y, x
        Inside the target. May be empty when `init` is given.
    spacing : mm per voxel (z, y, x)
    limit : mask (z, y, x), optional
        Painted roughly by hand: every step and the result stay inside. What lies outside informs the background.
    init : mask (z, y, x), optional
        Start from this mask instead of the seeds or the limit.
    barrier : mask (z, y, x), optional
        Never entered nor crossed.
    probability : float (z, y, x), 0-1, optional
        Drives the front in place of the scan's values, e.g. a network's.

    Yields
    ------
    Evolution
        The first at once, the last is the finished weak label, inside the limit. Stop iterating to cancel.

    Raises
    ------
    NoSeedsError
        When there is no seed and no `init`, or a seed outside the scan.
    InvalidInputError
        When the limit is empty or holds no seed, a mask has another shape, or the scan is not usable around the seeds.
    """
    scene.checked_image(image)
    shape: Shape = (image.shape[0], image.shape[1], image.shape[2])
    spacing = scene.checked_spacing(spacing)
    points = scene.checked_seeds(seeds, shape)
    limit, init, barrier = (scene.checked_mask(m, shape, n) for m, n in ((limit, "limit"), (init, "starting mask"), (barrier, "barrier")))
    if limit is not None and not limit.any():
        raise InvalidInputError("nothing is painted", where="limit", todo="Paint roughly over the organ, or go on without a limit")
    if probability is not None and probability.shape != shape:
        scene.checked_mask(probability, shape, "probability")
    if not points.size and (init is None or not init.any()):
        raise NoSeedsError("no seed point was given", where="seeds", todo="Click three to five points inside the organ")
    if points.size and limit is not None:
        points = points[limit[tuple(points.T)]]
        if not points.size and init is None:
            raise NoSeedsError("every seed lies outside the painted limit", where="seeds", todo="Place seeds inside the limit, or paint over them")
    return _evolve(image, points, spacing, settings, limit, init, barrier, probability)


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """The cropped problem; all arrays are the box's."""

    box: scene.Box
    shape: Shape
    spacing: Spacing
    image: FloatArray
    allowed: BoolArray
    kept: BoolArray
    sample: BoolArray
    shell: BoolArray
    prior: FloatArray
    rim: BoolArray
    limit: BoolArray | None
    init: BoolArray | None
    probability: FloatArray | None


def _evolve(
    image: npt.NDArray[Any], points: scene.IntArray, spacing: Spacing, settings: LevelSetSettings,
    limit: BoolArray | None, init: BoolArray | None, barrier: BoolArray | None, probability: npt.NDArray[Any] | None,
) -> Iterator[Evolution]:
    work = _cut(image, points, spacing, settings, limit, init, barrier, probability)
    contrast = fit_contrast(work.image[work.sample], work.image[work.shell])
    method: str = settings.method
    if work.probability is not None:
        method, why = "probability", "follows the probability map"
    else:
        if method == "auto":
            method = "edge" if contrast.overlap > INDISTINCT else "region"
        why = contrast.describe() if method == "region" else "follows edges"
    inward = limit is not None and settings.start != "seeds"
    speed = _Contrast(work, contrast, settings, method)
    front = Front(_first_mask(work, speed.membership, inward), spacing, work.allowed, work.kept)

    def tick(iteration: int, fraction: float, message: str, part: BoolArray, reason: str = "") -> Evolution:
        return Evolution(work.box, part, work.shape, iteration, fraction, message, reason, method)

    yield tick(0, 0.0, f"Starting ({why})", front.inside.copy())
    speed.balloon = 0.0 if work.init is not None else -BALLOON if inward else BALLOON
    if not (inward or work.init is not None) and method != "edge":
        speed.curvature_mm = 0.0  # it would crush a front as small as the seeds
    was = front.inside.copy()
    done, calm, fits, reason = 0, 0, 0, ""
    while not reason:
        front.advance(speed, min(settings.iterations_per_update, settings.iterations - done))
        done = front.iterations
        voxels = int(front.inside.sum())
        calm = calm + 1 if np.count_nonzero(front.inside ^ was) <= SETTLED * voxels else 0
        was = front.inside.copy()
        if not voxels:
            reason = "vanished"
        elif calm >= CALM_UPDATES and speed.curvature_mm < settings.curvature_mm:
            speed.curvature_mm, calm = settings.curvature_mm, 0
        elif calm >= CALM_UPDATES:
            reason = "converged"
        elif done >= settings.iterations:
            reason = "iterations"
        elif limit is None and work.rim.any() and (front.inside & work.rim).sum() > LEAK_SHARE * work.rim.sum():
            reason = "leak"
        if method == "region" and fits < REFITS and done >= (fits + 1) * REFIT_EVERY:
            fits += 1
            speed.learn(front.inside)
            calm = 0
        ml = voxels * float(np.prod(spacing)) / 1000
        yield tick(done, min(0.99, done / settings.iterations), f"{ml:.3g} ml ({why})", was)
    final = _finish(was | work.kept, work, settings)
    yield tick(done, 1.0, _last_word(reason, final, work, why), final, reason)


def _cut(
    image: npt.NDArray[Any], points: scene.IntArray, spacing: Spacing, settings: LevelSetSettings,
    limit: BoolArray | None, init: BoolArray | None, barrier: BoolArray | None, probability: npt.NDArray[Any] | None,
) -> _Work:
    shape: Shape = (image.shape[0], image.shape[1], image.shape[2])
    reach = settings.reach_mm or _reach(points, spacing)
    if limit is not None:
        box = scene.box_around(limit, settings.shell_mm + 1, spacing)
    else:
        boxes = [scene.box_around(init, SURROUNDINGS * reach, spacing)] if init is not None and init.any() else []
        boxes += [scene.box_around_points(points, SURROUNDINGS * reach, spacing, shape)] if points.size else []
        box = boxes[0] if len(boxes) == 1 else scene.joined(*boxes)
    inside = tuple(part.stop - part.start for part in box)
    size: Shape = (inside[0], inside[1], inside[2])
    values, real = scene.finite_part(image[box])
    here = points - [part.start for part in box]
    start = None if init is None else init[box] & real
    kept = np.zeros(size, bool)
    kept[tuple(here.T)] = True
    origin = kept | start if start is not None else kept
    allowed = real.copy()
    if limit is not None:
        allowed &= limit[box]
        around = scene.around_limit(limit[box], spacing, settings.shell_mm)
        shell, prior = around.shell & real, 2 * settings.hand_trust * (around.depth - 0.35)
        rim = np.zeros(size, bool)
    else:
        away = scene.distance_to(origin, spacing)
        allowed &= away <= reach
        rim = allowed & (away > reach - max(spacing[1:]) * 1.5)
        shell = real & (away > 0.75 * reach) & (away <= SURROUNDINGS * reach)
        prior = np.asarray(1.0 - 3.0 * away / reach, np.float32)
    if barrier is not None:
        rooms, _ = ndi.label(~barrier[box])
        allowed &= np.isin(rooms, np.setdiff1d(np.unique(rooms[origin]), [0]))
    kept &= allowed
    sample = scene.near(here, size, max(SAMPLE_MM, 1.01 * min(spacing)), spacing) & allowed if points.size else allowed & origin
    if not sample.any():
        raise InvalidInputError("no seed lies on a usable voxel", where="seeds", todo="Place the seeds off the barrier and off holes in the scan")
    if not shell.any():
        shell = real & ~sample
    if not shell.any():
        shell = real
    chance = None if probability is None else np.clip(np.nan_to_num(probability[box].astype(np.float32), nan=0.0), 0, 1)
    return _Work(box, shape, spacing, values, allowed, kept, sample, shell, prior, rim, None if limit is None else limit[box], start, chance)


def _reach(points: scene.IntArray, spacing: Spacing) -> float:
    """Seeds lie at least half as deep as the target is thick, so it ends about as far beyond them as they lie apart."""
    if len(points) < 2:
        return 25.0
    mm = points * np.array(spacing)
    return max(8.0, 0.75 * float(np.linalg.norm(np.ptp(mm, axis=0))))


class _Contrast:
    """A speed from one contrast for the whole box, made at once."""

    tile = 32
    advection = 1.0

    def __init__(self, work: _Work, contrast: Contrast, settings: LevelSetSettings, method: str) -> None:
        self.work, self.settings, self.method = work, settings, method
        self.spacing, self.shape = work.spacing, work.image.shape
        self.edge = float(method == "edge")
        self.balloon = 0.0
        self.curvature_mm = settings.curvature_mm
        self.stopping = _stopping(work, contrast, settings) if method == "edge" else None
        self._make(contrast)

    def _make(self, contrast: Contrast) -> None:
        self.membership = _membership(self.work, contrast, self.settings)
        self.speed = 2 * self.membership - 1

    def prepare(self, tiles: BoolArray) -> None:
        """All is made."""

    def learn(self, inside: BoolArray) -> bool:
        """Fit the contrast again."""
        self._make(_refit(self.work, inside))
        return True

    def describe(self) -> str:
        """For people."""
        return self.method


def _first_mask(work: _Work, membership: FloatArray, inward: bool) -> BoolArray:
    if work.init is not None:
        return work.init & work.allowed
    if inward:
        return work.allowed.copy()
    return work.allowed & (membership > 0.5) & (scene.distance_to(work.kept, work.spacing) <= max(START_MM, 2.5 * min(work.spacing)))


def _membership(work: _Work, contrast: Contrast, settings: LevelSetSettings) -> FloatArray:
    if work.probability is not None:
        chance = work.probability
    else:
        odds = np.clip(contrast.log_odds(work.image), -FARTHEST_ODDS, FARTHEST_ODDS) + work.prior
        chance = sigmoid(np.asarray(odds, np.float32))
        chance = np.where(work.allowed, chance, np.float32(0))
        chance = ndi.gaussian_filter(chance, [settings.smooth_mm / s for s in work.spacing])
    return np.asarray(np.where(work.allowed, chance, 0), np.float32)


def _stopping(work: _Work, contrast: Contrast, settings: LevelSetSettings) -> FloatArray:
    """1 where flat, 0 on an edge: the paper's sigmoid turned round, on the gradient of the scan."""
    sigma = max(settings.smooth_mm, min(work.spacing))
    steep = np.zeros(work.image.shape, np.float32)
    for axis, step in enumerate(work.spacing):
        if work.image.shape[axis] > 1:
            slope = ndi.gaussian_filter(work.image, [sigma / s for s in work.spacing], order=[int(other == axis) for other in range(3)])
            steep += (slope / step) ** 2
    steep = np.sqrt(steep)
    low, high = np.percentile(steep[work.allowed | work.shell], EDGE_PERCENTILES).tolist()
    alpha = max((high - low) / 2 / LN9, 1e-9)
    return 1 - sigmoid(np.asarray((steep - (low + high) / 2) / alpha, np.float32))


def _refit(work: _Work, mask: BoolArray) -> Contrast:
    ours = mask | work.sample
    if work.limit is not None:
        theirs = (work.limit & work.allowed & ~ours) | work.shell
    else:
        theirs = work.shell & ~ours
    if not theirs.any():
        theirs = work.shell
    return fit_contrast(work.image[ours], work.image[theirs])


def _finish(mask: BoolArray, work: _Work, settings: LevelSetSettings) -> BoolArray:
    closed = close_mm(drop_islands(mask & work.allowed, work.kept), settings.close_mm, work.spacing)
    return closed & work.allowed


def _last_word(reason: str, final: BoolArray, work: _Work, why: str) -> str:
    size = f"{final.sum() * float(np.prod(work.spacing)) / 1000:.3g} ml"
    if reason == "leak":
        return f"{size}; stopped: the front went as far from the seeds as it may and has leaked. Paint a limit, add seeds, or lower the reach"
    if (final & work.rim).sum() > LEAK_SUSPECTED * max(work.rim.sum(), 1):
        return f"{size}; part of it lies as far from the seeds as it may: probably a leak. Paint a limit, add seeds, or lower the reach"
    if reason == "vanished":
        return f"{size}; nothing but the seeds looks like the target. Add seeds, or paint closer"
    if reason == "iterations":
        return f"{size}; stopped at the most iterations allowed ({why})"
    return f"{size}; came to rest ({why})"
