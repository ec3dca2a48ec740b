"""Copies of label maps, taken while the person waits and written beside the window.

The copy of a large map costs the system's memory more than the copying itself: 78 million voxels took 200 ms in fresh memory and 8 in memory that had been
used before. So memory is kept from one copy to the next, and made before the first.
"""

from __future__ import annotations

import threading

import numpy as np

from napari_medseg.volume import Array

MOST = 2
"""Copies that memory is kept for: labels, and where they were painted by hand."""


class Snapshots:
    """Memory for copies; called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[Array] = []

    def prepare(self, array: Array) -> None:
        """Have memory ready for copies of an array like this one; memory of another form goes."""
        with self._lock:
            self._free = [free for free in self._free if _alike(free, array)]
            missing = MOST - len(self._free)
        made = [np.full_like(array, 1, order="K") for _ in range(missing)]  # written to: memory the system only promised is the slow kind
        self._keep(made)

    def take(self, array: Array) -> Array:
        """A copy of an array as it lies in memory."""
        with self._lock:
            place = next((i for i, free in enumerate(self._free) if _alike(free, array)), None)
            copy = self._free.pop(place) if place is not None else np.empty_like(array, order="K")
        np.copyto(copy, array)
        return copy

    def give_back(self, *copies: Array | None) -> None:
        """Copies that nobody needs any more; of maps with several bytes a voxel no memory is kept."""
        self._keep([copy for copy in copies if copy is not None and copy.dtype.itemsize == 1])

    def clear(self) -> None:
        """Keep no memory."""
        with self._lock:
            self._free = []

    def _keep(self, copies: list[Array]) -> None:
        with self._lock:
            self._free = [*copies, *self._free][:MOST]


def _alike(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype
