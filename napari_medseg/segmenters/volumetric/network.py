"""A U-Net for patches of a volume: little work at full resolution, so that it learns on a processor too.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from napari_medseg.segmenters.volumetric.plan import VolumetricNetworkPlan

Triple = tuple[int, int, int]


class VolumetricNet(nn.Module):
    """Encoder and decoder with skips; blocks of two convolutions, each with instance normalisation and a leaky ReLU.

    The first level, at full resolution, is one step down and one step up only: a strided convolution in; on the way out a transposed one whose maps a
    3x3x3 convolution combines with the scan itself, which brings the edges back.

    Parameters
    ----------
    plan : VolumetricNetworkPlan

    Notes
    -----
    Takes (n, channels, z, y, x) with sides that are multiples of `plan.step`; gives (n, classes, z, y, x) logits against a background of 0: the probability
    of class c is exp(l_c) / (1 + sum of exp(l)).
    """

    def __init__(self, plan: VolumetricNetworkPlan) -> None:
        super().__init__()
        self.plan = plan
        widths, strides, kernels = plan.widths, plan.strides, plan.kernels
        self.stem = _conv(plan.in_channels, widths[1], kernels[0], strides[0])
        self.encoder = nn.ModuleList(
            Block(widths[max(i - 1, 1)], widths[i], kernels[i], (1, 1, 1) if i == 1 else strides[i - 1]) for i in range(1, len(widths))
        )
        deep = list(range(len(widths) - 1, 1, -1))
        self.lift = nn.ModuleList(nn.ConvTranspose3d(widths[i], widths[i - 1], strides[i - 1], strides[i - 1]) for i in deep)
        self.decoder = nn.ModuleList(Block(2 * widths[i - 1], widths[i - 1], kernels[i - 1]) for i in deep)
        self.out = nn.ConvTranspose3d(widths[1], widths[0] // 2, strides[0], strides[0])
        self.edges = nn.Sequential(
            _conv(widths[0] // 2 + plan.in_channels, widths[0] // 2, kernels[0], (1, 1, 1), bias=True), nn.LeakyReLU(0.01, inplace=True),
        )
        self.head = nn.Conv3d(widths[0] // 2, plan.classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes, z, y, x)."""
        scan, skips = x, []
        x = self.stem(x)
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        for lift, block in zip(self.lift, self.decoder, strict=True):
            skips.pop()
            x = block(torch.cat([lift(x), skips[-1]], 1))
        x = self.out(x)
        logits: Tensor = self.head(self.edges(torch.cat([x, scan.to(x.dtype)], 1)))
        return logits

    def expect(self, share: Sequence[float]) -> None:
        """Begin with each class as likely as it is: maps start at the log-odds of these shares."""
        with torch.no_grad():
            known = torch.tensor(share).clamp(1e-4, 0.9)
            self.head.bias.copy_((known / (1 - known.sum()).clamp(min=0.05)).log())  # type: ignore[union-attr]

    def frozen_parts(self, freeze: str) -> list[nn.Module]:
        """The modules that "none", "encoder" or "all but last" leaves alone; the last block is all that works at full resolution."""
        encoder: list[nn.Module] = [self.stem, *self.encoder]
        rest: list[nn.Module] = [*self.lift, *self.decoder]
        return {"none": [], "encoder": encoder, "all but last": encoder + rest}[freeze]


class Block(nn.Sequential):
    """Twice: convolution, instance normalisation, leaky ReLU."""

    def __init__(self, before: int, after: int, kernel: Triple, stride: Triple = (1, 1, 1)) -> None:
        super().__init__(
            _conv(before, after, kernel, stride, bias=False), nn.InstanceNorm3d(after, affine=True), nn.LeakyReLU(0.01, inplace=True),
            _conv(after, after, kernel, (1, 1, 1), bias=False), nn.InstanceNorm3d(after, affine=True), nn.LeakyReLU(0.01, inplace=True),
        )


def _conv(before: int, after: int, kernel: Triple, stride: Triple, *, bias: bool = True) -> nn.Conv3d:
    wide: Triple = tuple(max(k, s) for k, s in zip(kernel, stride, strict=True))  # type: ignore[assignment]
    padding: Triple = tuple((k - 1) // 2 for k in wide)  # type: ignore[assignment]
    return nn.Conv3d(before, after, wide, stride, padding, bias=bias)


def new_network(plan: VolumetricNetworkPlan, share: Sequence[float], seed: int) -> VolumetricNet:
    """A network with weights drawn by a seed; torch's own draws are left as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = VolumetricNet(plan)
    network.expect(share)
    return network
