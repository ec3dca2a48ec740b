"""The network of the paper, layer for layer."""

import pytest
import torch
from torch import nn

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.unet import UNet


def test_it_answers_every_pixel_with_logits():
    torch.manual_seed(0)
    with torch.inference_mode():
        answer = UNet(in_channels=2, classes=3).eval()(torch.rand(2, 2, 128, 128))
    assert answer.shape == (2, 3, 128, 128)
    assert answer.min() < 0


def test_a_block_is_convolution_relu_norm_dropout_and_again():
    kinds = [nn.Conv2d, nn.ReLU, nn.BatchNorm2d, nn.Dropout, nn.Conv2d, nn.ReLU, nn.BatchNorm2d]
    network = UNet()
    for block in [*network.down, *network.merge]:
        assert [type(layer) for layer in block] == kinds
        assert block[3].p == 0.2
    assert (len(network.down), len(network.up), len(network.merge)) == (5, 4, 4)
    assert [up.stride for up in network.up] == [(2, 2)] * 4
    assert network.head.kernel_size == (1, 1)


def test_it_is_as_large_as_planned():
    assert 4.3e6 < sum(p.numel() * 4 for p in UNet().parameters()) < 4.5e6


def test_sizes_must_be_multiples_of_sixteen():
    assert UNet().multiple == 16
    with torch.inference_mode():
        assert UNet().eval()(torch.rand(1, 1, 48, 80)).shape == (1, 1, 48, 80)


def test_every_weight_learns():
    network = UNet(widths=(2, 3, 4))
    network(torch.rand(2, 1, 16, 16)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters() if p.ndim > 1)


@pytest.mark.parametrize("wrong", [{"classes": 0}, {"in_channels": 0}, {"widths": (4,)}, {"widths": (4, 0)}, {"dropout": 1.0}])
def test_impossible_networks_are_refused(wrong):
    with pytest.raises(InvalidInputError, match="no U-Net has"):
        UNet(**wrong)
