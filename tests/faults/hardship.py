"""What is done on a disk that is full or may not be written: run by test_hardship.py in a process that has such a disk to itself.

Prints one JSON list of what did not go as it should.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from napari_medseg.annotation import LabelMap, default_classes
from napari_medseg.errors import MedsegError
from napari_medseg.io import read_labels, write
from napari_medseg.io.formats import FORMATS, WRITABLE
from napari_medseg.project import Project
from napari_medseg.volume import Geometry, Volume

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


def study(folder: Path) -> Path:
    """A study with one case and one version."""
    scan = Volume(np.zeros(SHAPE, np.uint8), noise(0).geometry)
    write(scan, folder / "scan.nii.gz")
    with Project.create(folder / "study.medseg", classes=default_classes(2), user="maker") as project:
        project.add(folder / "scan.nii.gz")
        project.save("case-0001", noise(0), kind="imported", tool="import")
    return folder / "study.medseg"


def study_on_a_full_disk(folder: Path) -> list[str]:
    """Whatever step fails: earlier versions as they were, the work savable elsewhere, and everything goes on once there is space."""
    problems: list[str] = []
    path = study(folder)
    refusals: Counter[str] = Counter()
    honest = {1: noise(0).array}
    for turn, left in enumerate(n << 10 for n in (0, 4, 8, 12, 16, 20, 28, 36, 48, 64, 96, 128, 192, 256)):
        work = noise(10 + turn)
        with Project.open(path, user="worker") as project:
            draft = project.draft("case-0001", len(honest))
            ballast = fill(folder, left)
            acts: dict[str, Callable[[], object]] = {
                "autosave": lambda: draft.write(work.array),  # noqa: B023  # called in this turn
                "save": lambda: project.save("case-0001", work, kind="corrected", tool="brush", parent=1),  # noqa: B023
                "restore": lambda: project.restore("case-0001", 1),
                "classes": lambda: project.set_classes(default_classes(3 + turn)),  # noqa: B023
                "run": lambda: project.record_run("segment", parameters={}, figures={}, cases=["case-0001"]),
                "export": lambda: project.export(folder / "out"),
            }
            for name, act in acts.items():
                failed = refused(f"{name} with {left} bytes left", act, problems)
                refusals[name] += failed
                if not failed and name in ("save", "restore"):
                    honest[len(honest) + 1] = work.array if name == "save" else honest[1]
                intact(f"after {name} with {left} bytes left", project, honest, problems)
            with tempfile.TemporaryDirectory() as elsewhere:
                write(work, Path(elsewhere) / "work.nii.gz")
            full = refused("closing", draft.close, problems)
        with Project.open(path, user="reader") as project:  # still full
            intact(f"reopened with {left} bytes left", project, honest, problems)
        ballast.unlink()
        shutil.rmtree(folder / "out", ignore_errors=True)
        with Project.open(path, user="worker") as project:
            if project.check():
                problems.append(f"check after {left} bytes left: {[str(p) for p in project.check()]}")
            if any(unsaved.case == "case-0001" for unsaved in project.unsaved()) and not np.array_equal(project.recover("case-0001").array, work.array):
                problems.append(f"recovery after {left} bytes left gives another state")
            project.discard_unsaved("case-0001")
            project.save("case-0001", work, kind="corrected", tool="brush")
            honest[len(honest) + 1] = work.array
            intact(f"with space again after {left} bytes left", project, honest, problems)
        if full:
            problems.append("a draft that could not be closed")
    if not all(refusals[name] for name in ("autosave", "save", "restore")):
        problems.append(f"too little failed to be tested: {dict(refusals)}")
    return problems


def intact(when: str, project: Project, honest: dict[int, np.ndarray], problems: list[str]) -> None:
    """Every version there is, and as it was."""
    numbers = [version.number for version in project.versions("case-0001")]
    if numbers != list(honest):
        problems.append(f"{when}: versions {numbers} where {list(honest)} were saved")
    for number in {1, max(honest)} & set(numbers):
        if not np.array_equal(project.labels("case-0001", number).array, honest[number]):
            problems.append(f"{when}: version {number} changed")


def study_that_may_not_be_written(folder: Path) -> list[str]:
    """It opens for looking and says so; what is refused can be saved elsewhere; so can a file beside it."""
    problems: list[str] = []
    path = study(folder)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    before = listing(folder)
    with Project.open(path, user="reader") as project:
        if not (project.readonly and project.notice):
            problems.append(f"opened for writing: {project.notice!r}")
        intact("read-only", project, {1: noise(0).array}, problems)
        if project.check():
            problems.append(f"check of a study that may not be written: {project.check()}")
        acts: dict[str, Callable[[], object]] = {
            "autosave": lambda: project.draft("case-0001", 1).write(noise(1).array), "restore": lambda: project.restore("case-0001", 1),
            "save": lambda: project.save("case-0001", noise(1), kind="corrected", tool="brush"), "classes": lambda: project.set_classes(default_classes(3)),
            "add": lambda: project.add(folder / "scan.nii.gz"), "repair": lambda: project.check(repair=True),
            "run": lambda: project.record_run("segment", parameters={}, figures={}), "create": lambda: Project.create(folder / "other"),
            **{f"file {s}": lambda s=s: write(noise(1), folder / f"m{s}") for s in WRITABLE},  # type: ignore[misc]
        }
        for name, act in acts.items():
            if not refused(name, act, problems) and name != "repair":
                problems.append(f"{name} was not refused")
        with tempfile.TemporaryDirectory() as elsewhere:
            write(noise(1), Path(elsewhere) / "work.nii.gz")
            if not project.export(Path(elsewhere) / "out"):
                problems.append("nothing was exported")
    if listing(folder) != before:
        problems.append(f"{before} became {listing(folder)}")
    return problems


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](Path(sys.argv[2]))))  # noqa: T201
