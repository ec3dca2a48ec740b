"""How channels pass through each operation of torch.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor
from torch.utils._pytree import tree_leaves

from napari_medseg.segmenters.networks.pruning.tracing import Use
from napari_medseg.volume import Array

if TYPE_CHECKING:
    from napari_medseg.segmenters.networks.pruning.tracing import Watch

Given = Mapping[str, Any]
Rule = Callable[["Watch", Given, Any], None]


def follow(watch: Watch, name: str, given: Given, out: Any) -> None:
    """Apply the rule of an operation; without one, all channels it sees stay."""
    rule = RULES.get(name) or RULES.get(name.removesuffix("_"))
    if rule is None:
        rule = _spatial if name.startswith(("upsample_", "_upsample", "grid_sampler", "reflection_pad", "replication_pad")) or "_pool" in name else _unknown
    rule(watch, given, out)


def _tensors(given: Given) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(dict(given)) if isinstance(leaf, Tensor)]


def _first(out: Any) -> Tensor:
    first: Tensor = out[0] if isinstance(out, (tuple, list)) else out
    return first


def _unknown(watch: Watch, given: Given, out: Any) -> None:
    for tensor in _tensors(given):
        watch.pin(*watch.axes(tensor))


def _nothing(watch: Watch, given: Given, out: Any) -> None:
    """What is made new has no channels."""


def _elementwise(watch: Watch, given: Given, out: Any) -> None:
    """Values of the same place meet; a single channel that is spread over all stays."""
    made = _first(out)
    operands = [tensor for tensor in _tensors(given) if tensor.ndim]
    found: list[Array | None] = []
    for axis in range(made.ndim):
        meeting: list[Array | None] = []
        for tensor in operands:
            place = axis - (made.ndim - tensor.ndim)
            if place < 0:
                continue
            channels = watch.axes(tensor)[place]
            if tensor.shape[place] == made.shape[axis]:
                meeting.append(channels)
            else:
                watch.pin(channels)
        found.append(watch.same(*meeting) if meeting else None)
    watch.settle(made, found)


def _as_it_is(watch: Watch, given: Given, out: Any) -> None:
    source, made = _tensors(given)[0], _first(out)
    watch.settle(made, watch.axes(source))
    watch.shows(made, source, range(source.ndim))


def _spatial(watch: Watch, given: Given, out: Any) -> None:
    """Pooling, resampling and padding: each channel for itself."""
    axes, made = watch.axes(_tensors(given)[0]), _first(out)
    watch.pin(*axes[2:])
    watch.settle(made, (*axes[:2], *[None] * (made.ndim - 2)))


def _convolution(watch: Watch, given: Given, out: Any) -> None:
    image, weight, bias = given["input"], given["weight"], given.get("bias")
    groups, transposed = int(given["groups"]), bool(given["transposed"])
    known, axes, before = watch.weight(weight), watch.axes(weight), watch.axes(image)[1]
    if known is None:
        _unknown(watch, given, out)
        return
    watch.pin(*axes[2:])
    inside, outside = (0, 1) if transposed else (1, 0)
    if groups == 1:
        came = watch.same(before, axes[inside])
        after = axes[outside]
    else:
        watch.pin(axes[1])
        came, after = _grouped(watch, before, axes[0], groups, out.shape[1], transposed)
    if bias is not None:
        watch.same(after, watch.axes(bias)[0])
    spatial = (image if transposed else out).shape
    each = 2 * int(np.prod((spatial[0], *spatial[2:]))) * int(np.prod(weight.shape[2:]))
    watch.trace.uses.append(Use(known[0], known[1][inside], came, after, (image.shape[1], out.shape[1]), groups, each))
    watch.settle(out, (None, after, *[None] * (out.ndim - 2)))


def _grouped(watch: Watch, before: Array | None, first: Array | None, groups: int, count: int, transposed: bool) -> tuple[Array | None, Array]:
    """A group goes as a whole, with what comes in and what goes out; gives the channels of both."""
    after = watch.units.fresh(count) if transposed or first is None else first
    if transposed and first is not None:
        before = watch.same(before, first)
    if before is None:
        watch.pin(after)
        return before, after
    for came, goes in zip(np.split(before, groups), np.split(after, groups), strict=True):
        members = np.concatenate([came, goes])
        watch.units.join(np.full(len(members) - 1, members[0]), members[1:])
    return before, after


def _product(watch: Watch, given: Given, out: Any) -> None:
    """A product of matrices, batched or not, with something added or not."""
    one, other = next((given[a], given[b]) for a, b in (("mat1", "mat2"), ("batch1", "batch2"), ("self", "mat2")) if a in given and b in given)
    left, right = watch.axes(one), watch.axes(other)
    weight = next((known for known in (watch.weight(other), watch.weight(one)) if known is not None), None)
    lead = tuple(watch.same(a, b) for a, b in zip(left[:-2], right[:-2], strict=True))
    came = watch.same(left[-1], right[-2])
    if weight is None:
        watch.pin(came)
    else:
        name, order = weight
        second = watch.weight(other) is not None
        each = 2 * int(np.prod(one.shape[:-1] if second else (*other.shape[:-2], other.shape[-1])))
        after = right[-1] if second else left[-2]
        full = (one.shape[-1], other.shape[-1] if second else one.shape[-2])
        watch.trace.uses.append(Use(name, order[-2] if second else order[-1], came, after, full, 1, each))
    axes = (*lead, left[-2], right[-1])
    if "mat1" in given or "batch1" in given:
        added = given["self"]
        for place, channels in zip(range(-added.ndim, 0), watch.axes(added), strict=True):
            if added.shape[place] == out.shape[place]:
                watch.same(axes[place], channels)
            else:
                watch.pin(channels)
    watch.settle(out, axes)


def _each_channel(watch: Watch, given: Given, out: Any) -> None:
    """Batch normalisation, and instance normalisation, which torch makes of it."""
    axes = list(watch.axes(given["input"]))
    others = [given[name] for name in ("weight", "bias", "running_mean", "running_var") if isinstance(given.get(name), Tensor)]
    axes[1] = watch.same(axes[1], *(watch.axes(tensor)[0] for tensor in others))
    watch.settle(_first(out), axes)


def _group_norm(watch: Watch, given: Given, out: Any) -> None:
    """A group goes as a whole: what is left of one would be normalised otherwise."""
    _each_channel(watch, given, out)
    channels = watch.axes(_first(out))[1]
    if channels is not None:
        for members in np.split(channels, int(given["group"])):
            watch.units.join(np.full(len(members) - 1, members[0]), members[1:])


def _layer_norm(watch: Watch, given: Given, out: Any) -> None:
    axes = watch.axes(given["input"])
    watch.pin(*axes[-len(given["normalized_shape"]) :])
    for name in ("weight", "bias"):
        if isinstance(given.get(name), Tensor):
            watch.pin(*watch.axes(given[name]))
    watch.settle(_first(out), axes)


def _along(watch: Watch, given: Given, out: Any) -> None:
    """Something over one axis that keeps its length, as a softmax: the channels along it stay."""
    axes = watch.axes(given["self"])
    watch.pin(axes[int(given["dim"])])
    watch.settle(_first(out), axes)


def _reduced(watch: Watch, given: Given, out: Any) -> None:
    source = given["self"]
    axes = list(watch.axes(source))
    wanted = given.get("dim")
    chosen = range(source.ndim) if wanted is None or wanted == [] else [wanted] if isinstance(wanted, int) else wanted
    gone = {axis % source.ndim for axis in chosen} if source.ndim else set()
    watch.pin(*(axes[axis] for axis in gone))
    made = _first(out)
    if made.ndim == source.ndim:
        watch.settle(made, [None if axis in gone else channels for axis, channels in enumerate(axes)])
    else:
        watch.settle(made, [channels for axis, channels in enumerate(axes) if axis not in gone])


def _cat(watch: Watch, given: Given, out: Any) -> None:
    parts = [part for part in given["tensors"] if part.ndim == out.ndim]
    dim = int(given.get("dim", 0)) % out.ndim
    axes: list[Array | None] = []
    for axis in range(out.ndim):
        columns = [watch.axes(part)[axis] for part in parts]
        if axis != dim:
            axes.append(watch.same(*columns))
        elif all(column is None for column in columns):
            axes.append(None)
        else:
            axes.append(np.concatenate([_stays(watch, part.shape[axis]) if c is None else c for part, c in zip(parts, columns, strict=True)]))
    watch.settle(out, axes)


def _stays(watch: Watch, count: int) -> Array:
    channels = watch.units.fresh(count)
    watch.pin(channels)
    return channels


def _view(watch: Watch, given: Given, out: Any) -> None:
    """An axis that is there before and after, with as much behind it, is the same; one that is split or merged stays whole."""
    source, made = given["self"], _first(out)
    left = {key: channels for key, channels in zip(_places(source.shape), watch.axes(source), strict=True) if channels is not None}
    if source.shape == made.shape:
        _as_it_is(watch, given, out)
        return
    axes = [left.pop(key, None) for key in _places(made.shape)]
    watch.pin(*left.values())
    watch.settle(made, axes)


def _places(shape: Sequence[int]) -> list[tuple[int, int]]:
    """Of each axis its length and how many values lie behind each of its places."""
    return [(n, int(np.prod(shape[axis + 1 :]))) for axis, n in enumerate(shape)]


def _permute(watch: Watch, given: Given, out: Any) -> None:
    source = given["self"]
    order = list(range(source.ndim))
    if "dims" in given:
        order = [axis % source.ndim for axis in given["dims"]]
    elif source.ndim > 1:
        a, b = int(given.get("dim0", -1)) % source.ndim, int(given.get("dim1", -2)) % source.ndim
        order[a], order[b] = order[b], order[a]
    axes = watch.axes(source)
    watch.settle(out, [axes[axis] for axis in order])
    watch.shows(out, source, order)


def _unsqueezed(watch: Watch, given: Given, out: Any) -> None:
    axes = list(watch.axes(given["self"]))
    axes.insert(int(given["dim"]) % out.ndim, None)
    watch.settle(out, axes)


def _expanded(watch: Watch, given: Given, out: Any) -> None:
    """Broadcast, or repeated."""
    source = given["self"]
    axes: list[Array | None] = [None] * (out.ndim - source.ndim)
    for place, channels in enumerate(watch.axes(source)):
        grown = out.shape[place + out.ndim - source.ndim] != source.shape[place]
        if grown:
            watch.pin(channels)
        axes.append(None if grown else channels)
    watch.settle(out, axes)


def _parts(watch: Watch, given: Given, out: Any) -> None:
    """Slices and splits: what is cut through stays."""
    source = given["self"]
    dim = int(given.get("dim", 0)) % source.ndim
    axes = list(watch.axes(source))
    for made in out if isinstance(out, (tuple, list)) else [out]:
        if made.ndim < source.ndim:
            watch.pin(axes[dim])
            watch.settle(made, [*axes[:dim], *axes[dim + 1 :]])
        elif made.shape == source.shape:
            watch.settle(made, axes)
        else:
            watch.pin(axes[dim])
            watch.settle(made, [None if axis == dim else channels for axis, channels in enumerate(axes)])


def _padded(watch: Watch, given: Given, out: Any) -> None:
    source = given["self"]
    found: list[Array | None] = []
    for axis, channels in enumerate(watch.axes(source)):
        same = source.shape[axis] == out.shape[axis]
        if not same:
            watch.pin(channels)
        found.append(channels if same else None)
    watch.settle(out, found)


def _named(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


RULES: dict[str, Rule] = {
    **_named(_convolution, "convolution"),
    **_named(_product, "mm addmm bmm baddbmm"),
    **_named(_each_channel, "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training cudnn_batch_norm"),
    **_named(_group_norm, "native_group_norm"),
    **_named(_layer_norm, "native_layer_norm"),
    **_named(
        _elementwise,
        "add sub rsub mul div maximum minimum where relu relu6 leaky_relu sigmoid tanh silu gelu elu selu mish softplus hardswish hardsigmoid hardtanh exp log "
        "clamp clamp_min clamp_max pow sqrt rsqrt square abs neg reciprocal native_dropout dropout _prelu_kernel lerp addcmul sign sin cos erf threshold "
        "log1p expm1 log_sigmoid_forward gt lt ge le eq ne isnan logical_not zeros_like ones_like empty_like full_like rand_like randn_like",
    ),
    **_named(_as_it_is, "clone detach alias _to_copy contiguous lift_fresh view_as"),
    **_named(_along, "_softmax _log_softmax cumsum flip"),
    **_named(_reduced, "mean sum amax amin max min argmax argmin var std logsumexp linalg_vector_norm var_mean norm"),
    **_named(_cat, "cat"),
    **_named(_view, "view _unsafe_view reshape _reshape_alias squeeze"),
    **_named(_permute, "permute transpose t"),
    **_named(_unsqueezed, "unsqueeze"),
    **_named(_expanded, "expand repeat"),
    **_named(_parts, "slice split split_with_sizes unbind select narrow"),
    **_named(_padded, "constant_pad_nd"),
    **_named(
        _nothing,
        "arange zeros ones empty full rand randn new_zeros new_ones new_empty new_full scalar_tensor empty_strided _assert_async _assert_tensor_metadata",
    ),
}
