"""SegFormer: a Mix Transformer that looks at four resolutions, and a decoder of linear layers.

Xie et al., "SegFormer: simple and efficient design for semantic segmentation with transformers", NeurIPS 2021; B0 and B4 for histology by Khaled et al. (MIUA
2023), B0 against U-Net by Sourget et al. (MIUA 2023). Attention is to keys on a grid coarser by `reductions`; positions come from the 3 x 3 depth-wise
convolution between the two linear layers of a block and nowhere else. Volumes are embedded by overlapping blocks of 7 x 7 x 7 voxels, with the reductions of
Perera et al., "SegFormer3D" (CVPR workshops 2024): ours, as neither source works on volumes.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from operator import mul
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.networks.blocks import LAYERS
from napari_medseg.segmenters.networks.network import Network
from napari_medseg.segmenters.networks.windows import require_levels, resized

STRIDES = (4, 2, 2, 2)
PATCHES = (7, 3, 3, 3)
REDUCTIONS = {2: (8, 4, 2, 1), 3: (4, 2, 1, 1)}
EPSILON = 1e-6


class SegFormer(Network):
    """SegFormer with free channels, classes and dimensions; B0 unless told otherwise.

    Parameters
    ----------
    in_channels, classes, dims
        As `network.Network`.
    widths, depths, heads : one for each of the four levels
        Features, blocks and attention heads.
    reductions : one for each level, optional
        How much coarser the grid of the keys is along each axis; those of the papers by default.
    decoder : int
        Features of each level in the decoder.
    mlp : int
        How much wider a block is between its linear layers.
    dropout : float
        Share of the decoder's features that an update leaves out.

    Raises
    ------
    InvalidInputError
        When a number makes no network.
    """

    ENCODER = ("levels",)
    SMALL: ClassVar = {"widths": (16, 16, 32, 32), "depths": (1, 1, 1, 1), "heads": (1, 1, 2, 2), "decoder": 32}
    UPDATES = 120
    RATE = 1e-2

    def __init__(
        self, in_channels: int, classes: int, dims: int, widths: Sequence[int] = (32, 64, 160, 256), depths: Sequence[int] = (2, 2, 2, 2),
        heads: Sequence[int] = (1, 2, 5, 8), reductions: Sequence[int] | None = None, decoder: int = 256, mlp: int = 4, dropout: float = 0.1,
    ) -> None:
        reductions = reductions or REDUCTIONS.get(dims, REDUCTIONS[2])
        require_levels(type(self).__name__, strides=STRIDES, widths=widths, depths=depths, heads=heads, reductions=reductions)
        if any(width % count for width, count in zip(widths, heads, strict=True)) or min(decoder, mlp) < 1 or not 0 <= dropout < 1:
            what = f"no SegFormer has widths {list(widths)}, {list(heads)} heads, decoder {decoder}, mlp {mlp} and dropout {dropout}"
            raise InvalidInputError(what, where=type(self).__name__, todo="Give widths that are multiples of their heads")
        coarseness = list(accumulate(STRIDES, mul))
        super().__init__(in_channels, classes, dims, step=max(n * r for n, r in zip(coarseness, reductions, strict=True) if r > 1 or n == STRIDES[0]))
        before = (in_channels, *widths[:-1])
        self.levels = nn.ModuleList(
            _Level(before[i], widths[i], depths[i], heads[i], reductions[i], PATCHES[i], STRIDES[i], mlp, dims) for i in range(len(STRIDES))
        )
        conv, norm = LAYERS[dims].conv, LAYERS[dims].batch_norm
        self.lift = nn.ModuleList(conv(width, decoder, 1) for width in widths)
        self.fuse = nn.Sequential(conv(decoder * len(widths), decoder, 1, bias=False), norm(decoder), nn.ReLU(inplace=True), nn.Dropout(dropout))
        self.head = conv(decoder, classes, 1)
        self.apply(_draw)

    def logits(self, windows: Tensor) -> Tensor:
        """Logits of windows whose sides are multiples of `step`: found at a quarter of the resolution, read between."""
        features, seen = windows, []
        for level, lift in zip(self.levels, self.lift, strict=True):
            features = level(features)
            seen.append(lift(features))
        fused = self.fuse(torch.cat([seen[0], *(resized(one, seen[0].shape[2:]) for one in seen[1:])], 1))
        return resized(self.head(fused), windows.shape[2:])


class _Level(nn.Module):
    """Overlapping patches become places; blocks let them look at each other."""

    def __init__(self, before: int, width: int, depth: int, heads: int, reduction: int, patch: int, stride: int, mlp: int, dims: int) -> None:
        super().__init__()
        self.embed = LAYERS[dims].conv(before, width, patch, stride, patch // 2)
        self.norm_in = nn.LayerNorm(width, EPSILON)
        self.blocks = nn.ModuleList(_Block(width, heads, reduction, mlp, dims) for _ in range(depth))
        self.norm_out = nn.LayerNorm(width, EPSILON)

    def forward(self, features: Tensor) -> Tensor:
        features = self.embed(features)
        sides = features.shape[2:]
        tokens = self.norm_in(_tokens(features))
        for block in self.blocks:
            tokens = block(tokens, sides)
        return _grid(self.norm_out(tokens), sides)


class _Block(nn.Module):
    """Efficient self-attention, then a Mix-FFN, each behind a layer norm and beside a shortcut."""

    def __init__(self, width: int, heads: int, reduction: int, mlp: int, dims: int) -> None:
        super().__init__()
        conv = LAYERS[dims].conv
        self.heads = heads
        self.norm_attention, self.norm_mix = nn.LayerNorm(width, EPSILON), nn.LayerNorm(width, EPSILON)
        self.query, self.key_value, self.project = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.reduce = conv(width, width, reduction, reduction) if reduction > 1 else None
        self.norm_reduced = nn.LayerNorm(width, EPSILON) if reduction > 1 else None
        self.widen, self.narrow = nn.Linear(width, mlp * width), nn.Linear(mlp * width, width)
        self.around = conv(mlp * width, mlp * width, 3, padding=1, groups=mlp * width)

    def forward(self, tokens: Tensor, sides: torch.Size) -> Tensor:
        tokens = tokens + self._attend(self.norm_attention(tokens), sides)
        wide = _grid(self.widen(self.norm_mix(tokens)), sides)
        return tokens + self.narrow(nnf.gelu(_tokens(self.around(wide))))  # type: ignore[no-any-return]

    def _attend(self, tokens: Tensor, sides: torch.Size) -> Tensor:
        keyed = tokens
        if self.reduce is not None and self.norm_reduced is not None:
            keyed = self.norm_reduced(_tokens(self.reduce(_grid(tokens, sides))))
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query(tokens), *self.key_value(keyed).chunk(2, -1)))
        return self.project(nnf.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def _tokens(grid: Tensor) -> Tensor:
    return grid.flatten(2).transpose(1, 2)


def _grid(tokens: Tensor, sides: torch.Size) -> Tensor:
    return tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], *sides)


def _draw(module: nn.Module) -> None:
    """Weights as the authors draw them: linear layers normally with deviation 0.02, convolutions by their fan-out; biases are 0."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
    elif isinstance(module, (nn.Conv2d, nn.Conv3d)):
        nn.init.normal_(module.weight, std=math.sqrt(2 * module.groups / (math.prod(module.kernel_size) * module.out_channels)))
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
