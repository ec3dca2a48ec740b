"""A network: what it sees at full and at half resolution decides together, in images and in volumes."""

import torch
from torch import Tensor, nn

from napari_medseg.segmenters.networks.blocks import LAYERS, begin, convolved
from napari_medseg.segmenters.networks.network import Network
from napari_medseg.segmenters.networks.windows import resized


class TwoScales(Network):
    """Windows come as multiples of `step` along each axis, and the answer is cut to what was asked; there is nothing else to see to."""

    ENCODER = ("fine", "coarse")  # what freezing the encoder freezes, and pre-training hands on
    UPDATES = 60  # within which the suite's phantom is learnt
    RATE = 2e-2

    def __init__(self, in_channels: int, classes: int, dims: int, width: int = 16) -> None:
        super().__init__(in_channels, classes, dims, step=2)
        self.fine = convolved(dims, in_channels, width)
        self.coarse = nn.Sequential(convolved(dims, width, 2 * width, stride=2), convolved(dims, 2 * width, 2 * width, dilation=2))
        self.join = convolved(dims, 3 * width, width)
        self.head = LAYERS[dims].conv(width, classes, 1)
        begin(self.fine, self.coarse, self.join)

    def logits(self, windows: Tensor) -> Tensor:
        """Logits (n, classes, [z,] y, x)."""
        fine = self.fine(windows)
        return self.head(self.join(torch.cat([fine, resized(self.coarse(fine), fine.shape[2:])], 1)))
