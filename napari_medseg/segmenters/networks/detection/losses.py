"""What regions are measured by.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as nnf


def weighted(values: Tensor, weights: Tensor) -> Tensor:
    """Mean of values (n,) over weights (n,); 0 of nothing, with a gradient of 0."""
    return (values * weights).sum() / weights.sum().clamp(min=1e-6)


def class_loss(logits: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Softmax cross-entropy of regions, the background among the classes (He et al. 2017; Pemasiri eq. 2, HMR-Net eq. 8).

    Logits are (n, classes + 1), classes int64 (n,) and weights (n,).
    """
    return weighted(nnf.cross_entropy(logits, classes, reduction="none"), weights)


def balanced(logits: Tensor, positive: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of yes or no, both sides counting alike however many there are of each; logits, yes (bool) and weights are of one shape."""
    each = nnf.binary_cross_entropy_with_logits(logits, positive.float(), reduction="none")
    return (weighted(each[positive], weights[positive]) + weighted(each[~positive], weights[~positive])) / 2


def box_loss(codes: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Smooth L1 summed over the four numbers of a box (Pemasiri eq. 3 and 4, HMR-Net eq. 9).

    Codes and what they should be are (n, 4), weights (n,).
    """
    return weighted(nnf.smooth_l1_loss(codes, wanted, reduction="none").sum(1), weights)


def mask_loss(logits: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Mean over a mask of the cross-entropy of each pixel (Pemasiri eq. 5), mean over the regions.

    Logits and what is wanted (0-1) are (n, m, m), weights (n,).
    """
    each = nnf.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean((1, 2))
    return weighted(each, weights)


def contour_loss(points: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Squared distance of each boundary point (n, p, 2) from where it should be, and the distance itself (HMR-Net eq. 10).

    The paper adds the length of the answer, not of the error, though its text speaks of the Euclidean distance metric. Read so its least lies at half
    the shape; here the error is meant.
    """
    off = ((points - wanted) ** 2).sum(-1)
    return weighted((off + (off + 1e-8).sqrt()).mean(1), weights)


def manifold_loss(latent: Tensor, shapes: Tensor, neighbours: int) -> Tensor:
    """Regions whose shapes are alike shall lie near each other in the latent space (HMR-Net eq. 2 to 6).

    Parameters
    ----------
    latent : (n, m)
    shapes : (n, 2p)
        What is taught; not learned through.
    neighbours : int
        Of the k-nearest-neighbour graph of the shapes.

    Returns
    -------
    Tensor
        2 / (edges) * trace(Z' L Z) with the normalised Laplacian of the heat-kernel graph; 0 of fewer than two regions.
    """
    if len(shapes) < 2:
        return latent.sum() * 0
    similarity = heat(shapes.detach(), neighbours)
    degree = similarity.sum(1).clamp(min=1e-12)
    scaled = latent / degree.sqrt()[:, None]
    trace = (degree * (scaled**2).sum(1)).sum() - (scaled * (similarity @ scaled)).sum()
    return 2 * trace / (similarity > 0).sum().clamp(min=1)


def heat(shapes: Tensor, neighbours: int) -> Tensor:
    """Symmetric similarities (n, n) of shapes (n, 2p): exp(-d^2 / (2 sigma^2)) of the nearest neighbours, sigma the mean distance of a pair, 0 else."""
    count = len(shapes)
    apart = torch.cdist(shapes, shapes, compute_mode="donot_use_mm_for_euclid_dist")
    sigma = (apart.sum() / (count * (count - 1))).clamp(min=1e-6)
    others = apart + torch.diag(torch.full((count,), float("inf"), device=shapes.device, dtype=apart.dtype))
    nearest = others.topk(min(neighbours, count - 1), dim=1, largest=False).indices
    chosen = torch.zeros_like(apart).scatter_(1, nearest, 1.0)
    directed = torch.exp(-(apart**2) / (2 * sigma**2)) * chosen
    return torch.maximum(directed, directed.T)
