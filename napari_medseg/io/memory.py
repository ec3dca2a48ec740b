"""Where voxels go: into memory, or into a scratch file on the disk when they would take over half of what is free.

A scratch file belongs to its array. It has no name on Linux and macOS, and Windows deletes it when the last handle goes, so nothing stays behind
however the program ends.
"""

from __future__ import annotations

import math
import mmap
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import psutil

from napari_medseg.errors import NoRoomError
from napari_medseg.volume import Array

SHARE = 0.5  # of the free memory that one array may take
OWN_GROUP, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
SPARE = 1 << 28  # bytes left on the disk for others


def free_bytes() -> int:
    """Memory that can be taken now without pushing other programs out, or passing what a container or a cluster's job is allowed."""
    return min([int(psutil.virtual_memory().available), *_allowances()])


def _allowances() -> list[int]:
    """What the limits of Linux control groups (version 2) leave to this process, from its own group up; [] where there are none."""
    try:
        own = next(line[3:] for line in OWN_GROUP.read_text("utf-8").splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return []
    group = GROUPS / own.strip("/")
    return [left for folder in (group, *group.parents) if folder.is_relative_to(GROUPS) and (left := _allowance(folder)) is not None]


def _allowance(group: Path) -> int | None:
    try:
        limit, taken = (int((group / name).read_text("utf-8")) for name in ("memory.max", "memory.current"))
        told = dict(line.split() for line in (group / "memory.stat").read_text("utf-8").splitlines())
        return max(0, limit - taken + int(told.get("inactive_file", 0)))  # cached files make room
    except (OSError, ValueError):  # no such group, or no limit: "max"
        return None


def fits(size: int) -> bool:
    """Whether an array of `size` bytes may lie in memory."""
    return size <= SHARE * free_bytes()


def allocate(shape: tuple[int, ...], dtype: npt.DTypeLike, *, zeros: bool = False) -> Array:
    """An array to fill; its values are not defined.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype
    zeros : bool
        Every value is 0; memory is taken only where something is written.

    Returns
    -------
    ndarray
        In memory, or mapped from a scratch file in the temporary folder when it would take over half of the free memory.

    Raises
    ------
    NoRoomError
        When neither memory nor disk can hold it.
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if fits(size):
        try:
            return np.zeros(shape, dtype) if zeros else np.empty(shape, dtype)
        except MemoryError:  # the process may be given less than the machine has
            pass
    return _scratch(size).view(dtype).reshape(shape)


def _scratch(size: int) -> npt.NDArray[np.uint8]:
    folder = tempfile.gettempdir()
    if shutil.disk_usage(folder).free < size + SPARE:
        raise _no_room(size)
    try:
        with tempfile.TemporaryFile(dir=folder, prefix="medseg-") as file:
            _reserve(file, size)
            return np.frombuffer(mmap.mmap(file.fileno(), size), np.uint8)
    except (OSError, ValueError, OverflowError) as error:
        raise _no_room(size) from error


def _reserve(file: IO[bytes], size: int) -> None:
    """Take the space now: a mapped file that meets a full disk later kills the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


def _no_room(size: int) -> NoRoomError:
    return NoRoomError(
        f"{size / 1e9:.3g} GB are needed, more than the memory and the temporary folder have free", where="memory",
        todo="Close other programs, make space on the disk, or crop the scan first",
    )
