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
    """Encoder and decoder with skips; convolutions each with instance normalisation and a leaky ReLU.

    Full resolution is left by the first, strided convolution and reached again by the last, transposed one; each level has two convolutions on each path, the
    finest `plan.at_finest`. So an update costs little more than one of the plain network this is measured against.

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
        levels = range(1, len(widths))
        self.stem = block(plan.in_channels, widths[0], kernels[1], strides[0], plan.at_finest)
        self.encoder = nn.ModuleList(block(widths[i - 1], widths[i], kernels[i + 1], strides[i], 2) for i in levels)
        self.lift = nn.ModuleList(nn.ConvTranspose3d(widths[i], widths[i - 1], strides[i], strides[i]) for i in reversed(levels))
        self.decoder = nn.ModuleList(
            block(2 * widths[i - 1], widths[i - 1], kernels[i], (1, 1, 1), 2 if i > 1 else plan.at_finest) for i in reversed(levels)
        )
        self.head = nn.ConvTranspose3d(widths[0], plan.classes, *_out(kernels[0], strides[0]))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes, z, y, x)."""
        x = self.stem(x)
        skips = [x]
        for down in self.encoder:
            x = down(x)
            skips.append(x)
        for lift, up in zip(self.lift, self.decoder, strict=True):
            skips.pop()
            x = up(torch.cat([lift(x), skips[-1]], 1))
        logits: Tensor = self.head(x)
        return logits

    def expect(self, share: Sequence[float]) -> None:
        """Begin with each class as likely as it is: maps start at the log-odds of these shares."""
        with torch.no_grad():
            known = torch.tensor(share).clamp(1e-4, 0.9)
            self.head.bias.copy_((known / (1 - known.sum()).clamp(min=0.05)).log())  # type: ignore[union-attr]

    def frozen_parts(self, freeze: str) -> list[nn.Module]:
        """The modules that "none", "encoder" or "all but last" leaves alone; the last block is the decoder's last, with the head."""
        encoder: list[nn.Module] = [self.stem, *self.encoder]
        rest: list[nn.Module] = [*self.lift, *self.decoder[:-1]]
        return {"none": [], "encoder": encoder, "all but last": encoder + rest}[freeze]


def block(before: int, after: int, kernel: Triple, stride: Triple, count: int) -> nn.Sequential:
    """Convolutions, the first strided, each with instance normalisation and a leaky ReLU."""
    parts: list[nn.Module] = []
    for index in range(count):
        first = index == 0
        wide = tuple(max(k, 3 if s > 1 else 1) for k, s in zip(kernel, stride if first else (1, 1, 1), strict=True))
        padding = tuple((k - 1) // 2 for k in wide)
        parts += [
            nn.Conv3d(before if first else after, after, wide, stride if first else 1, padding, bias=False),  # type: ignore[arg-type]
            nn.InstanceNorm3d(after, affine=True), nn.LeakyReLU(0.01, inplace=True),
        ]
    return nn.Sequential(*parts)


def _out(kernel: Triple, stride: Triple) -> tuple[Triple, Triple, Triple]:
    """Kernel, stride and padding that undo a stride; neighbouring windows overlap, so that no grid of seams is seen."""
    wide = tuple(2 * s if s > 1 else k for k, s in zip(kernel, stride, strict=True))
    return wide, stride, tuple((w - s) // 2 for w, s in zip(wide, stride, strict=True))  # type: ignore[return-value]


def new_network(plan: VolumetricNetworkPlan, share: Sequence[float], seed: int) -> VolumetricNet:
    """A network with weights drawn by a seed; torch's own draws are left as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = VolumetricNet(plan)
    network.expect(share)
    return network
