"""Cross-entropy and soft Dice of exclusive classes, each voxel with its own weight.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as nnf


def cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Mean over the weights of -sum of y log p, with a background of logit 0.

    Parameters
    ----------
    logits : (n, classes, [z,] y, x)
    targets : (n, classes, [z,] y, x)
        Share of each class, 0-1; the rest is background.
    weights : (n, 1, [z,] y, x)
        A voxel of weight 0 counts for nothing: neither the value nor any gradient depends on it.
    """
    return _cross_entropy(logits, _total(logits), targets, weights)


def soft_dice(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """1 - 2 P T / (P + T) over a batch, mean over the classes; arguments as in `cross_entropy`.

    Summed over the batch, so that a patch without a class is not all or nothing.
    """
    return _soft_dice(logits, _total(logits), targets, weights)


def compound(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy, which keeps the training steady, and Dice, which keeps small objects from being left out; arguments as in `cross_entropy`."""
    total = _total(logits)
    return _cross_entropy(logits, total, targets, weights) + _soft_dice(logits, total, targets, weights)


def _total(logits: Tensor) -> Tensor:
    """log(1 + sum of exp of the logits) (n, 1, [z,] y, x)."""
    return nnf.softplus(logits) if logits.shape[1] == 1 else torch.cat([torch.zeros_like(logits[:, :1]), logits], 1).logsumexp(1, keepdim=True)


def _cross_entropy(logits: Tensor, total: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    each = total - (targets * logits).sum(1, keepdim=True)
    return (_zeroed(each, weights) * weights).sum() / weights.sum().clamp(min=1e-6)


def _soft_dice(logits: Tensor, total: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    p, t = _zeroed((logits - total).exp(), weights) * weights, _zeroed(targets, weights)
    everywhere = (0, *range(2, p.ndim))
    both = (p * t).sum(everywhere)
    sizes = p.sum(everywhere) + (t * weights).sum(everywhere)
    return (1 - (2 * both + 1) / (sizes + 1)).mean()


def _zeroed(values: Tensor, weights: Tensor) -> Tensor:
    """0 wherever the weight is, before any product: not even a value that is no number passes."""
    return torch.where(weights > 0, values, torch.zeros((), dtype=values.dtype, device=values.device))
