"""Learning from scans without labels: what is learnt, what is handed on, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_medseg import io
from napari_medseg.errors import InvalidInputError, MissingFileError, NoLabelsError, SegmenterError
from napari_medseg.refine.cases import Case
from napari_medseg.refine.examples import weak_examples
from napari_medseg.refine.lineage import nameless, settings
from napari_medseg.refine.medseg.architecture import suited
from napari_medseg.refine.medseg.recipe import network
from napari_medseg.refine.pretraining.comparing import CompareRequest, Comparison, Judged, compare, dealt
from napari_medseg.refine.pretraining.encoder import encoder_tensors, load_encoder, save_encoder
from napari_medseg.refine.pretraining.encoder_plan import read_encoder
from napari_medseg.refine.pretraining.request import PretrainRequest, Source
from napari_medseg.refine.pretraining.scans import Unlabelled, noise_of, prepared, survey, window
from napari_medseg.refine.pretraining.tasks import block, hidden, squared_error
from napari_medseg.refine.pretraining.training import pretrain
from napari_medseg.segmenters.networks.building import build
from napari_medseg.segmenters.volumetric.members import described, made
from napari_medseg.segmenters.volumetric.plan import planned_for
from napari_medseg.volume import Geometry, Volume

UNET = {"widths": [4, 6]}


def scan(seed=0, shape=(8, 20, 18), channels=1, noise=0.0, modality="MR"):
    """Balls on a slope; in grey values of its own."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"))
    image = np.zeros((channels, *shape), np.float32)
    for _ in range(3):
        middle = [rng.uniform(2, n - 2) for n in shape]
        image[:, ((places - np.array(middle)[:, None, None, None]) ** 2).sum(0) < rng.uniform(9, 30)] += rng.uniform(50, 100)
    image += 2 * places[1] + rng.normal(0, noise, image.shape)
    return Volume(image[0] if channels == 1 else image, Geometry(shape), f"s{seed}", modality)


def asked(tmp_path, images=None, name="unet-lite", **more):
    given = {"parameters": UNET, "updates": 2, "device": "cpu", "out": tmp_path / "e.safetensors", **more}
    return PretrainRequest([scan(k) for k in range(3)] if images is None else images, name, **given)


def learnt(request):
    return [*pretrain(request)][-1]


def plan_of(shape=(8, 20, 18), spacing=(1.0, 1.0, 1.0), channels=1, name="unet-lite", dims=3, **parameters):
    facts = end(survey([replace(scan(shape=shape, channels=channels), geometry=Geometry(shape, spacing))])).facts
    found = described(name, in_channels=channels, classes=channels, dims=dims, axis=0, parameters=parameters or UNET)
    return planned_for(found, facts, list(range(1, channels + 1)))


def end(work):
    while True:
        try:
            next(work)
        except StopIteration as ended:
            return ended.value


@pytest.mark.parametrize(("dims", "task"), [(3, "denoise"), (3, "masked"), (2, "masked")])
def test_what_was_spoilt_is_brought_back_better_than_it_was_given(tmp_path, dims, task):
    images = [scan(k, noise=10.0, shape=(4, 16, 16)) for k in range(3)]
    steady = {"parameters": {**UNET, "dropout": 0.0}, "batch": 1, "updates": 60, "learning_rate": 1e-2, "noise": 4.0}
    tick = learnt(asked(tmp_path, images, dims=dims, task=task, **steady))
    assert tick.plan.learnt > 0.2
    assert tick.file == tmp_path / "e.safetensors"
    assert read_encoder(tick.file) == tick.plan
    assert (tick.plan.network.dims, tick.plan.task, tick.plan.scans, tick.plan.normalise) == (dims, task, 3, "z-score")


def test_a_super_image_hands_on_the_encoder_of_the_network_inside(tmp_path):
    tick = learnt(asked(tmp_path, [scan(shape=(4, 16, 16))], "super-image", parameters={}, updates=1, batch=1, task="masked"))
    fresh = build("super-image")
    load_encoder(fresh, tick.file)
    assert all(name.startswith("inside.") for name in encoder_tensors(fresh))


def test_the_encoder_alone_is_handed_on_and_the_rest_stays(tmp_path):
    file = learnt(asked(tmp_path, [scan(k, channels=2) for k in range(2)])).file
    fresh = build("unet-lite", in_channels=2, classes=3, dims=3, seed=5, **UNET)
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    load_encoder(fresh, file)
    handed = encoder_tensors(fresh)
    assert 0 < len(handed) < len(before)
    for name, value in fresh.state_dict().items():
        assert torch.equal(value, before[name]) == (name not in handed or torch.equal(before[name], handed[name]))
    assert any(not torch.equal(before[name], value) for name, value in handed.items())


