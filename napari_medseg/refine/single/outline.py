"""How the weak label errs, read off the corrected slices: how likely a voxel belongs to a class, by how deep it lies in the weak label.

A label that is too large by 4 mm shows as voxels that lie 3 mm inside it and yet are background. The counts of the corrected slices lean on what a label
without any bias would give, because the slices that a person chose to correct are the worst ones. Where the label from before the corrections is lost, its
depth there is a guess; then the looks of each other slice decide how far its errors are undone (`choose`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_medseg.refine.single.ground import FARTHEST
from napari_medseg.volume import BoolArray, FloatArray

Curve = npt.NDArray[np.float64]

KNOTS = np.array([-30.0, -20, -14, -10, -7, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 7, 10, 14, 20, 30])  # pixels
ALIKE = 12.0  # voxels that err together count as one
LEAN = 5.0  # so many such voxels at each depth speak for a label without bias
SOFT = 1.5  # pixels: how sure a label without bias is of its outline
SUREST = 6.0  # log-odds


def plain(depth: FloatArray) -> FloatArray:
    """Log-odds by a label that is right on average, float32, from depths in pixels, of any shape."""
    return np.asarray(np.clip(depth / SOFT, -SUREST, SUREST), np.float32)


def learnt(depth: FloatArray, inside: BoolArray) -> Curve:
    """Log-odds at `KNOTS`, rising, from voxels whose depth in pixels and truth (bool) are known, both (n,)."""
    place = np.interp(np.clip(depth, -FARTHEST, FARTHEST), KNOTS, np.arange(KNOTS.size))
    low = np.minimum(place.astype(int), KNOTS.size - 2)
    share = place - low
    counts = np.zeros((2, KNOTS.size))
    for side, chosen in enumerate((~inside, inside)):
        counts[side] += np.bincount(low[chosen], 1 - share[chosen], KNOTS.size) + np.bincount(low[chosen] + 1, share[chosen], KNOTS.size)
    expected = 1 / (1 + np.exp(-np.clip(KNOTS / SOFT, -SUREST, SUREST)))
    total = counts.sum(0) / ALIKE + LEAN
    chance = _rising((counts[1] / ALIKE + LEAN * expected) / total, total)
    return np.clip(np.log(chance / (1 - chance)), -SUREST, SUREST)


def read(curve: Curve, depth: FloatArray) -> FloatArray:
    """Log-odds of voxels by their depth in pixels, float32, of any shape."""
    return np.asarray(np.interp(depth, KNOTS, curve), np.float32)


def shift_of(curve: Curve) -> float:
    """Pixels by which a label is too large: how deep in it a voxel is as likely inside as outside."""
    return float(np.interp(0.0, curve + 1e-6 * KNOTS, KNOTS))


def choose(depth: FloatArray, curve: Curve, looks: FloatArray, where: BoolArray) -> FloatArray:
    """Log-odds that mix the label as it is and the label with its errors undone, slice by slice, as the looks at `where` speak for them; arrays (z, y, x)."""
    as_is, undone = plain(depth), read(curve, depth)
    belief = np.full(len(depth), 0.5)
    for z in np.flatnonzero(where.any((1, 2))):
        chosen = where[z]
        evidence = looks[z][chosen]
        gain = (_agreement(undone[z][chosen], evidence) - _agreement(as_is[z][chosen], evidence)) / ALIKE
        belief[z] = 1 / (1 + np.exp(-np.clip(gain, -30, 30)))
    share = belief[:, None, None].astype(np.float32)
    return np.asarray(share * undone + (1 - share) * as_is, np.float32)


def _agreement(prior: FloatArray, evidence: FloatArray) -> float:
    """Log-likelihood of what is seen: sum of log(1 - p + p e^evidence)."""
    return float((np.logaddexp(0, prior + evidence) - np.logaddexp(0, prior)).sum())


def _rising(values: Curve, weights: Curve) -> Curve:
    """The nearest rising sequence (pool adjacent violators)."""
    blocks: list[list[float]] = []
    for value, weight in zip(values, weights, strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            last = blocks.pop()
            total = blocks[-1][1] + last[1]
            blocks[-1] = [(blocks[-1][0] * blocks[-1][1] + last[0] * last[1]) / total, total, blocks[-1][2] + last[2]]
    return np.concatenate([np.full(int(length), value) for value, _, length in blocks])
