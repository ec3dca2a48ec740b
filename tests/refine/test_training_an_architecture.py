"""Networks of the catalogue in the rounds: settings, updates, resuming, freezing, bases, and the product's own recipe left as it was."""

from __future__ import annotations

import copy

import numpy as np
import psutil
import pytest
import torch
from torch import nn

from napari_medseg.errors import CatalogueError, InvalidInputError
from napari_medseg.refine.cases import Case
from napari_medseg.refine.medseg.augment import Strength, vary
from napari_medseg.refine.medseg.data import patch, prepared
from napari_medseg.refine.medseg.learner import SLICES, Learner
from napari_medseg.refine.medseg.losses import compound
from napari_medseg.refine.medseg.recipe import medseg, network
from napari_medseg.refine.medseg.steady import follow, let_lone_values_pass
from napari_medseg.refine.method import Example
from napari_medseg.segmenters.networks.building import build
from napari_medseg.segmenters.networks.hmr_net import HMRNet
from napari_medseg.segmenters.networks.modality_mask_rcnn import ModalityMaskRCNN
from napari_medseg.segmenters.networks.probing import learning_bytes
from napari_medseg.segmenters.volumetric import load_volumetric
from napari_medseg.segmenters.volumetric.fingerprint import fingerprint
from napari_medseg.segmenters.volumetric.members import described, new_member
from napari_medseg.segmenters.volumetric.plan import planned, planned_for
from napari_medseg.volume import Geometry, Volume

UNET = {"widths": [4, 6]}
TINY = {"widths": [8, 16, 16, 16], "depths": [1, 1, 1, 1], "heads": [1, 2, 2, 2], "decoder": 8}
STRONG = Strength(2.0, 0.26, 0.15, 0.07, 3.0)


def example(seed=0, values=(1,), shape=(8, 16, 14), channels=1):
    rng = np.random.default_rng(seed)
    image = rng.normal(100, 10, (channels, *shape)).astype(np.float32)
    labels = np.zeros(shape, np.uint8)
    for place, value in enumerate(values):
        box = (slice(2, -2), slice(3 + place * 5, 7 + place * 5), slice(3, 11))
        labels[box] = value
        image[(slice(None), *box)] += 60 * (place + 1)
    return Example(f"c{seed}", f"p{seed}", Volume(image[0] if channels == 1 else image, Geometry(shape), f"s{seed}", "MR"), labels, np.ones(shape, np.uint8))


def planned_with(some, name="unet-lite", dims=3, values=(1,), **parameters):
    facts = fingerprint(((one.image, one.labels) for one in some), values)
    plan = described(name, in_channels=len(facts.channels), classes=len(values), dims=dims, axis=0, parameters=parameters or UNET)
    return planned_for(plan, facts, list(values))


def learner(recipe, *, dims=3, name="unet-lite", freeze="none", seed=0, **parameters):
    some = [example(k) for k in range(3)]
    plan = planned_with(some, name, dims, **parameters)
    member = new_member(plan.network, plan.fingerprint.share, seed)
    return Learner(member, list(prepared(some, plan)), plan, recipe, STRONG, total=20, seed=seed, device="cpu", freeze=freeze)


def learnt(method, some, values=(1,), **options):
    ticks = list(method.learn(some, values, number=1, seed=0, device="cpu", **{"base": None, **options}))
    return ticks[-1].learned


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True))


