"""Boxes on a slice: overlap, coding against a reference, and which of many that tell the same remain.

A box is (y0, x0, y1, x1) in pixels of the slice, edges and not centres: pixel i reaches from i to i + 1, so a box around pixels 3 to 7 is (3, ..., 8, ...).

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LONGEST = math.log(1000 / 16)  # of a coded side: what is coded longer is held to be a slip


def area(boxes: Tensor) -> Tensor:
    """Areas (n,) of boxes (n, 4); 0 where a box is turned inside out."""
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0)
    return sides[:, 0] * sides[:, 1]


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union (n, m) of boxes (n, 4) and (m, 4); 0 of boxes without area."""
    low, high = torch.maximum(a[:, None, :2], b[None, :, :2]), torch.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = (high - low).clamp(min=0)
    both = sides[..., 0] * sides[..., 1]
    either = area(a)[:, None] + area(b)[None] - both
    return both / either.clamp(min=1e-6)


def clipped(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (n, 4) cut at the edges of a slice (rows, columns)."""
    edge = boxes.new_tensor([size[0], size[1], size[0], size[1]])
    return torch.minimum(boxes.clamp(min=0), edge)


def encode(boxes: Tensor, references: Tensor, weights: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """Shifts and log-sizes (n, 4) of boxes against references, in the references' sizes (Girshick et al., CVPR 2014), times weights for shift and size."""
    sides = (references[:, 2:] - references[:, :2]).clamp(min=1e-3)
    shift = ((boxes[:, :2] + boxes[:, 2:]) - (references[:, :2] + references[:, 2:])) / 2 / sides
    size = ((boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3) / sides).log()
    return torch.cat([shift * weights[0], size * weights[1]], 1)


def decode(codes: Tensor, references: Tensor, weights: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """The boxes (n, 4) that `encode` made codes of."""
    sides = references[:, 2:] - references[:, :2]
    middle = (references[:, :2] + references[:, 2:]) / 2 + codes[:, :2] / weights[0] * sides
    half = (codes[:, 2:] / weights[1]).clamp(max=LONGEST).exp() * sides / 2
    return torch.cat([middle - half, middle + half], 1)


def suppress(boxes: Tensor, scores: Tensor, threshold: float, groups: Tensor | None = None) -> Tensor:
    """Non-maximum suppression: the best box, then the best that overlaps no kept one by more than a threshold, and so on.

    Parameters
    ----------
    boxes : (n, 4)
    scores : (n,)
        Of equal scores the earlier box counts as the better.
    threshold : float
        Intersection over union above which the worse of two goes.
    groups : int (n,), optional
        Boxes of different groups leave each other alone.

    Returns
    -------
    int64 (k,)
        Indices of what remains, best first; the same for the same input on every device.
    """
    order = scores.detach().argsort(descending=True, stable=True)
    kept = boxes.detach()[order].float()
    rivals = overlap(kept, kept) > threshold
    if groups is not None:
        rivals &= groups[order][:, None] == groups[order][None]
    table = rivals.cpu().numpy()
    alive = [True] * len(table)
    chosen = []
    for index, row in enumerate(table):
        if alive[index]:
            chosen.append(index)
            for other in row[index + 1 :].nonzero()[0]:
                alive[index + 1 + int(other)] = False
    return order[torch.tensor(chosen, dtype=torch.int64, device=order.device)]
