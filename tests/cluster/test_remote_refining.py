"""A refinement on a server gives what one here gives: ticks, labels, models."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from served import Killable

from napari_medseg.cluster.remote.refining import RemoteRun
from napari_medseg.cluster.server.runs import Runs
from napari_medseg.errors import CatalogueError, InvalidInputError, MissingFileError
from napari_medseg.io import read
from napari_medseg.refine import RefineRequest, RefineRun, Replay
from napari_medseg.refine.cases import Case
from napari_medseg.refine.medseg.recipe import medseg
from napari_medseg.segmenters.opening import checksum
from napari_medseg.volume import Geometry, Volume

QUICK = medseg(updates=3, folds=2, phases=(), patience=2)


def disc(seed, name):
    rng = np.random.default_rng(seed)
    grid = Geometry((4, 32, 32), (5.0, 2.0, 2.0), (-30.0, -30.0, 0.0))
    y, x = np.mgrid[:32, :32]
    inside = np.broadcast_to(np.hypot(y - 14 - seed, x - 15) < 6, grid.shape)
    image = (rng.normal(0, 0.1, grid.shape) + inside).astype(np.float32)
    return Case(name, Volume(image, grid, name, "MR"), Volume(inside.astype(np.uint8), grid, name))


@pytest.fixture
def cases(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tuple(disc(seed, f"Doe {seed}.nii.gz") for seed in range(2))


@pytest.mark.slow  # two trainings, each in a process of its own that loads torch
def test_a_refinement_there_gives_what_one_here_gives(serving, cases, tmp_path):
    verified = {cases[0].id: cases[0].labels}
    asked = [RefineRequest(cases, QUICK, out=tmp_path / name, verified=verified, class_names={1: "Disc"}, seed=4, device="cpu") for name in ("here", "there")]
    here = list(RefineRun(asked[0], threads=1))
    there = list(RemoteRun(serving.server(), asked[1]))
    result, wanted = there[-1].result, here[-1].result
    assert [tick.loss for tick in there if tick.loss is not None] == [tick.loss for tick in here if tick.loss is not None]
    assert {name: labels.tolist() for name, labels in result.labels.items()} == {name: labels.tolist() for name, labels in wanted.labels.items()}
    assert [(r.round, r.loss, r.dice_verified, r.adopted) for r in result.rounds] == [(r.round, r.loss, r.dice_verified, r.adopted) for r in wanted.rounds]
    assert result.model == tmp_path / "there" / "model" / "model.safetensors"
    assert checksum(result.model) == checksum(wanted.model)
    assert sorted(result.models) == sorted(wanted.models)
    for case in cases:
        for folder in ("round1", "final"):
            assert np.array_equal(read(tmp_path / "there" / folder / case.id).array, read(tmp_path / "here" / folder / case.id).array)
    told = (tmp_path / "there" / "rounds.json").read_text(encoding="utf-8")
    assert json.loads(told)["best_round"] == wanted.best_round
    assert not serving.running.room.runs._runs
    assert "Doe" not in serving.log
    again = [RefineRequest(cases, medseg(updates=2, folds=1, phases=(), patience=2), base=result.model, seed=4, device="cpu") for _ in range(2)]
    anew, elsewhere = list(RefineRun(again[0], threads=1)), list(RemoteRun(serving.server(), again[1]))
    assert [tick.loss for tick in elsewhere if tick.loss is not None] == [tick.loss for tick in anew if tick.loss is not None]


def test_a_refinement_that_is_stopped_leaves_nothing_there(serving, cases, tmp_path):
    run = RemoteRun(serving.server(), RefineRequest(cases, medseg(updates=5000, folds=2), out=tmp_path / "out", device="cpu"))
    runs, seen = serving.running.room.runs, []
    for tick in run:
        if tick.message and not seen and runs._runs:
            seen += runs._runs.values()
            threading.Thread(target=run.cancel).start()
    assert seen[0].cancelled
    assert not runs._runs
    assert not Path(seen[0].folder).exists()


@pytest.mark.parametrize(("changes", "error"), [
    ({"recipe": "no-such"}, CatalogueError), ({"settings": {"start": "/etc/passwd"}}, InvalidInputError),
    ({"settings": {"network": "../x"}}, InvalidInputError), ({"settings": {"parameters": {"weights": "/etc"}}}, InvalidInputError),
    ({"settings": {"updates": 0}}, InvalidInputError),
])
def test_an_order_cannot_name_the_servers_files(serving, cases, changes, error, monkeypatch):
    run = RemoteRun(serving.server(), RefineRequest(cases, QUICK, device="cpu"))
    send = run._connection.send

    def changed(method, path, **given):
        if path == "/v1/runs":
            given["json"] |= changes
        return send(method, path, **given)

    monkeypatch.setattr(run._connection, "send", changed)
    with pytest.raises(error):
        list(run)
    assert not serving.running.room.runs._runs


def test_what_is_not_sent_is_refused_before_anything_is(serving, cases):
    with pytest.raises(InvalidInputError, match="earlier set"):
        RemoteRun(serving.server(), RefineRequest(cases, QUICK, replay=Replay(cases)))
    with pytest.raises(MissingFileError):
        RemoteRun(serving.server(), RefineRequest(cases, QUICK, base=Path("nothing")))


@pytest.mark.slow  # three trainings in processes of their own, a server killed between them
def test_a_server_that_was_killed_goes_on_with_what_had_been_learnt(cases, plain_catalogue, tmp_path):
    recipe = medseg(updates=30, folds=1, rounds=2, phases=(), patience=2)
    asked = RefineRequest(cases, recipe, out=tmp_path / "out", seed=4, device="cpu")
    with Killable(tmp_path) as server:
        told = []
        for tick in RemoteRun(server.server(), asked):
            told.append(tick)
            if tick.figures is not None and tick.round == 1 and server.starts == 1:
                server.kill()
                server.start()
        words = [tick.message for tick in told]
        assert any("trying again" in each for each in words)
        assert sum("started again; going on" in each for each in words) == 1
        assert "The server does not know" not in " ".join(words)
        assert [each.round for each in told[-1].result.rounds] == [0, 1, 2]
        assert checksum(told[-1].result.model)
        assert sorted(path.name for path in (tmp_path / "out" / "final").iterdir()) == [case.id for case in cases]
        assert not [path for path in (tmp_path / "runs" / "1").iterdir() if path.is_dir()], "nothing is left there"


def test_a_refinement_that_a_server_forgot_is_begun_anew(serving, cases):
    run = RemoteRun(serving.server(), RefineRequest(cases, medseg(updates=5000, folds=2), device="cpu"))
    runs, words, names = serving.running.room.runs, [], []
    for tick in run:
        words.append(tick.message)
        if runs._runs and run._name not in ("", *names):
            names.append(run._name)
            if len(names) == 1:
                runs.end(runs._runs[run._name])
            else:
                run.cancel()
    assert len(names) == 2
    assert sum("begins anew" in each for each in words) == 1
    assert not runs._runs


def test_what_is_left_of_a_refinement_is_its_owners_and_goes_after_a_day(tmp_path):
    ours = tmp_path / "runs" / "1"
    for name, age in (("a" * 32, 0.0), ("b" * 32, 2 * 86400.0), ("c" * 32, 0.0)):
        (ours / name / "run" / (".run" if name[0] != "c" else "half")).mkdir(parents=True)
        (ours / name / "order.json").write_text('{"user": "ann"}', encoding="utf-8")
        then = (ours / name / "order.json").stat().st_mtime - age
        os.utime(ours / name / "order.json", (then, then))
    first, second = Runs(lambda: "cpu", tmp_path / "runs"), Runs(lambda: "cpu", tmp_path / "runs")
    assert [path.name for path in ours.iterdir() if path.is_dir()] == ["a" * 32]
    assert not second._runs, "another server leaves it alone"
    assert first.find("ann", "a" * 32).cut_off
    with pytest.raises(MissingFileError):
        first.followed("eve", "a" * 32, 0)
    for each in (first, second):
        each.close()
    assert (ours / ("a" * 32)).is_dir(), "it can still go on another time"
