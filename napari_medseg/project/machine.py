"""Which machine this is, so that a process's number means something: two machines may have one name, and two of them one home folder."""

from __future__ import annotations

import hashlib
import os
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path

import platformdirs
import psutil

from napari_medseg.errors import MedsegError
from napari_medseg.io import replacing

BOOT = Path("/proc/sys/kernel/random/boot_id")
"""Another one after each start; Linux alone has it."""
NUMBERS = Path("/proc/self/ns/pid")
"""Where the numbers of processes count: a container has its own."""


@cache
def machine_id() -> str:
    """Letters that are the same for all programs of this person on this machine since it was started, and nowhere else.

    They tell neither the machine's name nor the person's. Where no file can be kept each program gets others, as if it ran on a machine of its own.
    """
    return hashlib.sha256(f"{_kept()} {_boot()} {_numbers()}".encode()).hexdigest()[:16]


def _kept() -> str:
    """A number of this person's on this machine."""
    path = platformdirs.user_data_path("napari-medseg", appauthor=False) / "machine"
    with suppress(OSError, ValueError):
        return str(uuid.UUID(path.read_text(encoding="ascii").strip()))
    made = str(uuid.uuid4())
    with suppress(OSError, MedsegError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(made, encoding="ascii")
        return str(uuid.UUID(path.read_text(encoding="ascii").strip()))  # of two that wrote at one time, the last
    return made


def _boot() -> str:
    with suppress(OSError):
        return BOOT.read_text(encoding="ascii").strip()
    return f"{psutil.boot_time():.0f}"


def _numbers() -> str:
    with suppress(OSError):
        return os.readlink(NUMBERS)
    return ""
