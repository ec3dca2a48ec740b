"""HMR-Net (holistic multitask regression): organs found by class and box, and their boundaries regressed point by point.

Two N-nets see the slice with two channels of coordinates (CoordConv): a residual trunk, a feature pyramid down (P5 to P2), and a path up again in which
H2 = P2 and H(i+1) is a 3x3 convolution of H(i) + P(i+1), all at the size of P2. After every level of both a cross-stitch unit mixes the two by learned
shares. Proposals come from the first net's pyramid; class and box of a region from the level of its H that suits the region's size (eq. 1); the boundary
from all of the second net's H, joined. The loss is class + box + boundary + manifold + the squared weights (eq. 7).

What the paper leaves open, and what is done here: the depth of the trunks (18 here, 50 and 101 at hand); which net feeds what; where a boundary begins (above
the object's centre, clockwise); points are regressed from -1 to 1 over the region, not over the image; the shares of a cross-stitch unit begin at 0.9 of a
net's own and 0.1 of the other (Misra et al.); the neighbours of the manifold's graph (5); the weights of the terms (1, 1, 10, 0.01, 1e-4). Maxout is over
two pieces, group normalisation is used in place of batch normalisation, and the error's length, not the answer's, stands in the boundary's term
(`losses.contour_loss`).

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.networks.detection.boxes import encode
from napari_medseg.segmenters.networks.detection.contours import inside
from napari_medseg.segmenters.networks.detection.detector import CODES, NOTHING, Detections, Detector, Seen
from napari_medseg.segmenters.networks.detection.heads import Boundary, ClassAndBox
from napari_medseg.segmenters.networks.detection.losses import box_loss, class_loss, contour_loss, manifold_loss
from napari_medseg.segmenters.networks.detection.matching import Regions
from napari_medseg.segmenters.networks.detection.pyramid import Pyramid, resized
from napari_medseg.segmenters.networks.detection.regions import roi_align, roi_align_levels
from napari_medseg.segmenters.networks.detection.residual import Trunk
from napari_medseg.segmenters.networks.detection.targets import Truth

BOX, SHAPE = 7, 14  # bins of a region's side
STEEP = 3.0  # logits a pixel, across a boundary
ROOM = 3  # pixels around an object that its map is drawn on
OWN, OTHER = 0.9, 0.1


class CrossStitch(nn.Module):
    """Each of two nets' maps as a learned mixture of both (Misra et al., CVPR 2016), with shares of its own for every channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        shares = torch.tensor([[OWN, OTHER], [OTHER, OWN]])[:, :, None].repeat(1, 1, channels)
        self.shares = nn.Parameter(shares)

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Both maps, mixed."""
        a, b = (own[:, None, None] * first + other[:, None, None] * second for own, other in self.shares)
        return a, b


class NNet(nn.Module):
    """Down, up and down again: the parts of one net, which are run level by level beside those of the other."""

    def __init__(self, in_channels: int, depth: int, width: int, stride: int, features: int) -> None:
        super().__init__()
        self.trunk = Trunk(in_channels, depth, width, stride)
        self.pyramid = Pyramid(self.trunk.channels[1:], features)
        self.path = nn.ModuleList(nn.Conv2d(features, features, 3, padding=1) for _ in range(3))


class HMRNet(Detector):
    """The network.

    Parameters
    ----------
    in_channels, classes, dims
        As `Network`; 2 dimensions only.
    depth, width : int
        Of the trunks (`residual.Trunk`); width 64 as published.
    stride : 1, 2 or 4
        Pixels that a feature of the second level stands for; 4 as published.
    features : int
        Filters of pyramid and path; 256 as published.
    filters : two of int
        Of the boundary's convolutions; 100 and 500 as published.
    hidden : int
        Width of fully connected layers; 1024 as published.
    points : int
        Of a boundary; 50 or 100 as published.
    anchor : float
        Side of a level's smallest anchor, in its strides.
    canonical : float
        Side in pixels of a region that the fourth level sees; 224 as published, for images of 512.
    neighbours : int
        Of the graph of shapes.
    class_weight, box_weight, shape_weight, manifold_weight, square_weight : float
        Of the terms of the loss.
    """

    ENCODER: ClassVar[tuple[str, ...]] = ("detecting.trunk", "detecting.pyramid", "shaping.trunk", "shaping.pyramid", "stitches")
    SMALL: ClassVar[Mapping[str, Any]] = {"width": 8, "features": 8, "filters": (8, 16), "hidden": 64, "points": 24, "stride": 4}
    UPDATES: ClassVar[int] = 80

    def __init__(
        self, in_channels: int = 1, classes: int = 1, dims: int = 2, *, depth: int = 18, width: int = 16, stride: int = 2, features: int = 32,
        filters: Sequence[int] = (32, 64), hidden: int = 128, points: int = 50, anchor: float = 4.0, canonical: float = 56.0, neighbours: int = 5,
        class_weight: float = 1.0, box_weight: float = 1.0, shape_weight: float = 10.0, manifold_weight: float = 0.01, square_weight: float = 1e-4,
    ) -> None:
        strides = [stride * 2**level for level in range(4)]
        super().__init__(in_channels, classes, dims, strides[-1], features=features, strides=strides, anchor=anchor, points=points)
        if len(filters) != 2 or neighbours < 1 or canonical <= 0 or min(class_weight, box_weight, shape_weight, manifold_weight, square_weight) < 0:
            what = "needs two numbers of filters, 1 or more neighbours, a size above 0 and weights of 0 or more"
            raise InvalidInputError(what, where=type(self).__name__, todo="Correct the parameters of the network")
        self.canonical, self.neighbours, self.stride = canonical, neighbours, stride
        self.terms = (class_weight, box_weight, shape_weight, manifold_weight, square_weight)
        self.detecting, self.shaping = (NNet(in_channels + 2, depth, width, stride, features) for _ in range(2))
        channels = (*self.detecting.trunk.channels, *[features] * 4, *[features] * 3)
        self.stitches = nn.ModuleList(CrossStitch(each) for each in channels)
        self.head = ClassAndBox(features, BOX, hidden, classes, maxout=True)
        self.boundary = Boundary(4 * features, SHAPE, (filters[0], filters[1]), hidden, points)

    def see(self, windows: Tensor) -> Seen:
        """The first net's pyramid for the proposals and its path for classes and boxes; all of the second's path for boundaries."""
        first, second = self.detecting, self.shaping
        stitches = iter(self.stitches)
        x = with_places(windows)
        a, b = next(stitches)(first.trunk.stem(x), second.trunk.stem(x))
        a, b = first.trunk.pool(a), second.trunk.pool(b)
        stages: list[tuple[Tensor, Tensor]] = []
        for one, other in zip(first.trunk.stages, second.trunk.stages, strict=True):
            a, b = next(stitches)(one(a), other(b))
            stages.append((a, b))
        levels = list(zip(first.pyramid([s[0] for s in stages]), second.pyramid([s[1] for s in stages]), strict=True))
        levels = [next(stitches)(*pair) for pair in levels]
        path = [levels[0]]
        for one, other, (p, q) in zip(first.path, second.path, levels[1:], strict=True):
            h, g = path[-1]
            path.append(next(stitches)(nnf.relu(one(h + resized(p, h))), nnf.relu(other(g + resized(q, g)))))
        return Seen([p for p, _ in levels], [h for h, _ in path], [torch.cat([g for _, g in path], 1)])

    def region(self, seen: Seen, boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Of the level that suits a region's size; every level lies at the size of P2."""
        found: tuple[Tensor, Tensor] = self.head(roi_align_levels(seen.box, boxes, BOX, [self.stride] * 4, self.canonical))
        return found

    def shaped(self, seen: Seen, boxes: Sequence[Tensor], labels: Tensor) -> tuple[Tensor, None]:
        """Boundaries (r, p, 2) in pixels."""
        points, _ = self.boundary(roi_align(seen.shape[0], boxes, SHAPE, self.stride))
        return on_slice(points, torch.cat(list(boxes))), None

    def region_loss(self, seen: Seen, regions: Sequence[Regions], truths: Sequence[Truth], proposed: tuple[Tensor, Tensor]) -> Tensor:
        """The sum of eq. 7."""
        objectness, rough = proposed
        logits, codes = self.region(seen, [some.boxes for some in regions])
        classes, weights = (torch.cat([getattr(some, name) for some in regions]) for name in ("classes", "weights"))
        at = [some.positive for some in regions]
        held = [some.boxes[mine] for some, mine in zip(regions, at, strict=True)]
        boxes, counts = torch.cat(held), torch.cat([some.weights[mine] for some, mine in zip(regions, at, strict=True)])
        true, wanted = (
            torch.cat([getattr(known, name)[some.objects[mine]] for known, some, mine in zip(truths, regions, at, strict=True)])
            for name in ("boxes", "contours")
        )
        labels = classes[classes > 0]
        mine = codes[classes > 0][torch.arange(len(labels), device=labels.device), labels - 1]
        points, latent = self.boundary(roi_align(seen.shape[0], held, SHAPE, self.stride))
        wanted = in_region(wanted, boxes)
        of_class, of_box, of_shape, of_manifold, of_squares = self.terms
        return (
            of_class * (class_loss(logits, classes, weights) + objectness) + of_box * (box_loss(mine, encode(true, boxes, CODES), counts) + rough)
            + of_shape * contour_loss(points, wanted, counts) + of_manifold * manifold_loss(latent, wanted.flatten(1), self.neighbours)
            + of_squares * self._squares()
        )

    def drawn(self, found: Detections, index: int, size: tuple[int, int]) -> Tensor:
        """How far inside the boundary a pixel lies, as logits (h, w).

        Raises
        ------
        ValueError
            When the detections hold no boundaries.
        """
        if found.contours is None:
            raise ValueError("these detections hold no boundaries")
        contour = found.contours[index]
        map_ = torch.full(size, NOTHING, device=contour.device)
        low = (contour.amin(0) - ROOM).floor().long().clamp(min=0).tolist()
        high = [min(int(c) + 1, n) for c, n in zip((contour.amax(0) + ROOM).tolist(), size, strict=True)]
        if low[0] < high[0] and low[1] < high[1]:
            corner = contour.new_tensor(low)
            part = inside((contour - corner).cpu().numpy(), (high[0] - low[0], high[1] - low[1]))
            map_[low[0] : high[0], low[1] : high[1]] = STEEP * torch.from_numpy(part).to(map_)
        return map_

    def _squares(self) -> Tensor:
        """Half the squared weights of every convolution and fully connected layer."""
        return torch.stack([(p**2).sum() for p in self.parameters() if p.ndim > 1 and p.requires_grad] or [torch.zeros(())]).sum() / 2


def with_places(windows: Tensor) -> Tensor:
    """Windows with two more channels: row and column of each pixel, from -1 to 1 (CoordConv, Liu et al., NeurIPS 2018).

    Windows are (n, channels, y, x).
    """
    n, _, height, width = windows.shape
    y, x = (2 * (torch.arange(side, device=windows.device, dtype=windows.dtype) + 0.5) / side - 1 for side in (height, width))
    places = torch.stack([y[:, None].expand(height, width), x[None].expand(height, width)])
    return torch.cat([windows, places.expand(n, -1, -1, -1)], 1)


def in_region(points: Tensor, boxes: Tensor) -> Tensor:
    """Points (r, p, 2) of a slice as places from -1 to 1 over boxes (r, 4)."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3) / 2
    return (points - middle[:, None]) / half[:, None]


def on_slice(points: Tensor, boxes: Tensor) -> Tensor:
    """Points (r, p, 2) of a slice, in pixels, from places from -1 to 1 over boxes (r, 4): what `in_region` was made of."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3) / 2
    return points * half[:, None] + middle[:, None]
