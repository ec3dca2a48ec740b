"""What every loss here is, and what of a batch all of them look at.

A loss takes logits (n, classes, [z,] y, x) against a background of 0, the share of each class in a voxel (0-1; the rest is background) and what each voxel
counts. Classes are exclusive. Whatever stands where the weight is 0, be it no number, changes neither the value nor any gradient. Nothing that the gradient
has to pass through is cut off, thresholded or rounded on the way.

The toolkit's own losses take neither weights of voxels nor unknown ones (a mask that zeroes logits teaches "half" there), so these are ours; tests hold them
to the toolkit's values where it has the same.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import torch
from torch import Tensor

from napari_medseg.errors import InvalidInputError

LEAST = 1e-6  # of a sum that something is divided by


class Seen:
    """A batch, without what nobody knows.

    Parameters
    ----------
    logits : (n, classes, [z,] y, x)
    targets : (n, classes, [z,] y, x)
        Share of each class, 0-1.
    weights : (n, 1, [z,] y, x)
    images : (n, channels, [z,] y, x), optional
        What the network saw; for the few losses that look at it.

    Attributes
    ----------
    logits, targets, weights
        0 where the weight is not above 0.
    """

    def __init__(self, logits: Tensor, targets: Tensor, weights: Tensor, images: Tensor | None = None) -> None:
        if logits.shape != targets.shape or weights.shape != (len(logits), 1, *logits.shape[2:]):
            what = f"logits {tuple(logits.shape)}, targets {tuple(targets.shape)} and weights {tuple(weights.shape)} do not belong together"
            raise InvalidInputError(what, where="loss", todo="Give (n, classes, ...) twice and (n, 1, ...)")
        known = weights > 0
        nothing = torch.zeros((), dtype=logits.dtype, device=logits.device)
        self.known = known
        self.logits, self.targets, self.weights = (torch.where(known, maps, nothing) for maps in (logits, targets.to(logits.dtype), weights.to(logits.dtype)))
        self._images = images

    @cached_property
    def logs(self) -> Tensor:
        """Log-probabilities (n, 1 + classes, ...), the background first."""
        return torch.cat([torch.zeros_like(self.logits[:, :1]), self.logits], 1).log_softmax(1)

    @cached_property
    def chances(self) -> Tensor:
        """Probabilities (n, 1 + classes, ...), the background first."""
        return self.logs.exp()

    @cached_property
    def shares(self) -> Tensor:
        """Targets (n, 1 + classes, ...), the background first."""
        return torch.cat([(1 - self.targets.sum(1, keepdim=True)).clamp(min=0), self.targets], 1)

    @cached_property
    def images(self) -> Tensor | None:
        """Images (n, channels, [z,] y, x), 0 where the weight is."""
        if self._images is None:
            return None
        return torch.where(self.known, self._images.detach().to(self.logits.dtype), torch.zeros((), dtype=self.logits.dtype, device=self.logits.device))

    def mean(self, values: Tensor) -> Tensor:
        """Of maps (n, 1, ...), over the weights."""
        return (values * self.weights).sum() / self.weights.sum().clamp(min=LEAST)

    def sums(self, values: Tensor) -> Tensor:
        """Of maps (n, k, ...) times the weights, over all but the maps: (k,). Over the batch, so that a patch without a class is not all or nothing."""
        return (values * self.weights).transpose(0, 1).flatten(1).sum(1)


class Loss(ABC):
    """A number to make small."""

    def __call__(self, logits: Tensor, targets: Tensor, weights: Tensor, images: Tensor | None = None) -> Tensor:
        """The loss of a batch, a scalar; arguments as `Seen`.

        Raises
        ------
        InvalidInputError
            When the shapes do not belong together.
        """
        return self.of(Seen(logits, targets, weights, images))

    @abstractmethod
    def of(self, seen: Seen) -> Tensor:
        """The loss of a batch, a scalar; 0 where no voxel is known."""
