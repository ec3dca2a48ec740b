"""What architectures do with windows of two and of three dimensions: features on another grid, windows made longer, numbers of levels that fit.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as nnf

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.networks.blocks import LAYERS


def resized(features: Tensor, sides: Sequence[int] | torch.Size) -> Tensor:
    """Features (n, c, [z,] y, x) on a grid of these sides over the same field, linearly."""
    return nnf.interpolate(features, size=tuple(sides), mode=LAYERS[features.ndim - 2].linear, align_corners=False)


def two_places(windows: Tensor, step: Sequence[int]) -> Tensor:
    """Windows (n, channels, [z,] y, x) that are one step long along every axis, made two long along x by repeating their edge; others as they are.

    A norm over places (instance norm; batch norm of a batch of one) has nothing to normalise on a coarsest grid of a single place.
    """
    if all(n == s for n, s in zip(windows.shape[2:], step, strict=True)):
        return nnf.pad(windows, [0, step[-1], *[0] * (2 * len(step) - 2)], mode="replicate")
    return windows


def require_levels(where: str, **of: Sequence[int]) -> None:
    """Refuse numbers of levels that do not come one for each level, or are not 1 or more.

    Raises
    ------
    InvalidInputError
        Names the two that differ, or the one that is too small.
    """
    name, first = next(iter(of.items()))
    for other, values in of.items():
        if len(values) != len(first):
            raise InvalidInputError(f"{len(first)} {name} and {len(values)} {other} do not fit", where=where, todo="Give one of each for every level")
        if not values or min(values) < 1:
            raise InvalidInputError(f"{other} are {list(values)}", where=where, todo="Give 1 or more for every level")
