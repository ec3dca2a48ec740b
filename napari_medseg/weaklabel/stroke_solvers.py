"""What spreads strokes over a region, each way behind one call: follow the strokes, then read the labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import BoolArray, FloatArray, LabelArray, Spacing
from napari_medseg.weaklabel.classifier import PixelClassifier
from napari_medseg.weaklabel.features import FeatureMaps
from napari_medseg.weaklabel.geodesic import Geodesic, rounded
from napari_medseg.weaklabel.growcut import GrowCut
from napari_medseg.weaklabel.levels import pooled
from napari_medseg.weaklabel.marked import hemmed, marked
from napari_medseg.weaklabel.multigrid import joined_axes
from napari_medseg.weaklabel.path_kernels import IntArray
from napari_medseg.weaklabel.scribble_region import Factor, Region
from napari_medseg.weaklabel.scribble_settings import Method, ScribbleSettings
from napari_medseg.weaklabel.stroke_walk import StrokeWalk

LEARNED = 0.3  # share of the work that learning is
QUICK = 0.3  # and that a first answer is
SHOWN_EVERY = 0.2  # of a long walk: labels are looked up no more often
LONG_WALK = 600_000  # voxels from which on a walk takes long enough for a person to want to see something meanwhile


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Strokes on a region.

    Attributes
    ----------
    region : Region
    drawn : uint8, the scan's voxels in the region's box
        Strokes as painted.
    marks : uint8, the region's voxels
        The same as solvers take them, with the border where it counts as background.
    near : bool, the region's voxels
        What strokes may colour.
    scale : float
        Contrast that counts as an edge; GrowCut asks for none.
    """

    region: Region
    drawn: LabelArray
    marks: LabelArray
    near: BoolArray
    scale: float


class Progress(NamedTuple):
    """How far a solver is.

    Attributes
    ----------
    share : float
        Of the work, 0-1.
    message : str
        What is being done.
    worth_showing : bool
        Whether its labels are better than the last ones shown.
    """

    share: float
    message: str
    worth_showing: bool = True


class Solver(Protocol):
    """Follows strokes over one region that may move."""

    def follow(self, task: Task) -> Iterator[Progress]:
        """Work; may be left early, and then goes on at the next call."""

    @property
    def labels(self) -> LabelArray:
        """As far as it is, uint8, the region's (z, y, x); 0 or 255 where no class is."""


class Learner:
    """What the strokes' own voxels look like, learned anew each time.

    Parameters
    ----------
    extra : float32 (c, z, y, x), optional
        More to look at.
    """

    def __init__(self, image: npt.NDArray[Any], spacing: Spacing, extra: FloatArray | None) -> None:
        self._features = FeatureMaps(image, spacing, extra)
        self._region: Region | None = None
        self._maps: list[FloatArray] = []
        self._spacings: list[Spacing] = []
        self._learned = PixelClassifier()

    def learn(self, task: Task) -> None:
        """Learn from the strokes."""
        features = self._features.of(task.region.box)
        if task.region is not self._region:
            finest = _pooled(features, task.region.factor) if task.region.coarse else np.ascontiguousarray(features)
            self._region, self._maps, self._spacings = task.region, [finest], [task.region.spacing]
        z, y, x = np.unravel_index(marked(task.drawn), task.drawn.shape)
        self._learned = PixelClassifier().fit(features[:, z, y, x].T, task.drawn[z, y, x])

    def doubts(self, level: int, places: IntArray) -> tuple[tuple[int, ...], LabelArray]:
        """The classes, and for voxels of a level of the region (flat indices) how unlikely each is: uint8 (voxels, classes), 0 sure to 255 impossible."""
        chances = self._learned.probabilities(self._looks(level), places)
        return self._learned.classes, np.ascontiguousarray(np.rint(255 * (1 - chances)).astype(np.uint8).T)

    def chances(self) -> dict[int, FloatArray]:
        """How likely each class is by its looks, 0-1: float32, the region's (z, y, x)."""
        return dict(zip(self._learned.classes, self._learned.probabilities(self._looks(0)), strict=True))

    def _looks(self, level: int) -> FloatArray:
        while len(self._maps) <= level:
            fine = self._maps[-1]
            shape, spacing = (fine.shape[1], fine.shape[2], fine.shape[3]), self._spacings[-1]
            times = joined_axes(shape, spacing)
            self._maps.append(_pooled(fine, times))
            self._spacings.append((spacing[0] * times[0], spacing[1] * times[1], spacing[2] * times[2]))
        return self._maps[level]


