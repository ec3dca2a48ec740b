from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from napari_medseg.errors import NoLabelsError, TrainingError
from napari_medseg.refine import RefineRequest, RefineRun, last_result, refine, salah2023

QUICK = salah2023(rounds=2, epochs=6, learning_rate=0.02, batch=6)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pid: int, within_s: float = 20.0) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if not alive(pid):
            return True
        time.sleep(0.05)
    return False


def test_another_process_gives_what_this_one_gives(patients, base, tmp_path):
    there = last_result(iter(RefineRun(RefineRequest(patients.cases, QUICK, base, tmp_path / "out", truth=patients.truth))))
    here = last_result(refine(RefineRequest(patients.cases, QUICK, base, truth=patients.truth)))
    assert [r.updates for r in there.rounds] == [r.updates for r in here.rounds]
    assert there.rounds[-1].dice_refined == pytest.approx(here.rounds[-1].dice_refined, abs=0.02)  # thread counts may differ, so sums may round otherwise
    assert there.best_round == here.best_round


def test_a_killed_process_is_a_sentence_and_leaves_the_earlier_rounds(patients, base, tmp_path):
    run = RefineRun(RefineRequest(patients.cases, replace(QUICK, rounds=3, epochs=200), base, tmp_path / "out"))
    quick_first = RefineRun(RefineRequest(patients.cases, replace(QUICK, rounds=1), base, tmp_path / "out"))
    last_result(iter(quick_first))
    kept = {p.name: p.read_bytes() for p in (tmp_path / "out" / "round1").iterdir()}

    def kill_in_training():
        for tick in run:
            if tick.loss is not None:
                os.kill(run.pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)

    with pytest.raises(TrainingError, match="stopped by itself"):
        kill_in_training()
    assert {p.name: p.read_bytes() for p in (tmp_path / "out" / "round1").iterdir()} == kept
    assert run.pid is None


def test_closing_the_iterator_ends_the_process_within_a_step(patients, base):
    run = RefineRun(RefineRequest(patients.cases, replace(QUICK, epochs=5000), base))
    ticks = iter(run)
    while next(ticks).loss is None:
        pass
    pid = run.pid
    ticks.close()
    assert run.pid is None
    assert gone(pid)


def test_cancelling_from_another_thread_ends_the_ticks_quietly(patients, base):
    run = RefineRun(RefineRequest(patients.cases, replace(QUICK, epochs=5000), base))
    seen = 0
    for tick in run:
        seen += 1
        if tick.loss is not None:
            run.cancel()
    assert seen > 1
    assert run.pid is None


def test_a_run_cancelled_before_it_began_does_nothing(patients, base):
    run = RefineRun(RefineRequest(patients.cases, QUICK, base))
    run.cancel()
    assert all(tick.loss is None for tick in run)


def test_a_user_error_arrives_as_itself(patients, base):
    empty = tuple(replace(c, labels=c.labels.like(np.zeros_like(c.labels.array))) for c in patients.cases)
    with pytest.raises(NoLabelsError) as caught:
        last_result(iter(RefineRun(RefineRequest(empty, QUICK, base))))
    assert caught.value.todo.startswith("Mark the organ")


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_no_orphan_stays_when_the_parent_is_killed(base):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(base)], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(child)


PARENT = """
import sys
from pathlib import Path
import numpy as np
from napari_medseg.refine import Case, RefineRequest, RefineRun, salah2023
from napari_medseg.volume import Geometry, Volume
g = Geometry((4, 32, 32))
image = np.random.default_rng(0).random(g.shape, dtype="f4")
run = RefineRun(RefineRequest((Case("a", Volume(image, g), Volume((image > 0.8).astype("u1"), g)),), salah2023(epochs=100000), Path(sys.argv[1])))
said = False
for tick in run:
    if tick.loss is not None and not said:
        print(run.pid, flush=True)
        said = True
"""


def test_the_process_loads_neither_napari_nor_qt():
    code = "import sys, napari_medseg.refine.child, napari_medseg.refine.rounds, napari_medseg.refine.salah.method; "
    code += "sys.exit(bool({'napari', 'qtpy', 'PyQt5', 'PyQt6'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_room_loads_without_torch():
    code = "import sys, napari_medseg.refine; sys.exit(bool({'torch', 'monai', 'napari'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
