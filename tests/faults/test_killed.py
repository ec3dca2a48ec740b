"""A process killed at any moment of painting, autosaving, saving or restoring loses no committed version and leaves a study that opens clean."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sitter import order
from victim import checksum

from napari_medseg.annotation import default_classes
from napari_medseg.io import write
from napari_medseg.project import Project
from napari_medseg.volume import Geometry, Volume

SHORT, LONG = 6, 200
PER_STUDY = 20
SHAPE = (12, 96, 96)
GRID = Geometry(SHAPE, (2.5, 0.7, 0.7), direction=(1, 0, 0, 0, 1, 0, 0, 0, -1))  # as it is shown, so that both orders are one
UNTOUCHED = checksum(np.zeros(SHAPE, np.uint8))
VICTIM, SITTER = (Path(__file__).with_name(name) for name in ("victim.py", "sitter.py"))
LATE = 3.0  # seconds after which a change must be on the disk: two, and one for a machine that is busy with other tests


class Said:
    """What the victims of one study said: every version done, every one tried, and in which states each case's work may be now."""

    def __init__(self) -> None:
        self.done: dict[tuple[str, int], int] = {}
        self.tried: dict[str, set[int]] = {}
        self.work: dict[str, set[int]] = {}

    def take(self, case: str, lines: list[dict[str, Any]]) -> None:
        """The lines of one victim, in order."""
        work = self.work.setdefault(case, {UNTOUCHED})
        for line in lines:
            if "ready" in line:
                assert line["checksum"] in work, "the next victim was given other work"
            elif "trying" in line:
                work.add(line["checksum"])  # killed now, it may or may not have happened
            else:
                work = self.work[case] = {line["checksum"]}
            if line.get("trying") == "version":
                self.tried.setdefault(case, set()).add(line["checksum"])
            if line.get("done") == "version":
                self.done[case, line["number"]] = line["checksum"]


def kill_after(seconds: float, script: Path, folder: Path, seed: int) -> list[dict[str, Any]]:
    """Let somebody work on the study and kill them so many seconds after they began; what they said."""
    with subprocess.Popen([sys.executable, str(script), str(folder), str(seed)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        if not first:
            raise AssertionError(process.stderr.read()[-3000:])
        lines: list[str] = []
        reader = threading.Thread(target=lines.extend, args=(process.stdout,))
        reader.start()
        time.sleep(seconds)
        assert process.poll() is None, process.stderr.read()[-3000:]
        process.kill()
        killed = time.time()
        process.wait()
        reader.join()
    return [*(json.loads(line) for line in [first, *lines] if line.endswith("\n")), {"killed": killed}]


def examine(folder: Path, said: Said, *, everything: bool, rng: np.random.Generator) -> None:
    """Open the study as the next person would, and compare it with what was said."""
    with Project.open(folder, user="next") as project:
        assert project.check() == []
        unsaved = {work.case for work in project.unsaved()}
        for case in project.cases():
            numbers = [version.number for version in project.versions(case.id)]
            assert {number for name, number in said.done if name == case.id} <= set(numbers), "a committed version is lost"
            sample = set(numbers[-3:]) | {int(n) for n in rng.permutation(numbers)[:5]}
            for number in numbers if everything else sorted(sample):
                found = checksum(project.labels(case.id, number).array)
                assert found == said.done.get((case.id, number), found), f"version {number} changed"
                assert found in said.tried[case.id], f"version {number} was never made"
            allowed = said.work.setdefault(case.id, {UNTOUCHED})
            assert (case.id in unsaved) == case.has_unsaved
            work = project.recover(case.id) if case.id in unsaved else project.labels(case.id) if numbers else None
            now = checksum(work.array) if work is not None else UNTOUCHED
            assert now in allowed, "the work is in a state that was never written, or older than its last autosave"
            said.work[case.id] = {now}


def new_study(folder: Path) -> Path:
    """Two cases without labels."""
    rng = np.random.default_rng(0)
    with Project.create(folder / "study.medseg", title="Killed", classes=default_classes(2), user="maker") as project:
        for name in ("a", "b"):
            write(Volume(rng.integers(0, 99, SHAPE).astype(np.int16), GRID), folder / f"{name}.nii.gz")
            project.add(folder / f"{name}.nii.gz")
    return folder / "study.medseg"


@pytest.mark.slow  # starts a process for every kill; `--faults-long` kills 200 and takes minutes
@pytest.mark.timeout(3600)
def test_nothing_committed_is_lost_or_changed_when_the_process_is_killed_at_any_moment(tmp_path, request):
    kills = LONG if request.config.getoption("--faults-long") else SHORT
    rng, versions, drafts = np.random.default_rng(0), 0, 0
    for seed in range(kills):
        if seed % PER_STUDY == 0:
            (tmp_path / str(seed)).mkdir()
            study, said = new_study(tmp_path / str(seed)), Said()
        lines = kill_after(float(rng.uniform(0, 0.8)), VICTIM, study, seed)
        said.take(lines[0]["ready"], lines[:-1])
        versions += sum(line.get("done") == "version" for line in lines)
        drafts += sum(line.get("done") == "draft" for line in lines)
        examine(study, said, everything=seed % PER_STUDY == PER_STUDY - 1 or seed == kills - 1, rng=rng)
    assert versions >= kills / 2, f"too little happened to be killed: {versions} versions, {drafts} autosaves"


@pytest.mark.slow  # every kill waits for an autosave to be due
@pytest.mark.timeout(3600)
def test_what_was_painted_in_a_session_is_on_the_disk_two_seconds_later_when_the_process_is_killed(tmp_path, request, monkeypatch):
    monkeypatch.setenv("MEDSEG_PREFERENCES", str(tmp_path / "preferences.json"))
    rng = np.random.default_rng(1)
    for seed in range(40 if request.config.getoption("--faults-long") else 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        study = new_study(folder)
        lines = kill_after(float(rng.uniform(LATE + 0.3, LATE + 3)), SITTER, study, seed)
        assert not [line for line in lines if "problem" in line]
        places = order(int(np.prod(SHAPE)), seed)
        painted = [line for line in lines if "at" in line]
        due = [line["painted"] for line in painted if line["at"] < lines[-1]["killed"] - LATE]
        with Project.open(study, user="next") as project:
            assert project.check() == []
            for line in lines:
                if "done" in line:
                    assert project.labels("case-0001", line["number"]).array.ravel()[places[: line["painted"] + 1]].all(), "a version that was said to be saved"
            unsaved = bool(project.unsaved())
            work = (project.recover("case-0001") if unsaved else project.labels("case-0001")).array.ravel()
        assert due
        assert work[places[: due[-1] + 1]].all(), "painted long ago, and not on the disk"
        assert not work[places[len(painted) + 1 :]].any(), "never painted"
