"""Channels that stand and fall together.

A unit is a set of channels that can only go as one: a filter, the filters that an addition ties to it, their normalisation.
"""

from __future__ import annotations

import numpy as np

from napari_medseg.volume import Array


class Units:
    """Numbers for channels, and which of them are one (a union-find)."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._pinned: set[int] = set()

    def fresh(self, count: int) -> Array:
        """Numbers (count,) of as many channels that hang together with nothing yet."""
        start = len(self._parent)
        self._parent += range(start, start + count)
        return np.arange(start, start + count)

    def join(self, one: Array, other: Array) -> None:
        """Make the channels one by one the same units; numbers of channels, int (n,), as many on both sides."""
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            a, b = _root(self._parent, a), _root(self._parent, b)
            if a == b:
                continue
            self._parent[b] = a
            if b in self._pinned:
                self._pinned.add(a)

    def pin(self, channels: Array) -> None:
        """These channels, numbers (n,), stay, whatever happens."""
        self._pinned.update(_root(self._parent, n) for n in channels.tolist())

    def roots(self, channels: Array) -> Array:
        """The unit of each channel, int64 (n,), of their numbers (n,)."""
        return np.array([_root(self._parent, n) for n in channels.tolist()], np.int64)

    def is_pinned(self, unit: int) -> bool:
        """Whether a unit (as `roots` gives it) must stay."""
        return unit in self._pinned


def _root(parents: list[int], n: int) -> int:
    while parents[n] != n:
        parents[n] = parents[parents[n]]
        n = parents[n]
    return n