def test_statistics_of_batch_normalisation_are_handed_on_with_the_weights():
    held = encoder_tensors(build("xnet", in_channels=1, classes=1, dims=2))
    assert any(name.endswith("running_mean") for name in held)


def test_the_same_seed_gives_the_same_encoder_and_another_gives_another(tmp_path):
    sums = [learnt(asked(tmp_path, seed=seed, task="masked")).plan.error for seed in (1, 1, 2)]
    first, again, other = sums
    assert first == again != other


def test_a_training_starts_from_it(tmp_path):
    file = learnt(asked(tmp_path)).file
    labels = np.zeros((8, 20, 18), np.uint8)
    labels[3:6, 5:15, 5:15] = 1
    some = weak_examples([Case(f"c{k}", scan(k), Volume(labels, scan(k).geometry)) for k in range(2)])
    tiny = {"network": "unet-lite", "parameters": UNET, "updates": 1, "learning_rate": 1e-6}
    models = []
    for start in (str(file), ""):
        ticks = [*network(**tiny, start=start).method().learn(some, (1,), number=1, base=None, seed=0, device="cpu")]
        models.append(ticks[-1].learned.model.network.networks[0].network)
    expected = build("unet-lite", classes=1, **UNET)
    load_encoder(expected, file)
    near = [all(torch.allclose(value, encoder_tensors(expected)[name], atol=1e-4) for name, value in encoder_tensors(model).items()) for model in models]
    assert near == [True, False]


def test_the_file_it_began_from_is_not_named_in_what_may_be_passed_on():
    recipe = settings(network(network="unet-lite", start="/home/ann/patient 7/e.safetensors"))
    told = nameless({"recipe": recipe, "labels": {}, "proposals": {}})
    assert recipe["start"].endswith("e.safetensors")
    assert "patient 7" not in str(told)
    assert told["recipe"]["network"] == "unet-lite"


@pytest.mark.slow  # imports monai and builds its U-Net twice
def test_a_network_that_suits_itself_to_scans_stays_as_it_was_pre_trained(tmp_path):
    plan = learnt(asked(tmp_path, updates=1)).plan
    kept = described("dynunet", in_channels=1, classes=1, dims=3, axis=0, parameters={"width": 8, "spacing": [2.0, 1.0, 1.0], "window": [4, 8, 8]})
    file = save_encoder(made(kept).network, plan.model_copy(update={"network": kept}), tmp_path / "dynunet.safetensors")
    other = suited("dynunet", (30, 60, 60), (5.0, 1.0, 1.0), channels=1, classes=2, dims=3, parameters={}, start=str(file))
    assert other.parameters == kept.parameters


def test_weights_of_another_network_are_refused_by_name(tmp_path):
    file = learnt(asked(tmp_path)).file
    for wrong, words in (
        (build("unet-lite", dims=2, **UNET), "3 dimensions"), (build("unet-lite", in_channels=3, **UNET), "1 channel, and these have 3"),
        (build("unet-lite", widths=[4, 8]), "another network"), (build("attention-unet", widths=[4, 6, 8]), "another network"),
    ):
        with pytest.raises(SegmenterError, match=words):
            load_encoder(wrong, file)
    some = weak_examples([Case("c", scan(), Volume(np.ones((8, 20, 18), np.uint8), scan().geometry))])
    ticks = network(network="segresnet", start=str(file)).method().learn(some, (1,), number=1, base=None, seed=0, device="cpu")
    with pytest.raises(SegmenterError, match="'unet-lite', and 'segresnet' is to be trained"):
        list(ticks)


def test_what_is_no_encoder_is_refused(tmp_path):
    with pytest.raises(MissingFileError):
        read_encoder(tmp_path / "none.safetensors")
    (tmp_path / "odd.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(SegmenterError, match="no pre-trained encoder"):
        read_encoder(tmp_path / "odd.safetensors")


def test_a_damaged_encoder_leaves_the_network_as_it_was(tmp_path):
    file = learnt(asked(tmp_path)).file
    spoilt = bytearray(file.read_bytes())
    spoilt[-5] ^= 255
    file.write_bytes(spoilt)
    fresh = build("unet-lite", **UNET)
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    with pytest.raises(SegmenterError, match="damaged"):
        load_encoder(fresh, file)
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())


