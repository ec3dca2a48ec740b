"""A person who paints in a session with an open study, one voxel after the other, until somebody kills the process: run by test_killed.py.

Tells when each voxel was painted and which version was said to be saved. Voxels are painted in an order that the other process knows too.
"""

from __future__ import annotations

import json
import queue
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg.session import Session
from napari_medseg.session.history import change

PAUSE = 0.02  # seconds between voxels


def order(size: int, seed: int) -> np.ndarray:
    """Places in the flattened label map, in the order of painting."""
    return np.random.default_rng(seed).permutation(size)


def tell(**facts: Any) -> None:
    """One line, out at once."""
    print(json.dumps(facts), flush=True)  # noqa: T201


class Owner:
    """Stands for the thread that owns the session, as the window's does."""

    def __init__(self) -> None:
        self.calls: queue.Queue[Callable[[], None]] = queue.Queue()

    def __call__(self, function: Callable[[], None]) -> None:
        """Take what a worker hands over."""
        self.calls.put(function)

    def run(self, seconds: float, met: Callable[[], bool] = lambda: False) -> None:
        """Do what was handed over, for so long or until it is met."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not met():
            try:
                self.calls.get(timeout=max(0.001, min(0.05, end - time.monotonic())))()
            except queue.Empty:
                continue


def sit(folder: Path, seed: int) -> None:
    """Paint; now and then ask for a version."""
    rng, owner = np.random.default_rng(seed), Owner()
    session = Session(owner)
    session.problem.connect(lambda error: tell(problem=str(error)))
    study = session.study
    study.open(folder)
    owner.run(30, lambda: study.is_open)
    study.go("case-0001")
    owner.run(30, lambda: study.scan is not None)
    scan = study.scan
    assert scan is not None
    labels = scan.labels if scan.labels is not None else scan.hold_nothing()
    assert np.array_equal(scan.axes.apply(labels), labels), "the test's grid is the display's"
    tell(ready=0)
    saved = 0
    for count, place in enumerate(order(labels.size, seed)):
        index = tuple(int(i) for i in np.unravel_index(int(place), labels.shape))
        box = tuple(slice(i, i + 1) for i in index)
        session.painted(scan, change(labels, box, np.ones((1, 1, 1), np.uint8)))
        tell(painted=count, at=time.time())
        if rng.random() < 0.02:
            study.save_version(f"after {count}")
        owner.run(PAUSE)
        if len(study.versions) > saved:
            saved = study.versions[-1].number
            tell(done="version", number=saved, painted=int(study.versions[-1].name.rpartition(" ")[2]))


if __name__ == "__main__":
    sit(Path(sys.argv[1]), int(sys.argv[2]))
