"""How far each voxel of a label map may be believed, and what nobody may write over.

A person's word outranks a machine's: what was corrected or verified is taught more strongly than a weak label or a proposal, and no proposal ever changes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

import numpy as np

from napari_medseg.volume import Array, BoolArray, FloatArray, LabelArray

UNKNOWN_LABEL = 255


class Trust(IntEnum):
    """Where a voxel's label comes from, rising with how far it may be believed."""

    UNKNOWN = 0
    WEAK = 1
    PROPOSED = 2
    CORRECTED = 3
    VERIFIED = 4


WEIGHTS: Mapping[Trust, float] = MappingProxyType(
    {Trust.UNKNOWN: 0.0, Trust.WEAK: 1.0, Trust.PROPOSED: 1.0, Trust.CORRECTED: 4.0, Trust.VERIFIED: 4.0}
)
"""What a voxel counts in a loss; unknown ones count exactly nothing."""


def locked(trust: Array) -> BoolArray:
    """Voxels (z, y, x) that a person settled: corrected or verified."""
    return np.asarray(trust >= Trust.CORRECTED)


def weights(trust: Array, levels: Mapping[Trust, float] = WEIGHTS) -> FloatArray:
    """Weight of each voxel in a loss, float32, of the shape of `trust`."""
    table = np.zeros(len(Trust), np.float32)
    for level, weight in levels.items():
        table[level] = weight
    return np.asarray(table[trust])


def keep_locked(proposal: LabelArray, labels: LabelArray, trust: Array) -> LabelArray:
    """A proposal with what a person settled put back, bit for bit; all (z, y, x)."""
    return np.where(locked(trust), labels, proposal).astype(np.uint8)