def _pooled(features: FloatArray, times: Factor) -> FloatArray:
    return np.stack([pooled(each, times) for each in features])


class ByGeodesic:
    """Geodesic paths, which a classifier may help."""

    def __init__(self, region: Region, reach_mm: float, learner: Learner | None) -> None:
        self._learner, self._region = learner, region
        self._paths = Geodesic(region, reach_mm)

    def follow(self, task: Task) -> Iterator[Progress]:
        """Work."""
        self._region = task.region
        if self._learner is not None:
            self._learner.learn(task)
            yield Progress(LEARNED, "Learning from the strokes", worth_showing=False)
        for share in self._paths.follow(task.region, task.marks, task.near, task.scale, self._learner):
            yield Progress(LEARNED + (1 - LEARNED) * share, "Nearest strokes", worth_showing=False)

    @property
    def labels(self) -> LabelArray:
        """The nearest strokes' classes, their outlines rounded."""
        return rounded(self._paths.labels, self._region.spacing)


class ByGrowCut:
    """GrowCut, what lies beyond the strokes' reach being background."""

    def __init__(self, region: Region) -> None:
        self._cut, self._spacing = GrowCut(region), region.spacing

    def follow(self, task: Task) -> Iterator[Progress]:
        """Work."""
        ends = _ends(task)
        for share in self._cut.follow(task.region, ends):
            yield Progress(share, "Strokes conquer their surroundings", worth_showing=not self._cut.settled)  # what is settled is the answer, which comes next

    @property
    def labels(self) -> LabelArray:
        """Who holds each voxel, outlines rounded."""
        return rounded(self._cut.labels, self._spacing)


class ByWalker:
    """The random walker; where it walks for long, geodesic paths are its quick answer and where it starts from."""

    def __init__(self, region: Region, settings: ScribbleSettings, learner: Learner | None) -> None:
        self._learner = learner
        self._quick = Geodesic(region, settings.reach_mm)
        self._walk = StrokeWalk(region, settings.beta, settings.device)
        self._walking = False

    def follow(self, task: Task) -> Iterator[Progress]:
        """Work."""
        self._walking, long = False, task.marks.size > LONG_WALK
        if long:
            for share in self._quick.follow(task.region, task.marks, task.near, task.scale):
                yield Progress(QUICK * share, "A quick answer first", worth_showing=False)
            yield Progress(QUICK, "A quick answer; refining")
        chances = None
        if self._learner is not None:
            self._learner.learn(task)
            chances = self._learner.chances()
            yield Progress(QUICK + LEARNED, "Learning from the strokes", worth_showing=False)
        ends = _ends(task)
        guess, shown = self._quick.labels if long else ends, 0.0
        for share in self._walk.follow(task.region, ends, task.scale, guess, chances):
            self._walking, worth_showing = True, long and share >= shown + SHOWN_EVERY
            shown = share if worth_showing else shown
            yield Progress(0.6 + 0.4 * share, "Walking", worth_showing)

    @property
    def labels(self) -> LabelArray:
        """The likeliest classes."""
        return self._walk.labels if self._walking else self._quick.labels


def _ends(task: Task) -> LabelArray:
    """The strokes, and background wherever they do not reach: else the nearest class would take all there is within reach."""
    return hemmed(task.marks, task.near, task.region.closed)


def solver_for(method: Method, region: Region, settings: ScribbleSettings, learner: Learner | None) -> Solver:
    """A solver for strokes on a region, of a method that is not automatic."""
    if method == "growcut":
        return ByGrowCut(region)
    return ByWalker(region, settings, learner) if method == "walker" else ByGeodesic(region, settings.reach_mm, learner)
