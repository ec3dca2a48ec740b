"""The promptable network: a residual 3D U-Net that works on eighths of the window's voxels and answers at full resolution.

Every 2 x 2 x 2 voxels of the input become one place with eight times the channels, so that nothing is lost and the costly full grid is never convolved;
the last layer answers for the eight voxels of its place at once (Shi et al., "Real-time single image super-resolution using an efficient sub-pixel
convolutional neural network", CVPR 2016, taken to 3D). Blocks are group norm - convolution - SiLU - convolution with a shortcut.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_medseg.errors import InvalidInputError

WIDTHS = (24, 48, 96)
SIDE = 2  # voxels of a place along each axis
GROUPS = 4


class PromptableNet(nn.Module):
    """A window's channels in, one logit a voxel out.

    Parameters
    ----------
    in_channels : int
        Of `encode.CHANNELS`.
    widths : sequence of int
        Feature maps at half, quarter, eighth ... resolution; multiples of 4.

    Raises
    ------
    InvalidInputError
        When a number makes no network.
    """

    def __init__(self, in_channels: int, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        if in_channels < 1 or len(widths) < 2 or min(widths) < GROUPS or any(width % GROUPS for width in widths):
            raise InvalidInputError(f"no promptable network has {in_channels} channels and widths {tuple(widths)}", where="network")
        self.in_channels, self.widths = in_channels, tuple(widths)
        self.stem = nn.Conv3d(in_channels * SIDE**3, widths[0], 1)
        self.left = nn.ModuleList(nn.Sequential(*(_Block(width) for _ in range(1 if level == 0 else 2))) for level, width in enumerate(widths))
        self.down = nn.ModuleList(nn.Conv3d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(nn.Conv3d(b, a, 1) for a, b in pairwise(widths))
        self.right = nn.ModuleList(_Block(width) for width in widths[:-1])
        self.again = nn.Conv3d(in_channels * SIDE**3, widths[0], 1)
        self.head = nn.Conv3d(widths[0], SIDE**3, 1)

    @property
    def multiple(self) -> int:
        """A window's sides must be multiples of this."""
        return int(SIDE * 2 ** (len(self.widths) - 1))

    def forward(self, channels: Tensor) -> Tensor:
        """Logits (n, z, y, x) of channels (n, c, z, y, x)."""
        packed = _pack(channels)
        features = self.stem(packed)
        skips = []
        for level, blocks in enumerate(self.left):
            features = blocks(features)
            if level < len(self.down):
                skips.append(features)
                features = self.down[level](features)
        for level in reversed(range(len(self.down))):
            wider = functional.interpolate(self.up[level](features), scale_factor=2, mode="nearest")
            features = self.right[level](wider + skips[level])
        features = functional.silu(features + self.again(packed))
        return _unpack(self.head(features))


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, width)
        self.first = nn.Conv3d(width, width, 3, padding=1)
        self.second = nn.Conv3d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(functional.silu(self.first(self.norm(features))))  # type: ignore[no-any-return]


def _pack(channels: Tensor) -> Tensor:
    n, c, z, y, x = channels.shape
    places = channels.reshape(n, c, z // SIDE, SIDE, y // SIDE, SIDE, x // SIDE, SIDE)
    packed = places.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(n, c * SIDE**3, z // SIDE, y // SIDE, x // SIDE)
    return packed.contiguous(memory_format=torch.channels_last_3d)


def _unpack(eighths: Tensor) -> Tensor:
    n, _, z, y, x = eighths.shape
    voxels = eighths.reshape(n, SIDE, SIDE, SIDE, z, y, x).permute(0, 4, 1, 5, 2, 6, 3)
    return voxels.reshape(n, z * SIDE, y * SIDE, x * SIDE)
