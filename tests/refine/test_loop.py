"""What the rounds promise beyond the published loop: trust by voxel, going on, freezing, replay, splits by patient, lineage."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.refine import Folders, RefineRequest, Replay, last_result, refine, salah2023
from napari_medseg.refine.cases import Case
from napari_medseg.refine.medseg.recipe import medseg
from napari_medseg.refine.salah import method
from napari_medseg.refine.salah.training import frozen_parts
from napari_medseg.refine.sets import DataSet, SetsRequest, learn_sets
from napari_medseg.segmenters.unet import UNet
from napari_medseg.segmenters.weights import load_model

TWICE = salah2023(rounds=2, epochs=12, learning_rate=0.02, batch=6, small_batch=6, small_passes=1, drift=1e6)
ONCE = replace(TWICE, rounds=1, epochs=2)


def weights_of(path) -> dict[str, torch.Tensor]:
    return load_model(path)[0].state_dict()


def same(one, two) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


def only(labels, index, value=None):
    """A label map that says something on one slice only."""
    part = np.full(labels.array.shape, 255, np.uint8)
    part[index] = labels.array[index] if value is None else value
    return labels.like(part)


def test_what_only_checks_never_reaches_a_weight_whatever_it_says(patients, base, tmp_path):
    def run(name, value):
        check = {case.id: only(case.labels, 1, value) for case in patients.cases}
        return last_result(refine(RefineRequest(patients.cases, TWICE, base, tmp_path / name, verified=check)))

    ones, nothing = run("ones", 1), run("nothing", 0)
    assert same(weights_of(ones.models[1]), weights_of(nothing.models[1]))
    assert ones.rounds[1].dice_verified != nothing.rounds[1].dice_verified


def test_what_teaches_does_reach_the_weights(patients, base, tmp_path):
    taught = {patients.cases[0].id: only(patients.cases[0].labels, 1, 0)}
    plain = last_result(refine(RefineRequest(patients.cases, ONCE, base, tmp_path / "plain")))
    for name, asked in (("corrected", {"corrected": taught}), ("verified", {"verified": taught, "sides": {patients.cases[0].id: "teach"}})):
        result = last_result(refine(RefineRequest(patients.cases, ONCE, base, tmp_path / name, **asked)))
        assert not same(weights_of(result.models[1]), weights_of(plain.models[1]))
        assert result.rounds[1].dice_verified is None


def test_locked_voxels_are_the_same_to_the_bit_after_every_round(patients, base):
    first, second, _ = (case.id for case in patients.cases)
    corrected = {first: only(patients.cases[0].labels, 2, 1)}
    verified = {first: only(patients.cases[0].labels, 0), second: only(patients.cases[1].labels, 3, 0)}
    ticks = list(refine(RefineRequest(patients.cases, TWICE, base, corrected=corrected, verified=verified, sides={first: "teach", second: "check"})))
    rounds = [tick.labels for tick in ticks if tick.labels] + [ticks[-1].result.labels]
    assert len(rounds) == 3
    for labels in rounds:
        assert (labels[first][2] == 1).all()
        assert np.array_equal(labels[first][0], patients.cases[0].labels.array[0])
        assert not labels[second][3].any()


def test_a_few_corrected_slices_are_enough_to_learn_from(patients, base):
    unknown = tuple(replace(c, labels=c.labels.like(np.full_like(c.labels.array, 255))) for c in patients.cases)
    corrected = {name: only(patients.truth[name], 1) for name in ("p0.nii.gz", "p1.nii.gz")}
    recipe = replace(ONCE, epochs=60)
    (figures,) = last_result(refine(RefineRequest(unknown, recipe, base, corrected=corrected, truth=patients.truth))).rounds[1:]
    assert figures.updates == 60
    assert figures.dice_refined > 0.5


def test_a_round_can_go_on_from_the_model_before(patients, base, tmp_path, monkeypatch):
    starts = []
    real = method.fine_tune

    def watched(network, *args, **kwargs):
        starts.append({name: value.clone() for name, value in network.state_dict().items()})
        return real(network, *args, **kwargs)

    monkeypatch.setattr(method, "fine_tune", watched)
    written = last_result(refine(RefineRequest(patients.cases, TWICE, base, tmp_path / "out", start="continue")))
    assert same(starts[0], weights_of(base))
    assert same(starts[1], weights_of(written.models[1]))
    in_memory = last_result(refine(RefineRequest(patients.cases, TWICE, base, start="continue")))
    assert [r.loss for r in in_memory.rounds] == [r.loss for r in written.rounds]
    assert same(starts[3], starts[1])


@pytest.mark.parametrize("freeze", ["encoder", "all but last"])
def test_frozen_parts_keep_weights_and_running_statistics_and_the_rest_learns(patients, base, tmp_path, freeze):
    result = last_result(refine(RefineRequest(patients.cases, ONCE, base, tmp_path / "out", freeze=freeze)))
    before, after = weights_of(base), weights_of(result.models[1])
    network = UNet(widths=(4, 8))
    parts = frozen_parts(network, freeze)
    modules = tuple(f"{module}." for module, inside in network.named_modules() if any(inside is part for part in parts))
    held = {name for name in before if name.startswith(modules)}
    assert any("running_mean" in name for name in held)
    assert all(torch.equal(before[name], after[name]) for name in held)
    learning = {name for name in before if name not in held and before[name].is_floating_point()}
    assert {name for name in learning if torch.equal(before[name], after[name])} == set()


def test_with_nothing_frozen_every_layer_learns(patients, base, tmp_path):
    result = last_result(refine(RefineRequest(patients.cases, ONCE, base, tmp_path / "out")))
    before, after = weights_of(base), weights_of(result.models[1])
    assert {name for name in before if before[name].is_floating_point() and torch.equal(before[name], after[name])} == set()


def test_a_stopped_run_goes_on_with_the_rounds_that_are_left_and_ends_the_same(patients, base, tmp_path):
    check = {patients.cases[0].id: only(patients.truth["p0.nii.gz"], 1)}
    asked = RefineRequest(patients.cases, replace(TWICE, rounds=3), base, tmp_path / "cut", verified=check)
    whole = last_result(refine(replace(asked, out=tmp_path / "whole")))
    ticks = refine(asked)
    next(tick for tick in ticks if tick.round == 2 and tick.loss is not None)
    ticks.close()
    again = list(refine(replace(asked, resume=True)))
    assert [tick.figures.round for tick in again if tick.figures] == [0, 1, 2, 3]
    assert {tick.round for tick in again if tick.loss is not None} == {2, 3}
    result = again[-1].result
    assert [replace(r, seconds=0) for r in result.rounds] == [replace(r, seconds=0) for r in whole.rounds]
    assert all(np.array_equal(result.labels[name], whole.labels[name]) for name in whole.labels)
    assert result.lineage == whole.lineage


def test_a_training_that_saved_itself_goes_on_in_the_middle_of_a_round(patients, base, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_medseg.refine.salah.saving.EVERY_S", 0.0)
    asked = RefineRequest(patients.cases, ONCE, base, tmp_path / "cut")
    whole = last_result(refine(replace(asked, out=tmp_path / "whole")))
    ticks = refine(asked)
    cut = next(tick for tick in ticks if tick.updates == 3)
    ticks.close()
    again = [tick for tick in refine(replace(asked, resume=True)) if tick.loss is not None]
    assert again[0].updates == cut.updates + 1
    assert same(weights_of(tmp_path / "cut" / "model"), weights_of(whole.model))


def test_a_damaged_checkpoint_only_costs_the_round_it_is_of_and_the_person_is_told(patients, base, tmp_path):
    asked = RefineRequest(patients.cases, ONCE, base, tmp_path / "out")
    ticks = refine(asked)
    next(tick for tick in ticks if tick.loss is not None)
    ticks.close()
    (tmp_path / "out" / "checkpoint" / "checkpoint.safetensors").write_bytes(b"cut short")
    again = list(refine(replace(asked, resume=True)))
    assert again[-1].result.updates == 4
    (warning,) = {tick.warning for tick in again} - {""}
    assert warning.startswith("The checkpoint of round 1 was cut short or damaged")


def test_a_look_at_the_network_in_training_changes_nothing(patients, base, tmp_path):
    plain = last_result(refine(RefineRequest(patients.cases, ONCE, base, tmp_path / "plain", freeze="encoder")))
    looks = 0
    for tick in refine(RefineRequest(patients.cases, ONCE, base, tmp_path / "looked", freeze="encoder")):
        if tick.now is not None:
            labels = tick.now(patients.cases[0].image)
            assert labels.shape == patients.cases[0].image.geometry.shape
            looks += 1
    assert looks == plain.updates
    assert same(weights_of(plain.model), weights_of(tmp_path / "looked" / "model"))


def earlier_set(patients):
    return tuple(Case(f"old{i}.nii.gz", case.image, patients.truth[case.id]) for i, case in enumerate((*patients.cases, *patients.cases[:1])))


def test_replayed_cases_are_learnt_beside_and_some_of_their_patients_only_watched(patients, base, tmp_path):
    result = last_result(refine(RefineRequest(patients.cases, TWICE, base, tmp_path / "out", replay=Replay(earlier_set(patients), share=0.5))))
    splits = json.loads((tmp_path / "out" / "splits.json").read_text())["replay"]
    watched = {name for name, back in splits.items() if back}
    assert len(watched) == 1
    for made in result.lineage:
        learnt = {name.removeprefix("replay/") for name in made["labels"] if name.startswith("replay/")}
        assert learnt == splits.keys() - watched
    assert set(result.labels) == {case.id for case in patients.cases}
    assert result.forgetting.sets == ("replayed",)
    assert result.forgetting.models == ("base", "round 1", "round 2")
    again = last_result(refine(RefineRequest(patients.cases, TWICE, base, tmp_path / "out", seed=9, replay=Replay(earlier_set(patients), share=0.5))))
    assert json.loads((tmp_path / "out" / "splits.json").read_text())["replay"] == splits
    assert again.forgetting.sets == ("replayed",)


def test_sets_one_after_the_other_leave_a_matrix_of_what_is_forgotten(patients, base, tmp_path):
    twice = {"old0.nii.gz": "x", "old3.nii.gz": "x"}
    sets = (DataSet("a", patients.cases), DataSet("b", earlier_set(patients), twice))
    ticks = list(learn_sets(SetsRequest(sets, ONCE, tmp_path / "s", replay=0.3, held_out=0.4, base=base)))
    matrix = ticks[-1].forgetting
    assert (matrix.models, matrix.sets) == (("base", "a", "b"), ("a", "b"))
    assert all(value is not None and 0 <= value <= 1 for row in matrix.dice for value in row)
    back = json.loads((tmp_path / "s" / "splits.json").read_text())["b"]
    learnt = {name for name in ticks[-1].tick.result.lineage[0]["labels"] if not name.startswith("replay/")}
    assert learnt == {f"b-old{i}.nii.gz" for i in range(4) if not back[twice.get(f"old{i}.nii.gz", f"old{i}.nii.gz")]}
    assert all(one <= two for one, two in pairwise(tick.fraction for tick in ticks))
    assert same(weights_of(ticks[-1].model), weights_of(tmp_path / "s" / "b" / "model"))


def test_a_universal_training_learns_all_sets_at_once(patients, base, tmp_path):
    sets = (DataSet("a", patients.cases), DataSet("b", patients.cases))
    last = list(learn_sets(SetsRequest(sets, ONCE, tmp_path / "u", order="universal", base=base)))[-1]
    assert last.forgetting.models == ("base", "all")
    assert {name[:2] for name in last.tick.result.lineage[0]["labels"]} == {"a-", "b-"}


def test_a_patient_is_never_on_both_sides(patients, base):
    held = (Case("held", patients.cases[0].image, patients.truth["p0.nii.gz"]),)
    with pytest.raises(InvalidInputError, match="held: is held out, but its patient \\(Ann\\)"):
        last_result(refine(RefineRequest(patients.cases, ONCE, base, heldout=held, patients={"held": "Ann", "p2.nii.gz": "Ann"})))


def test_the_record_says_what_made_each_round(patients, base, tmp_path):
    corrected = {patients.cases[0].id: only(patients.cases[0].labels, 2, 1)}
    result = last_result(refine(RefineRequest(patients.cases, TWICE, base, tmp_path / "out", corrected=corrected, seed=5, patients={"p0.nii.gz": "Ann"})))
    record = json.loads((tmp_path / "out" / "rounds.json").read_text())
    assert record["finished"] is True
    one, two = record["lineage"]
    assert one["labels"]["p0.nii.gz"]["voxels"] == {"weak": 3 * 32 * 32, "corrected": 32 * 32}
    assert two["labels"]["p0.nii.gz"]["voxels"] == {"proposed": 3 * 32 * 32, "corrected": 32 * 32}
    assert one["labels"]["p0.nii.gz"]["patient"] == "Ann"
    assert two["labels"]["p1.nii.gz"]["sha256"] == one["proposals"]["p1.nii.gz"]
    assert (one["labels_of_round"], two["labels_of_round"], two["seed"]) == (0, 1, 5)
    assert one["base"]["sha256"] == load_model(base)[1]["sha256"]
    plan = load_model(result.models[2])[1]
    assert plan["training"]["lineage"]["voxels"] == {"proposed": 11 * 32 * 32, "corrected": 32 * 32}
    assert two["labels"]["p1.nii.gz"]["sha256"] in plan["training"]["lineage"]["labels_sha256"]
    assert not any(name in json.dumps(plan) for name in ("p0.nii", "p1.nii", "p2.nii", "Ann"))


def test_labels_of_a_class_nobody_teaches_are_refused_before_anything_starts(patients, base, tmp_path):
    strange = {patients.cases[0].id: only(patients.cases[0].labels, 1, 7)}
    for asked in ({"verified": strange}, {"truth": strange}, {"heldout": (Case("held", patients.cases[0].image, strange[patients.cases[0].id]),)}):
        with pytest.raises(InvalidInputError, match="holds class 7"):
            last_result(refine(RefineRequest(patients.cases, ONCE, base, tmp_path / "out", **asked)))
    assert not (tmp_path / "out").exists()


def test_a_held_out_scan_of_other_channels_is_refused(patients, base):
    image = patients.cases[0].image
    two = replace(image, array=np.stack([image.array] * 2))
    with pytest.raises(InvalidInputError, match=r"has 2 channels, but p0\.nii\.gz has 1 channel"):
        last_result(refine(RefineRequest(patients.cases, ONCE, base, heldout=(Case("held", two, patients.truth["p0.nii.gz"]),))))


@pytest.mark.parametrize("recipe", [ONCE, medseg(updates=2)])
def test_a_base_for_scans_of_other_channels_is_refused_before_anything_starts(patients, base, tmp_path, recipe):
    if recipe.name == "medseg":
        base = last_result(refine(RefineRequest(patients.cases, recipe, out=tmp_path / "first"))).model
    two = tuple(replace(case, image=replace(case.image, array=np.stack([case.image.array] * 2))) for case in patients.cases)
    with pytest.raises(InvalidInputError, match="takes 1 channel, but the scans have 2"):
        last_result(refine(RefineRequest(two, recipe, base, tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_of_verified_labels_is_said_before_anything_starts(patients, base, tmp_path):
    (tmp_path / "verified").mkdir()
    with pytest.raises(NoLabelsError, match="verified: holds no label map"):
        last_result(refine(RefineRequest(patients.cases, ONCE, base, tmp_path / "out", verified=tmp_path / "verified")))
    assert not (tmp_path / "out").exists()


def test_spacings_from_a_third_of_a_millimetre_to_seven_are_one_set(patients, base):
    spacings = ((0.3, 0.3, 0.3), (7.0, 1.0, 1.0), (1.0, 1.0, 5.0))
    cases = []
    for case, spacing in zip(patients.cases, spacings, strict=True):
        geometry = replace(case.image.geometry, spacing=spacing)
        cases.append(Case(case.id, replace(case.image, geometry=geometry), replace(case.labels, geometry=geometry)))
    result = last_result(refine(RefineRequest(tuple(cases), ONCE, base)))
    assert {name: labels.shape for name, labels in result.labels.items()} == {case.id: (4, 32, 32) for case in cases}


def test_one_case_alone_is_refined(patients, base):
    assert last_result(refine(RefineRequest(patients.cases[:1], ONCE, base))).rounds[1].updates == 2


def test_folders_for_a_replay_are_read(patients, base, tmp_path):
    from napari_medseg.io import write

    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for case in earlier_set(patients):
        write(case.image, tmp_path / "images" / case.id)
        write(case.labels, tmp_path / "labels" / case.id)
    result = last_result(refine(RefineRequest(patients.cases, ONCE, base, replay=Replay(Folders(tmp_path / "images", tmp_path / "labels")))))
    assert sum(name.startswith("replay/") for name in result.lineage[0]["labels"]) == 1
