"""Fill between annotated slices, from their shapes alone or with the image between them.

From the shapes, each class runs from slice to slice (`slice_shapes`). With the image that course is a first guess, surer near the annotated slices, and
the voxels near its outline ask those that look like them on the two slices (`slice_votes`); the two opinions are multiplied.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.volume import BoolArray, FloatArray, Spacing, format_shape
from napari_medseg.weaklabel.scene import Box, checked_image, checked_labels, checked_spacing
from napari_medseg.weaklabel.slice_shapes import MISSING, Gap, Plane, PlaneSpacing, around, course, depth_inside, shift_between

DOUBT = 1.0  # voxels: how far the shape's outline is trusted on an annotated slice
DOUBT_PER_MM = 0.35  # how much less with every mm away from it
BAND = 3.0  # doubts: the image is asked this far to both sides of the shape's outline
LEAST_VOTE = 0.02
LEAST_CHANCE = 1e-4
BLUR = 0.4  # voxels, of the joint opinion


@dataclass(frozen=True, slots=True, eq=False)
class Filled:
    """Labels so far.

    Attributes
    ----------
    labels : like the labels given, (z, y, x)
    box : three slices
        Holds what the last gap changed.
    fraction : float
        Share of the gaps done, 0-1.
    message : str
        What is being done, for people.
    method : str
        "shape" or "image".
    """

    labels: npt.NDArray[Any]
    box: Box
    fraction: float
    message: str
    method: str


@dataclass(frozen=True, slots=True)
class Interpolator:
    """Interpolation as a part of the catalogue.

    Attributes
    ----------
    with_image : bool
        Whether outlines follow the scan.
    """

    with_image: bool = True

    def __call__(
        self, labels: npt.NDArray[Any], spacing: Spacing, slices: Sequence[int] | None = None, *, image: npt.NDArray[Any] | None = None, axis: int = 0
    ) -> Iterator[Filled]:
        """Fill gap by gap; see `interpolating`."""
        return interpolating(labels, spacing, slices, image=image if self.with_image else None, axis=axis)


def interpolate(
    labels: npt.NDArray[Any], slices: Sequence[int] | None = None, *, plane_spacing: PlaneSpacing = (1.0, 1.0), image: npt.NDArray[Any] | None = None,
    spacing: Spacing | None = None, axis: int = 0,
) -> npt.NDArray[Any]:
    """Fill the slices between annotated ones; see `interpolating`, whose last result this is. `plane_spacing` serves where `spacing` is not given."""
    if spacing is None:
        steps = list(plane_spacing)
        steps.insert(axis, min(plane_spacing))
        spacing = (steps[0], steps[1], steps[2])
    return deque(interpolating(labels, spacing, slices, image=image, axis=axis), maxlen=1)[0].labels


def interpolating(
    labels: npt.NDArray[Any], spacing: Spacing, slices: Sequence[int] | None = None, *, image: npt.NDArray[Any] | None = None, axis: int = 0,
) -> Iterator[Filled]:
    """Fill the slices between annotated ones, gap by gap.

    Parameters
    ----------
    labels : whole numbers (z, y, x)
        0 is background.
    spacing : mm per voxel (z, y, x)
    slices : sequence of int, optional
        The annotated slices, which stay as they are; one may be empty on purpose, and the shape ends towards it. None takes those that
        hold labels.
    image : (z, y, x), any real type, optional
        The scan: the outline then follows it. None goes by the shapes alone.
    axis : int
        Along which slices are counted: 0, 1 or 2.

    Yields
    ------
    Filled
        After each gap; the last is the answer. Slices before the first and after the last annotated one are as they were. Stop iterating to cancel.

    Raises
    ------
    NoLabelsError
        When no listed slice holds a label.
    InvalidInputError
        When fewer than two slices are annotated, one lies outside, the labels are no label map, or the scan lies on another grid or holds no number.
    """
    checked_labels(labels)
    if axis not in (0, 1, 2):
        raise InvalidInputError(f"there is no axis {axis}", where="interpolation", todo="Give 0, 1 or 2")
    turned = np.moveaxis(labels, axis, 0)
    steps = checked_spacing(spacing)
    between = steps[axis]
    plane = tuple(step for index, step in enumerate(steps) if index != axis)
    known = _annotated(turned, slices)
    scan = None
    if image is not None:
        if checked_image(image).shape != labels.shape:
            what = f"{format_shape(image.shape)} voxels do not fit labels of {format_shape(labels.shape)}"
            raise InvalidInputError(what, where="scan", todo="Give the scan that the labels were drawn on")
        scan = np.moveaxis(image, axis, 0)
    out = labels.copy()
    filled = np.moveaxis(out, axis, 0)
    gaps = [
        Gap(low, high, known[i - 1] if i else None, known[i + 2] if i + 2 < len(known) else None)
        for i, (low, high) in enumerate(pairwise(known)) if high - low > 1
    ]
    method = "shape" if scan is None else "image"
    if not gaps:
        yield Filled(out, _box(labels.shape, axis, 0, 0), 1.0, "No slice lies between", method)
    for count, gap in enumerate(gaps, 1):
        filled[gap.low + 1 : gap.high] = _between(turned, scan, gap, (plane[0], plane[1]), between)
        span = _box(labels.shape, axis, gap.low + 1, gap.high)
        yield Filled(out.copy() if count < len(gaps) else out, span, count / len(gaps), f"Slices {gap.low + 1} to {gap.high - 1}", method)


def _annotated(labels: npt.NDArray[Any], slices: Sequence[int] | None) -> list[int]:
    known = sorted({int(z) for z in (np.flatnonzero(labels.any(axis=(1, 2))) if slices is None else slices)})
    stray = [z for z in known if not 0 <= z < len(labels)]
    if stray:
        raise InvalidInputError(f"slice {stray[0]} is not one of 0 to {len(labels) - 1}", where="slices", todo="Correct the list")
    if not any(labels[z].any() for z in known):
        raise NoLabelsError("no slice is annotated", where="labels", todo="Paint the organ on two slices at least")
    if len(known) < 2:
        raise InvalidInputError("one slice alone leaves nothing between", where="slices", todo="Paint the organ on another slice too")
    return known


def _between(labels: npt.NDArray[Any], scan: npt.NDArray[Any] | None, gap: Gap, spacing: PlaneSpacing, between_mm: float) -> npt.NDArray[Any]:
    """Labels of the slices of a gap."""
    out = np.zeros((gap.high - gap.low - 1, *labels.shape[1:]), labels.dtype)
    values = [v for v in np.unique(labels[[gap.low, gap.high]]) if v]
    if not values:
        return out
    courses = {v: course([None if z is None else labels[z] == v for z in gap.knots()], gap, spacing) for v in values}
    plane = around([labels[z] > 0 for z in gap.knots() if z is not None and labels[z].any()])
    image = None if scan is None else _Image(labels, scan, gap, plane, values, spacing)
    table = np.array([0, *values], labels.dtype)
    for z in range(gap.low + 1, gap.high):
        depths = np.full((len(values), plane[0].stop - plane[0].start, plane[1].stop - plane[1].start), MISSING, np.float32)
        for depth, one in zip(depths, courses.values(), strict=True):
            if one is not None:
                depth[tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(one.box, plane, strict=True))] = one.at(z)
        if image is None:
            deepest = depths.argmax(axis=0)
            found = np.where(depths.max(axis=0) > 0, deepest + 1, 0)
        else:
            found = image.asked(z, depths, min(z - gap.low, gap.high - z) * between_mm)
        out[z - gap.low - 1][plane] = table[found]
    return out


class _Image:
    """The image around a gap, ready to be asked."""

    def __init__(
        self, labels: npt.NDArray[Any], scan: npt.NDArray[Any], gap: Gap, plane: Plane, values: Sequence[Any], spacing: PlaneSpacing
    ) -> None:
        from napari_medseg.weaklabel import slice_votes

        self._votes = slice_votes.votes
        self._gap, self._voxel = gap, float(np.sqrt(spacing[0] * spacing[1]))
        self._slab = _finite(scan[(slice(gap.low, gap.high + 1), *plane)])
        ends = [labels[z][plane] for z in (gap.low, gap.high)]
        self._classes = np.stack([np.searchsorted(values, end) + 1 for end in ends])
        self._classes[np.stack(ends) == 0] = 0
        self._ends = np.ascontiguousarray(self._slab[[0, -1]])
        reach = float(self._ends.max() - self._ends.min())
        self._noise = max(slice_votes.noise_of(self._ends), 1e-6 * reach, 1e-6)
        masks: list[BoolArray] = [end > 0 for end in ends]
        low, high = (depth_inside(mask, spacing) for mask in masks)
        self._shift = shift_between(low, high, spacing) if all(mask.any() for mask in masks) else np.zeros(2)

    def asked(self, z: int, depths: FloatArray, away_mm: float) -> npt.NDArray[np.intp]:
        """The class of each voxel of a slice, 0 for background, from the shapes' depths (classes, y, x) and the image."""
        doubt = DOUBT * self._voxel + DOUBT_PER_MM * away_mm
        towards = np.concatenate([-depths.max(axis=0)[None], depths]) / doubt
        chance = np.exp(np.maximum(towards - towards.max(axis=0), -50.0))
        chance /= chance.sum(axis=0)
        where = np.asarray(np.abs(depths).min(axis=0) < BAND * doubt)
        share = (z - self._gap.low) / (self._gap.high - self._gap.low)
        shifts = np.rint([-share * self._shift, (1 - share) * self._shift]).astype(np.intp)
        plane = np.ascontiguousarray(self._slab[z - self._gap.low])
        votes = self._votes(plane, self._ends, self._classes.astype(np.uint8), shifts, where, self._noise, len(chance))
        opinion = np.log(chance + LEAST_CHANCE)
        opinion[:, where] += np.log(votes[:, where] + LEAST_VOTE)
        return np.asarray(ndi.gaussian_filter(opinion, (0, BLUR, BLUR), mode="nearest").argmax(axis=0))


def _finite(part: npt.NDArray[Any]) -> FloatArray:
    """As float32, holes filled with the median."""
    values = part.astype(np.float32)
    real = np.isfinite(values)
    if not real.any():
        raise InvalidInputError("holds no number between the slices, only NaN", where="scan", todo="Load the scan again, or interpolate without it")
    if not real.all():
        values[~real] = np.median(values[real])
    return values


def _box(shape: tuple[int, ...], axis: int, start: int, stop: int) -> Box:
    z, y, x = (slice(start, stop) if index == axis else slice(0, size) for index, size in enumerate(shape))
    return z, y, x
