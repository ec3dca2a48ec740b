"""DiNTS: convolutions on a grid of resolutions whose connections were found by a search, here a fixed result of one.

He et al., "DiNTS: differentiable neural network topology search for 3D medical image segmentation", CVPR 2021; one of Auto3DSeg's networks in Phitidis et al.
(MIUA 2023), who do not say which topology theirs had. The authors' own results are published as pickled files only, so this one was searched anew: MONAI's
`TopologySearch` with 6 blocks on 3 resolutions and 8 features, memory factor 0.8, 200 steps on windows of 24 x 32 x 24 voxels of 24 hippocampi of the Medical
Segmentation Decathlon, half for the weights and half for the topology. A short search on small windows: other organs may deserve another. Cells are MONAI's.

Imports torch and monai: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from monai.networks.blocks.dints_block import ActiConvNormBlock
from monai.networks.nets.dints import Cell
from torch import Tensor, nn

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.networks.blocks import LAYERS
from napari_medseg.segmenters.networks.network import Network
from napari_medseg.segmenters.networks.windows import two_places

INSTANCE_NORM = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
DEPTHS = 3  # resolutions of the grid: a half, a quarter, an eighth
OPERATIONS = {2: ("skip", "3x3"), 3: ("skip", "3x3x3", "3x3x1", "3x1x3", "1x3x3")}


class Path(NamedTuple):
    """A cell: the resolutions it leads from and to, and what it does after; in images every convolution is 3 x 3."""

    before: int
    after: int
    operation: str


TOPOLOGY: tuple[tuple[Path, ...], ...] = (
    (Path(0, 0, "3x3x3"), Path(1, 0, "skip"), Path(0, 1, "3x3x3"), Path(1, 1, "skip"), Path(1, 2, "3x3x1")),
    (Path(0, 0, "3x3x3"), Path(1, 0, "skip"), Path(0, 1, "1x3x3"), Path(2, 1, "skip"), Path(1, 2, "3x1x3")),
    (
        Path(0, 0, "3x3x1"), Path(1, 0, "3x3x3"), Path(0, 1, "skip"), Path(1, 1, "skip"), Path(2, 1, "1x3x3"), Path(1, 2, "3x3x1"),
        Path(2, 2, "3x3x3"),
    ),
    (Path(0, 0, "3x3x3"), Path(1, 0, "3x1x3"), Path(0, 1, "3x3x3"), Path(1, 1, "skip"), Path(2, 1, "3x1x3"), Path(1, 2, "1x3x3")),
    (Path(0, 0, "1x3x3"), Path(1, 0, "3x1x3"), Path(0, 1, "skip"), Path(2, 1, "skip"), Path(2, 2, "3x3x3")),
    (Path(0, 0, "3x3x3"), Path(1, 0, "3x3x3"), Path(0, 1, "3x3x3"), Path(1, 1, "1x3x3"), Path(2, 1, "3x1x3"), Path(1, 2, "3x1x3")),
)


class DiNTS(Network):
    """The searched network.

    Parameters
    ----------
    in_channels, classes, dims
        As `network.Network`.
    width : int
        Features at full resolution, an even number; twice as many each resolution down.

    Raises
    ------
    InvalidInputError
        When a number makes no network.
    """

    ENCODER = ("down", "cells")
    SMALL: ClassVar = {"width": 4}
    UPDATES = 100
    RATE = 1e-2

    def __init__(self, in_channels: int, classes: int, dims: int, width: int = 16) -> None:
        if width < 2 or width % 2:
            raise InvalidInputError(f"no DiNTS has width {width}", where=type(self).__name__, todo="Give an even number of features")
        super().__init__(in_channels, classes, dims, step=2**DEPTHS)
        features = [width * 2**level for level in range(DEPTHS + 1)]
        seen = {path.before for path in TOPOLOGY[0]}
        self.down = nn.ModuleDict({str(depth): _stem_down(in_channels, features[depth], features[depth + 1], depth, dims) for depth in sorted(seen)})
        self.cells = nn.ModuleList(_cell(path, features, dims) for block in TOPOLOGY for path in block)
        deepest = max(path.after for path in TOPOLOGY[-1])
        self.up = nn.ModuleList(_stem_up(features[depth + 1], features[depth], dims) for depth in range(deepest + 1))
        self.head = nn.Sequential(ActiConvNormBlock(width, width, spatial_dims=dims), LAYERS[dims].conv(width, classes, 1))

    def logits(self, windows: Tensor) -> Tensor:
        """Logits of windows whose sides are multiples of `step`."""
        longer = two_places(windows, self.step)
        features = {int(depth): stem(longer) for depth, stem in self.down.items()}
        cells = iter(self.cells)
        for block in TOPOLOGY:
            found: dict[int, Tensor] = {}
            for path in block:
                given = next(cells)(features[path.before], None)
                found[path.after] = found[path.after] + given if path.after in found else given
            features = found
        climbing: Tensor | None = None
        for depth in reversed(range(len(self.up))):
            here = [one for one in (features.get(depth), climbing) if one is not None]
            climbing = self.up[depth](here[0] if len(here) == 1 else here[0] + here[1])
        return self.head(climbing)[..., : windows.shape[-1]]  # type: ignore[no-any-return]


def _cell(path: Path, features: list[int], dims: int) -> Cell:
    chosen = path.operation if dims == 3 or path.operation == "skip" else "3x3"
    code = [int(operation == chosen) for operation in OPERATIONS[dims]]
    return Cell(features[path.before + 1], features[path.after + 1], path.before - path.after, code, spatial_dims=dims)


def _stem_down(in_channels: int, before: int, after: int, depth: int, dims: int) -> nn.Sequential:
    conv, norm = LAYERS[dims].conv, INSTANCE_NORM[dims]
    return nn.Sequential(
        nn.Upsample(scale_factor=0.5**depth, mode=LAYERS[dims].linear, align_corners=True), conv(in_channels, before, 3, padding=1, bias=False),
        norm(before, affine=True), nn.ReLU(), conv(before, after, 3, 2, 1, bias=False), norm(after, affine=True),
    )


def _stem_up(before: int, after: int, dims: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(), LAYERS[dims].conv(before, after, 3, padding=1, bias=False), INSTANCE_NORM[dims](after, affine=True),
        nn.Upsample(scale_factor=2, mode=LAYERS[dims].linear, align_corners=True),
    )
