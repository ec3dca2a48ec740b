from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_medseg.errors import InvalidInputError, MissingFileError, NoLabelsError
from napari_medseg.io import read_labels, write
from napari_medseg.refine import Folders, RefineRequest, last_result, refine, salah2023
from napari_medseg.refine.cases import Case
from napari_medseg.refine.figures import volume_ratio
from napari_medseg.refine.salah import method
from napari_medseg.refine.salah.training import predict_labels
from napari_medseg.segmenters.protocol import collect, to_labels
from napari_medseg.segmenters.unet_segmenter import UNetSegmenter
from napari_medseg.segmenters.weights import load_model

QUICK = salah2023(rounds=2, epochs=40, learning_rate=0.02, batch=6, small_batch=6, small_passes=1)


def request(patients, base, **changes):
    return RefineRequest(patients.cases, QUICK, base, **changes)


def test_rounds_write_labels_a_model_and_a_record(patients, base, tmp_path):
    out = tmp_path / "out"
    result = last_result(refine(request(patients, base, out=out, truth=patients.truth)))
    for folder in ("round1", "round2", "final"):
        assert sorted(p.name for p in (out / folder).iterdir()) == ["p0.nii.gz", "p1.nii.gz", "p2.nii.gz"]
        read_labels(out / folder / "p0.nii.gz", like=patients.cases[0].image.geometry)
    final = read_labels(out / "final" / "p1.nii.gz").array
    assert np.array_equal(final, result.labels["p1.nii.gz"])
    network, plan = load_model(out / "model")
    assert plan["training"]["round"] == result.best_round
    assert result.best_round > 0
    assert np.array_equal(predict_labels(network, patients.cases[1].image, size=32), final)
    assert json.loads((out / "rounds.json").read_text())["best_round"] == result.best_round
    assert not list(out.glob(".*"))


def test_rounds_learn_more_than_the_weak_labels_say(patients, base):
    rounds = last_result(refine(request(patients, base, truth=patients.truth))).rounds
    assert [r.round for r in rounds] == [0, 1, 2]
    assert rounds[0].updates == 0
    assert rounds[1].updates == rounds[2].updates == 80
    assert rounds[1].dice_refined > rounds[0].dice_refined


def test_every_round_starts_from_the_base_to_the_bit(patients, base, monkeypatch):
    starts = []
    real = method.fine_tune

    def watched(network, *args, **kwargs):
        starts.append({name: value.clone() for name, value in network.state_dict().items()})
        return real(network, *args, **kwargs)

    monkeypatch.setattr(method, "fine_tune", watched)
    before = hashlib.sha256(base.read_bytes()).hexdigest()
    last_result(refine(request(patients, base)))
    reference = load_model(base)[0].state_dict()
    assert len(starts) == 2
    assert all(torch.equal(start[name], value) for start in starts for name, value in reference.items())
    assert hashlib.sha256(base.read_bytes()).hexdigest() == before


def test_the_same_seed_gives_the_same_labels(patients, base):
    one, two = (last_result(refine(request(patients, base, seed=4))) for _ in range(2))
    assert all(np.array_equal(one.labels[name], two.labels[name]) for name in one.labels)
    assert [r.loss for r in one.rounds] == [r.loss for r in two.rounds]


def test_folders_and_memory_give_the_same(patients, base, tmp_path):
    images, labels, out = tmp_path / "i", tmp_path / "l", tmp_path / "o"
    images.mkdir()
    labels.mkdir()
    for case in patients.cases:
        write(case.image, images / case.id)
        write(case.labels, labels / case.id)
    on_disk = last_result(refine(RefineRequest(Folders(images, labels), QUICK, base, out)))
    in_memory = last_result(refine(request(patients, base)))
    assert on_disk.labels == {}
    for name, found in in_memory.labels.items():
        assert np.array_equal(read_labels(out / "final" / name).array, found)


def test_ticks_rise_to_one_and_carry_loss_labels_and_figures(patients, base):
    ticks = list(refine(request(patients, base)))
    fractions = [t.fraction for t in ticks]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert all(t.message for t in ticks)
    assert sum(t.loss is not None for t in ticks) == 160
    assert [t.figures.round for t in ticks if t.figures] == [0, 1, 2]
    assert [set(t.labels) for t in ticks if t.labels] == [{c.id for c in patients.cases}] * 2
    assert ticks[-1].result is not None


def test_stopping_keeps_the_rounds_that_were_finished(patients, base, tmp_path):
    out = tmp_path / "out"
    ticks = refine(request(patients, base, out=out))
    for tick in ticks:
        if tick.round == 2 and tick.loss is not None:
            break
    ticks.close()
    assert len(list((out / "round1").iterdir())) == 3
    assert not (out / "final").exists()
    assert not (out / "round2").exists()