def test_with_nothing_set_the_recipe_makes_the_very_updates_it_always_made():
    some = [example(k) for k in range(3)]
    plan = planned(fingerprint(((one.image, one.labels) for one in some), (1,)), [1])
    cases, recipe = list(prepared(some, plan)), medseg()
    member = new_member(plan.network, plan.fingerprint.share, 5)
    plain, mean = copy.deepcopy(member), copy.deepcopy(member)
    ours = Learner(member, cases, plan, recipe, STRONG, total=20, seed=7, device="cpu")
    generator, order = torch.Generator().manual_seed(7), []
    optimiser = torch.optim.AdamW(plain.parameters(), recipe.learning_rate, weight_decay=1e-4, fused=True)
    for done in range(4):  # as the first version of the recipe wrote it
        rate = ours.rate
        ours.update()
        while len(order) < 2:
            order += torch.randperm(3, generator=generator).tolist()
        chosen, order = order[:2], order[2:]
        images, targets, weights = (torch.stack(part) for part in zip(*[patch(cases[i], plan, STRONG, generator) for i in chosen], strict=True))
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss = compound(plain.train()(vary(images, generator)), targets, weights)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 5.0)
        optimiser.step()
        share = min(recipe.decay, (2 + done) / (11 + done))
        with torch.no_grad():
            for kept, new in zip(mean.parameters(), plain.parameters(), strict=True):
                kept.lerp_(new, 1 - share)
    assert same(ours.network, plain)
    assert same(ours.mean, mean)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_round_with_a_catalogued_network_learns_and_proposes(dims):
    some = [example(k) for k in range(3)]
    recipe = network(network="unet-lite", dims=dims, parameters=UNET, loss="ce + 0.5*dice", updates=3)
    found = learnt(recipe.method(), some)
    assert found.updates == 3
    assert np.isfinite(found.loss)
    assert set(found.proposals) == {"c0", "c1", "c2"}
    assert found.model.plan["network"]["name"] == "unet-lite"
    assert found.model.plan["network"]["members"] == 1
    assert (found.model.plan["patch"][0] == 1) == (dims == 2)


def test_a_catalogued_network_can_be_cross_fitted_as_the_recipes_own_is():
    found = learnt(medseg(network="unet-lite", parameters=UNET, updates=4).method(), [example(k) for k in range(4)])
    assert found.model.plan["network"]["members"] == 2


def test_an_update_of_a_network_of_slices_looks_at_as_many_slices_as_eight_times_the_batch():
    ours = learner(medseg(batch=1), dims=2)
    images, targets, weights = ours._batch()
    assert images.shape[:3] == targets.shape[:3] == weights.shape[:3] == (SLICES, 1, 1)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_training_with_dropout_and_batch_normalisation_goes_on_bit_for_bit(dims):
    recipe = network(loss="ce + dice", mixup=0.4, degrade=0.3)
    straight = learner(recipe, dims=dims, name="segformer-b0", **TINY)
    for _ in range(2):
        straight.update()
    tensors, facts = straight.state()
    kept = {name: value.clone() for name, value in tensors.items()}
    torch.rand(3)  # what else draws in the process
    straight.update()
    torch.rand(5)
    resumed = learner(recipe, dims=dims, name="segformer-b0", **TINY)
    resumed.restore(kept, facts)
    resumed.update()
    assert same(straight.network, resumed.network)
    assert same(straight.mean, resumed.mean)


def test_an_update_leaves_torchs_own_draws_alone():
    ours = learner(medseg())
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    ours.update()
    assert torch.equal(torch.rand(2), expected)


def test_the_mean_of_the_weights_has_statistics_that_belong_to_it_and_whole_counts():
    new = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 1))
    mean = copy.deepcopy(new).eval()
    optimiser = torch.optim.SGD(new.parameters(), 0.05)
    generator = torch.Generator().manual_seed(0)
    windows = torch.randn((64, 1, 12, 12), generator=generator) * 3 + 2
    for step in range(120):
        optimiser.zero_grad()
        new(windows[(step * 8) % 64 : (step * 8) % 64 + 8]).square().mean().backward()
        optimiser.step()
        with torch.no_grad():
            follow(mean, new, 0.1)
    assert mean[1].num_batches_tracked == new[1].num_batches_tracked == 120
    with torch.no_grad():
        seen = mean[0](windows)
    torch.testing.assert_close(mean[1].running_mean, seen.mean((0, 2, 3)), rtol=0.1, atol=0.1)
    torch.testing.assert_close(mean[1].running_var, seen.var((0, 2, 3)), rtol=0.2, atol=0.1)


