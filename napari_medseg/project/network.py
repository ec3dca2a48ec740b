"""Whether a folder lies on another machine, where SQLite's write-ahead log does not work."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import psutil

REMOTE = ("nfs", "cifs", "smb", "afp", "sshfs", "webdav", "davfs", "ncp", "afs", "glusterfs", "ceph", "lustre", "beegfs", "gpfs", "9p")
DRIVE_REMOTE = 4


def on_network(path: Path, mounts: Iterable[tuple[str, str]] | None = None) -> bool:
    """Whether a path lies on a network share.

    Parameters
    ----------
    path : Path
    mounts : (mount point, file system type) each, optional
        What the machine has mounted; asked of the system when not given.
    """
    full = os.path.abspath(path)
    if full.startswith(("\\\\", "//")):
        return not full.startswith(("\\\\?\\", "\\\\.\\")) or full.upper().startswith("\\\\?\\UNC\\")
    if mounts is None:
        if os.name == "nt":
            return _is_remote_drive(full)
        mounts = [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]
    around = [(len(point), kind.lower()) for point, kind in mounts if Path(full).is_relative_to(point)]
    if not around:
        return False
    kind = max(around)[1].removeprefix("fuse.").removeprefix("fuse")
    return kind.startswith(REMOTE)


def _is_remote_drive(full: str) -> bool:
    import ctypes

    windows = getattr(ctypes, "windll", None)
    drive = os.path.splitdrive(full)[0]
    return windows is not None and windows.kernel32.GetDriveTypeW(drive + "\\") == DRIVE_REMOTE
