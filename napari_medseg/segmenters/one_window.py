"""One window at a time, as quickly as several: convolutions in space by oneDNN also where torch would not ask it.

Torch's own rule was made for images: a single volume whose channels times its first two axes stay below 20,480 (a window of 64 with up to five channels, or
of 32 with up to twenty) goes the old way, which lays out every neighbourhood of every voxel in memory. Two windows at once never do. That way costs a third
more time and, for 16 channels at 32 x 32 x 32, 57 MB that nothing else needs (figures in docs/segmenters.md). The same holds for the convolutions by which
networks go up again: there the old way takes up to five times as long, and oneDNN is at its best with channels last.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

LEAST = 1 << 15  # values of an input that pay for oneDNN's own preparations
IMAGES = 20_480  # channels times two axes, from which torch asks oneDNN itself
MAPS = 4  # that a step up makes; for fewer the old way is as quick


class OneWindow(TorchFunctionMode):
    """While it is entered, single windows on the processor are convolved by oneDNN; all else is as ever. For inference only."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """The answer of a function of torch, see `torch.overrides`."""
        if func is torch.conv3d and not kwargs and len(args) == 7 and _missed(args[0], args[1]) and not isinstance(args[4], str):
            image, weight, bias, stride, padding, dilation, groups = args
            return torch.mkldnn_convolution(image, weight, bias, padding, stride, dilation, groups)
        if func is torch.conv_transpose3d and not kwargs and len(args) == 8 and _missed_up(args[0], args[1], args[6]) and _goes_up():
            image, weight, bias, stride, padding, beyond, groups, dilation = args
            last = image.contiguous(memory_format=torch.channels_last_3d)
            return _up(last, weight, bias, _each(padding), _each(beyond), _each(stride), _each(dilation), groups)
        return func(*args, **(kwargs or {}))


def helps(device: str) -> bool:
    """Whether there is anything to gain on a device: on processors for which torch was built with oneDNN."""
    return device == "cpu" and bool(torch.backends.mkldnn.is_available()) and hasattr(torch, "mkldnn_convolution")  # type: ignore[no-untyped-call]


def _missed(image: Tensor, weight: Tensor) -> bool:
    """Whether torch would leave a convolution to its old way though oneDNN does it sooner."""
    plain = image.device.type == "cpu" and image.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return plain and image.ndim == 5 and len(image) == 1 and image.numel() >= LEAST and max(weight.shape[2:]) > 1


def _missed_up(image: Tensor, weight: Tensor, groups: int) -> bool:
    """The same for a convolution that goes up."""
    wide = min(weight.shape[-2:]) > 3 or groups > 1
    return _missed(image, weight) and not wide and image.shape[1:4].numel() <= IMAGES and weight.shape[1] >= MAPS


def _each(value: int | Sequence[int]) -> list[int]:
    """A number for each axis."""
    return [value] * 3 if isinstance(value, int) else [*value] * (3 // len(value))


def _up(
    image: Tensor, weight: Tensor, bias: Tensor | None, padding: list[int], beyond: list[int], stride: list[int], dilation: list[int], groups: int,
) -> Tensor:
    work = torch.ops.mkldnn._convolution_transpose_pointwise
    return work(image, weight, bias, padding, beyond, stride, dilation, groups, "none", [], "")  # type: ignore[no-any-return]


@cache
def _goes_up() -> bool:
    """Whether this torch takes such a convolution to oneDNN: it does so for its own compiler, and promises nobody else."""
    image, weight = torch.arange(54.0).reshape(1, 2, 3, 3, 3) / 54, torch.arange(108.0).reshape(2, 2, 3, 3, 3) / 108
    try:
        with torch.inference_mode():
            found = _up(image.contiguous(memory_format=torch.channels_last_3d), weight, None, [1] * 3, [1] * 3, [2] * 3, [1] * 3, 1)
            return torch.allclose(found, torch.conv_transpose3d(image, weight, None, 2, 1, 1), atol=1e-4)
    except (AttributeError, RuntimeError, TypeError):
        return False
