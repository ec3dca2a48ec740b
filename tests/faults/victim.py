"""A person's work on a study, done until somebody kills the process: run by test_killed.py.

Tells on stdout, one JSON line each, what it is about to do and what is done. Whatever it said is done must be there afterwards.
"""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg.annotation import LabelMap, default_classes
from napari_medseg.project import Project

TOOLS = ("brush", "levelset", "segment", "cleanup")


def tell(**facts: Any) -> None:
    """One line, out at once."""
    print(json.dumps(facts), flush=True)  # noqa: T201


def checksum(array: np.ndarray) -> int:
    """Of the values."""
    return zlib.crc32(np.ascontiguousarray(array, np.uint8).data)


def paint(array: np.ndarray, rng: np.random.Generator) -> tuple[slice, ...]:
    """A dab of a random class, and where it lies."""
    middle = [int(rng.integers(n)) for n in array.shape]
    box = tuple(slice(max(0, m - r), m + r) for m, r in zip(middle, (1, 12, 12), strict=True))
    array[box] = rng.integers(0, 3)
    return box


def work(folder: Path, seed: int) -> None:
    """Paint, autosave, save, restore, and keep the books, without an end."""
    rng = np.random.default_rng(seed)
    project = Project.open(folder, user="victim")
    case = project.cases()[int(rng.integers(len(project.cases())))]
    parent, saved = case.latest, np.zeros(case.geometry.shape, np.uint8)
    if parent is not None:
        saved = project.labels(case.id).array.astype(np.uint8)
    array = project.recover(case.id).array.astype(np.uint8) if case.has_unsaved else saved.copy()
    tell(ready=case.id, checksum=checksum(array))
    draft = project.draft(case.id, parent)
    while True:
        for _ in range(int(rng.integers(1, 6))):
            box = paint(array, rng)
            tell(trying="draft", checksum=checksum(array))
            draft.write(array, [box] if rng.random() < 0.7 else None)
            tell(done="draft", checksum=checksum(array))
        act = rng.choice(["save", "save", "restore", "books", "discard", "close"])
        if act == "save" or parent is None:
            tell(trying="version", checksum=checksum(array))
            version = project.save(
                case.id, LabelMap(array, case.geometry, classes=default_classes(2)), kind="corrected", tool=str(rng.choice(TOOLS)), parameters={"radius": 3},
                prompts={"points": [[1.0, 2.0, 3.0]]}, arrays={"strokes": array} if rng.random() < 0.3 else {}, parent=parent, seconds=2.0,
            )
            tell(done="version", number=version.number, checksum=checksum(array))
            project.rebase(draft, version)
            parent, saved = version.number, array.copy()
        elif act == "books":
            project.worked(case.id, 1.5)
            project.record_run("segment", parameters={"batch": 4}, figures={"dice": 0.9}, cases=(case.id,))
        elif act == "close":
            draft.close()
            draft = project.draft(case.id, parent)
        else:
            tell(trying="discard", checksum=checksum(saved))
            draft.discard()
            tell(done="discard", checksum=checksum(saved))
            if act == "restore":
                number = int(rng.integers(1, parent + 1))
                saved = project.labels(case.id, number).array.astype(np.uint8)
                tell(trying="version", checksum=checksum(saved))
                parent = project.restore(case.id, number).number
                tell(done="version", number=parent, checksum=checksum(saved))
            array = saved.copy()
            draft = project.draft(case.id, parent)


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]))
