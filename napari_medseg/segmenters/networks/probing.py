"""What a network does with a window, found by letting it look at one: its last layers, and the memory that learning takes.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def last_layers(network: nn.Module, window: Tensor) -> list[nn.Module]:
    """The layers at the end of a network that work at the same resolution, at most half of all; those that answer at the very end are among them.

    Parameters
    ----------
    network : Module
    window : (1, channels, ...)
        Any that it takes; small ones will do.
    """
    ran: list[tuple[nn.Module, tuple[int, ...]]] = []

    def note(layer: nn.Module, _: object, answer: object) -> None:
        if isinstance(answer, Tensor):
            ran.append((layer, tuple(answer.shape[2:])))

    layers = [layer for layer in network.modules() if next(layer.parameters(recurse=False), None) is not None]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    training = {layer: layer.training for layer in network.modules()}
    try:
        with torch.no_grad():
            network.eval()(window)
    finally:
        for hook in hooks:
            hook.remove()
        for layer, before in training.items():
            layer.training = before
    last: list[nn.Module] = []
    for layer, sides in reversed(ran):
        if last and (sides != ran[-1][1] or 2 * len(last) >= len(layers)):
            break
        last.append(layer)
    return last


def learning_bytes(network: nn.Module, window: Sequence[int]) -> tuple[int, int]:
    """Bytes that one update keeps of a window until its gradients are known, and bytes of the weights with what an optimiser and a mean keep of them.

    Counted on tensors without content, so that it takes no memory itself; where an architecture cannot do that, on half the window, and multiplied.

    Parameters
    ----------
    network : Module
    window : (channels, ...)
    """
    weights = sum(value.numel() * value.element_size() for value in network.parameters())
    try:
        kept = _kept(copy.deepcopy(network).to("meta"), torch.zeros((1, *window), device="meta"))
    except (RuntimeError, NotImplementedError, TypeError):
        half = [max(1, side // 2) for side in window[1:]]
        share = torch.Size(window[1:]).numel() / torch.Size(half).numel()
        kept = int(_kept(copy.deepcopy(network), torch.zeros((1, window[0], *half))) * share)
    return kept, 5 * weights


def _kept(network: nn.Module, windows: Tensor) -> int:
    own = {value.untyped_storage()._cdata for value in (*network.parameters(), *network.buffers())}
    seen: dict[int, int] = {}

    def note(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage._cdata not in own:
            seen[storage._cdata] = storage.nbytes()
        return value

    for layer in network.modules():  # one window says nothing of a mean over several
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.eval()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        answer = _learnt(network, windows)
        total: int = sum(seen.values()) + answer.untyped_storage().nbytes()
    del answer
    return total


def _learnt(network: Any, windows: Tensor) -> Tensor:
    """What an update begins at: the answer, or the loss of a network with one of its own (`Detector`), here of an object in the middle of each window."""
    own = getattr(network, "own_loss", None)
    if own is None:
        answer: Tensor = network(windows)
        return answer
    targets = windows.new_zeros(len(windows), network.classes, *windows.shape[2:])
    middle: tuple[slice, ...] = tuple(slice(n // 4, n - n // 4) for n in windows.shape[2:])
    targets[:, 0][(slice(None), *middle)] = 1
    loss: Tensor = own(windows, targets, torch.ones_like(targets[:, :1]))
    return loss
