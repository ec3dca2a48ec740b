"""Layers by the number of dimensions, which several architectures share.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn


class Layers(NamedTuple):
    """The classes of torch for one number of dimensions, and how it interpolates linearly."""

    conv: type[nn.Module]
    lift: type[nn.Module]
    batch_norm: type[nn.Module]
    pool: type[nn.Module]
    dropout: type[nn.Module]
    linear: str


LAYERS = {
    2: Layers(nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.MaxPool2d, nn.Dropout2d, "bilinear"),
    3: Layers(nn.Conv3d, nn.ConvTranspose3d, nn.BatchNorm3d, nn.MaxPool3d, nn.Dropout3d, "trilinear"),
}


def begin(*parts: nn.Module) -> None:
    """Start convolutions that a ReLU follows as He et al. (ICCV 2015) do, so that signals keep their size through many layers; biases at 0."""
    for part in parts:
        for layer in part.modules():
            if isinstance(layer, (nn.Conv2d, nn.Conv3d)):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


def convolved(
    dims: int, before: int, after: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1, groups: int = 1, then: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    """Convolution onto a grid `stride` times coarser, batch normalisation, and what makes it bend."""
    layers = LAYERS[dims]
    conv = layers.conv(before, after, kernel, stride, dilation * (kernel - 1) // 2, dilation, groups, bias=False)
    return nn.Sequential(conv, layers.batch_norm(after), *([then(inplace=True)] if then else []))
