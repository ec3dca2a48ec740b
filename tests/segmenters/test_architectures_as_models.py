"""Networks of the catalogue as models: on disk, over volumes and slices, with other classes, damaged, and of a network that is not there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_medseg.errors import InvalidInputError, SegmenterError
from napari_medseg.segmenters.networks.plan import ArchitecturePlan
from napari_medseg.segmenters.opening import family, open_model
from napari_medseg.segmenters.portable import portable, write_torchscript
from napari_medseg.segmenters.volumetric import load_volumetric
from napari_medseg.segmenters.volumetric.fingerprint import fingerprint
from napari_medseg.segmenters.volumetric.members import carry, described, made, new_member
from napari_medseg.segmenters.volumetric.model import VolumetricModel
from napari_medseg.segmenters.volumetric.plan import planned_for, slice_axis
from napari_medseg.segmenters.weights import read_weights, write_weights
from napari_medseg.volume import Geometry, Volume

SMALL = {"widths": [4, 6, 8]}


def scan(shape=(10, 20, 18), spacing=(1.0, 1.0, 1.0), channels=1, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.normal(100, 10, (channels, *shape)).astype(np.float32)
    labels = np.zeros(shape, np.uint8)
    labels[2:-2, 4:-4, 5:-5] = 1
    labels[2:-2, 4:-4, 5:8] = 2
    return Volume(image[0] if channels == 1 else image, Geometry(shape, spacing), "scan", "MR"), labels


def model(dims=3, values=(1,), members=1, **facts):
    known = fingerprint([scan(**facts)], values)
    axis = slice_axis(known.spacing) if dims == 2 else 0
    network = described("unet-lite", in_channels=len(known.channels), classes=len(values), dims=dims, axis=axis, parameters=SMALL)
    plan = planned_for(network, known, list(values))
    return VolumetricModel(plan, [new_member(network, known.share, seed) for seed in range(members)], "cpu")


@pytest.mark.parametrize("dims", [2, 3])
def test_a_saved_architecture_comes_back_and_answers_the_same(tmp_path, dims):
    before = model(dims, (1, 2), members=2)
    file = before.save(tmp_path, {"training": {"recipe": "network"}})
    assert family(tmp_path) == "architecture"
    again = load_volumetric(tmp_path)
    assert again.described.network.members == 2
    image = scan(seed=1)[0]
    assert np.array_equal(again.predict(image), before.predict(image))
    segmenter = open_model(file)
    assert segmenter.capabilities.classes == ("class 1", "class 2")
    whole = np.zeros((2, *image.geometry.shape), np.float32)
    for piece in segmenter.predict(image, device="cpu"):
        whole[(slice(None), *piece.box)] = piece.probabilities
    assert np.array_equal(whole > 0.5, again.predict(image) > 0.5)


@pytest.mark.parametrize(("spacing", "axis"), [((1.0, 1.0, 1.0), 0), ((5.0, 1.0, 1.0), 0), ((1.0, 1.0, 4.0), 2), ((1.0, 4.0, 1.0), 1)])
def test_a_network_of_slices_sees_one_slice_along_the_coarsest_axis(spacing, axis):
    found = model(2, spacing=spacing)
    turned = [found.described.spacing[a] for a in range(3)]
    assert found.described.slices_along == axis
    assert turned[axis] == max(turned)
    assert found.described.patch[axis] == 1
    image = scan(spacing=spacing)[0]
    changed = image.array.copy()
    place = [slice(None)] * 3
    place[axis] = 3
    changed[tuple(place)] += 500
    facts = found.described.fingerprint.model_copy(update={"normalise": "set"})  # so that no other slice looks otherwise for it
    found = VolumetricModel(found.described.model_copy(update={"fingerprint": facts}), list(found.network.networks), "cpu")
    differs = np.abs(found.predict(image) - found.predict(Volume(changed, image.geometry))).max(axis=(0, *(1 + a for a in range(3) if a != axis)))
    assert np.flatnonzero(differs).tolist() == [3]


@pytest.mark.parametrize("shape", [(1, 20, 18), (3, 5, 4), (7, 33, 41)])
@pytest.mark.parametrize("dims", [2, 3])
def test_scans_of_one_slice_or_of_odd_sides_are_answered_everywhere(dims, shape):
    found = model(dims).predict(Volume(np.random.default_rng(0).normal(size=shape).astype(np.float32), Geometry(shape)))
    assert found.shape == (1, *shape)
    assert np.isfinite(found).all()


def test_a_network_begins_with_each_class_as_likely_as_it_is():
    found = model(3, (1, 2))
    member = found.network.networks[0].eval()
    assert torch.allclose(member.expected.exp() / (1 + member.expected.exp().sum()), torch.tensor(found.described.fingerprint.share), atol=1e-3)


def test_other_channels_than_the_model_takes_are_refused_by_name():
    with pytest.raises(InvalidInputError, match="has 1 channel, but the model takes 2"):
        model(3, channels=2).predict(scan()[0])


def test_what_a_class_learnt_goes_on_under_its_value_and_a_new_class_begins_anew():
    old, new = made(model(3, (1, 2)).described.network, 1), made(model(3, (1, 2)).described.network, 2)
    old.expected.copy_(torch.tensor([0.5, -1.0]))
    before = new.network.state_dict()["head.weight"].clone()
    carry(old, new, [(1, 0)])
    assert torch.equal(new.network.head.weight[1], old.network.head.weight[0])
    assert torch.equal(new.network.head.weight[0], before[0])
    assert torch.equal(new.network.down[0][0].weight, old.network.down[0][0].weight)
    assert float(new.expected[1]) == 0.5
    carry(old, new, [(0, 0), (1, 1)])
    assert all(torch.equal(a, b) for a, b in zip(old.state_dict().values(), new.state_dict().values(), strict=True))


@pytest.mark.parametrize(("change", "said"), [
    ({"name": "no-such-network"}, "needs the network 'no-such-network', which cannot be built here"),
    ({"name": "unet"}, "cannot be built here"),  # an entry, but a segmenter
    ({"parameters": {"widths": [4, 6, 10]}}, "weights that are not those of the network"),
    ({"parameters": {"widths": [60_000, 60_000, 60_000]}}, "weights that are not those of the network"),
    ({"parameters": {"widths": [4]}}, "cannot be made"),
    ({"parameters": {"depth": 3}}, "is not made from these parameters"),
    ({"parameters": {"widths": "many"}}, "is not made from these parameters"),
    ({"in_channels": 3}, "weights that are not those of the network"),
    ({"dims": 2}, "weights that are not those of the network"),
])
def test_a_file_that_names_another_network_than_its_weights_is_refused(tmp_path, change, said):
    before = model()
    file = before.save(tmp_path, {})
    plan = load_volumetric(file).described.model_dump()
    write_weights(file, read_weights(file, plan["sha256"]), type(before.described), {**plan, "network": {**plan["network"], **change}})
    with pytest.raises(SegmenterError, match=said):
        load_volumetric(file)


@pytest.mark.parametrize("parameters", [{"factory": "os:system", "a.b": 1}, {"seed": 3}, {"classes": 2}, {"widths": {"a": 1}}, {"x": 1e9}, {"x": "y" * 65}])
def test_parameters_that_could_be_anything_but_numbers_and_words_are_refused(parameters):
    with pytest.raises(ValueError, match="parameters"):
        ArchitecturePlan(name="unet-lite", in_channels=1, classes=1, parameters=parameters)


@pytest.mark.parametrize("dims", [2, 3])
def test_torchscript_of_an_architecture_answers_as_the_model_does(tmp_path, dims):
    before = model(dims, (1, 2))
    file = before.save(tmp_path / "model", {})
    script = write_torchscript(tmp_path, portable(file))
    from napari_medseg.segmenters.engines.torchscript import TorchScriptSegmenter

    image = scan(seed=2)[0]
    whole = np.zeros((2, *image.geometry.shape), np.float32)
    for piece in TorchScriptSegmenter(model=script).predict(image, device="cpu"):
        whole[(slice(None), *piece.box)] = piece.probabilities
    assert np.abs(whole - before.predict(image)).max() < 1e-3


@pytest.mark.parametrize("freeze", ["none", "encoder", "all but last"])
def test_freezing_leaves_the_encoder_or_all_but_the_last_level_alone(freeze):
    member = model().network.networks[0]
    for part in member.frozen_parts(freeze):
        part.requires_grad_(False)
    learning = {name.split(".")[1] + "." + name.split(".")[2] for name, value in member.named_parameters() if value.requires_grad}
    last = {"lift.1", "up.1", "head.weight", "head.bias"}
    expected = {"none": last | {"lift.0", "up.0", "down.0", "down.1", "down.2"}, "encoder": last | {"lift.0", "up.0"}, "all but last": last}
    assert learning == expected[freeze]