def test_a_second_run_replaces_the_first_whole(patients, base, tmp_path):
    out = tmp_path / "out"
    last_result(refine(request(patients, base, out=out)))
    last_result(refine(RefineRequest(patients.cases[:1], replace(QUICK, rounds=1), base, out)))
    assert sorted(p.name for p in out.iterdir()) == ["final", "model", "models", "round1", "rounds.json", "splits.json", "tensorboard"]
    assert [p.name for p in (out / "final").iterdir()] == ["p0.nii.gz"]


def test_corrections_are_in_what_is_written_and_verified_labels_are_not(patients, base):
    case = patients.cases[0]
    fix = np.full(case.labels.array.shape, 255, np.uint8)
    fix[0, :3, :3] = 1
    corrected = last_result(refine(request(patients, base, corrected={case.id: case.labels.like(fix)})))
    assert corrected.labels[case.id][0, :3, :3].all()
    plain = last_result(refine(request(patients, base)))
    checked = last_result(refine(request(patients, base, verified=dict(patients.truth))))
    assert [r.loss for r in plain.rounds] == [r.loss for r in checked.rounds]
    assert all(r.dice_verified is None for r in plain.rounds)
    assert all(r.dice_verified is not None for r in checked.rounds)


def test_held_out_cases_are_scored_apart_and_not_trained_on(patients, base):
    held = tuple(Case(f"held{i}", c.image, patients.truth[c.id]) for i, c in enumerate(patients.cases[1:]))
    alone = last_result(refine(RefineRequest(patients.cases[:1], QUICK, base)))
    beside = last_result(refine(RefineRequest(patients.cases[:1], QUICK, base, heldout=held)))
    assert [r.loss for r in alone.rounds] == [r.loss for r in beside.rounds]
    assert beside.rounds[0].dice_heldout is None
    assert all(0 <= r.dice_heldout <= 1 for r in beside.rounds[1:])
    assert beside.zero_shot.dice_heldout is not None
    assert beside.zero_shot.dice_refined is None


def test_unknown_in_the_labels_given_never_comes_out(patients, base):
    case = patients.cases[0]
    labels = case.labels.array.copy()
    labels[3] = 255
    cases = (replace(case, labels=case.labels.like(labels)), *patients.cases[1:])
    impossible = replace(QUICK, rounds=1, drift=1.0001)
    for recipe in (replace(QUICK, rounds=1), impossible):
        result = last_result(refine(RefineRequest(cases, recipe, base)))
        assert 255 not in result.labels[case.id]


def test_two_classes_are_refined_together(base, patients):
    from dataclasses import replace as changed

    def both(case):
        labels = case.labels.array.copy()
        labels[:, 25:] = 4
        return changed(case, labels=case.labels.like(labels))

    result = last_result(refine(RefineRequest(tuple(both(c) for c in patients.cases), replace(QUICK, drift=50.0), base)))
    assert set(np.unique(result.labels["p0.nii.gz"])) <= {0, 1, 4}
    assert 4 in result.labels["p0.nii.gz"]


def test_nothing_is_written_when_there_is_nothing_to_learn_from(patients, base, tmp_path):
    empty = tuple(replace(c, labels=c.labels.like(np.zeros_like(c.labels.array))) for c in patients.cases)
    with pytest.raises(NoLabelsError):
        last_result(refine(RefineRequest(empty, QUICK, base, tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_a_missing_base_model_is_said_before_anything_is_trained(patients, tmp_path):
    with pytest.raises(MissingFileError):
        last_result(refine(RefineRequest(patients.cases, QUICK, tmp_path / "no.safetensors")))


def test_labels_for_a_stranger_are_refused(patients, base):
    with pytest.raises(InvalidInputError, match="stranger"):
        last_result(refine(request(patients, base, verified={"stranger": patients.cases[0].labels})))


def test_the_volume_is_compared_only_where_the_labels_given_are_known():
    given = np.array([[[1, 1, 0, 255, 255]]], np.uint8)
    answer = np.array([[[1, 0, 0, 1, 1]]], np.uint8)
    assert volume_ratio({"a": answer}, {"a": given}, {"a": 1.0}) == 0.5


def test_the_segmenter_gives_what_the_refinement_gave(patients, base, tmp_path):
    result = last_result(refine(request(patients, base, out=tmp_path / "out")))
    segmenter = UNetSegmenter(result.model)
    for case in patients.cases:
        probabilities = collect(segmenter.predict(case.image, device="cpu"), case.image.geometry.shape)
        found = to_labels(probabilities, segmenter.capabilities.threshold)
        assert np.array_equal(found, result.labels[case.id])
