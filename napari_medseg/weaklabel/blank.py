"""Zeros for boxes that are mostly never touched."""

from __future__ import annotations

import mmap
import os
from typing import Any

import numpy as np
import numpy.typing as npt

LARGE = 1 << 21  # bytes
OWN = {"access": mmap.ACCESS_COPY} if os.name == "posix" else {}  # memory of this process alone


def blank(shape: tuple[int, ...], dtype: npt.DTypeLike = bool) -> npt.NDArray[Any]:
    """Zeros whose memory comes as it is written.

    `np.zeros` gives such memory too, but only while the program has none left over from before, which must be cleared: about 10 ms for 16 MB, and several such
    arrays lie between a person's click and the answer. This asks the system each time, and for small pages: numpy's arrays come in pages of 2 MB on Linux, each
    of which is cleared, after others were moved out of its way, for the first voxel that is written in it.

    Parameters
    ----------
    shape : of any length
    dtype : of numpy
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size < LARGE:
        return np.zeros(shape, dtype)
    return np.frombuffer(mmap.mmap(-1, size, **OWN), dtype).reshape(shape)
