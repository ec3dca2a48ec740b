"""A refinement on a server gives what one here gives: ticks, labels, models."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest

from napari_medseg.cluster.remote.refining import RemoteRun
from napari_medseg.errors import CatalogueError, InvalidInputError
from napari_medseg.io import read
from napari_medseg.refine import RefineRequest, RefineRun
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


def test_what_is_not_sent_is_refused_before_anything_is(serving, cases, tmp_path):
    with pytest.raises(InvalidInputError, match="base model"):
        RemoteRun(serving.server(), RefineRequest(cases, QUICK, base=tmp_path))
