"""Scribbles: strokes of several classes grow into a label map, and follow the brush.

One set of strokes, several solvers: geodesic paths, GrowCut and the random walker. All work on the part of the scan that strokes can reach,
so that a large scan costs no more than a crop of it, and start from their last answer. What they answer depends on the strokes alone, not on the order in
which these were drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.errors import InvalidInputError, NoStrokesError
from napari_medseg.volume import BoolArray, FloatArray, LabelArray, Shape, Spacing
from napari_medseg.weaklabel import scene
from napari_medseg.weaklabel.features import beyond, in_blocks, whole_blocks
from napari_medseg.weaklabel.marked import marked, settle
from napari_medseg.weaklabel.scene import Box
from napari_medseg.weaklabel.scribble_region import SMOOTH_VOXELS, Region, Typical, blocks_of, cut_out, typical
from napari_medseg.weaklabel.scribble_settings import Method, ScribbleSettings
from napari_medseg.weaklabel.stroke_solvers import Learner, Solver, Task, solver_for

__all__ = ["Growth", "Method", "ScribbleSettings", "Scribbler", "grow", "whole"]

DEFAULTS = ScribbleSettings()
LEAST_APART = 0.25  # of the span of grey values within reach
SAMPLE = 20_000
TRUSTED = 3  # voxels of a class's strokes below which a classifier learns nothing
MOST_MAPS = 4  # times `most_voxels`: beyond, each class does not get a map of its own


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
        self._learner: Learner | None = None
        self.reset()

    def reset(self) -> None:
        """Forget all strokes."""
        self._drawn = np.zeros(self._shape, np.uint8)
        self._labels = np.zeros(self._shape, np.uint8)
        self._extent: Box | None = None
        self._asked: Box | None = None
        self._shown: Box | None = None
        self._voxels = 0
        self._region: Region | None = None
        self._looked: _Looked | None = None
        self._solved_factor = (1, 1, 1)
        self._solver: Solver | None = None
        self._choice = Choice("geodesic", False, "")

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
        extent = self._extent
        held = np.zeros((0, 0, 0), np.uint8) if extent is None else self._drawn[extent].copy()
        values = np.flatnonzero(np.bincount(held.ravel()[marked(held)]))
        classes = [value for value in values if value != BACKGROUND]
        if extent is None or not classes:
            raise NoStrokesError("no class was scribbled", where="strokes", todo="Draw a stroke inside the organ, and one in the background")
        if len(values) == 1 and not self._settings.border_is_background:
            raise NoStrokesError("one class has nothing against it", where="strokes", todo="Draw a stroke in the background too, or scribble a second class")
        return self._run(extent)

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

    # -- the run ------------------------------------------------------------------------------------------------------------------------------------------

    def _run(self, extent: Box) -> Iterator[Growth]:
        region = self._cut(extent)
        drawn = self._drawn[region.box].copy()
        counts = np.bincount(drawn.ravel()[marked(drawn)], minlength=256)
        values = [int(v) for v in np.flatnonzero(counts)]  # background may be scribbled beyond the reach
        border = BACKGROUND not in values
        strokes = region.marks(drawn, border=False)
        marks = region.marks(drawn, border=True) if border and self._settings.border_is_background else strokes
        if len(values) < 2 and not (marks == BACKGROUND).any():
            raise NoStrokesError("the strokes leave no room for background", where="strokes", todo="Draw a stroke in the background")
        choice = self._chosen(counts, region)
        if self._solver is None or choice.learns != self._choice.learns or self._solved_factor != region.factor:
            self._solver = solver_for(choice.method, region, self._settings, self._learning() if choice.learns else None)
        self._choice, self._solved_factor = choice, region.factor
        near, span = self._near(region, strokes)
        task = Task(region, drawn, marks, near, 1.0 if choice.method == "growcut" else edge_scale(region, near, strokes, span))
        yield self._painted(task, f"{drawn.size / 1e6:.2g} million voxels around the strokes")
        for share, message, worth_showing in self._solver.follow(task):
            yield self._grown(task, self._solver.labels, 0.95 * share, message) if worth_showing else self._tick(region.box, 0.95 * share, message)
        last = self._grown(task, self._solver.labels, 1.0, "")
        millilitres = self._voxels * float(np.prod(self._spacing)) / 1000
        note = "; nothing was scribbled as background, so the border of the reach was taken" if border else ""
        yield replace(last, message=f"{millilitres:.3g} ml by {choice.words}{note}")

    def _near(self, region: Region, strokes: LabelArray) -> tuple[BoolArray, float]:
        """What strokes reach, and the span of grey values there; the last ones where strokes reach no other part of the same region."""
        blocks = region.coarsely(strokes, self._settings.reach_mm)
        last = self._looked
        if last is None or last.region is not region or not np.array_equal(last.blocks, blocks):
            near = region.within(blocks, self._settings.reach_mm)
            self._looked = last = _Looked(region, blocks, near, span_of(region, near))
        return last.near, last.span

    def _cut(self, extent: Box) -> Region:
        """The region that strokes within an extent reach; the last one where it still is."""
        held = self._drawn[extent]
        around = _shifted(scene.box_around((held > 0) & (held != BACKGROUND), 0.0, self._spacing), extent)
        margins = [int(np.ceil(self._settings.reach_mm / s)) for s in self._spacing]
        z, y, x = (slice(max(0, s.start - m), min(n, s.stop + m)) for s, m, n in zip(around, margins, self._shape, strict=True))
        if self._settings.method in ("auto", "geodesic"):
            box = in_blocks((z, y, x), self._spacing, self._shape)
        else:  # what strokes reach stays the same, voxel for voxel, where the region moves
            box = whole_blocks((z, y, x), [2 * block for block in blocks_of(self._settings.reach_mm, self._spacing)], self._shape)
        if self._look is None:
            self._look = typical(self._image)
        if self._asked != box or self._region is None:
            smooth = 0.0 if self._settings.method == "growcut" else SMOOTH_VOXELS
            self._region, self._asked = cut_out(self._image, box, self._spacing, self._settings.most_voxels, self._look, smooth), box
        return self._region

    def _chosen(self, counts: npt.NDArray[np.intp], region: Region) -> Choice:
        values, settings, automatic = np.flatnonzero(counts), self._settings, self._settings.method == "auto"
        method: Method = "geodesic" if settings.method == "auto" else settings.method
        if method == "growcut":
            return Choice(method, False, "GrowCut")
        name = "geodesic paths" if method == "geodesic" else "the random walker"
        few = bool((counts[values] < TRUSTED).any())
        room = len(values) * region.contrast.size <= MOST_MAPS * settings.most_voxels
        learns = len(values) > 1 and not few and room and settings.classifier is not False
        if learns:
            return Choice(method, True, f"{name} with a classifier" + (", which learns from the strokes of both sides" if automatic else ""))
        if settings.classifier is False:
            return Choice(method, False, name)
        why = "there is one class only" if len(values) == 1 else "a stroke is too short for it" if few else "there are too many classes for it"
        return Choice(method, False, f"{name} without a classifier, as {why}")

    def _learning(self) -> Learner:
        if self._learner is None:
            self._learner = Learner(self._image, self._spacing, self._extra)
        return self._learner

    def _tick(self, box: Box, fraction: float, message: str) -> Growth:
        """A place to cancel; nothing changed."""
        z, y, x = (slice(s.start, s.start + 1) for s in box)
        return Growth((z, y, x), self._labels[z, y, x].copy(), fraction, message, self._choice.words)

    def _painted(self, task: Task, message: str) -> Growth:
        """Nothing was found yet: the last labels stay, with the strokes on them."""
        box, changed = task.region.box, self._left_behind(task.region.box)
        here, places = self._labels[box], np.unravel_index(marked(task.drawn), task.drawn.shape)
        values = task.drawn[places]
        values[values == BACKGROUND] = 0
        differ = here[places] != values
        if differ.any():
            here[places] = values
            z, y, x = (slice(int(each[differ].min()), int(each[differ].max()) + 1) for each in places)
            changed = _joined(changed, _shifted((z, y, x), box))
        return self._told(box, changed, 0.0, message)

    def _grown(self, task: Task, found: LabelArray, fraction: float, message: str) -> Growth:
        """What changed by what a solver found."""
        box, changed = task.region.box, self._left_behind(task.region.box)
        here = self._labels[box]
        if task.region.coarse:
            answer = task.region.restored(np.where(task.near, found, 0).astype(np.uint8))
            near = np.ones(here.shape, bool)
        else:
            answer, near = found, task.near
        self._voxels, inner = settle(here, answer, near, task.drawn)
        if inner is not None:
            changed = _joined(changed, _shifted(inner, box))
        return self._told(box, changed, fraction, message)

    def _told(self, box: Box, changed: Box | None, fraction: float, message: str) -> Growth:
        self._shown = box
        if changed is None:
            return self._tick(box, fraction, message)
        return Growth(changed, self._labels[changed].copy(), fraction, message, self._choice.words)

    def _left_behind(self, box: Box) -> Box | None:
        """Clear what was labelled beyond a region that strokes reach no more; the box around it."""
        if self._shown is None or self._shown == box:
            return None
        cleared: Box | None = None
        z, y, x = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(self._shown, box, strict=True))
        apart = any(s.start >= s.stop for s in (z, y, x))
        for part in [self._shown] if apart else beyond(self._shown, (z, y, x)):
            held = _holding(self._labels[part])
            if held is not None:
                self._labels[part] = 0
                cleared = _joined(cleared, _shifted(held, part))
        return cleared


@dataclass(frozen=True, slots=True, eq=False)
class _Looked:
    """What strokes reach in a region: the blocks that hold them, what is near these, and the span of grey values there."""

    region: Region
    blocks: BoolArray
    near: BoolArray
    span: float


@dataclass(frozen=True, slots=True)
class Choice:
    """What spreads the strokes, whether a classifier helps, and both in words."""

    method: Method
    learns: bool
    words: str


def span_of(region: Region, near: BoolArray) -> float:
    """Width of the region's grey values where strokes reach (`near`, bool, the region's (z, y, x)), from the 1st to the 99th percentile."""
    every = max(1, round((near.size / SAMPLE) ** (1 / 3)))
    some = region.contrast[::every, ::every, ::every][near[::every, ::every, ::every]]
    low, high = np.percentile(some if some.size else region.contrast, [1, 99])
    return max(float(high - low), 1e-6)


def edge_scale(region: Region, near: BoolArray, strokes: LabelArray, span: float | None = None) -> float:
    """Contrast that counts as an edge: what lies between the strokes' classes, in half octaves so that it changes seldom; `span`: where it is known.

    In the unit of the region's `contrast`; `near` is bool and `strokes` uint8, both the region's (z, y, x).
    """
    span = span_of(region, near) if span is None else span
    places = marked(strokes)
    values, grey = strokes.ravel()[places], region.contrast.ravel()[places]
    middles = [float(np.median(grey[values == v])) for v in np.flatnonzero(np.bincount(values))]
    apart = max(middles) - min(middles) or span
    return float(2.0 ** (np.round(2 * np.log2(np.clip(apart, LEAST_APART * span, span))) / 2))


def _joined(one: Box | None, other: Box) -> Box:
    return other if one is None else scene.joined(one, other)


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
