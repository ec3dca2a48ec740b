"""A smaller network from a larger one: its tensors cut, and what its modules count set right.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from napari_medseg.errors import SegmenterError
from napari_medseg.segmenters.networks.pruning.anatomy import Anatomy
from napari_medseg.segmenters.networks.pruning.record import Kept
from napari_medseg.segmenters.plan import TODO
from napari_medseg.volume import Array

Module = TypeVar("Module", bound=nn.Module)


def sliced(network: Module, parts: Anatomy, keep: Array) -> Module:
    """A network of the units that are kept alone; the one given stays as it is.

    It answers as `masked` does; `keep` is bool (units,).
    """
    small = copy.deepcopy(network)
    tensors = dict(_tensors(small))
    cut: dict[str, Tensor] = {}
    for name, axes in parts.places(keep):
        tensor = tensors[name].detach()
        for axis, some in enumerate(axes):
            if some is not None:
                tensor = tensor.index_select(axis, torch.from_numpy(some).to(tensor.device))
        cut[name] = tensor.clone()
    _refit(small, cut, parts.shapes(keep))
    return small


def masked(network: Module, parts: Anatomy, keep: Array) -> Module:
    """The network with the weights set to 0 that take in what is not kept; the one given stays as it is.

    `keep` is bool (units,).
    """
    whole = copy.deepcopy(network)
    tensors = dict(_tensors(whole))
    with torch.no_grad():
        for product in parts.products:
            if product.before is not None and product.groups == 1:
                gone = (product.before >= 0) & ~keep[product.before]
                tensors[product.weight].movedim(product.axis, 0)[torch.from_numpy(gone)] = 0
    return whole


def cut(network: Module, kept: Kept) -> Module:
    """A freshly made network brought to the shapes of a pruned one, whose weights are to be loaded; the very one given, which is left alone by an empty record.

    Raises
    ------
    SegmenterError
        When the record is not of this network.
    """
    tensors = dict(_tensors(network))
    smaller: dict[str, Tensor] = {}
    modules = dict(network.named_modules())
    for name, shape in kept.items():
        if name not in tensors:
            counted = getattr(modules.get(name), "num_channels", getattr(modules.get(name), "num_features", 0))
            if len(shape) != 1 or not 1 <= shape[0] <= counted:
                raise SegmenterError(f"was pruned in a part '{name}' that its network does not have", where="plan", todo=TODO)
            continue
        tensor = tensors[name].detach()
        if len(shape) != tensor.ndim or any(n > full for n, full in zip(shape, tensor.shape, strict=True)):
            what = f"was pruned to {tuple(shape)} in '{name}', which is {tuple(tensor.shape)} in the whole network"
            raise SegmenterError(what, where="plan", todo=TODO)
        smaller[name] = tensor[tuple(slice(0, n or None) for n in shape)].clone()
    _refit(network, smaller, kept)
    if isinstance(getattr(network, "kept", None), dict):
        network.kept = kept  # type: ignore[assignment]
    return network


def _tensors(network: nn.Module) -> list[tuple[str, Tensor]]:
    return [*network.named_parameters(), *network.named_buffers()]


def _refit(network: nn.Module, cut: Mapping[str, Tensor], kept: Kept) -> None:
    """Put cut tensors in their places, and tell the modules how many channels they have now."""
    for name, tensor in cut.items():
        owner, _, short = name.rpartition(".")
        module = network.get_submodule(owner)
        if short in module._parameters:
            before = module._parameters[short]
            module._parameters[short] = nn.Parameter(tensor, requires_grad=before is None or before.requires_grad)
        else:
            module._buffers[short] = tensor
    for name, module in network.named_modules():
        if name in kept:
            _bare(module, kept[name][0])
        elif any(f"{name}.{short}" in cut or (not name and short in cut) for short in ("weight", "running_mean")):
            _counted(module)


def _counted(module: nn.Module) -> None:
    """Numbers of channels as the weights have them."""
    weight = cast("Tensor | None", getattr(module, "weight", None))
    if isinstance(module, nn.modules.conv._ConvNd) and weight is not None:
        outer, inner = weight.shape[:2]
        if module.transposed:
            module.groups = max(1, module.groups * outer // module.in_channels)
            module.in_channels, module.out_channels = outer, inner * module.groups
        else:
            module.groups = max(1, module.groups * outer // module.out_channels)
            module.in_channels, module.out_channels = inner * module.groups, outer
    elif isinstance(module, nn.Linear) and weight is not None:
        module.out_features, module.in_features = weight.shape
    elif isinstance(module, nn.PReLU) and weight is not None:
        module.num_parameters = len(weight)
    elif isinstance(module, nn.modules.batchnorm._NormBase | nn.GroupNorm):
        counted = weight if weight is not None else module.running_mean
        _bare(module, len(cast(Tensor, counted)))


def _bare(module: nn.Module, channels: int) -> None:
    if isinstance(module, nn.GroupNorm):
        module.num_groups = max(1, module.num_groups * channels // module.num_channels)
        module.num_channels = channels
    else:
        module.num_features = channels  # type: ignore[assignment]
