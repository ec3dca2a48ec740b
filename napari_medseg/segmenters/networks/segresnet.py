"""SegResNet: residual blocks with group norm, a deep encoder and a light decoder.

Myronenko, "3D MRI brain tumor segmentation using autoencoder regularization" (BrainLes 2018), without the autoencoder, as MONAI builds it; one of the three
networks of Auto3DSeg that Phitidis et al. (MIUA 2023) compare with nnU-Net.

Imports torch and monai: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from monai.networks.nets import SegResNet as MonaiSegResNet
from torch import Tensor

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.networks.network import Network

GROUPS = 8


class SegResNet(Network):
    """MONAI's SegResNet.

    Parameters
    ----------
    in_channels, classes, dims
        As `network.Network`.
    width : int
        Features at full resolution, a multiple of 8; twice as many each level down.
    down : sequence of int
        Blocks of each level of the encoder.
    up : sequence of int
        Blocks of each level of the decoder, one fewer.

    Raises
    ------
    InvalidInputError
        When a number makes no network.
    """

    ENCODER = ("network.convInit", "network.down_layers")
    SMALL: ClassVar = {"width": 8, "down": (1, 1, 1), "up": (1, 1)}
    UPDATES = 100
    RATE = 1e-2

    def __init__(
        self, in_channels: int, classes: int, dims: int, width: int = 16, down: Sequence[int] = (1, 2, 2, 4), up: Sequence[int] = (1, 1, 1),
    ) -> None:
        if width < GROUPS or width % GROUPS or len(up) != len(down) - 1 or min(down, default=0) < 1 or min(up, default=0) < 1:
            what = f"no SegResNet has width {width}, blocks {list(down)} down and {list(up)} up"
            raise InvalidInputError(what, where=type(self).__name__, todo="Give a multiple of 8, and one level fewer up than down")
        super().__init__(in_channels, classes, dims, step=2 ** (len(down) - 1))
        self.network = MonaiSegResNet(
            spatial_dims=dims, init_filters=width, in_channels=in_channels, out_channels=classes, blocks_down=tuple(down), blocks_up=tuple(up),
        )

    def logits(self, windows: Tensor) -> Tensor:
        """Logits of windows whose sides are multiples of `step`."""
        return self.network(windows)  # type: ignore[no-any-return]
