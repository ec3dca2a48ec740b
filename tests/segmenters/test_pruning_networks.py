"""A network of fewer channels answers as the whole one does with those channels switched off."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from napari_medseg import catalogue
from napari_medseg.errors import InvalidInputError, SegmenterError
from napari_medseg.segmenters.networks.building import build
from napari_medseg.segmenters.networks.pruning.anatomy import anatomy
from napari_medseg.segmenters.networks.pruning.choosing import chosen
from napari_medseg.segmenters.networks.pruning.cutting import cut, masked, sliced
from napari_medseg.segmenters.networks.pruning.record import again
from napari_medseg.segmenters.unet import UNet
from napari_medseg.segmenters.volumetric.network import VolumetricNet
from napari_medseg.segmenters.volumetric.plan import VolumetricNetworkPlan

SAME = 1e-5


def random_keep(parts, seed=0, share=0.5):
    """About half of the units, and at least one of each layer."""
    keep = np.random.default_rng(seed).random(parts.count) < share
    for units in parts.layers:
        keep[units[:1]] = True
    return keep


def stirred(network, seed=0):
    """Every weight and statistic at random, so that no term is 0 or 1 by chance of being fresh."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            if tensor.is_floating_point():
                spread = torch.rand(tensor.shape, generator=draw)
                tensor.copy_(0.5 + spread if name.endswith("running_var") else tensor + 0.2 * (spread - 0.5))
    return network.eval()


def small_and_masked(network, window, seed=0):
    parts = anatomy(stirred(network), window)
    keep = random_keep(parts, seed)
    return parts, keep, sliced(network, parts, keep), masked(network, parts, keep)


def answers_alike(one, other, window):
    with torch.no_grad():
        a, b = one(window), other(window)
    return float((a - b).abs().max()) <= SAME * max(1.0, float(b.abs().max()))


def flops(network, window):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(window)
    return counter.get_total_flops()


class Skips(nn.Module):
    """A concatenated skip, one that is added, and a transposed convolution."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv3d(1, 8, 3, padding=1), nn.InstanceNorm3d(8), nn.LeakyReLU(inplace=True))
        self.down = nn.Sequential(nn.Conv3d(8, 12, 3, 2, 1, bias=False), nn.BatchNorm3d(12), nn.PReLU(12))
        self.deep = nn.Sequential(nn.Conv3d(12, 12, 3, padding=1), nn.BatchNorm3d(12))
        self.up = nn.ConvTranspose3d(12, 8, 2, 2)
        self.head = nn.Conv3d(16, 2, 1)

    def forward(self, x):
        a = self.first(x)
        b = self.down(a)
        b = torch.relu(b + self.deep(b))
        return self.head(torch.cat([self.up(b), a], 1))


class Gates(nn.Module):
    """An attention gate over a skip, and squeeze and excitation by linear layers."""

    def __init__(self):
        super().__init__()
        self.skip, self.below = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(1, 10, 3, 2, 1)
        self.from_skip, self.from_below, self.psi = nn.Conv2d(6, 5, 2, 2), nn.Conv2d(10, 5, 1), nn.Conv2d(5, 1, 1)
        self.squeeze = nn.Sequential(nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 6), nn.Sigmoid())
        self.head = nn.Conv2d(16, 1, 1)

    def forward(self, x):
        skip, below = self.skip(x).relu(), self.below(x).relu()
        gate = torch.sigmoid(self.psi(torch.relu(self.from_skip(skip) + self.from_below(below))))
        gate = nn.functional.interpolate(gate, size=skip.shape[2:], mode="bilinear")
        weighed = skip * self.squeeze(skip.mean((2, 3)))[:, :, None, None]
        return self.head(torch.cat([weighed * gate, nn.functional.interpolate(below, size=skip.shape[2:])], 1))


class Groups(nn.Module):
    """Depthwise and grouped convolutions, group normalisation with weights and without."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 12, 1), nn.GroupNorm(4, 12), nn.ReLU(), nn.Conv2d(12, 12, 3, padding=1, groups=12), nn.BatchNorm2d(12), nn.SiLU(), nn.Conv2d(12, 8, 1),
            nn.GroupNorm(2, 8, affine=False), nn.Conv2d(8, 16, 3, padding=1, groups=4), nn.ReLU(), nn.Conv2d(16, 8, 1), nn.ReLU(),
            nn.ConvTranspose2d(8, 8, 2, 2, groups=8), nn.AvgPool2d(2), nn.Conv2d(8, 2, 1),
        )

    def forward(self, x):
        return self.body(x)


