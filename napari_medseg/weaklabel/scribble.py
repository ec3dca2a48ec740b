"""Scribbles: every voxel takes the class of the stroke a random walker most likely meets first (Grady, PAMI 2006).

The walk is cut to the strokes' reach, the contrast is put in units of the difference between the strokes' classes, and steps count in millimetres, so
that one setting serves CT and MR, thin and thick slices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.errors import InvalidInputError, NoStrokesError
from napari_medseg.volume import BoolArray, FloatArray, LabelArray, Shape, Spacing
from napari_medseg.weaklabel import scene
from napari_medseg.weaklabel.walker import likeliest

COARSE = 3  # of the preview, in plane
BETA = 90.0  # with the contrast in the units below


@dataclass(frozen=True, slots=True)
class ScribbleSettings:
    """What a person can turn.

    Attributes
    ----------
    beta : float or None
        How much an intensity edge holds the walker back; None takes 90, since
        the contrast is first put in units of the difference between the classes' strokes.
    reach_mm : float
        Strokes colour nothing farther than this from a class's stroke.
    border_is_background : bool
        Where nothing was scribbled as background, the border of the reach counts as such.
    most_voxels : int
        Above this many voxels the walk takes place on a coarser grid and is brought back.
    """

    beta: float | None = None
    reach_mm: float = 30.0
    border_is_background: bool = True
    most_voxels: int = 1_500_000

    def __post_init__(self) -> None:
        if not 0 < self.reach_mm < np.inf or self.most_voxels < 1000 or (self.beta is not None and not 0 <= self.beta < np.inf):
            raise InvalidInputError("beta, reach and size are positive numbers", where="scribble settings", todo="Correct them")


@dataclass(frozen=True, slots=True, eq=False)
class Growth:
    """Labels so far.

    Attributes
    ----------
    box : three slices (z, y, x)
        Outside it everything is 0.
    labels : uint8, the box's (z, y, x)
        0 background, 1-254 classes.
    fraction : float or None
        Share of the work done, 0-1.
    message : str
        What is being done, for people.
    """

    box: scene.Box
    labels: LabelArray
    fraction: float | None
    message: str


def grow(image: npt.NDArray[Any], strokes: npt.NDArray[Any], spacing: Spacing, settings: ScribbleSettings = ScribbleSettings()) -> Iterator[Growth]:
    """Grow strokes into a label map: first a quick coarse answer, then the exact one.

    Parameters
    ----------
    image : (z, y, x), any real type
    strokes : uint8 (z, y, x)
        0 unknown, 255 background, 1-254 classes.
    spacing : mm per voxel (z, y, x)

    Yields
    ------
    Growth
        The last is the answer; a stroke's own voxels keep their class. Stop iterating to cancel.

    Raises
    ------
    NoStrokesError
        When no class was scribbled, or one class with nothing against it.
    InvalidInputError
        When the strokes lie on another grid, or the scan is not usable around them.
    """
    scene.checked_image(image)
    spacing = scene.checked_spacing(spacing)
    if strokes.shape != image.shape:
        scene.checked_mask(strokes, (image.shape[0], image.shape[1], image.shape[2]), "strokes")
    if strokes.dtype.kind not in "ui" or int(strokes.min()) < 0 or int(strokes.max()) > BACKGROUND:
        raise InvalidInputError("strokes are whole numbers from 0 to 255", where="strokes", todo="Use 255 for background and 1-254 for classes")
    values = [int(v) for v in np.unique(strokes) if v not in (0, BACKGROUND)]
    if not values:
        raise NoStrokesError("no class was scribbled", where="strokes", todo="Draw a stroke inside the organ, and one in the background")
    if len(values) == 1 and not (strokes == BACKGROUND).any() and not settings.border_is_background:
        raise NoStrokesError("one class has nothing against it", where="strokes", todo="Draw a stroke in the background too, or scribble a second class")
    return _grow(image, strokes, spacing, settings)


def _grow(image: npt.NDArray[Any], strokes: npt.NDArray[Any], spacing: Spacing, settings: ScribbleSettings) -> Iterator[Growth]:
    classes = (strokes > 0) & (strokes != BACKGROUND)
    box = scene.box_around(classes, settings.reach_mm, spacing)
    values, real = scene.finite_part(image[box])
    drawn = strokes[box].astype(np.uint8)
    has_background = bool((drawn == BACKGROUND).any())
    reached = scene.distance_to((drawn > 0) & (drawn != BACKGROUND), spacing) <= settings.reach_mm
    outside = ~reached & (drawn == 0)
    marks = drawn.copy()
    marks[outside | (~real & (drawn == 0))] = BACKGROUND
    if not has_background:
        _mark_border(marks)
    if not (marks == BACKGROUND).any() and len(np.unique(marks[marks > 0])) < 2:
        raise NoStrokesError("the strokes leave no room for background", where="strokes", todo="Draw a stroke in the background")
    contrast = _normalised(values, drawn, reached)
    beta = BETA if settings.beta is None else settings.beta
    yield Growth(box, _classes_only(drawn), 0.05, f"Walking through {drawn.size / 1e6:.2g} million voxels around the strokes")
    factor = _coarsening(drawn.shape, settings.most_voxels)
    preview = [min(n, max(f, COARSE if axis else 1)) for axis, (n, f) in enumerate(zip(drawn.shape, factor, strict=True))]
    coarse = _restored(_walk(*_shrunk(contrast, marks, preview), _times(spacing, preview), beta), marks, preview)
    yield Growth(box, _classes_only(coarse), 0.4, "A coarse answer; refining")
    if max(factor) == 1:
        fine = _classes_only(_walk(contrast, marks, spacing, beta, coarse))
    else:
        fine = _classes_only(_restored(_walk(*_shrunk(contrast, marks, factor), _times(spacing, factor), beta), marks, factor))
    counted = int((fine > 0).sum()) * float(np.prod(spacing)) / 1000
    note = "" if has_background else "; nothing was scribbled as background, so the border of the reach was taken"
    yield Growth(box, fine, 1.0, f"{counted:.3g} ml{note}")


def _walk(contrast: FloatArray, marks: LabelArray, spacing: Spacing, beta: float, guess: LabelArray | None = None) -> LabelArray:
    """The likeliest class of every voxel, `BACKGROUND` included; on a coarse grid only one may be left."""
    present = [int(v) for v in np.unique(marks) if v]
    return likeliest(contrast, marks, spacing, beta, guess) if len(present) > 1 else np.full(marks.shape, present[0], np.uint8)


def _normalised(values: FloatArray, drawn: LabelArray, reached: BoolArray) -> FloatArray:
    """The scan in units that make one beta fit: noise at a step apart is small, the classes lie about one apart."""
    smooth = ndi.gaussian_filter(values, [0 if n == 1 else 0.5 for n in values.shape])
    low, high = np.percentile(smooth[reached], [1, 99])
    middles = [float(np.median(smooth[drawn == v])) for v in np.unique(drawn) if v]
    apart = max(middles) - min(middles)
    span = max(float(high - low), 1e-6)
    scale = float(np.clip(apart if apart > 0 else span, 0.25 * span, span))
    return np.asarray(np.clip((smooth - low) / scale, -1, span / scale + 1), np.float32)


def _mark_border(marks: LabelArray) -> None:
    for axis, n in enumerate(marks.shape):
        if n >= 3:  # a slice on its own has no border before and behind
            for end in (0, -1):
                face = marks[(slice(None),) * axis + (end,)]
                face[face == 0] = BACKGROUND


def _coarsening(shape: tuple[int, ...], most: int) -> list[int]:
    factor = [1, 1, 1]
    while np.prod([-(-n // f) for n, f in zip(shape, factor, strict=True)]) > most:
        left = [n / f for n, f in zip(shape, factor, strict=True)]
        factor[int(np.argmax(left))] += 1
    return factor


def _shrunk(contrast: FloatArray, marks: LabelArray, factor: list[int]) -> tuple[FloatArray, LabelArray]:
    """Both on a coarser grid; a stroke survives, a class before background."""
    pad = [(0, -n % f) for n, f in zip(marks.shape, factor, strict=True)]
    image, strokes = np.pad(contrast, pad, mode="edge"), np.pad(marks, pad)
    blocks = [m for n, f in zip(image.shape, factor, strict=True) for m in (n // f, f)]
    mean = image.reshape(blocks).mean(axis=(1, 3, 5), dtype=np.float32)
    rank = strokes.reshape(blocks).astype(np.int16)
    rank = np.where(rank == BACKGROUND, 0, rank).max(axis=(1, 3, 5))
    ground = (strokes.reshape(blocks) == BACKGROUND).mean(axis=(1, 3, 5)) >= 0.5
    drawn_ground = (strokes.reshape(blocks) == BACKGROUND).any(axis=(1, 3, 5)) & (factor[0] * factor[1] * factor[2] > 1)
    return np.asarray(mean, np.float32), np.where(rank > 0, rank, np.where(ground | drawn_ground, BACKGROUND, 0)).astype(np.uint8)


def _restored(found: LabelArray, marks: LabelArray, factor: list[int]) -> LabelArray:
    """On the fine grid, with what was marked as marked."""
    for axis, (n, times) in enumerate(zip(marks.shape, factor, strict=True)):
        found = np.repeat(found, times, axis=axis).take(np.arange(n), axis=axis)
    return np.where(marks > 0, marks, found).astype(np.uint8)


def _classes_only(labels: LabelArray) -> LabelArray:
    return np.where(labels == BACKGROUND, 0, labels).astype(np.uint8)


def _times(spacing: Spacing, factor: list[int]) -> Spacing:
    return spacing[0] * factor[0], spacing[1] * factor[1], spacing[2] * factor[2]


def whole(growth: Growth, shape: Shape) -> LabelArray:
    """The label map of the whole scan, uint8 (z, y, x)."""
    labels = np.zeros(shape, np.uint8)
    labels[growth.box] = growth.labels
    return labels