def test_what_cannot_be_learnt_from_is_said_before_anything_is_read(tmp_path):
    for wrong in ({"name": "mask-rcnn-invariant", "parameters": {}, "dims": 2}, {"images": []}, {"updates": 0}, {"task": "jigsaw"}, {"hidden": 1.0}):
        with pytest.raises(InvalidInputError):
            asked(tmp_path, **wrong)


def test_constant_and_empty_scans_are_left_out_by_name_and_nan_is_never_learnt(tmp_path):
    flat, empty, holed = (scan(k) for k in range(3))
    flat.array[...] = 7
    empty.array[...] = np.nan
    holed.array[:, :5] = np.nan
    tick = learnt(asked(tmp_path, [flat, empty, holed, scan(3)]))
    assert tick.plan.scans == 2
    assert "s0, s1" in tick.warning
    assert np.isfinite(tick.plan.error)
    (ready,) = end(prepared([holed], plan_of(), 0, tmp_path))
    image, counted = window(ready, (8, 20, 18), torch.Generator().manual_seed(0))
    assert not counted[:, :, :5].any()
    assert counted[:, :, 5:].all()
    assert image.isfinite().all()
    with pytest.raises(InvalidInputError, match="no scan holds more than a single value"):
        learnt(asked(tmp_path, [flat, empty]))


def test_scans_of_two_kinds_are_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="2 channels, but the scans before it have 1"):
        learnt(asked(tmp_path, [scan(), scan(1, channels=2)]))


def test_scans_on_the_disk_are_learnt_from_as_those_in_memory(tmp_path):
    paths = []
    for k in range(2):
        paths.append(tmp_path / f"s{k}.nii.gz")
        io.write(scan(k), paths[-1])
    images = [io.read(path) for path in paths]
    errors = [learnt(asked(tmp_path, given)).plan.error for given in (images, paths, [Source(path) for path in paths])]
    assert errors[0] == errors[1] == errors[2]


def test_of_many_large_scans_a_piece_of_each_is_kept(tmp_path, monkeypatch):
    from napari_medseg.refine.pretraining import scans

    monkeypatch.setattr(scans, "VOXELS", 2 * 4 * 8 * 8)
    monkeypatch.setattr(scans, "ROOM", 0.0)
    plan = plan_of().model_copy(update={"patch": (4, 6, 6)})
    found = end(prepared([scan(0), scan(1)], plan, 0, tmp_path))
    assert all(16 <= each.image[0].numel() <= 256 and min(each.image.shape[1:]) >= 4 for each in found)
    assert len([*tmp_path.glob("*.npy")]) == 2
    assert len({tuple(end(prepared([scan(0)] * 2, plan, 0, tmp_path))[0].image.flatten()[:3].tolist()) for _ in range(2)}) == 1


def test_stopping_leaves_nothing_behind(tmp_path):
    ticks = pretrain(asked(tmp_path, updates=50))
    while next(ticks).updates < 1:
        pass
    ticks.close()
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("level", [3.0, 12.0])
def test_the_noise_of_a_scan_is_found_whatever_it_shows(level):
    image = scan(noise=level, shape=(12, 40, 40)).array
    assert noise_of(image, (3.0, 1.0, 1.0)) == pytest.approx(level, rel=0.15)
    image[:, 20:] = 0  # a background that was cut away says nothing
    assert noise_of(image, (3.0, 1.0, 1.0)) == pytest.approx(level, rel=0.15)


def test_a_scan_without_noise_has_none():
    assert noise_of(np.ones((4, 8, 8), np.float32), (1.0, 1.0, 1.0)) == 0.0
    assert noise_of(np.ones((4, 1, 8), np.float32), (5.0, 1.0, 1.0)) == 0.0


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_so_much_is_hidden_as_was_asked_for_in_blocks(share):
    plan = plan_of(shape=(24, 48, 48), spacing=(2.0, 1.0, 1.0))
    where = hidden(4, plan, share, torch.Generator().manual_seed(0))
    assert float(where.mean()) == pytest.approx(share, abs=0.08)
    assert set(where.unique().tolist()) == {0.0, 1.0}
    z, y, x = block(plan)
    assert (2 * z, y) == (y, x)
    changes = (where[:, :, :, 1:] != where[:, :, :, :-1]).float().mean()
    assert changes < 2 * share / y
    assert not torch.equal(where[0], where[1])


def test_blocks_of_a_super_image_are_one_slice_thick():
    assert block(plan_of(name="super-image", inside="unet-lite"))[0] == 1
    assert block(plan_of())[0] > 1


