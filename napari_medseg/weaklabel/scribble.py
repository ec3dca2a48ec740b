"""Scribbles: strokes of several classes grow into a label map, and follow the brush.

One set of strokes, several solvers: geodesic paths, GrowCut and the random walker. All work on the part of the scan that strokes can reach,
so that a large scan costs no more than a crop of it, and start from their last answer. What they answer depends on the strokes alone, not on the order in
which these were drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.errors import InvalidInputError, NoStrokesError
from napari_medseg.volume import FloatArray, LabelArray, Shape, Spacing
from napari_medseg.weaklabel import scene
from napari_medseg.weaklabel.classifier import PixelClassifier
from napari_medseg.weaklabel.features import FeatureMaps
from napari_medseg.weaklabel.geodesic import Geodesic
from napari_medseg.weaklabel.growcut import GrowCut
from napari_medseg.weaklabel.scene import Box
from napari_medseg.weaklabel.scribble_region import Region, Typical, cut_out, typical
from napari_medseg.weaklabel.scribble_settings import Method, ScribbleSettings
from napari_medseg.weaklabel.walker import likeliest

__all__ = ["Growth", "Method", "ScribbleSettings", "Scribbler", "grow", "whole"]

DEFAULTS = ScribbleSettings()
BETA = 90.0  # of the walker, with classes about 1 apart
LEAST_APART, MOST_APART = 0.1, 1.0  # of the scan's span
TRUSTED = 3  # voxels of a stroke below which a classifier learns nothing from it


@dataclass(frozen=True, slots=True, eq=False)
class Growth:
    """Labels so far.

    Attributes
    ----------
    box : three slices (z, y, x)
        From `grow` all that is labelled; from `Scribbler.update` what changed since the last one.
    labels : uint8, the box's (z, y, x)
        0 background, 1-254 classes.
    fraction : float or None
        Share of the work done, 0-1.
    message : str
        What is being done, for people.
    method : str
        What spreads the strokes, for people.
    """

    box: Box
    labels: LabelArray
    fraction: float | None
    message: str
    method: str = ""


def grow(image: npt.NDArray[Any], strokes: npt.NDArray[Any], spacing: Spacing, settings: ScribbleSettings = DEFAULTS) -> Iterator[Growth]:
    """Grow strokes into a label map: first a quick answer, then the exact one.

    Parameters
    ----------
    image : (z, y, x), any real type
    strokes : uint8 (z, y, x)
        0 unknown, 255 background, 1-254 classes.
    spacing : mm per voxel (z, y, x)

    Yields
    ------
    Growth
        Each holds all that is labelled, the last is the answer; a stroke's own voxels keep their class. Stop iterating to cancel.

    Raises
    ------
    NoStrokesError
        When no class was scribbled, or one class with nothing against it.
    InvalidInputError
        When the strokes lie on another grid, or the scan is not usable around them.
    """
    scribbler = Scribbler(image, spacing, settings)
    return scribbler.all_of(scribbler.update(strokes))


class Scribbler:
    """Strokes on one scan, and the labels they grow into.

    Parameters
    ----------
    image : (z, y, x), any real type
        Read where strokes reach; not copied.
    spacing : mm per voxel (z, y, x)
    features : float32 (c, z, y, x), optional
        More for the classifier to look at, for example a network's features.
    """

    def __init__(self, image: npt.NDArray[Any], spacing: Spacing, settings: ScribbleSettings = DEFAULTS, features: FloatArray | None = None) -> None:
        self._image, self._spacing, self._settings = scene.checked_image(image), scene.checked_spacing(spacing), settings
        if features is not None and features.shape[1:] != image.shape:
            raise InvalidInputError("the features lie on another grid than the scan", where="features", todo="Compute them on this scan")
        self._extra = features
        self._shape: Shape = (image.shape[0], image.shape[1], image.shape[2])
        self._look: Typical | None = None
        self._features: FeatureMaps | None = None
        self.reset()

    def reset(self) -> None:
        """Forget all strokes."""
        self._drawn = np.zeros(self._shape, np.uint8)
        self._labels = np.zeros(self._shape, np.uint8)
        self._extent: Box | None = None
        self._forget()

    def _forget(self) -> None:
        self._region: Region | None = None
        self._solved: Region | None = None
        self._quick: Geodesic | None = None
        self._exact: Geodesic | GrowCut | None = None

    @property
    def labels(self) -> LabelArray:
        """The label map of the whole scan as it stands, uint8 (z, y, x); not to be written to."""
        return self._labels

    def update(self, strokes: npt.NDArray[Any], changed: Box | None = None) -> Iterator[Growth]:
        """Follow the strokes.

        What changed is copied at once; the strokes may be painted on while the answer is made.

        Parameters
        ----------
        strokes : uint8 (z, y, x)
            All of them: 0 unknown, 255 background, 1-254 classes.
        changed : (z, y, x) slices, optional
            Strokes are looked at only there; None looks for what changed.

        Yields
        ------
        Growth
            What changed in the labels since the last one; the last is the answer. Stop iterating to cancel, and call again with what changed since.

        Raises
        ------
        NoStrokesError
            When no class is scribbled, or one class with nothing against it.
        InvalidInputError
            When the strokes lie on another grid, or the scan is not usable around them.
        """
        if strokes.shape != self._shape:
            scene.checked_mask(strokes, self._shape, "strokes")
        self._take(strokes, changed)
        values = self._values()
        classes = [value for value in values if value != BACKGROUND]
        if not classes:
            raise NoStrokesError("no class was scribbled", where="strokes", todo="Draw a stroke inside the organ, and one in the background")
        if len(values) == 1 and not self._settings.border_is_background:
            raise NoStrokesError("one class has nothing against it", where="strokes", todo="Draw a stroke in the background too, or scribble a second class")
        return self._run(values)

    def all_of(self, growths: Iterator[Growth]) -> Iterator[Growth]:
        """The same, each with all that is labelled instead of what changed."""
        for step in growths:
            box = step.box if self._region is None else self._region.box
            yield Growth(box, self._labels[box].copy(), step.fraction, step.message, step.method)

    # -- strokes ------------------------------------------------------------------------------------------------------------------------------------------

    def _take(self, strokes: npt.NDArray[Any], changed: Box | None) -> None:
        if changed is None:
            changed = _holding(strokes)
            if self._extent is not None:
                changed = self._extent if changed is None else scene.joined(changed, self._extent)
            if changed is None:
                return
        new = strokes[changed]
        if new.size and (strokes.dtype.kind not in "ui" or int(new.min()) < 0 or int(new.max()) > BACKGROUND):
            raise InvalidInputError("strokes are whole numbers from 0 to 255", where="strokes", todo="Use 255 for background and 1-254 for classes")
        self._drawn[changed] = new
        looked = changed if self._extent is None else scene.joined(changed, self._extent)
        inner = _holding(self._drawn[looked])
        self._extent = None if inner is None else _shifted(inner, looked)

    def _values(self) -> list[int]:
        return [] if self._extent is None else [int(v) for v in np.flatnonzero(np.bincount(self._drawn[self._extent].ravel(), minlength=256)) if v]

    # -- the run ------------------------------------------------------------------------------------------------------------------------------------------

    def _run(self, values: list[int]) -> Iterator[Growth]:
        region = self._cut()
        drawn = self._drawn[region.box]
        border = BACKGROUND not in values
        marks = region.marks(drawn, border)
        if not (marks == BACKGROUND).any() and len(values) < 2:
            raise NoStrokesError("the strokes leave no room for background", where="strokes", todo="Draw a stroke in the background")
        scale = _scale(region, marks if region.coarse else drawn)
        method, learns, why = self._chosen(values)
        words = _WORDS[method] + (" with a classifier" if learns else "")
        inner = None if self._solved is None else self._solved.inside(region)
        self._solved = region
        self._near = region.reached(marks, self._settings.reach_mm)
        yield self._grown(region, drawn, drawn, 0.02, f"{drawn.size / 1e6:.2g} million voxels around the strokes", words)

        if method == "growcut":
            exact = self._exact if isinstance(self._exact, GrowCut) else GrowCut(region.spacing)
            self._exact = exact
            for share in exact.follow(region.contrast, region.closed, marks, scale, inner):
                yield self._grown(region, drawn, exact.labels, 0.9 * share, "Strokes conquer their surroundings", words)
            found = exact.labels
        else:
            found = np.zeros(0, np.uint8)
            first = self._quick or Geodesic(region.spacing, self._settings.reach_mm)
            self._quick = first
            for share in first.follow(region.contrast, region.closed, marks, scale, inner=inner):
                yield self._grown(region, drawn, first.labels, 0.3 * share, "A quick answer first", words)
            found = first.labels
            yield self._grown(region, drawn, found, 0.3, "A quick answer; refining", words)
            if learns:
                doubts = self._doubts(region, drawn)
                learned = self._exact if isinstance(self._exact, Geodesic) else Geodesic(region.spacing, self._settings.reach_mm)
                self._exact = learned
                for share in learned.follow(region.contrast, region.closed, marks, scale, doubts, inner):
                    yield self._grown(region, drawn, learned.labels, 0.4 + 0.5 * share, "Nearest strokes, by grey value and what the strokes taught", words)
                found = learned.labels
            if method == "walker":
                found = self._walked(region, marks, scale, found)
        counted = int(np.count_nonzero(self._near & (found > 0) & (found != BACKGROUND))) * float(np.prod(region.spacing)) / 1000
        note = "; nothing was scribbled as background, so the border of the reach was taken" if border else ""
        yield self._grown(region, drawn, found, 1.0, f"{counted:.3g} ml by {words}{why}{note}", words)

    def _cut(self) -> Region:
        """The region the strokes reach; the last one where it still is."""
        assert self._extent is not None
        held = self._drawn[self._extent]
        around = _shifted(scene.box_around((held > 0) & (held != BACKGROUND), 0.0, self._spacing), self._extent)
        margins = [int(np.ceil(self._settings.reach_mm / s)) for s in self._spacing]
        z, y, x = (slice(max(0, s.start - m), min(n, s.stop + m)) for s, m, n in zip(around, margins, self._shape, strict=True))
        if self._look is None:
            self._look = typical(self._image)
        if self._region is None or self._region.box != (z, y, x):
            self._region = cut_out(self._image, (z, y, x), self._spacing, self._settings.most_voxels, self._look)
        return self._region

    def _chosen(self, values: list[int]) -> tuple[Method, bool, str]:
        """The solver, whether it learns, and why in words."""
        method: Method = "geodesic" if self._settings.method == "auto" else self._settings.method
        learns = len(values) > 1 and method != "growcut" and self._settings.classifier is not False
        return method, learns, ""

    def _doubts(self, region: Region, drawn: LabelArray) -> dict[int, LabelArray]:
        """How unlikely each class is: 0 sure to 255 out of the question."""
        if self._features is None:
            self._features = FeatureMaps(self._image, self._spacing, self._extra)
        features = self._features.of(region.box)
        where = drawn > 0
        learned = PixelClassifier().fit(features[:, where].T, drawn[where])
        z, y, x = (slice(f // 2 if n >= f else 0, None, f) for f, n in zip(region.factor, drawn.shape, strict=True))
        chances = learned.probabilities(features[:, z, y, x] if region.coarse else features)
        return {value: np.rint(255 * (1 - chance)).astype(np.uint8) for value, chance in zip(learned.classes, chances, strict=True)}

    def _walked(self, region: Region, marks: LabelArray, scale: float, guess: LabelArray) -> LabelArray:
        beta = BETA if self._settings.beta is None else self._settings.beta
        return likeliest(region.contrast / np.float32(scale), marks, region.spacing, beta, guess)

    def _grown(self, region: Region, drawn: LabelArray, found: LabelArray, fraction: float, message: str, method: str) -> Growth:
        labels = region.restored(np.where(self._near, found, 0).astype(np.uint8)) if found is not drawn else found
        labels = np.where(drawn > 0, drawn, labels)
        labels[labels == BACKGROUND] = 0
        old = self._labels[region.box]
        where = _holding(np.asarray(old != labels)) or (slice(0, 1),) * 3
        box = _shifted(where, region.box)
        self._labels[box] = labels[where]
        return Growth(box, labels[where].copy(), fraction, message, method)


_WORDS = {"geodesic": "geodesic paths", "growcut": "GrowCut", "walker": "random walker"}


def _scale(region: Region, drawn: LabelArray) -> float:
    """Contrast that counts as an edge: what lies between the strokes' classes, in half octaves so that it changes seldom."""
    values = [int(v) for v in np.unique(drawn) if v]
    middles = [float(np.median(region.contrast[drawn == v])) for v in values]
    apart = max(middles) - min(middles) or MOST_APART
    return float(2.0 ** (np.round(2 * np.log2(np.clip(apart, LEAST_APART, MOST_APART))) / 2))


def _holding(array: npt.NDArray[Any]) -> Box | None:
    """The smallest box around what is not 0, slice by slice."""
    planes = [z for z in range(array.shape[0]) if array[z].any()]
    if not planes:
        return None
    part = array[planes[0] : planes[-1] + 1]
    rows = np.flatnonzero(part.any(axis=(0, 2)))
    columns = np.flatnonzero(part[:, rows[0] : rows[-1] + 1].any(axis=(0, 1)))
    return slice(planes[0], planes[-1] + 1), slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _shifted(inner: Box, outer: Box) -> Box:
    z, y, x = (slice(a.start + b.start, a.stop + b.start) for a, b in zip(inner, outer, strict=True))
    return z, y, x


def whole(growth: Growth, shape: Shape) -> LabelArray:
    """The label map of the whole scan, uint8 (z, y, x), from what `grow` yields."""
    labels = np.zeros(shape, np.uint8)
    labels[growth.box] = growth.labels
    return labels
