"""Edges: the paper's sigmoid turned round, on the scan's gradient in its units per mm, with an alpha and a beta that come from the seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import FloatArray, Spacing
from napari_medseg.weaklabel.contrast import LN9, sigmoid
from napari_medseg.weaklabel.samples import Samples
from napari_medseg.weaklabel.scene import Box
from napari_medseg.weaklabel.tiles import gaussian, inner, smoothed

FLAT, STEEP = 50, 90  # percentiles of the gradient near the seeds: no edge below, one above
LOOK_MM = 15.0
MOST = 8


@dataclass(frozen=True, slots=True)
class EdgeScale:
    """What counts as an edge.

    Attributes
    ----------
    beta, alpha : float
        Gradient at which the front has half its speed; width of the transition (10-90 % over beta +- alpha ln 9).
    sigma_mm : float
        Of the Gaussian under the gradient.
    filler : float
        Stands in for voxels that hold no number.
    """

    beta: float
    alpha: float
    sigma_mm: float
    filler: float

    def stopping(self, steep: FloatArray) -> FloatArray:
        """1 where flat ... 0 on an edge, float32, from gradients in the scan's unit per mm; of any shape."""
        return 1 - sigmoid(np.asarray((steep - self.beta) / self.alpha, np.float32))


def edge_scale(image: npt.NDArray[Any], samples: Samples, spacing: Spacing, smooth_mm: float) -> EdgeScale:
    """Alpha and beta, in the scan's unit per mm, from the gradients of a scan (z, y, x) around some of the target's voxels."""
    first = EdgeScale(0.0, 1.0, max(smooth_mm, min(spacing)), float(np.median(samples.target)))
    shape = (image.shape[0], image.shape[1], image.shape[2])
    found = []
    for place in samples.places[:: max(1, len(samples.places) // MOST)]:
        z, y, x = (slice(max(0, int(p) - int(LOOK_MM / s)), min(n, int(p) + int(LOOK_MM / s) + 1)) for p, s, n in zip(place, spacing, shape, strict=True))
        found.append(steepness(image, (z, y, x), spacing, first).ravel())
    low, high = np.percentile(np.concatenate(found), [FLAT, STEEP]).tolist()
    return EdgeScale((low + high) / 2, max((high - low) / 2 / LN9, 1e-9), first.sigma_mm, first.filler)


def steepness(image: npt.NDArray[Any], box: Box, spacing: Spacing, scale: EdgeScale) -> FloatArray:
    """Size of the gradient of the smoothed scan in a box, in grey values per mm, float32 (z, y, x)."""
    z, y, x = (gaussian(scale.sigma_mm / s) for s in spacing)
    halo = [len(each) // 2 + 1 for each in (z, y, x)]
    block = tuple(slice(max(0, part.start - h), min(n, part.stop + h)) for part, h, n in zip(box, halo, image.shape, strict=True))
    wide: Box = (block[0], block[1], block[2])
    values = np.array(image[wide], np.float32, order="C")
    values[~np.isfinite(values)] = scale.filler
    soft = smoothed(values, (z, y, x))
    square = np.zeros(soft.shape, np.float32)
    for axis, step in enumerate(spacing):
        if soft.shape[axis] > 1:
            square += np.square(np.gradient(soft, step, axis=axis))
    return np.asarray(np.sqrt(square[inner(box, wide)]), np.float32)
