"""What is done on a disk that is full or may not be written: run by test_hardship.py in a process that has such a disk to itself.

Prints one JSON list of what did not go as it should.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from napari_medseg.annotation import LabelMap, default_classes
from napari_medseg.errors import MedsegError
from napari_medseg.io import read_labels, write
from napari_medseg.io.formats import FORMATS
from napari_medseg.volume import Geometry

SHAPE = (8, 64, 64)
LEFT = (0, 4 << 10, 20 << 10, 36 << 10, 72 << 10)  # bytes left free: a save fails at another step with each


def noise(seed: int) -> LabelMap:
    """Labels that no packer makes small."""
    array = np.random.default_rng(seed).integers(0, 3, SHAPE).astype(np.uint8)
    return LabelMap(array, Geometry(SHAPE, (2.5, 0.7, 0.7)), name="noise", classes=default_classes(2))


def fill(folder: Path, left: int) -> Path:
    """Take all the space of the disk but `left` bytes."""
    ballast = folder / "ballast"
    ballast.unlink(missing_ok=True)
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    os.truncate(ballast, max(0, ballast.stat().st_size - left))
    return ballast


def listing(folder: Path) -> dict[str, int]:
    """Every file and its size."""
    return {p.relative_to(folder).as_posix(): p.stat().st_size for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "ballast"}


def refused(what: str, act: Callable[[], object], problems: list[str]) -> bool:
    """Whether it was refused with a typed error that says what to do; anything but that or success is a problem."""
    try:
        act()
    except MedsegError as error:
        if "\n" in str(error) or not error.todo:
            problems.append(f"{what}: unclear error {error!s}")
        return True
    except BaseException as error:  # noqa: BLE001  # which is what we look for
        problems.append(f"{what}: {type(error).__name__} escaped: {error}")
        return True
    return False


def files_on_a_full_disk(folder: Path) -> list[str]:
    """Every format: the old file stays, nothing is left beside it, and the labels can be written elsewhere."""
    problems: list[str] = []
    for kind in FORMATS:
        for suffix in kind.suffixes if kind.writes and kind.reads and not kind.refers else ():
            path = folder / f"m{suffix}"
            first, second = noise(0), noise(1)
            first.array[4:] = 0
            write(first, path)
            before, failed = listing(folder), 0
            for left in LEFT[:3]:
                ballast = fill(folder, left)
                if refused(f"{suffix} with {left} bytes left", lambda path=path, second=second: write(second, path), problems):  # type: ignore[misc]
                    failed += 1
                    if listing(folder) != before:
                        problems.append(f"{suffix}: {before} became {listing(folder)}")
                    if not np.array_equal(read_labels(path).array, first.array):
                        problems.append(f"{suffix}: the old file changed")
                    with tempfile.TemporaryDirectory() as elsewhere:
                        write(second, Path(elsewhere) / f"m{suffix}")
                ballast.unlink()
            if not failed:
                problems.append(f"{suffix}: no write failed, so nothing was tested")
            write(second, path)
            if not np.array_equal(read_labels(path).array, second.array):
                problems.append(f"{suffix}: not written once there was space again")
            for left_over in sorted(folder.rglob("*"), reverse=True):
                left_over.rmdir() if left_over.is_dir() else left_over.unlink()
    return problems


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](Path(sys.argv[2]))))  # noqa: T201
