"""nnU-Net's U-Net: as deep as the window is large, and an axis is halved only once the others are as coarse.

Isensee et al., "nnU-Net", Nature Methods 2021: leaky ReLU, instance norm, strided convolutions down, transposed ones up, skips; the rule by which it settles
strides and kernels from spacing and patch is that of its methods section. Built by MONAI's DynUNet. Phitidis et al. (MIUA 2023) compare it with Auto3DSeg.

Imports torch and monai: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from monai.networks.nets import DynUNet as MonaiDynUNet
from torch import Tensor

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.networks.network import Network
from napari_medseg.segmenters.networks.windows import two_places

SMALLEST = 4  # places that an axis keeps at the lowest level
COARSER = 2.0  # an axis this much coarser than the finest is neither halved nor looked along
MOST = {2: 512, 3: 320}  # features
WINDOW = {2: 64, 3: 32}
LEAST_LEVELS = 3  # that MONAI builds

Sides = tuple[int, ...]


class DynUNet(Network):
    """nnU-Net's U-Net, without deep supervision.

    Parameters
    ----------
    in_channels, classes, dims
        As `network.Network`.
    spacing : mm along each axis, optional
        Of the grid it will see; the same along all axes by default.
    window : voxels along each axis, optional
        That it will learn from; 32 (64 for images) by default. Others work too.
    width : int
        Features at full resolution; twice as many each level down, up to 320 (512 for images).
    residual : bool
        Residual blocks, as in nnU-Net's larger presets.

    Raises
    ------
    InvalidInputError
        When a number makes no network.
    """

    ENCODER = ("first", "down", "bottom")
    SMALL: ClassVar = {"width": 8}
    UPDATES = 100
    RATE = 1e-2

    def __init__(
        self, in_channels: int, classes: int, dims: int, spacing: Sequence[float] = (), window: Sequence[int] = (), width: int = 32,
        residual: bool = False,
    ) -> None:
        spacing = tuple(spacing) or (1.0,) * dims
        window = tuple(window) or (WINDOW.get(dims, 1),) * dims
        if not len(spacing) == len(window) == dims or min(spacing) <= 0 or min(window) < 1 or width < 1:
            what = f"no network of {dims} dimensions has spacing {list(spacing)}, windows {list(window)} and width {width}"
            raise InvalidInputError(what, where=type(self).__name__, todo="Give a positive number for each axis")
        strides, kernels = levels(spacing, window)
        super().__init__(in_channels, classes, dims, step=tuple(math.prod(axis) for axis in zip(*strides, strict=True)))
        whole = MonaiDynUNet(
            spatial_dims=dims, in_channels=in_channels, out_channels=classes, kernel_size=kernels, strides=strides, upsample_kernel_size=strides[1:],
            filters=[min(width * 2**level, MOST[dims]) for level in range(len(strides))], res_block=residual,
        )
        self.first, self.down, self.bottom, self.up, self.head = whole.input_block, whole.downsamples, whole.bottleneck, whole.upsamples, whole.output_block

    def logits(self, windows: Tensor) -> Tensor:
        """Logits of windows whose sides are multiples of `step`."""
        features = self.first(two_places(windows, self.step))
        skips = [features]
        for down in self.down:
            skips.append(down(skips[-1]))
        features = self.bottom(skips[-1])
        for up in self.up:
            features = up(features, skips.pop())
        return self.head(features)[..., : windows.shape[-1]]  # type: ignore[no-any-return]


def levels(spacing: Sequence[float], window: Sequence[int]) -> tuple[list[Sides], list[Sides]]:
    """Strides into each level, the first 1 along all axes, and the kernels of each, as nnU-Net settles them.

    An axis is halved while it keeps 4 places and is less than twice as coarse as the finest that can be; it is looked along (kernel 3) from the level on where
    it is less than twice as coarse as the finest of all.
    """
    now, left = list(spacing), [float(n) for n in window]
    axes = range(len(now))
    strides: list[Sides] = [(1,) * len(now)]
    kernels: list[Sides] = [_kernel(now, (1,) * len(now))]
    while True:
        long = [axis for axis in axes if left[axis] >= 2 * SMALLEST]
        halved = [axis for axis in long if now[axis] / min(now[one] for one in long) < COARSER]
        if not halved or (len(halved) == 1 and left[halved[0]] < 3 * SMALLEST):
            break
        stride = tuple(2 if axis in halved else 1 for axis in axes)
        now = [n * s for n, s in zip(now, stride, strict=True)]
        left = [math.ceil(n / s) for n, s in zip(left, stride, strict=True)]
        strides.append(stride)
        kernels.append(_kernel(now, kernels[-1]))
    while len(strides) < LEAST_LEVELS:
        strides.append((1,) * len(now))
        kernels.append(kernels[-1])
    kernels[-1] = (3,) * len(now)
    return strides, kernels


def _kernel(spacing: Sequence[float], above: Sides) -> Sides:
    return tuple(3 if k == 3 or n / min(spacing) < COARSER else 1 for n, k in zip(spacing, above, strict=True))