class Tokens(nn.Module):
    """Attention over tokens, with a hidden layer between."""

    def __init__(self):
        super().__init__()
        self.cut = nn.Conv2d(1, 8, 4, 4)
        self.norm, self.attention = nn.LayerNorm(8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, x):
        maps = self.cut(x)
        tokens = self.norm(maps.flatten(2).transpose(1, 2))
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return self.head(tokens.transpose(1, 2).reshape(maps.shape))


class Shuffled(nn.Module):
    """Channels that become places, a mean over channels, and half of a tensor taken: none of them may go."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.head = nn.Conv2d(2 + 1 + 6, 1, 1)

    def forward(self, x):
        first = self.first(x).relu()
        shuffled = nn.functional.avg_pool2d(nn.functional.pixel_shuffle(self.second(first), 2), 2)
        return self.head(torch.cat([shuffled, shuffled.mean(1, keepdim=True), self.third(first[:, :4]).relu()], 1))


MADE = {"skips": (Skips, (1, 1, 8, 8, 8)), "gates": (Gates, (1, 1, 12, 12)), "groups": (Groups, (1, 1, 8, 8)), "shuffled": (Shuffled, (1, 1, 8, 8))}


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_smaller_network_answers_as_the_masked_one(kind, seed):
    made, shape = MADE[kind]
    torch.manual_seed(seed)
    network, window = made(), torch.rand(*shape)
    before = copy.deepcopy(stirred(network).state_dict())
    network = made()
    network.load_state_dict(before)
    parts = anatomy(network.eval(), window)
    keep = random_keep(parts, seed)
    small, off = sliced(network, parts, keep), masked(network, parts, keep)
    assert parts.count
    assert not keep.all()
    assert answers_alike(small, off, window)
    assert not answers_alike(small, network, window)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items()), "the whole network was touched"


@pytest.mark.parametrize("kind", MADE)
def test_work_is_counted_as_torch_counts_it(kind):
    made, shape = MADE[kind]
    network, window = made().eval(), torch.rand(*shape)
    parts = anatomy(network, window)
    keep = random_keep(parts)
    assert parts.work() == flops(network, window)
    assert parts.work(keep) == flops(sliced(network, parts, keep), window) < parts.work()


def test_what_an_addition_ties_goes_as_one():
    network = Skips()
    parts = anatomy(network, torch.rand(1, 1, 8, 8, 8))
    down, deep = parts.tensors["down.0.weight"][0], parts.tensors["deep.0.weight"][0]
    assert np.array_equal(down, deep)
    assert np.array_equal(down, parts.tensors["down.2.weight"][0])


def test_the_maps_that_are_answered_stay():
    parts = anatomy(Skips(), torch.rand(1, 1, 8, 8, 8))
    assert parts.tensors["head.weight"][0] is None


def test_a_depthwise_layer_loses_its_groups_with_its_channels():
    network = Groups()
    parts = anatomy(stirred(network), torch.rand(1, 1, 8, 8))
    keep = np.zeros(parts.count, bool)
    for units in parts.layers:
        keep[units[:1]] = True  # one unit of each layer: a whole group of its normalisation
    small = sliced(network, parts, keep)
    first, depthwise, bare, grouped = (small.body[place] for place in (1, 3, 7, 8))
    assert (first.num_groups, first.num_channels) == (1, 3)
    assert (depthwise.groups, depthwise.in_channels, depthwise.out_channels) == (3, 3, 3)
    assert (bare.num_groups, bare.num_channels) == (1, 4)
    assert (grouped.groups, grouped.in_channels, grouped.out_channels) == (2, 4, 8)


@pytest.mark.parametrize("name", ["unet2d", "volumetric"])
def test_the_products_own_networks_can_be_cut(name):
    torch.manual_seed(0)
    if name == "unet2d":
        network, window = UNet(widths=(4, 6, 8)), torch.rand(1, 1, 16, 16)
    else:
        plan = VolumetricNetworkPlan(in_channels=2, classes=3, widths=[6, 8, 10], strides=[(1, 2, 2), (2, 2, 2), (1, 2, 2)], kernels=[(1, 3, 3), (3, 3, 3)] * 2)
        network, window = VolumetricNet(plan), torch.rand(1, 2, 4, 16, 16)
    _, _, small, off = small_and_masked(network, window)
    assert answers_alike(small, off, window)


def entries():
    """One of each class of network, in the first number of dimensions it comes with."""
    known = {entry.factory: entry for entry in reversed(list(catalogue.load().of_kind("network"))) if not entry.needs()}
    return [(entry.id, entry.capabilities["dims"][0]) for entry in known.values()]


@pytest.mark.parametrize(("name", "dims"), entries())
def test_every_catalogued_network_is_cut_right_and_learns_on(name, dims):
    with torch.device("meta"):
        parameters = getattr(type(build(name, dims=dims)), "SMALL", {})
    network = build(name, in_channels=1, classes=2, dims=dims, **parameters)
    window = torch.rand(1, 1, *(max(2 * step, network.smallest, 8) for step in network.step))
    parts, keep, small, off = small_and_masked(network, window)
    assert parts.count
    assert answers_alike(small, off, window)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in network.parameters())
    opened = cut(build(name, in_channels=1, classes=2, dims=dims, **parameters), parts.shapes(keep))
    opened.load_state_dict(small.state_dict())
    assert answers_alike(opened.eval(), small, window)
    if not hasattr(network, "own_loss"):  # what finds objects learns from them, not from its maps
        opened.train()(torch.rand(2, *window.shape[1:])).sum().backward()


def test_a_record_brings_a_fresh_network_to_the_same_shape():
    network, window = Groups(), torch.rand(1, 1, 8, 8)
    parts, keep, small, _ = small_and_masked(network, window)
    fresh = cut(Groups(), parts.shapes(keep)).eval()
    fresh.load_state_dict(small.state_dict())
    assert answers_alike(fresh, small, window)


def test_a_pruned_network_can_be_pruned_again():
    network, window = Skips(), torch.rand(1, 1, 8, 8, 8)
    parts, keep, small, _ = small_and_masked(network, window)
    second = anatomy(small, window)
    less = random_keep(second, seed=5)
    smaller = sliced(small, second, less)
    fresh = cut(Skips(), again(parts.shapes(keep), second.shapes(less))).eval()
    fresh.load_state_dict(smaller.state_dict())
    assert answers_alike(fresh, smaller, window)


def test_an_empty_record_leaves_a_network_alone():
    network = Skips()
    assert cut(network, {}) is network


@pytest.mark.parametrize("record", [{"nowhere.weight": [2, 2]}, {"head.weight": [1]}, {"head.weight": [2, 99, 0, 0, 0]}, {"head.2.norm": [3]}])
def test_a_record_of_another_network_is_refused(record):
    with pytest.raises(SegmenterError, match="was pruned"):
        cut(Skips(), record)


def test_the_least_important_go_first_until_the_work_fits():
    parts = anatomy(Skips(), torch.rand(1, 1, 8, 8, 8))
    worth = np.random.default_rng(0).random(parts.count)
    (keep,) = chosen(parts, [worth], 0.6)
    assert parts.work(keep) <= 0.6 * parts.work()
    (more,) = chosen(parts, [worth], 0.8)
    assert (more | ~keep).all()
    assert worth[~keep].mean() < worth[keep].mean()


def test_networks_that_answer_together_stay_of_one_shape():
    parts = anatomy(Skips(), torch.rand(1, 1, 8, 8, 8))
    rng = np.random.default_rng(0)
    one, other = chosen(parts, [rng.random(parts.count), rng.random(parts.count) ** 2], 0.5)
    assert parts.shapes(one) == parts.shapes(other)
    assert not np.array_equal(one, other)


def test_no_layer_is_left_without_a_channel():
    parts = anatomy(Skips(), torch.rand(1, 1, 8, 8, 8))
    worth = np.arange(parts.count, dtype=float)
    least = next(share for share in np.arange(0.05, 1, 0.05) if _can(parts, worth, share))
    (keep,) = chosen(parts, [worth], least)
    assert all(keep[units].any() for units in parts.layers if len(units))


def _can(parts, worth, share):
    try:
        chosen(parts, [worth], share)
    except InvalidInputError:
        return False
    return True


def test_a_transformer_is_refused_with_a_sentence():
    network, window = Tokens(), torch.rand(1, 1, 16, 16)
    parts = anatomy(network, window)
    assert parts.count == 0
    with pytest.raises(InvalidInputError, match="cannot be brought to 50% of its work: nothing in it can be left out"):
        chosen(parts, [np.zeros(0)], 0.5, rest=flops(network, window) - parts.work())


def test_more_than_can_go_is_refused_with_what_is_possible():
    parts = anatomy(Skips(), torch.rand(1, 1, 8, 8, 8))
    with pytest.raises(InvalidInputError, match=r"cannot be brought to 1% of its work: \d+% is the least"):
        chosen(parts, [np.arange(parts.count, dtype=float)], 0.01)
