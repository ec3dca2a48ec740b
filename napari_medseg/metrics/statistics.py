"""What a label holds: how much room it takes, and which grey values lie in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from napari_medseg.metrics.area import surface_cm2
from napari_medseg.metrics.diameters import Diameters, diameters
from napari_medseg.metrics.overlap import require_same_shape
from napari_medseg.metrics.regions import Box, boxes_of, require_label_map
from napari_medseg.metrics.runs import Runs, runs_of
from napari_medseg.volume import Array, BoolArray
from napari_medseg.volume.geometry import Spacing

PERCENTILES = (5, 25, 50, 75, 95)
NO_NUMBER = float("nan")


@dataclass(frozen=True, slots=True)
class Values:
    """Grey values in a label, in the scan's unit; NaN where it holds no finite value.

    Attributes
    ----------
    mean, sd : float
        `sd` is that of the voxels themselves (divided by their number).
    minimum, maximum : float
    percentiles : tuple of float
        At `PERCENTILES`, linear between neighbours; the third is the median.
    counted : int
        Voxels with a finite value.
    """

    mean: float = NO_NUMBER
    sd: float = NO_NUMBER
    minimum: float = NO_NUMBER
    maximum: float = NO_NUMBER
    percentiles: tuple[float, ...] = (NO_NUMBER,) * len(PERCENTILES)
    counted: int = 0

    @classmethod
    def of(cls, image: Array, mask: BoolArray) -> Values:
        """Of a (z, y, x) scan, or a part of it, in a mask of its shape."""
        found = _tally(image, mask) if image.dtype.kind in "iu" and image.dtype.itemsize <= 2 else _sorted(image, mask)
        return cls() if found is None else found


def _tally(image: Array, mask: BoolArray) -> Values | None:
    """By counting how often each value occurs, slice by slice: exact, and nothing is copied nor sorted."""
    lowest = int(np.iinfo(image.dtype).min)
    counts = np.zeros(int(np.iinfo(image.dtype).max) - lowest + 1, np.int64)
    for plane, inside in zip(image, mask, strict=True):
        values = plane[inside].astype(np.intp) - lowest
        if values.size:
            seen = np.bincount(values)
            counts[:seen.size] += seen
    held = np.flatnonzero(counts)
    if not held.size:
        return None
    often, values = counts[held], held.astype(np.float64) + lowest
    total = int(often.sum())
    mean = float(values @ often) / total
    sd = float(np.sqrt((values - mean) ** 2 @ often / total))
    upto = np.cumsum(often)
    places = np.array(PERCENTILES) / 100 * (total - 1)
    below, above = (values[np.searchsorted(upto, rounded(places), "right")] for rounded in (np.floor, np.ceil))
    marks = below + (above - below) * (places - np.floor(places))
    return Values(mean, sd, float(values[0]), float(values[-1]), tuple(float(mark) for mark in marks), total)


def _sorted(image: Array, mask: BoolArray) -> Values | None:
    """By putting them in order; those that are no number are left out."""
    values = image[mask]
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not finite.size:
        return None
    marks = np.percentile(finite, PERCENTILES)
    mean, sd = (float(figure(finite, dtype=np.float64)) for figure in (np.mean, np.std))
    return Values(mean, sd, float(finite.min()), float(finite.max()), tuple(float(mark) for mark in marks), int(finite.size))


@dataclass(frozen=True, slots=True)
class LabelStatistics:
    """One label of a scan.

    Attributes
    ----------
    value : int
    voxels : int
    ml : float
    surface_cm2 : float
        By Crofton's formula, see `area`.
    pieces : int
        Voxels that share a face, an edge or a corner are one piece.
    values : Values
    diameters : Diameters
        Of its largest piece, as lesions are measured one by one; voxel positions are those of the whole map.
    centre : (z, y, x)
        The middle of its box, in voxels.
    """

    value: int
    voxels: int
    ml: float
    surface_cm2: float
    pieces: int
    values: Values
    diameters: Diameters
    centre: tuple[float, float, float]


def label_statistics(labels: Array, image: Array, spacing: Spacing, *, wanted: Iterable[int] | None = None, axis: int = 0) -> Iterator[LabelStatistics]:
    """Measure labels one by one, each within its own box.

    Parameters
    ----------
    labels : integer (z, y, x), 0 outside
    image : (z, y, x)
        The grey values.
    spacing : (z, y, x) mm
    wanted : values to measure, every one that occurs when left out; one that does not occur yields nothing
    axis : int
        The slices that diameters are taken on lie across it; 0 for z.

    Raises
    ------
    InvalidInputError
        When `labels` is no label map, or its size is not that of `image`.
    """
    require_label_map(labels, "labels")
    require_same_shape(labels, image)
    boxes = boxes_of(labels)
    for value in boxes if wanted is None else sorted(set(wanted) & set(boxes)):
        mask = labels[boxes[value]] == value
        pieces, largest = _pieces(mask)
        lines = diameters(largest, spacing, axis)
        if lines is not None:  # painted away while it was looked for
            yield _measured(value, mask, image[boxes[value]], spacing, boxes[value], pieces, lines, axis)


def _measured(value: int, mask: BoolArray, image: Array, spacing: Spacing, box: Box, pieces: int, lines: Diameters, axis: int) -> LabelStatistics:
    voxels = int(np.count_nonzero(mask))
    begin = [part.start for part in box]
    z, y, x = ((part.start + part.stop - 1) / 2 for part in box)
    ml = voxels * float(np.prod(spacing)) / 1000
    return LabelStatistics(value, voxels, ml, surface_cm2(mask, spacing), pieces, Values.of(image, mask), lines.moved(begin, axis), (z, y, x))


def _pieces(mask: BoolArray) -> tuple[int, BoolArray]:
    """How many pieces there are, and the largest of them."""
    runs = runs_of(mask)
    count, owner = runs.joined(corners=True)
    if count <= 1:
        return count, mask
    kept = owner == np.bincount(owner, runs.end - runs.start).argmax()
    return count, Runs(runs.shape, runs.row[kept], runs.start[kept], runs.end[kept]).mask()
