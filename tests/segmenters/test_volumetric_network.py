"""Volumetric networks: what a set looks like, what suits it, the way to the network's grid and back, models on disk."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from napari_medseg.errors import InvalidInputError, MissingFileError, NoLabelsError, SegmenterError
from napari_medseg.segmenters.volumetric import load_volumetric
from napari_medseg.segmenters.volumetric.fingerprint import Fingerprint, fingerprint
from napari_medseg.segmenters.volumetric.grid import Way, normalised, resized
from napari_medseg.segmenters.volumetric.model import VolumetricModel, labelled, probabilities, window
from napari_medseg.segmenters.volumetric.network import new_network
from napari_medseg.segmenters.volumetric.plan import planned
from napari_medseg.volume import Geometry, Volume

TURNED = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def scan(shape=(12, 20, 16), spacing=(1.0, 1.0, 1.0), seed=0, channels=1, values=(1,), direction=None, modality="MR"):
    """A noisy scan with a bright box a class, and its label map."""
    rng = np.random.default_rng(seed)
    image = rng.normal(100, 10, (channels, *shape)).astype(np.float32)
    labels = np.zeros(shape, np.uint8)
    for place, value in enumerate(values):
        box = (slice(shape[0] // 4, -(shape[0] // 4) or None), slice(2 + place * 8, 8 + place * 8), slice(4, 11))
        labels[box] = value
        image[(slice(None), *box)] += 60 * (place + 1)
    geometry = Geometry(shape, spacing, **({"direction": direction} if direction else {}))
    return Volume(image[0] if channels == 1 else image, geometry, f"scan{seed}", modality), labels


def model(*scans, values=(1,), members=1):
    plan = planned(fingerprint(scans, values), list(values))
    return VolumetricModel(plan, [new_network(plan.network, plan.fingerprint.share, seed) for seed in range(members)], "cpu")


def test_a_fingerprint_is_json_and_comes_back_the_same():
    facts = fingerprint([scan(), scan(seed=1, spacing=(2.0, 1.0, 1.0))], (1,))
    assert Fingerprint.model_validate(json.loads(facts.model_dump_json())) == facts
    assert facts.cases == 2
    assert facts.spacing == (1.5, 1.0, 1.0)
    assert facts.unit_mm == pytest.approx(facts.object_mm3 ** (1 / 3) / 15)


def test_a_set_without_a_label_has_no_fingerprint():
    image, labels = scan()
    with pytest.raises(NoLabelsError):
        fingerprint([(image, np.zeros_like(labels))], (1,))


@pytest.mark.parametrize("slices", [1, 2, 5])
def test_single_slices_and_thin_stacks_are_looked_at_within_the_slice_at_every_depth(slices):
    network = planned(fingerprint([scan((slices, 64, 64))], (1,)), [1]).network
    assert network.strides == [(1, 2, 2)] * 3
    assert network.kernels == [(1 if slices == 1 else 3, 3, 3)] * 4


def test_thick_slices_are_not_looked_across_until_the_others_are_as_coarse():
    network = planned(fingerprint([scan((20, 64, 64), (6.5, 0.8, 0.8))], (1,)), [1]).network
    assert network.strides == [(1, 2, 2)] * 3
    assert network.kernels == [(1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3)]


def test_ct_is_normalised_by_the_set_and_mr_by_each_scan():
    assert fingerprint([scan(modality="CT")], (1,)).normalise == "set"
    assert fingerprint([scan(modality="MR")], (1,)).normalise == "z-score"
    assert fingerprint([scan(modality="CT"), scan(modality="MR")], (1,)).normalise == "z-score"


def test_an_mr_scan_in_other_units_looks_the_same_and_a_ct_scan_does_not():
    image, labels = scan()
    facts = fingerprint([(image, labels)], (1,))
    values = image.array[None]
    np.testing.assert_allclose(normalised(values * 7 - 1000, facts), normalised(values, facts), atol=1e-4)
    ct = facts.model_copy(update={"normalise": "set"})
    assert np.abs(normalised(values - 40, ct) - normalised(values, ct)).max() > 0.5


def test_what_is_no_number_becomes_nothing():
    image, labels = scan()
    facts = fingerprint([(image, labels)], (1,))
    broken = image.array[None].copy()
    broken[0, 3, 4, 5], broken[0, 0, 0, 0] = np.nan, np.inf
    out = normalised(broken, facts)
    assert np.isfinite(out).all()
    assert out[0, 3, 4, 5] == 0
    assert np.array_equal(normalised(np.full((1, 2, 2, 2), np.nan, np.float32), facts), np.zeros((1, 2, 2, 2)))


@pytest.mark.parametrize("spacing", [(6.5, 0.8, 0.8), (0.8, 0.8, 6.5)])
def test_thick_slices_are_not_halved_across_until_the_rest_is_as_coarse(spacing):
    shape = (25, 96, 96) if spacing[0] > 1 else (96, 96, 25)
    plan = planned(fingerprint([scan(shape, spacing)], (1,)), [1])
    thick = int(np.argmax([plan.spacing[axis] for axis in range(3)]))
    assert plan.network.strides[0][thick] == 1
    assert plan.network.kernels[0][thick] == 1
    assert all(side % step == 0 for side, step in zip(plan.patch, plan.network.step, strict=True))


@pytest.mark.parametrize("shape", [(1, 40, 40), (36, 50, 36), (300, 512, 512), (3, 3, 3)])
def test_any_shape_gets_a_network_that_answers_on_its_patch(shape):
    facts = fingerprint([scan()], (1,)).model_copy(update={"shape": shape})
    plan = planned(facts, [1])
    assert np.prod(plan.patch) < 130_000
    network = new_network(plan.network, facts.share, 0).eval()
    with torch.inference_mode():
        answer = network(torch.zeros(1, 1, *plan.patch))
    assert answer.shape == (1, 1, *plan.patch)


def test_a_network_begins_with_each_class_as_likely_as_it_is():
    network = new_network(planned(fingerprint([scan(values=(1, 2))], (1, 2)), [1, 2]).network, [0.05, 0.2], 0).eval()
    with torch.inference_mode():
        logits = network(torch.zeros(1, 1, 16, 16, 16)).mean((0, 2, 3, 4)).numpy()
    shown = probabilities(logits[:, None, None, None])[:, 0, 0, 0]
    np.testing.assert_allclose(shown, [0.05, 0.2], rtol=0.15)


def test_a_plan_of_an_earlier_version_makes_the_network_its_weights_are_of():
    network = planned(fingerprint([scan((36, 50, 36))], (1,)), [1]).network
    written = network.model_dump(mode="json")
    assert written.pop("at_finest") == 2
    earlier = new_network(type(network).model_validate(written), [0.1], 0)
    assert sum(value.numel() for value in earlier.parameters()) == 326_689
    assert sum(value.numel() for value in new_network(network, [0.1], 0).parameters()) == 340_577


def test_drawing_a_network_leaves_torchs_own_draws_alone():
    plan = planned(fingerprint([scan()], (1,)), [1])
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = new_network(plan.network, [0.1], 7)
    assert torch.equal(torch.rand(2), expected)
    again = new_network(plan.network, [0.1], 7)
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))


def test_the_way_to_the_grid_and_back_keeps_smooth_maps():
    image, _ = scan((10, 40, 32), (4.0, 1.0, 1.0), direction=TURNED)
    plan = planned(fingerprint([scan((20, 40, 32), (2.0, 1.0, 1.0))], (1,)), [1])
    way = Way.of(image.geometry, plan)
    assert way.shape == (20, 32, 40)
    zz, yy, xx = np.mgrid[:10, :40, :32].astype(np.float32)
    ramp = (0.1 * zz + 0.02 * yy - 0.03 * xx)[None]
    there = resized(way.turn.apply(ramp), way.shape)
    np.testing.assert_allclose(way.back(there)[0, 1:-1], ramp[0, 1:-1], atol=0.02)


def test_labels_on_the_grid_keep_each_class_and_say_what_is_known():
    _, labels = scan(values=(3, 7))
    labels[:, :, :2] = 255
    image, _ = scan(values=(3, 7))
    plan = planned(fingerprint([(image, labels)], (3, 7)), [3, 7])
    maps = Way.of(image.geometry, plan).maps(labels, [3, 7])
    turned = Way.of(image.geometry, plan).turn.apply(labels)
    assert np.array_equal(maps[0], turned == 3)
    assert np.array_equal(maps[1], turned == 7)
    assert np.array_equal(maps[2], turned != 255)


def test_a_coarser_grid_takes_a_class_share_from_the_known_part_alone():
    image, labels = scan((12, 20, 16))
    labels[...] = 1
    labels[:, ::2] = 255
    plan = planned(fingerprint([scan((6, 10, 8), (2.0, 2.0, 2.0))], (1,)), [1])
    maps = Way.of(image.geometry, plan).maps(labels, [1])
    assert maps.shape == (2, 6, 10, 8)
    np.testing.assert_allclose(maps[0], 1.0, atol=1e-3)
    assert 0.3 < maps[1].mean() < 0.7


def test_a_saved_model_answers_the_same_and_keeps_what_is_said_of_it(tmp_path):
    image, labels = scan(values=(2, 5))
    first = model((image, labels), values=(2, 5), members=2)
    file = first.save(tmp_path, {"title": "Mine", "training": {"updates": 3}})
    again = load_volumetric(file, "cpu")
    assert np.array_equal(again.predict(image), first.predict(image))
    assert np.array_equal(again.label(image), first.label(image))
    assert again.plan["title"] == "Mine"
    assert again.plan["network"]["members"] == 2
    assert again.plan["training"] == {"updates": 3}
    assert set(np.unique(again.label(image))) <= {0, 2, 5}


def test_probabilities_lie_on_the_scans_grid_whatever_its_spacing_and_orientation():
    first = model(scan((12, 24, 24)))
    for image, _ in (scan((5, 24, 20), (3.0, 0.7, 0.9)), scan((12, 20, 16), direction=TURNED), scan((40, 21, 33))):
        maps = first.predict(image)
        assert maps.shape == (1, *image.geometry.shape)
        assert maps.dtype == np.float32
        assert 0 <= maps.min() <= maps.max() <= 1


def test_a_file_stored_the_other_way_round_gets_the_same_answer():
    image, labels = scan()
    first = model((image, labels))
    back = Volume(np.ascontiguousarray(image.array[:, :, ::-1]), Geometry((12, 20, 16), origin=(15.0, 0.0, 0.0), direction=(-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)))
    np.testing.assert_array_equal(first.predict(back)[..., ::-1], first.predict(image))


def test_two_channels_are_two_and_one_is_refused():
    both, labels = scan(channels=2)
    first = model((both, labels))
    assert first.predict(both).shape == (1, 12, 20, 16)
    with pytest.raises(InvalidInputError, match="1 channel, but the model takes 2"):
        first.predict(scan()[0])


def test_classes_exclude_each_other_and_the_background_has_a_say():
    logits = np.array([[2.0, -2.0, 0.2], [1.0, -3.0, 0.1]], np.float32)[:, :, None, None]
    maps = probabilities(logits)
    np.testing.assert_allclose(maps[:, 0, 0, 0], np.exp([2, 1]) / (1 + np.exp(2) + np.exp(1)), rtol=1e-5)
    assert labelled(maps, [4, 9])[:, 0, 0].tolist() == [4, 0, 4]
    assert probabilities(np.full((1, 1, 1, 1), 500, np.float32))[0, 0, 0, 0] == 1


def test_offsets_move_where_a_model_cuts():
    image, labels = scan()
    first = model((image, labels))
    low, high = (VolumetricModel(first.described.model_copy(update={"offsets": [o]}), first.network.networks, "cpu") for o in (-30.0, 30.0))
    assert low.label(image).max() == 0
    assert high.label(image).min() == 1


def test_a_scan_little_larger_than_the_patch_is_seen_whole_and_a_large_one_in_patches():
    plan = planned(fingerprint([scan((36, 50, 36))], (1,)), [1])
    assert window((43, 53, 42), plan) == (48, 56, 48)
    assert window((200, 53, 42), plan) == (plan.patch[0], 56, 48)


def test_what_is_no_volumetric_model_is_refused(tmp_path):
    with pytest.raises(MissingFileError):
        load_volumetric(tmp_path)
    image, labels = scan()
    file = model((image, labels)).save(tmp_path, {})
    data = file.read_bytes()
    file.write_bytes(data[:-40] + bytes(40))
    with pytest.raises(SegmenterError, match="damaged"):
        load_volumetric(file)
    file.write_bytes(data[: len(data) // 2])
    with pytest.raises(SegmenterError):
        load_volumetric(file)


@pytest.mark.parametrize(("freeze", "still"), [("none", 0), ("encoder", 3), ("all but last", 6)])
def test_what_is_frozen_is_the_encoder_or_all_but_the_last_block(freeze, still):
    network = new_network(planned(fingerprint([scan()], (1,)), [1]).network, [0.1], 0)
    parts = network.frozen_parts(freeze)
    assert len(parts) == still
    assert all(part is not network.head and part is not network.decoder[-1] for part in parts)
