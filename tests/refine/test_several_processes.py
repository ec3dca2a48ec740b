"""Several processes learn what one learns, and one that dies costs no finished round."""

from __future__ import annotations

import numpy as np
import psutil
import pytest
import torch

from napari_medseg.errors import InvalidInputError, TrainingError
from napari_medseg.refine import RefineRequest, refine, salah2023
from napari_medseg.refine.follow import examples_of, told_of
from napari_medseg.refine.kept import kept
from napari_medseg.refine.medseg import round as rounds
from napari_medseg.refine.medseg.recipe import medseg
from napari_medseg.refine.method import Example
from napari_medseg.refine.ranks import Alone, Together
from napari_medseg.refine.spread import spread

QUICK = medseg(rounds=2, updates=12, patience=2, drift=1e6)


def others():
    """Processes that learn along with this one."""
    return [one for one in psutil.Process().children(recursive=True) if "refine.follow" in " ".join(one.cmdline())]


@pytest.mark.slow  # a second process loads torch and learns
def test_two_processes_have_the_loss_curve_of_one_and_one_that_dies_costs_no_finished_round(patients, tmp_path, monkeypatch):
    alone = list(refine(RefineRequest(patients.cases, QUICK, device="cpu")))
    curve = {(tick.round, tick.updates): tick.loss for tick in alone if tick.loss is not None}
    monkeypatch.setattr(rounds, "SAVE_S", 0.0)
    asked = RefineRequest(patients.cases, QUICK, out=tmp_path / "out", device="cpu", processes=2)
    shared = {}

    def until_one_dies():
        for tick in refine(asked):
            if tick.loss is not None:
                shared[tick.round, tick.updates] = tick.loss
            if (tick.round, tick.updates) == (2, 5) and (others_now := others()):
                others_now[0].kill()

    with pytest.raises(TrainingError, match=r"process 2 of 2 ended by itself.*finished rounds are whole"):
        until_one_dies()
    assert not others()
    assert {p.name for p in (tmp_path / "out" / "round1").iterdir()} == {case.file_name for case in patients.cases}
    last = max(updates for number, updates in shared if number == 2)
    assert last < 12
    again = list(refine(kept(tmp_path / "out")))
    shared |= {(tick.round, tick.updates): tick.loss for tick in again if tick.loss is not None}
    assert min(tick.updates for tick in again if tick.round == 2 and tick.loss is not None) > 3
    assert shared.keys() == curve.keys()
    assert [shared[at] for at in sorted(curve)] == pytest.approx([curve[at] for at in sorted(curve)], rel=2e-3)
    one, two = alone[-1].result, again[-1].result
    assert [r.volume_ratio for r in two.rounds] == pytest.approx([r.volume_ratio for r in one.rounds], rel=0.02)
    for name, labels in one.labels.items():
        assert np.mean(labels != two.labels[name]) < 0.01
    assert not others()


def test_what_cannot_be_shared_is_refused():
    with pytest.raises(InvalidInputError, match="salah2023 learns in one process"), spread(salah2023(), 2, "cpu"):
        pass
    with pytest.raises(InvalidInputError, match="a batch of 2 patches cannot be shared by 3 processes"):
        Together(0, 3, "cpu").part(torch.zeros(2, 1))
    assert [Together(rank, 2, "cpu").part(torch.arange(4)).tolist() for rank in (0, 1)] == [[0, 1], [2, 3]]
    with spread(QUICK, 1, "cpu") as method:
        assert type(method) is type(QUICK.method())


def test_examples_are_told_as_arrays_and_words(patients):
    case = patients.cases[0]
    one = Example(case.id, "somebody", case.image, case.labels.array, np.ones(case.labels.array.shape, np.uint8))
    (back,) = examples_of(*Alone().told(*told_of([one])))
    assert (back.id, back.patient, back.image.geometry, back.image.modality) == (one.id, one.patient, one.image.geometry, one.image.modality)
    for name in ("labels", "trust"):
        np.testing.assert_array_equal(getattr(back, name), getattr(one, name))
    np.testing.assert_array_equal(back.image.array, one.image.array)