def test_batch_normalisation_of_a_single_value_uses_what_it_knows_until_there_are_more():
    layers = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3))
    with pytest.raises(ValueError, match="more than 1 value"):
        layers.train()(torch.ones(1, 3, 4, 4))
    layers[1].reset_running_stats()
    let_lone_values_pass(layers)
    answer = layers.train()(torch.ones(1, 3, 4, 4, requires_grad=True))
    answer.sum().backward()
    assert layers[1].num_batches_tracked == 0
    layers.train()(torch.rand(2, 3, 4, 4))
    assert layers[1].num_batches_tracked == 1


def test_a_frozen_encoder_keeps_its_weights_and_its_statistics():
    ours = learner(medseg(), dims=2, name="efficientnet-b3", freeze="encoder", width=0.25, depth=0.3, decoder=[8, 8, 8, 8, 8])
    before = copy.deepcopy(ours.network)
    ours.update()
    encoder = {f"network.{name}" for name, _ in ours.network.network.encoder()}
    stays = {name for name, value in ours.network.state_dict().items() if torch.equal(value, before.state_dict()[name])}
    assert encoder <= stays
    assert {name for name in stays if "running" in name} >= {name for name in before.state_dict() if "running" in name and in_encoder(ours, name)}
    assert not {name for name, _ in ours.network.named_parameters()} <= stays


def in_encoder(ours, name):
    return any(name.startswith(f"network.{part}.") for part in ours.network.network.ENCODER)


