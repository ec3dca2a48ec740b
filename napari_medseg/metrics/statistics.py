"""What a label holds: how much room it takes, and which grey values lie in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_medseg.metrics.pieces import components
from napari_medseg.volume import Array
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
    def of(cls, values: Array) -> Values:
        """Of a flat array."""
        finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        if not finite.size:
            return cls()
        marks = np.percentile(finite, PERCENTILES)
        mean = float(finite.mean(dtype=np.float64))
        sd = float(finite.std(dtype=np.float64))
        return cls(mean, sd, float(finite.min()), float(finite.max()), tuple(float(mark) for mark in marks), int(finite.size))


@dataclass(frozen=True, slots=True)
class LabelStatistics:
    """One label of a scan.

    Attributes
    ----------
    value : int
    voxels : int
    ml : float
    pieces : int
        Voxels that share a face, an edge or a corner are one piece.
    values : Values
    """

    value: int
    voxels: int
    ml: float
    pieces: int
    values: Values


def label_statistics(labels: Array, image: Array, spacing: Spacing, wanted: Iterable[int] | None = None) -> Iterator[LabelStatistics]:
    """Measure labels one by one, each within its own box.

    Parameters
    ----------
    labels : integer (z, y, x), 0 outside
    image : (z, y, x)
        The grey values.
    spacing : (z, y, x) mm
    wanted : values to measure, every one that occurs when left out; one that does not occur yields nothing
    """
    boxes = ndimage.find_objects(labels)
    chosen = range(1, len(boxes) + 1) if wanted is None else sorted(set(wanted))
    for value in chosen:
        box = boxes[value - 1] if 0 < value <= len(boxes) else None
        if box is None:
            continue
        mask = labels[box] == value
        voxels = int(np.count_nonzero(mask))
        ml = voxels * float(np.prod(spacing)) / 1000
        yield LabelStatistics(value, voxels, ml, components(mask)[1], Values.of(image[box][mask]))
