"""A preview that is accepted goes into the labels slice by slice: what is looked at stays in the cache, so millions of voxels take no noticeable time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from napari_medseg.session.history import Box, Delta, around, both, count_values
from napari_medseg.session.locks import untouchable
from napari_medseg.volume import Array, BoolArray, LabelArray


def merge(
    labels: Array, preview: LabelArray, values: Sequence[int], *, target: int | None, add: bool, over: bool = False, settled: BoolArray | None = None,
    locked: Collection[int] = (),
) -> Delta | None:
    """Write a preview into a label map and return the difference; None when nothing changes.

    Parameters
    ----------
    labels : integer (z, y, x), changed
        Accepted so far.
    preview : uint8 (z, y, x)
    values : class values the preview may hold
    target : int or None
        The class everything goes into; None keeps the preview's own values.
    add : bool
        Keep what these classes hold already; otherwise the preview takes its place.
    over : bool
        Whether other classes may be overwritten.
    settled : bool (z, y, x) or None
        Voxels that stay as they are whatever the preview says.
    locked : class values that neither lose nor gain a voxel
    """
    ours = (target,) if target is not None else tuple(values)
    box = both(around(preview), None if add else _around_values(labels, ours))
    if box is None:
        return None
    box = _whole_bytes(box, labels.shape[2])
    part, new = labels[box], preview[box]
    after, changed = np.empty(part.shape[1:], labels.dtype), np.empty(part.shape[1:], bool)
    bits: list[Array] = []
    before, later = _Values(), _Values()
    for index, (old, wish) in enumerate(zip(part, new, strict=True), box[0].start):
        _merge_slice(old, wish, ours, target, add, over, after)
        if settled is not None:
            np.copyto(after, old, where=settled[index, box[1], box[2]])
        kept = untouchable(old, after, locked)
        if kept is not None:
            np.copyto(after, old, where=kept)
        np.not_equal(old, after, out=changed)
        bits.append(np.packbits(changed) if changed.size % 8 == 0 else changed.ravel().copy())
        if changed.any():
            before.take(old, changed)
            later.take(after, changed)
            old[...] = after
    if not before.count:
        return None
    packed = np.concatenate(bits)
    gained = later.counted()
    gained.subtract(before.counted())
    whole = before.count == part.size
    return Delta(labels, box, None if whole else packed if changed.size % 8 == 0 else np.packbits(packed), before.whole(), later.whole(), gained)


class _Values:
    """The values under a mask, slice after slice; a single one while all are alike."""

    def __init__(self) -> None:
        self._parts: list[tuple[Array, int]] = []
        self.count = 0

    def take(self, values: Array, mask: BoolArray) -> None:
        first, count = values.flat[int(mask.argmax())], int(np.count_nonzero(mask))
        alike = bool(((values == first) | ~mask).all())
        self._parts.append((np.array([first]) if alike else values[mask], count))
        self.count += count

    def whole(self) -> Array:
        """All of them, or one value for all."""
        first = self._parts[0][0]
        if all(part.size == 1 and part[0] == first[0] for part, _ in self._parts):
            return first
        return np.concatenate([np.broadcast_to(part, count) if part.size == 1 else part for part, count in self._parts])

    def counted(self) -> Counter[int]:
        """How many there are of each."""
        total: Counter[int] = Counter()
        for part, count in self._parts:
            total.update(count_values(part, count))
        return total


def _whole_bytes(box: Box, width: int) -> Box:
    """A box made wider along x, so that its rows fill whole bytes of bits, where the map has room."""
    z, y, x = box
    return z, y, slice(x.start // 8 * 8, min(width, -(-x.stop // 8) * 8))


def _merge_slice(old: Array, new: LabelArray, ours: Sequence[int], target: int | None, add: bool, over: bool, after: Array) -> None:
    """One slice of what the labels become."""
    wanted = new > 0
    if not old.any():
        if target is None:
            np.copyto(after, new)
        else:
            np.multiply(wanted, after.dtype.type(target), out=after)
        return
    mine = _holding(old, ours)
    np.copyto(after, old)
    if not add:
        after[mine] = 0
    if not over:
        mine |= old == 0
        wanted &= mine
    np.copyto(after, after.dtype.type(target) if target is not None else new, where=wanted)


def _holding(labels: Array, values: Sequence[int]) -> BoolArray:
    """Where a map holds one of a few values; `numpy.isin` takes ten times as long."""
    found: BoolArray = labels == values[0]
    for value in values[1:]:
        found |= labels == value
    return found


def _around_values(labels: Array, values: Sequence[int]) -> Box | None:
    """The smallest box around some values, slice by slice, so that no mask of a whole scan is made."""
    plane = np.zeros(labels.shape[1:], bool)
    slices = []
    for z, each in enumerate(labels):
        found = _holding(each, values)
        if found.any():
            slices.append(z)
            plane |= found
    inner = around(plane[None])
    return None if inner is None else (slice(slices[0], slices[-1] + 1), *inner[1:])
