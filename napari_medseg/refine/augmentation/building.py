"""What is done to each batch, from the settings of a recipe.

Images, targets and weights go through together, so that they cannot be given different draws: what moves an image moves its targets by the same grid, and what
only changes its brightness cannot touch them.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

import torch
from torch import Tensor

from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.augmentation.degrade import degraded, kinds_for
from napari_medseg.refine.augmentation.mixup import mixed

Batch = tuple[Tensor, Tensor, Tensor]
Augment = Callable[[Tensor, Tensor, Tensor, torch.Generator], Batch]
"""Images (n, c, [z,] y, x), targets (n, classes, [z,] y, x), weights (n, 1, [z,] y, x) and a generator of the processor -> the same three."""


def augmentation(
    *, mixup: float = 0.0, degrade: float = 0.0, aligned: float = 0.0, spacing: Sequence[float] | None = None, modalities: Collection[str] = (),
) -> Augment:
    """What is done to a batch; where both strengths are 0 the batch itself comes back, and nothing is drawn.

    Parameters
    ----------
    mixup : float
        Both parameters of the Beta distribution that the shares of a mixed pair come from; 0 mixes nothing, 1 any share alike.
    degrade : float
        Chance of each degradation, 0-1.
    aligned : float
        Share of the mixed pairs that are laid over each other by their labels first, 0-1.
    spacing : mm a voxel along each axis of the windows, optional
    modalities : collection of str
        Of the scans; settles which degradations make sense.

    Raises
    ------
    InvalidInputError
        When a strength makes no sense.
    """
    if not 0 <= mixup < float("inf"):
        raise InvalidInputError(f"mixup cannot be {mixup}", where="recipe", todo="Give 0 (off) or more; 0.2 mixes a little, 1 any share alike")
    for name, share in (("degrade", degrade), ("aligned", aligned)):
        if not 0 <= share <= 1:
            raise InvalidInputError(f"{name} cannot be {share}", where="recipe", todo="Give a share between 0 (off) and 1")
    mix = partial(mixed, alpha=mixup, aligned=aligned) if mixup else None
    worsen = partial(degraded, chance=degrade, kinds=kinds_for(modalities), spacing=spacing) if degrade else None

    def augment(images: Tensor, targets: Tensor, weights: Tensor, generator: torch.Generator) -> Batch:
        if mix is not None:
            images, targets, weights = mix(images, targets, weights, generator)
        if worsen is not None:
            images = worsen(images, generator)
        return images, targets, weights

    return augment
