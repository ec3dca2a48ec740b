"""Where to cut: offsets of the log-odds that give the right volume.

Networks that learn from shifted masks see the rim as uncertain, and thin parts as unlikely throughout: cut at one half, they lose volume. Shifts and bends keep
the volume on average, so the volume of the labels is what the cut is made to match; that of settled voxels alone where there are enough of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_medseg.volume import Array, FloatArray

MOST = 4_000_000  # voxels looked at
ENOUGH = 1000  # settled voxels of a class, and as many that are not, that a cut is trusted to
SCANS = 2  # that they must come from


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What a network says of a scan it did not see, beside the labels given.

    Attributes
    ----------
    logits : float32 (classes, z, y, x)
    labels : float (classes, z, y, x), 0-1
    known : bool (z, y, x)
    settled : bool (z, y, x)
    """

    logits: FloatArray
    labels: FloatArray
    known: Array
    settled: Array


def offsets(judged: Sequence[Judged]) -> list[float]:
    """What to add to the logits of each class, so that those above 0 are as many as the labels say."""
    if not judged:
        return []
    step = max(1, sum(one.known.size for one in judged) // MOST)
    return [_offset(judged, c, step) for c in range(len(judged[0].logits))]


def _offset(judged: Sequence[Judged], c: int, step: int) -> float:
    settled = [(one.logits[c][one.settled], one.labels[c][one.settled]) for one in judged if one.settled.any()]
    counts = [(float(labels.sum()), float((1 - labels).sum())) for _, labels in settled]
    if sum(a > 0 for a, _ in counts) >= SCANS and sum(a for a, _ in counts) >= ENOUGH and sum(b for _, b in counts) >= ENOUGH:
        pairs = settled
    else:
        pairs = [(one.logits[c][one.known][::step], one.labels[c][one.known][::step]) for one in judged]
    logits, wanted = np.concatenate([p for p, _ in pairs]), round(float(sum(q.sum() for _, q in pairs)))
    if not 0 < wanted < len(logits):
        return 0.0
    return -float(np.partition(logits, len(logits) - wanted)[len(logits) - wanted])
