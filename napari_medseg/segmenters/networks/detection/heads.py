"""Heads that look at one region at a time.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf


class Maxout(nn.Module):
    """A fully connected layer that answers with the largest of several pieces (Goodfellow et al., ICML 2013)."""

    def __init__(self, before: int, after: int, pieces: int = 2) -> None:
        super().__init__()
        self.pieces = pieces
        self.linear = nn.Linear(before, after * pieces)

    def forward(self, x: Tensor) -> Tensor:
        """(n, after)."""
        found: Tensor = self.linear(x).unflatten(1, (-1, self.pieces)).amax(-1)
        return found


class ClassAndBox(nn.Module):
    """Class, the background among them, and a refined box for each class: two fully connected layers, then one for each answer.

    Parameters
    ----------
    features : int
        Channels of a region.
    size : int
        Its side, in bins.
    hidden : int
        Width of the layers between; 1024 as published.
    classes : int
        Without the background.
    maxout : bool
        Whether the last layers are `Maxout`.
    """

    def __init__(self, features: int, size: int, hidden: int, classes: int, *, maxout: bool = False) -> None:
        super().__init__()
        last = Maxout if maxout else nn.Linear
        self.first = nn.Linear(features * size * size, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.classes = last(hidden, classes + 1)
        self.codes = last(hidden, 4 * classes)

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (r, classes + 1) and codes (r, classes, 4)."""
        x = nnf.relu(self.second(nnf.relu(self.first(regions.flatten(1)))))
        return self.classes(x).float(), self.codes(x).unflatten(1, (-1, 4)).float()


class Masks(nn.Module):
    """A mask for each class at twice the region's size: four 3x3 convolutions, a transposed one, a 1x1 one (He et al. 2017).

    Parameters
    ----------
    before, features : int
        Channels of a region, and between.
    classes : int
    """

    def __init__(self, before: int, features: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*(
            part for index in range(4) for part in (nn.Conv2d(features if index else before, features, 3, padding=1), nn.ReLU())
        ))
        self.lift = nn.ConvTranspose2d(features, features, 2, 2)
        self.answer = nn.Conv2d(features, classes, 1)

    def forward(self, regions: Tensor, labels: Tensor) -> Tensor:
        """Logits (r, 2 size, 2 size) of the mask of each region's class, from 1."""
        maps = self.answer(nnf.relu(self.lift(self.body(regions))))
        mine: Tensor = maps[torch.arange(len(maps), device=maps.device), labels - 1]
        return mine.float()


class Boundary(nn.Module):
    """Boundary points of a region: two convolutions (100, 500 filters as published) and four fully connected layers of 1024, the last one maxout.

    Parameters
    ----------
    features, size : int
        Channels and side of a region.
    filters : two of int
    hidden : int
    points : int
    """

    def __init__(self, features: int, size: int, filters: tuple[int, int], hidden: int, points: int) -> None:
        super().__init__()
        first, second = filters
        self.body = nn.Sequential(
            nn.Conv2d(features, first, 3, padding=1, bias=False), nn.GroupNorm(1, first), nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1, bias=False), nn.GroupNorm(1, second), nn.ReLU(),
        )
        after = -(-size // 2)
        widths = (second * after * after, hidden, hidden, hidden)
        self.layers = nn.Sequential(*(part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())))
        self.answer = Maxout(hidden, 2 * points)

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Points (r, p, 2) from -1 to 1 over the region, and what they were read from (r, hidden): the latent space."""
        latent = self.layers(self.body(regions).flatten(1))
        return self.answer(latent).unflatten(1, (-1, 2)).float(), latent.float()
