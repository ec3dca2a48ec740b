"""A run that was cut off goes on in another process, and ends as one that never was."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from napari_medseg.errors import MissingFileError, NoRoomError, TrainingError
from napari_medseg.refine import RefineRequest, RefineRun, forget, last_result, refine, room, salah2023, unfinished
from napari_medseg.refine.kept import kept

QUICK = salah2023(rounds=2, epochs=12, learning_rate=0.02, batch=6, small_batch=6, small_passes=1, drift=1e6)
KILL = signal.SIGTERM if os.name == "nt" else signal.SIGKILL


def kill_at(run, wanted):
    """Kill -9 at the first tick that is wanted."""

    def follow():
        for tick in run:
            if wanted(tick):
                os.kill(run.pid, KILL)

    with pytest.raises(TrainingError, match=r"stopped by itself.*let it go on"):
        follow()


@pytest.mark.slow  # three processes that load torch
def test_killed_in_the_second_round_it_ends_with_the_same_labels_as_undisturbed(patients, base, tmp_path):
    asked = RefineRequest(patients.cases, QUICK, base, tmp_path / "killed", truth=patients.truth, class_names={1: "disc"})
    whole = last_result(iter(RefineRun(replace(asked, out=tmp_path / "whole"))))
    kill_at(RefineRun(asked), lambda tick: tick.round == 2 and tick.loss is not None)
    (left,) = unfinished(tmp_path)
    assert (left.out, left.round, left.rounds) == (tmp_path / "killed", 1, 2)
    first = {p.name: p.read_bytes() for p in (tmp_path / "killed" / "round1").iterdir()}
    ticks = list(RefineRun.resume(left.out))
    assert {tick.round for tick in ticks if tick.loss is not None} == {2}
    assert {p.name: p.read_bytes() for p in (tmp_path / "killed" / "round1").iterdir()} == first
    result = ticks[-1].result
    assert [r.dice_refined for r in result.rounds] == pytest.approx([r.dice_refined for r in whole.rounds], abs=1e-6)
    assert all(np.array_equal(result.labels[name], whole.labels[name]) for name in whole.labels)
    assert unfinished(tmp_path) == ()
    assert not list((tmp_path / "killed").glob(".*"))
    with pytest.raises(MissingFileError, match="no unfinished run"):
        RefineRun.resume(tmp_path / "killed")


def test_labels_that_were_given_outlive_the_run(patients, base, tmp_path):
    ticks = refine(RefineRequest(patients.cases, QUICK, base, tmp_path / "out"))
    while next(ticks).loss is None:
        pass
    ticks.close()
    there = {case.id: case.labels.array for case in kept(tmp_path / "out").cases}
    assert all(np.array_equal(there[case.id], case.labels.array) for case in patients.cases)


def test_a_run_that_was_given_up_cannot_go_on_and_keeps_its_rounds(patients, base, tmp_path):
    ticks = refine(RefineRequest(patients.cases, QUICK, base, tmp_path / "out"))
    while next(ticks).round < 2:
        pass
    ticks.close()
    forget(tmp_path / "out")
    assert unfinished(tmp_path) == ()
    assert len(list((tmp_path / "out" / "round1").iterdir())) == 3


def test_the_run_that_goes_on_tells_the_rounds_before(patients, base, tmp_path):
    asked = RefineRequest(patients.cases, QUICK, base, tmp_path / "out")
    ticks = refine(asked)
    while next(ticks).round < 2:
        pass
    ticks.close()
    again = list(refine(kept(tmp_path / "out")))
    assert [tick.figures.round for tick in again if tick.figures] == [0, 1, 2]
    assert json.loads((tmp_path / "out" / "rounds.json").read_text())["finished"]


@pytest.mark.parametrize("updates", [1, 2, 3, 4])
def test_wherever_in_an_epoch_it_was_cut_off_it_learns_in_the_same_order(patients, base, tmp_path, monkeypatch, updates):
    monkeypatch.setattr("napari_medseg.refine.salah.saving.EVERY_S", 0.0)
    asked = RefineRequest(patients.cases, replace(QUICK, rounds=1, epochs=3), base, tmp_path / "cut")
    whole = [tick.loss for tick in refine(replace(asked, out=tmp_path / "whole")) if tick.loss is not None]
    ticks = refine(asked)
    while next(ticks).updates < updates:
        pass
    ticks.close()
    assert [tick.loss for tick in refine(kept(asked.out)) if tick.loss is not None] == whole[updates:]


@pytest.mark.slow  # a process that loads torch
def test_a_pause_and_a_look_reach_the_training_and_change_nothing(patients, base):
    asked = RefineRequest(patients.cases, QUICK, base)
    slab = patients.cases[0].image.cropped((slice(1, 3), slice(None), slice(None)))
    run, seen = RefineRun(asked), []
    for tick in run:
        seen.append(tick)
        if tick.loss is not None and not any(one.paused for one in seen) and not run.paused:
            run.look(slab)
            run.pause()
        if tick.paused and tick.look is None:
            run.go_on()
    looks = [tick.look for tick in seen if tick.look is not None]
    assert all(look.shape == slab.geometry.shape for look in looks)
    assert sum(tick.paused and tick.look is None for tick in seen) == 1
    plain = last_result(refine(asked))
    result = seen[-1].result
    assert [r.updates for r in result.rounds] == [r.updates for r in plain.rounds]
    assert [r.loss for r in result.rounds[1:]] == pytest.approx([r.loss for r in plain.rounds[1:]], rel=0.05)


def test_a_batch_too_large_for_the_memory_is_refused_before_anything_starts(patients, base, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_free", lambda: room.SPARE + 50_000_000)
    greedy = replace(QUICK, batch=100_000, small_batch=100_000)
    with pytest.raises(NoRoomError, match=r"needs about [\d.]+ GB of memory, and 1.1 GB are free\. Choose a batch smaller than 100000"):
        last_result(refine(RefineRequest(patients.cases, greedy, None, tmp_path / "out")))
    assert not (tmp_path / "out").exists()
