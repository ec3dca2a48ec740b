"""What spreads strokes over a region, each way behind one call: follow the strokes, then read the labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.volume import BoolArray, FloatArray, LabelArray, Spacing
from napari_medseg.weaklabel.classifier import PixelClassifier
from napari_medseg.weaklabel.features import FeatureMaps
from napari_medseg.weaklabel.geodesic import Geodesic, rounded
from napari_medseg.weaklabel.growcut import GrowCut
from napari_medseg.weaklabel.scribble_region import Region
from napari_medseg.weaklabel.scribble_settings import Method, ScribbleSettings
from napari_medseg.weaklabel.stroke_walk import StrokeWalk

ASKED = 100_000  # voxels whose class is asked for before the next look at whether somebody waits
QUICK = 0.3  # share of the work that a first answer is


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
        Contrast that counts as an edge.
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
        """As far as it is, uint8, the region's voxels; 0 or 255 where no class is."""


class Learner:
    """What the strokes' own voxels look like, learned anew each time.

    Parameters
    ----------
    extra : float32 (c, z, y, x), optional
        More to look at.
    """

    def __init__(self, image: npt.NDArray[Any], spacing: Spacing, extra: FloatArray | None) -> None:
        self._features = FeatureMaps(image, spacing, extra)
        self.chances: dict[int, FloatArray] = {}

    def follow(self, task: Task) -> Iterator[float]:
        """Fill `chances`: how likely each class is by its looks, float32, the region's voxels."""
        features = self._features.of(task.region.box)
        yield 0.3
        where = task.drawn > 0
        learned = PixelClassifier().fit(features[:, where].T, task.drawn[where])
        z, y, x = (slice(f // 2 if n >= f else 0, None, f) for f, n in zip(task.region.factor, task.drawn.shape, strict=True))
        features = features[:, z, y, x]
        out = np.empty((len(learned.classes), *task.region.shape), np.float32)
        slices = max(1, ASKED // (out.shape[2] * out.shape[3]))
        for start in range(0, out.shape[1], slices):
            out[:, start : start + slices] = learned.probabilities(features[:, start : start + slices])
            yield 0.3 + 0.7 * start / out.shape[1]
        self.chances = dict(zip(learned.classes, out, strict=True))


class ByGeodesic:
    """Geodesic paths; where it learns, a quick answer by what was learned from the strokes before this one, then the exact one."""

    def __init__(self, region: Region, reach_mm: float, learner: Learner | None) -> None:
        self._learner, self._region, self._reach = learner, region, reach_mm
        self._plain: Geodesic | None = Geodesic(region, reach_mm)
        self._learned: Geodesic | None = None

    def follow(self, task: Task) -> Iterator[Progress]:
        """Work."""
        first = self._learned or self._plain
        assert first is not None
        for share in first.follow(task.region, task.marks, task.scale):
            yield Progress(share if self._learner is None else QUICK * share, "Nearest strokes")
        if self._learner is None:
            return
        yield Progress(QUICK, "A quick answer; refining")
        for share in self._learner.follow(task):
            yield Progress(QUICK + 0.3 * share, "Learning from the strokes", worth_showing=False)
        doubts = {value: np.rint(255 * (1 - chance)).astype(np.uint8) for value, chance in self._learner.chances.items()}
        learned = self._learned or Geodesic(task.region, self._reach, learned=True)
        for share in learned.follow(task.region, task.marks, task.scale, doubts):
            self._learned, self._plain = learned, None
            yield Progress(0.6 + 0.4 * share, "Nearest strokes, by what they taught", worth_showing=False)
        self._learned, self._plain = learned, None

    @property
    def labels(self) -> LabelArray:
        """The nearest strokes' classes, their outlines rounded."""
        maps = self._learned or self._plain
        assert maps is not None
        return rounded(maps.labels, self._region.spacing)


class ByGrowCut:
    """GrowCut."""

    def __init__(self, region: Region) -> None:
        self._cut, self._spacing = GrowCut(region), region.spacing

    def follow(self, task: Task) -> Iterator[Progress]:
        """Work."""
        for share in self._cut.follow(task.region, task.marks, task.scale):
            yield Progress(share, "Strokes conquer their surroundings")

    @property
    def labels(self) -> LabelArray:
        """Who holds each voxel, outlines rounded."""
        return rounded(self._cut.labels, self._spacing)


class ByWalker:
    """The random walker, geodesic paths being its quick answer."""

    def __init__(self, region: Region, settings: ScribbleSettings, learner: Learner | None) -> None:
        self._learner = learner
        self._quick = Geodesic(region, settings.reach_mm)
        self._walk = StrokeWalk(region, settings.beta, settings.device)
        self._walking = False

    def follow(self, task: Task) -> Iterator[Progress]:
        """Work."""
        self._walking = False
        for share in self._quick.follow(task.region, task.marks, task.scale):
            yield Progress(QUICK * share, "A quick answer first")
        if self._learner is not None:
            for share in self._learner.follow(task):
                yield Progress(QUICK + 0.3 * share, "Learning from the strokes", worth_showing=False)
        chances = None if self._learner is None else self._learner.chances
        ends = np.where((task.marks == 0) & (~task.near | task.region.closed), BACKGROUND, task.marks).astype(np.uint8)
        guess = self._quick.labels
        for share in self._walk.follow(task.region, ends, task.scale, guess, chances):
            self._walking = True
            yield Progress(0.6 + 0.4 * share, "Walking")

    @property
    def labels(self) -> LabelArray:
        """The likeliest classes."""
        return self._walk.labels if self._walking else self._quick.labels


def solver_for(method: Method, region: Region, settings: ScribbleSettings, learner: Learner | None) -> Solver:
    """A solver for strokes on a region, of a method that is not automatic."""
    if method == "growcut":
        return ByGrowCut(region)
    return ByWalker(region, settings, learner) if method == "walker" else ByGeodesic(region, settings.reach_mm, learner)