def test_only_what_counts_enters_the_error():
    images, answers = torch.zeros(1, 1, 2, 2, 2), torch.ones(1, 1, 2, 2, 2)
    weights = torch.zeros(1, 1, 2, 2, 2)
    weights[..., 0] = 1
    answers[..., 0] = 3
    answers.requires_grad_(True)
    error = squared_error(answers, images, weights)
    error.backward()
    assert float(error.detach()) == 9
    assert not answers.grad[..., 1].any()
    assert not squared_error(answers, images, torch.zeros_like(weights)).any()


def test_a_scan_smaller_than_the_window_lies_in_its_middle_and_the_rest_does_not_count():
    small = Unlabelled(torch.ones(1, 2, 4, 4, dtype=torch.float16), None, torch.zeros(1))
    image, counted = window(small, (4, 4, 2), torch.Generator().manual_seed(0))
    assert counted.sum() == image.sum() == 2 * 4 * 2
    assert counted[:, 1:3].all()


# -- the comparison at equal budget ----------------------------------------------------------------------------------------------------------------------


def labelled(count):
    labels = np.zeros((8, 20, 18), np.uint8)
    labels[3:6, 5:15, 5:15] = 1
    return tuple(Case(f"c{k}.nii.gz", scan(k), Volume(labels, scan(k).geometry)) for k in range(count))


def test_the_comparison_gives_both_sides_the_same_updates_and_judges_on_strangers(tmp_path, monkeypatch):
    from napari_medseg.refine.pretraining import comparing

    cases, seen, trained = labelled(4), [], []
    request = CompareRequest(asked(tmp_path, [scan(9)], updates=3), cases, updates=2)
    judges, teachers = dealt(request, 0)
    assert {case.id for case in judges} | {case.id for case in teachers} == {case.id for case in cases}
    assert min(len(judges), len(teachers)) > 0
    assert not {case.id for case in judges} & {case.id for case in teachers}
    real = comparing.pretrain
    monkeypatch.setattr(comparing, "pretrain", lambda asked: (seen.append([image.name for image in asked.images]), real(asked))[1])
    monkeypatch.setattr(comparing, "_scored", lambda recipe, *rest: (trained.append((recipe.updates, bool(recipe.start))), _score(recipe, rest[2]))[1])
    result = [*compare(request)][-1].result
    assert sorted(trained) == [(2, False), (2, True), (5, False)]
    assert seen == [["s9", *(case.image.name for case in teachers)]]
    assert {one.case for one in result.judged} == {case.id for case in judges}


def _score(recipe, judges):
    yield from ()
    return {case.id: 0.5 for case in judges}


def test_the_comparison_runs_to_a_verdict(tmp_path):
    request = CompareRequest(asked(tmp_path, updates=1), labelled(2), updates=1, only_cases=True)
    *ticks, last = compare(request)
    assert all(0 <= tick.fraction <= 1 for tick in ticks)
    assert "too few to tell" in last.result.verdict
    assert len(last.result.judged) == 1


def test_scans_of_one_patient_are_never_on_both_sides(tmp_path):
    who = {f"c{k}.nii.gz": f"p{k // 2}" for k in range(4)}
    judges, teachers = dealt(CompareRequest(asked(tmp_path), labelled(4), patients=who), 0)
    assert not {who[case.id] for case in judges} & {who[case.id] for case in teachers}
    with pytest.raises(NoLabelsError, match="two patients"):
        CompareRequest(asked(tmp_path), labelled(2), patients=who)


@pytest.mark.parametrize(("gains", "words"), [
    ([0.02, 0.03, 0.02, 0.025, 0.03], "it pays here"), ([-0.02, -0.03, -0.02, -0.03, -0.02], "it does not pay"),
    ([0.05, -0.05, 0.02, -0.01, 0.0], "no clear difference"), ([0.3, 0.3], "too few to tell"),
])
def test_the_verdict_says_no_more_than_there_is_ground_for(gains, words):
    made = Comparison(tuple(Judged(f"c{k}", 0, 0.8, 0.7, 0.8 + gain) for k, gain in enumerate(gains)), 100, 50)
    assert words in made.verdict
    assert "150 on labels" in made.verdict
    assert f"Better in {sum(gain > 0 for gain in gains)} of {len(gains)}" in made.verdict


def test_a_folder_gets_the_encoder_under_its_usual_name(tmp_path):
    assert learnt(asked(tmp_path, out=tmp_path / "made")).file == Path(tmp_path / "made" / "encoder.safetensors")
