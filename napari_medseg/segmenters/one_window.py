"""One window at a time, as quickly as several: convolutions in space by oneDNN also where torch would not ask it.

Torch's own rule was made for images: a single volume whose channels times its first two axes stay below 20,480 (a window of 64 with up to five channels, or
of 32 with up to twenty) goes the old way, which lays out every neighbourhood of every voxel in memory. Two windows at once never do. That way costs a third
more time and, for 16 channels at 32 x 32 x 32, 57 MB that nothing else needs (figures in docs/segmenters.md).

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

LEAST = 1 << 15  # values of an input that pay for oneDNN's own preparations


class OneWindow(TorchFunctionMode):
    """While it is entered, single windows on the processor are convolved by oneDNN; all else is as ever. For inference only."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """The answer of a function of torch, see `torch.overrides`."""
        if func is torch.conv3d and not kwargs and len(args) == 7 and _missed(args[0], args[1]) and not isinstance(args[4], str):
            image, weight, bias, stride, padding, dilation, groups = args
            return torch.mkldnn_convolution(image, weight, bias, padding, stride, dilation, groups)
        return func(*args, **(kwargs or {}))


def helps(device: str) -> bool:
    """Whether there is anything to gain on a device: on processors for which torch was built with oneDNN."""
    return device == "cpu" and bool(torch.backends.mkldnn.is_available()) and hasattr(torch, "mkldnn_convolution")  # type: ignore[no-untyped-call]


def _missed(image: Tensor, weight: Tensor) -> bool:
    """Whether torch would leave a convolution to its old way though oneDNN does it sooner."""
    plain = image.device.type == "cpu" and image.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return plain and image.ndim == 5 and len(image) == 1 and image.numel() >= LEAST and max(weight.shape[2:]) > 1