def test_a_model_is_gone_on_from_and_a_base_of_another_network_or_other_parameters_is_refused(tmp_path):
    some = [example(k, (1, 2)) for k in range(2)]
    first = learnt(network(network="unet-lite", parameters=UNET, updates=1).method(), some, (1,))
    file = first.model.save(tmp_path, {})
    more = learnt(network(updates=1).method(), some, (1, 2), base=file)
    assert more.model.plan["network"]["name"] == "unet-lite"
    assert more.model.plan["network"]["classes"] == 2
    assert more.model.plan["network"]["parameters"] == UNET
    for wrong, said in (
        ({"network": "unet-lite", "dims": 2}, "holds a network 'unet-lite' with 3 dimensions"), ({"network": "unet-sourget"}, "'unet-sourget' with 3"),
        ({"network": "unet-lite", "parameters": {"widths": [4, 8]}}, "made with other parameters"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            network(**wrong).method().base_model(file, [1], "cpu")
    own = learnt(medseg(updates=1, folds=1).method(), some, (1,)).model.save(tmp_path / "own", {})
    with pytest.raises(InvalidInputError, match="holds the recipe's own network"):
        network(network="unet-lite").method().base_model(own, [1], "cpu")
    with pytest.raises(InvalidInputError, match="takes 1 channel, but the scans have 3"):
        network().method().base_model(file, [1], "cpu", channels=3)


def test_a_network_held_near_its_base_moves_less(tmp_path):
    some = [example(k) for k in range(2)]
    base = learnt(network(network="unet-lite", parameters=UNET, updates=1).method(), some).model.save(tmp_path, {})
    far = []
    for strength in (0.0, 100.0):
        found = learnt(network(proximal=strength, updates=6).method(), some, base=base).model.network.networks[0]
        start = load_volumetric(base, "cpu").network.networks[0]
        far.append(sum(float((a - b).detach().square().sum()) for a, b in zip(found.parameters(), start.parameters(), strict=True)))
    assert far[1] < 0.5 * far[0]
    with pytest.raises(InvalidInputError, match="no base to stay close to"):
        learnt(network(network="unet-lite", parameters=UNET, proximal=0.1, updates=1).method(), some)


@pytest.mark.parametrize(("wrong", "error", "said"), [
    ({"network": "no-such"}, CatalogueError, "there is no network 'no-such'"),
    ({"network": "dice"}, CatalogueError, "there is no network 'dice'"),
    ({"network": "super-image", "dims": 2}, InvalidInputError, "does not come with 2 dimensions"),
    ({"network": "unet-lite", "dims": 4}, InvalidInputError, "no network has 4 dimensions"),
    ({"network": "unet-lite", "parameters": {"factory": {"a": 1}}}, InvalidInputError, "neither a number"),
    ({"network": "unet-lite", "parameters": "widths"}, InvalidInputError, "parameters cannot be 'widths'"),
    ({"dims": 2}, InvalidInputError, "none is named"),
    ({"loss": "dice + nonsense"}, CatalogueError, "there is no loss 'nonsense'"),
    ({"loss": "dice +"}, InvalidInputError, "ends where a loss should follow"),
    ({"loss": "boundary"}, InvalidInputError, "boundary cannot teach a network without another loss beside"),
    ({"loss": "0.5*hausdorff + boundary"}, InvalidInputError, "hausdorff and boundary cannot teach"),
    ({"loss": "ce + tversky(alpha=-1)"}, InvalidInputError, "alpha, beta must be 0 or more"),
    ({"loss": "focal(gamma=[1, 2])"}, InvalidInputError, "one number where several belong"),
    ({"loss": "ce + boundary(spacing=[1, 1])"}, InvalidInputError, "spacing holds 2 numbers, and the network sees 3 axes"),
    ({"network": "hmr-net", "dims": 2, "loss": "ce + dice"}, InvalidInputError, "learns from a loss of its own"),
    ({"mixup": -1.0}, InvalidInputError, "mixup between"),
    ({"proximal": -0.1}, InvalidInputError, "proximal must lie"),
])
def test_settings_that_make_no_sense_are_refused_before_anything_starts(wrong, error, said):
    with pytest.raises(error, match=said):
        medseg(**wrong)


def test_parameters_that_the_network_does_not_know_are_refused_when_it_is_made():
    with pytest.raises(InvalidInputError, match=r"unexpected keyword argument 'depth'.*It has widths"):
        learnt(network(network="unet-lite", parameters={"depth": 3}).method(), [example()])


def test_the_memory_of_an_update_is_counted_without_taking_it_and_grows_with_window_batch_and_network():
    case = Case("c", example(shape=(64, 64, 64)).image, example(shape=(64, 64, 64)).labels)
    before = psutil.Process().memory_info().rss
    small = network(network="unet-lite", parameters={"widths": [4, 8]}).method().memory([case], 1, "cpu")
    large = network(network="unet-lite", parameters={"widths": [32, 64]}).method().memory([case], 1, "cpu")
    more = network(network="unet-lite", parameters={"widths": [4, 8]}, batch=4).method().memory([case], 1, "cpu")
    assert small[1] * 4 < large[1]
    assert small[1] < more[1] <= 2 * small[1]
    assert psutil.Process().memory_info().rss - before < 0.5 * large[1]


def test_what_an_update_keeps_is_counted_as_it_is():
    layers = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 1, 1))
    kept, weights = learning_bytes(layers, (1, 8, 8, 8))
    voxels = 8**3 * 4
    assert kept == voxels * (1 + 4 + 1)  # the window, what the ReLU gave (which is what the last layer saw), the answer
    assert weights == 5 * 4 * sum(value.numel() for value in layers.parameters())


@pytest.mark.parametrize(("name", "small"), [("hmr-net", HMRNet.SMALL), ("mask-rcnn-invariant", ModalityMaskRCNN.SMALL)])
def test_what_an_update_of_a_network_that_finds_objects_keeps_is_that_of_its_loss(name, small):
    """Its answer alone is made without gradients: of a window of 96 x 96 that kept nothing but the answer."""
    network = build(name, dims=2, **small)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    kept, _ = learning_bytes(network, (1, 96, 96))
    assert kept > 10 * 96 * 96 * 4
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
