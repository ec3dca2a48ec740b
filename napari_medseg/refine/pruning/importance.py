"""What each filter of a trained network is worth.

After Sapkota et al., "Neural Network Pruning for Real-time Polyp Segmentation", MIUA 2023: the gradient of the loss at the network's output, brought to
length 1 for each sample so that all samples count alike, is sent back through the network; a filter is worth the mean over the samples of (x dx)^2, activation
times gradient. Nothing is trained for it.

What the paper leaves open, and what we chose. x dx is summed over the places of a channel before it is squared: that is the change of the output error, to
first order, when the channel is set to 0. It is taken where the channel is read by the layers behind it; behind a ReLU that is the same number as at the
filter, and behind an instance normalisation it is the only one that means anything, since there the sum at the filter is 0 for every filter (scaling it changes
nothing). Filters that can only go together, through an addition, add their changes before the square. The loss is the one of our recipe.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from napari_medseg.segmenters.networks.pruning.anatomy import Anatomy
from napari_medseg.volume import Array

Sample = tuple[Tensor, Tensor, Tensor]
"""A window (1, channels, ...), the shares of its classes (1, classes, ...), what each voxel counts (1, 1, ...)."""
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


class Importance:
    """The sum over samples so far.

    Parameters
    ----------
    network : Module
        Left as it is.
    parts : Anatomy
    loss : of logits, targets and weights
    """

    def __init__(self, network: nn.Module, parts: Anatomy, loss: Loss) -> None:
        self._network, self._parts, self._loss = network.eval(), parts, loss
        self._weights = dict(network.named_parameters())
        self._readers = [p for p in parts.products if p.before is not None and p.groups == 1]
        self._total = np.zeros(parts.count)
        self.samples = 0

    @property
    def values(self) -> Array:
        """Mean over the samples (units,)."""
        return self._total / max(1, self.samples)

    def add(self, sample: Sample) -> None:
        """Look at one more.

        A channel times its gradient, summed over places and layers that read it, is the weights that read it times their own gradient.
        """
        windows, targets, weights = sample
        names = sorted({reader.weight for reader in self._readers})
        wanted = [self._weights[name] for name in names]
        asked = [tensor.requires_grad for tensor in wanted]
        for tensor in wanted:
            tensor.requires_grad_()
        try:
            with torch.enable_grad():
                logits = self._network(windows)
                shown = logits.detach().requires_grad_()
                (error,) = torch.autograd.grad(self._loss(shown, targets, weights), shown)
                length = error.norm()
                if not bool(length > 0) or not bool(length.isfinite()):
                    return  # nothing is known in this window
                grads = dict(zip(names, torch.autograd.grad(logits, wanted, error / length, allow_unused=True), strict=True))
        finally:
            for tensor, was in zip(wanted, asked, strict=True):
                tensor.requires_grad_(was)
        change = np.zeros(self._parts.count)
        seen: set[tuple[str, int]] = set()
        for reader in self._readers:
            grad, units = grads[reader.weight], reader.before
            if grad is None or units is None or (reader.weight, reader.axis) in seen:
                continue
            seen.add((reader.weight, reader.axis))  # a weight that reads twice has the gradient of both
            each = (self._weights[reader.weight].detach() * grad).movedim(reader.axis, 0).flatten(1).sum(1).double().cpu().numpy()
            free = units >= 0
            np.add.at(change, units[free], each[free])
        self._total += change**2
        self.samples += 1

