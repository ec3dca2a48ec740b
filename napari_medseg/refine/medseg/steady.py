"""Batch normalisation in a network that learns from small batches and is used as the running mean of its weights.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def follow(mean: nn.Module, network: nn.Module, share: float) -> None:
    """Bring the running mean of a network nearer to it by a share; without gradients.

    Statistics of the data are averaged as the weights are that they belong to; all other buffers are the network's own.
    """
    for kept, new in zip(mean.parameters(), network.parameters(), strict=True):
        kept.lerp_(new, share)
    for part, now in zip(mean.modules(), network.modules(), strict=True):
        for name, value in now._buffers.items():
            held = part._buffers[name]
            if held is None or value is None:
                continue
            if name in ("running_mean", "running_var"):
                held.lerp_(value, share)
            else:
                held.copy_(value)


def let_lone_values_pass(network: nn.Module) -> None:
    """Let batch normalisation use what it knows of the data where a batch brings it a single value a channel.

    That is so for one window whose every channel was averaged to one number (the image pooling of DeepLab): nothing can be normalised over one value, and
    torch refuses it. Holds until the network is next put into training mode.
    """
    for part in network.modules():
        if isinstance(part, _BatchNorm):
            part.register_forward_pre_hook(_steady)


def _steady(part: nn.Module, given: tuple[Tensor, ...]) -> None:
    if part.training and given[0].numel() == given[0].shape[1]:
        part.eval()
