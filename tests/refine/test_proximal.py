"""The term that keeps a training close to its base."""

import pytest
import torch
from torch import nn

from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.freezing import Frozen
from napari_medseg.refine.proximal import Proximal


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 1, 1))


def drift(module, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in module.parameters():
            value += torch.randn(value.shape, generator=generator)


def test_it_is_half_mu_times_the_squared_way_from_the_base():
    net = network()
    base = [value.detach().clone() for value in net.parameters()]
    near = Proximal(net, 0.1)
    assert float(near().detach()) == 0
    drift(net, 1)
    away = sum(float((now - then).detach().square().sum()) for now, then in zip(net.parameters(), base, strict=True))
    assert float(near().detach()) == pytest.approx(0.05 * away)
    near().backward()
    for now, then in zip(net.parameters(), base, strict=True):
        assert torch.allclose(now.grad, 0.1 * (now - then).detach())


def test_following_it_alone_leads_back_to_the_base():
    net = network()
    base = [value.detach().clone() for value in net.parameters()]
    near = Proximal(net, 1.0)
    drift(net, 2)
    for _ in range(40):
        gradients = torch.autograd.grad(near(), list(net.parameters()))
        with torch.no_grad():
            for value, gradient in zip(net.parameters(), gradients, strict=True):
                value -= 0.5 * gradient
    assert all(torch.allclose(now, then, atol=1e-5) for now, then in zip(net.parameters(), base, strict=True))


def test_frozen_parts_and_what_the_base_does_not_have_are_left_out():
    net = network()
    Frozen(net, [net[0]])
    near = Proximal(net, 1.0, without=("2",))
    with torch.no_grad():
        net[0].weight += 1
        net[2].weight += 1
    assert float(near().detach()) == 0
    with torch.no_grad():
        net[1].weight += 1
    assert float(near().detach()) == pytest.approx(1.5)


def test_without_a_strength_nothing_is_kept_and_nothing_is_added():
    net = network()
    near = Proximal(net, 0.0)
    drift(net, 3)
    assert float(near()) == 0


@pytest.mark.parametrize("mu", [-0.1, float("nan"), float("inf")])
def test_a_strength_that_makes_no_sense_is_refused(mu):
    with pytest.raises(InvalidInputError, match="proximal"):
        Proximal(network(), mu)
