"""A scan on the network's grid, and the way back: display order, the set's spacing, the set's intensities.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage as ndi
from torch import Tensor
from torch.nn import functional as nnf

from napari_medseg.segmenters.volumetric.fingerprint import SHARES, Fingerprint
from napari_medseg.segmenters.volumetric.plan import VolumetricPlan
from napari_medseg.volume import Array, AxisMap, FloatArray, Geometry, LabelArray, Shape, Volume, axis_map

SAME = 0.03  # spacings this near (share) need no resampling
SAMPLES = 200_000  # voxels that a scan's own statistics are taken from
UNKNOWN = 255


@dataclass(frozen=True, slots=True)
class Way:
    """From a file's grid to the network's and back.

    Attributes
    ----------
    turn : AxisMap
        To the display order.
    turned : (z, y, x) voxels in display order, at the file's spacing
    shape : (z, y, x) voxels of the network's grid
    """

    turn: AxisMap
    turned: Shape
    shape: Shape

    @classmethod
    def of(cls, geometry: Geometry, plan: VolumetricPlan) -> Way:
        """For a scan of this geometry."""
        turn = axis_map(geometry)
        turned = turn.geometry(geometry)
        shape = tuple(
            n if abs(have / want - 1) < SAME else max(1, round(n * have / want))
            for n, have, want in zip(turned.shape, turned.spacing, plan.spacing, strict=True)
        )
        return cls(turn, turned.shape, shape)  # type: ignore[arg-type]

    def image(self, volume: Volume, facts: Fingerprint) -> FloatArray:
        """The scan as the network sees it, float32 (channel, z, y, x)."""
        array = volume.array if volume.array.ndim == 4 else volume.array[None]
        return resized(normalised(self.turn.apply(array), facts), self.shape)

    def maps(self, labels: LabelArray, values: list[int]) -> FloatArray:
        """A label map on the network's grid: share of each voxel that is of each class, then the share that is known; float32 (classes + 1, z, y, x).

        The share of a class is that of the known part.
        """
        turned = self.turn.apply(labels)
        parts = resized(np.stack([turned == value for value in values] + [turned != UNKNOWN]).astype(np.float32), self.shape)
        parts[:-1] /= np.maximum(parts[-1:], 1e-3)
        return np.clip(parts, 0, 1)

    def levels(self, trust: Array) -> Array:
        """Numbers (z, y, x) of the file's grid voxel by voxel on the network's, the nearest."""
        turned = self.turn.apply(trust)
        where = [np.minimum(((np.arange(n) + 0.5) * m / n).astype(int), m - 1) for n, m in zip(self.shape, turned.shape, strict=True)]
        return np.ascontiguousarray(turned[np.ix_(*where)])

    def back(self, maps: FloatArray) -> FloatArray:
        """Maps (classes, z, y, x) on the file's grid; logits, so that what is cut at 0 afterwards is smooth."""
        return self.turn.undo(resized(maps, self.turned))


def resized(array: FloatArray, shape: Shape) -> FloatArray:
    """Maps (c, z, y, x) linearly at another size of the same extent; axes that shrink are smoothed first."""
    if array.shape[1:] == tuple(shape):
        return array
    shrink = [max(1.0, n / m) for n, m in zip(array.shape[1:], shape, strict=True)]
    if max(shrink) > 1:
        array = ndi.gaussian_filter(array, (0.0, *(0.35 * np.sqrt(s * s - 1) for s in shrink)), mode="nearest", truncate=3)
    out: Tensor = nnf.interpolate(torch.from_numpy(np.ascontiguousarray(array))[None], size=tuple(shape), mode="trilinear", align_corners=False)
    return np.asarray(out[0].numpy())


def normalised(array: Array, facts: Fingerprint) -> FloatArray:
    """Channels (c, z, y, x) at mean 0 and deviation 1; what is no number becomes 0."""
    out = np.zeros(array.shape, np.float32)
    for channel, known, result in zip(array, facts.channels, out, strict=True):
        finite = np.isfinite(channel)
        if not finite.any():
            continue
        if facts.normalise == "set":
            low, high, mean, sd = known.low, known.high, known.mean, known.sd
        else:
            values = channel[finite]
            values = values[:: -(-len(values) // SAMPLES)].astype(np.float64)
            low, high = np.percentile(values, (SHARES[0] / 5, 100 - SHARES[0] / 5))
            kept = np.clip(values, low, high)
            mean, sd = kept.mean(), kept.std()
        scaled = (np.clip(np.where(finite, channel, mean).astype(np.float64), low, high) - mean) / (sd if sd > 0 else 1.0)
        result[...] = np.where(finite, scaled, 0)
    return out
