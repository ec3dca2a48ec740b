"""Sigmoid contrast whose alpha and beta come from the seeds.

Salah et al. (MIUA 2023) raise an organ from its surroundings by f(x) = (max - min) / (1 + exp(-(x - beta) / alpha)) + min, with alpha and beta in
raw units of one scanner. Here both come from the scan itself. Where the values near the seeds and those of the background are equally
likely lies beta; the 10-90 % transition of a sigmoid is beta +- alpha ln 9, so alpha follows from how far beta lies from the organ's own
value. A target brighter than its surroundings has one such edge, a darker one too, a target in between has two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from napari_medseg.volume import FloatArray

BINS = 64
FINE = 1024  # steps of a sigmoid's table
SMOOTH_BINS = 5.0  # histograms of a few hundred samples are noise below this; measured in docs/weaklabel.md
FLOOR = 1e-3  # so that a value seen in neither class decides nothing
LN9 = float(np.log(9.0))
STEEPEST = 12.0  # |x - beta| / alpha beyond which a membership is 0 or 1 anyway; keeps exp finite


@dataclass(frozen=True, slots=True)
class Edge:
    """One sigmoid.

    Attributes
    ----------
    beta : float
        Value where the membership is one half, in the scan's units.
    alpha : float
        Width, in the scan's units, positive; the membership goes from 10 to 90 % over beta +- alpha ln 9.
    """

    beta: float
    alpha: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """Which values belong to the target.

    Attributes
    ----------
    centre : float
        The target's own typical value.
    lower, upper : Edge or None
        Where membership rises and falls; None when nothing darker (or brighter) has to be kept out.
    overlap : float
        Share of the target's and the background's values that cannot be told apart: 0 none, 1 all.
    """

    centre: float
    lower: Edge | None
    upper: Edge | None
    overlap: float

    def log_odds(self, image: npt.NDArray[np.floating]) -> FloatArray:
        """Evidence for the target in every voxel, ln(p / (1 - p)), within +-12: float32, of the image's shape; the image in the scan's units."""
        odds = np.full(image.shape, STEEPEST, np.float32)
        if self.lower is not None:
            np.minimum(odds, (image - self.lower.beta) / self.lower.alpha, out=odds)
        if self.upper is not None:
            np.minimum(odds, (self.upper.beta - image) / self.upper.alpha, out=odds)
        return np.maximum(odds, -STEEPEST, out=odds)

    def membership(self, image: npt.NDArray[np.floating]) -> FloatArray:
        """The contrast image f(x) of the paper, scaled to 0-1: float32, of the image's shape."""
        return sigmoid(self.log_odds(image))

    def describe(self, unit: str = "") -> str:
        """For people: which values are kept; `unit` is what they are called."""
        if self.lower is not None and self.upper is not None:
            return f"keeps values from {self.lower.beta:.4g} to {self.upper.beta:.4g} {unit}".rstrip()
        if self.lower is not None:
            return f"keeps values above {self.lower.beta:.4g} {unit}".rstrip()
        if self.upper is not None:
            return f"keeps values below {self.upper.beta:.4g} {unit}".rstrip()
        return "the values do not tell the target from its surroundings"


def sigmoid(log_odds: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)), float32."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -STEEPEST, STEEPEST))), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Evidence for the target by grey value.

    Attributes
    ----------
    low, step : float
        The first value and the step to the next, in the scan's units.
    odds : float32 (n,)
        ln(p / (1 - p)) at those values; between them on the line, beyond them as at the ends.
    """

    low: float
    step: float
    odds: FloatArray


def histogram_table(target: npt.NDArray[np.floating], background: npt.NDArray[np.floating]) -> Table:
    """Evidence as the ratio of two smoothed histograms; all 0 when every value is the same.

    Target and background are (n,), of any length, in the scan's units.
    """
    low, high = np.percentile(np.concatenate([target, background]), [0.5, 99.5])
    if not high > low:
        return Table(float(low), 1.0, np.zeros(2, np.float32))
    step = float(high - low) / BINS
    ours, theirs = (_density(values, float(low), float(high)) for values in (target, background))
    return Table(float(low) + step / 2, step, np.asarray(np.log(ours + FLOOR) - np.log(theirs + FLOOR), np.float32))


def sigmoid_table(contrast: Contrast, values: npt.NDArray[np.floating]) -> Table:
    """The paper's sigmoids as a table over the range of some values, in the scan's units and of any shape."""
    low, high = float(values.min()), float(values.max())
    step = max(high - low, 1e-6) / FINE
    return Table(low, step, contrast.log_odds(low + step * np.arange(FINE + 1)))


def fit_contrast(target: npt.NDArray[np.floating], background: npt.NDArray[np.floating]) -> Contrast:
    """Alpha and beta from samples of both classes.

    Parameters
    ----------
    target, background : 1D, the scan's units
        Values at the seeds, and values of what lies around. Neither need be pure.

    Returns
    -------
    Contrast
        The interval of values around the target's own where they are likelier under the target than under the background.
    """
    low, high = np.percentile(np.concatenate([target, background]), [0.5, 99.5])
    if not high > low:
        return Contrast(float(np.median(target)), None, None, 1.0)
    step = float(high - low) / BINS
    ours, theirs = (_density(values, float(low), float(high)) for values in (target, background))
    ratio = np.log(ours + FLOOR) - np.log(theirs + FLOOR)
    centre = float(np.median(target))
    spread = max(1.4826 * float(np.median(np.abs(target - centre))), step)
    peak = int(np.clip((centre - low) / step, 0, BINS - 1))
    if ratio[peak] <= 0:  # a target of two values, or mostly background: take the likeliest value that is its own
        peak = int(np.argmax(np.where(ratio > 0, ours, -1.0)))
        centre = float(low + (peak + 0.5) * step)
    first = last = peak
    while first > 0 and ratio[first - 1] > 0:
        first -= 1
    while last < BINS - 1 and ratio[last + 1] > 0:
        last += 1

    def edge(beta: float) -> Edge:
        return Edge(beta, max(min(abs(centre - beta), 2 * spread), step) / LN9)

    return Contrast(
        centre,
        edge(float(low + first * step)) if first > 0 else None,
        edge(float(low + (last + 1) * step)) if last < BINS - 1 else None,
        float(np.minimum(ours, theirs).sum()),
    )


def _density(values: npt.NDArray[np.floating], low: float, high: float) -> npt.NDArray[np.float64]:
    counts = np.histogram(np.clip(values, low, high), BINS, (low, high))[0].astype(float)
    return np.asarray(ndi.gaussian_filter1d(counts / max(values.size, 1), SMOOTH_BINS, mode="nearest"))
