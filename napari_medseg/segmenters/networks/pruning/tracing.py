"""Which channels of a network hang together, found by watching one of its answers.

Every operation that torch carries out is seen as it happens, with the tensors themselves, so that a network's own control flow, skips, blocks of other
packages and functions without a module are all followed. A rule for each operation (`rules.RULES`) says how the channels of its inputs become those of its
output; what has no rule pins the channels it touches, so that nothing is cut on a guess.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from napari_medseg.segmenters.networks.pruning.units import Units
from napari_medseg.volume import Array

Axes = tuple[Array | None, ...]
"""Of each axis of a tensor the numbers of its channels; None where it has none, as batch and space."""


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """A product of a weight with channels.

    Attributes
    ----------
    weight : str
        Name of the parameter.
    axis : int
        Along which the channels that come in lie.
    before, after : numbers of the channels that come in and go out
        None where nothing of them can go.
    full : (int, int)
        How many they are.
    groups : int
    each : int
        Multiplications and additions for a pair of channels.
    """

    weight: str
    axis: int
    before: Array | None
    after: Array | None
    full: tuple[int, int]
    groups: int
    each: int


@dataclass(slots=True, eq=False)
class Trace:
    """What was seen.

    Attributes
    ----------
    units : Units
    tensors : Axes of each parameter and buffer, by name
    bare : channels of norms without weights, by the module's name
    uses : list of Use
    """

    units: Units = field(default_factory=Units)
    tensors: dict[str, Axes] = field(default_factory=dict)
    bare: dict[str, Array] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation and keeps book of channels."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.trace = Trace()
        self._axes = WeakTensorKeyDictionary()
        self._weights = WeakTensorKeyDictionary()
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            axes = tuple(self.units.fresh(n) for n in tensor.shape)
            self.trace.tensors[name] = axes
            self._axes[tensor] = axes
            if isinstance(tensor, nn.Parameter):
                self._weights[tensor] = (name, tuple(range(tensor.ndim)))

    @property
    def units(self) -> Units:
        """Of the trace."""
        return self.trace.units

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        """Carry the operation out, and follow its channels."""
        from napari_medseg.segmenters.networks.pruning.rules import follow

        out = func(*args, **(kwargs or {}))
        given = {argument.name: value for argument, value in zip(func._schema.arguments, args, strict=False)} | dict(kwargs or {})
        follow(self, func._schema.name.partition("::")[2], given, out)
        return out

    def axes(self, tensor: Tensor) -> Axes:
        """Channels of a tensor of any shape, along each axis; none along all of them where none are known."""
        found: Axes | None = self._axes.get(tensor)  # type: ignore[no-untyped-call]
        return found if found is not None else (None,) * tensor.ndim

    def settle(self, tensor: Any, axes: Sequence[Array | None]) -> None:
        """The channels, along each axis, of a tensor that has just been made; of any shape."""
        if isinstance(tensor, Tensor):
            self._axes[tensor] = tuple(axes)

    def weight(self, tensor: Tensor) -> tuple[str, tuple[int, ...]] | None:
        """The parameter that a tensor is or shows, and which of its axes each axis is; None where it is none."""
        found: tuple[str, tuple[int, ...]] | None = self._weights.get(tensor)  # type: ignore[no-untyped-call]
        return found

    def shows(self, tensor: Tensor, source: Tensor, order: Sequence[int]) -> None:
        """A tensor shows another with its axes in this order."""
        known = self.weight(source)
        if known is not None:
            self._weights[tensor] = (known[0], tuple(known[1][axis] for axis in order))

    def pin(self, *axes: Array | None) -> None:
        """These channels stay."""
        for channels in axes:
            if channels is not None:
                self.units.pin(channels)

    def same(self, *axes: Array | None) -> Array | None:
        """These are the same channels; where one of them has no numbers, all of them stay."""
        known = [channels for channels in axes if channels is not None]
        for other in known[1:]:
            self.units.join(known[0], other)
        if len(known) < len(axes):
            self.pin(*known)
        return known[0] if known else None


def watch(network: nn.Module, windows: Tensor) -> Trace:
    """Follow the channels of a network through its answer to one window.

    Parameters
    ----------
    network : Module
        In eval mode afterwards as it was before.
    windows : (1, channels, ...)
    """
    seen = Watch(network)
    with _evaluated(network), torch.no_grad(), seen, _bare_norms(network, seen):
        answer = network(windows)
    for tensor in tree_leaves(answer):
        if isinstance(tensor, Tensor):
            seen.pin(*seen.axes(tensor))
    return seen.trace


@contextmanager
def _evaluated(network: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def _bare_norms(network: nn.Module, seen: Watch) -> Iterator[None]:
    """Note the channels of norms that have no weights, whose modules count them nevertheless."""

    def note(name: str, windows: Tensor) -> None:
        channels = seen.axes(windows)[1] if windows.ndim > 2 else None
        if channels is not None:
            seen.trace.bare[name] = channels

    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, nn.modules.batchnorm._NormBase | nn.GroupNorm) and not module.affine and getattr(module, "running_mean", None) is None:
            hooks.append(module.register_forward_pre_hook(lambda _, given, name=name: note(name, given[0])))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
