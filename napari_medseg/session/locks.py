"""Locked classes: no tool gives them voxels or takes any from them. Going back in time (undo, an earlier version, rolling back) is no tool."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from napari_medseg.session.history import Delta, Step, Together, around, together
from napari_medseg.volume import Array, BoolArray


def holding(labels: Array, values: Collection[int]) -> BoolArray:
    """Where a map holds one of some values."""
    if labels.dtype.itemsize <= 2 and labels.dtype.kind == "u":
        table = np.zeros(np.iinfo(labels.dtype).max + 1, bool)
        table[[value for value in values if value < len(table)]] = True
        return np.asarray(table[labels], bool)
    return np.isin(labels, list(values))


def untouchable(before: Array, after: Array, locked: Collection[int]) -> BoolArray | None:
    """Where a locked class would lose or gain a voxel; None without locks."""
    return holding(before, locked) | holding(after, locked) if locked else None


def respected(before: Array, after: Array, locked: Collection[int]) -> Array:
    """What a map may become: `after`, but `before` where a locked class has voxels or would get some."""
    kept = untouchable(before, after, locked)
    return after if kept is None else np.where(kept, before, after)


def spared(step: Step, locked: Collection[int]) -> Step | None:
    """What is left of a change of labels that was just made: locked classes get their voxels back. None when nothing is."""
    if not locked:
        return step
    if isinstance(step, Together):
        return together(tuple(left for left in (spared(part, locked) for part in step.steps) if left is not None))
    return _spared(step, locked) if isinstance(step, Delta) else step


def _spared(delta: Delta, locked: Collection[int]) -> Delta | None:
    mask = delta.mask()
    count = int(np.count_nonzero(mask))
    before, after = (np.broadcast_to(values, count) if values.size == 1 else values for values in (delta.before, delta.after))
    kept = holding(before, locked) | holding(after, locked)
    if not kept.any():
        return delta
    part = delta.labels[delta.box]
    back = mask.copy()
    back[mask] = kept
    part[back] = before[kept]
    inner = around(mask & ~back)
    if inner is None:
        return None
    z, y, x = (slice(i.start + o.start, i.stop + o.start) for i, o in zip(inner, delta.box, strict=True))
    return Delta.of(delta.labels, (z, y, x), (mask & ~back)[inner], before[~kept], after[~kept])
