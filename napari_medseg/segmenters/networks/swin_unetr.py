"""Swin UNETR: attention within windows that shift from block to block, and a convolutional decoder with skips.

Hatamizadeh et al., "Swin UNETR: Swin transformers for semantic segmentation of brain tumors in MRI images" (BrainLes 2021), as MONAI builds it. With 24
features it is the network that Sobirov et al. (MIUA 2023) compare in 3D and on super images, and one of Auto3DSeg's in Phitidis et al. (MIUA 2023).

Imports torch and monai, and monai needs einops for it: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from monai.networks.nets import SwinUNETR as MonaiSwinUNETR
from torch import Tensor

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.networks.network import Network
from napari_medseg.segmenters.networks.windows import require_levels, two_places

STEP = 32  # patches of 2, then four mergings of 2
MULTIPLE = 12


class SwinUNETR(Network):
    """MONAI's Swin UNETR.

    Parameters
    ----------
    in_channels, classes, dims
        As `network.Network`.
    width : int
        Features at full resolution, a multiple of 12.
    depths, heads : one for each of four levels
        Blocks and attention heads.
    window : int
        Places along each axis that look at each other.

    Raises
    ------
    InvalidInputError
        When a number makes no network.
    """

    ENCODER = ("network.swinViT",)
    SMALL: ClassVar = {"width": 12, "depths": (1, 1, 1, 1), "heads": (1, 2, 4, 8), "window": 4}
    HEAVY = frozenset({"training"})

    def __init__(
        self, in_channels: int, classes: int, dims: int, width: int = 24, depths: Sequence[int] = (2, 2, 2, 2), heads: Sequence[int] = (3, 6, 12, 24),
        window: int = 7,
    ) -> None:
        require_levels(type(self).__name__, levels=(1, 1, 1, 1), depths=depths, heads=heads)
        if width < MULTIPLE or width % MULTIPLE or window < 1 or any(width * 2**level % count for level, count in enumerate(heads)):
            what = f"no Swin UNETR has width {width}, {list(heads)} heads and windows of {window}"
            raise InvalidInputError(what, where=type(self).__name__, todo="Give a width that is a multiple of 12 and of the heads of its level")
        super().__init__(in_channels, classes, dims, step=STEP)
        with torch.device("cpu"):  # it asks tensors for their numbers while it is built
            self.network = MonaiSwinUNETR(
                in_channels=in_channels, out_channels=classes, depths=tuple(depths), num_heads=tuple(heads), window_size=window, feature_size=width,
                spatial_dims=dims,
            )

    def logits(self, windows: Tensor) -> Tensor:
        """Logits of windows whose sides are multiples of `step`."""
        return self.network(two_places(windows, self.step))[..., : windows.shape[-1]]  # type: ignore[no-any-return]
