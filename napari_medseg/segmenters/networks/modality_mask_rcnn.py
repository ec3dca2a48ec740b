"""Modality-invariant Mask R-CNN (Pemasiri et al.): boxes, classes and masks read from the feature maps that say something in every modality.

Feature maps of every level whose response to the objects is all low or all high in any modality are dropped; what remains is resized to the input, joined,
convolved, and regions are taken from that. The loss is class + l * box + m * mask, with l = m = 3, the paper's best.

What the paper leaves open, and what is done here. The maps joined are the stem's, those of the four stages and those of the pyramid. The convolution after them
is 1x1: it and the resizing change places then (both are linear), so that each level is convolved at its own size and the sum is the same at a hundredth of the
memory. "Inside the box" is the paper's way: the kernels are chosen once, from crops of the training's objects, and stay; an image to be segmented needs no
box. There is no pre-trained trunk to choose by, so the choice falls after the first updates of the training (`settle`), each channel of a scan counting as a
modality; `choose` takes unpaired images of several modalities. Objectness and boxes of the proposals join the class and the box term.

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
from napari_medseg.segmenters.networks.detection.detector import CODES, NOTHING, Detections, Detector, Seen
from napari_medseg.segmenters.networks.detection.heads import ClassAndBox, Masks
from napari_medseg.segmenters.networks.detection.kernels import Responses
from napari_medseg.segmenters.networks.detection.losses import box_loss, class_loss, mask_loss
from napari_medseg.segmenters.networks.detection.matching import Regions
from napari_medseg.segmenters.networks.detection.pyramid import Pyramid, resized
from napari_medseg.segmenters.networks.detection.regions import roi_align
from napari_medseg.segmenters.networks.detection.residual import Trunk, norm
from napari_medseg.segmenters.networks.detection.targets import Truth, truth

BOX, MASK = 7, 14  # bins of a region's side


class ModalityMaskRCNN(Detector):
    """The network.

    Parameters
    ----------
    in_channels, classes, dims
        As `Network`; 2 dimensions only.
    depth, width, cardinality, per_group
        Of the trunk (`residual.Trunk`); the paper's best is depth 101, width 64, cardinality 32, per_group 8.
    stride : 1, 2 or 4
        Pixels that a feature of the second level stands for; 4 as published.
    features : int
        Channels of the pyramid and of what regions are taken from; 256 as published.
    hidden : int
        Width of the class and box head; 1024 as published.
    anchor : float
        Side of a level's smallest anchor, in its strides.
    box_weight, mask_weight : float
        l and m of the loss.
    settle : int
        Update of the training after which the kernels are chosen; 0 keeps all of them, which makes it a Mask R-CNN with joined features.

    Attributes
    ----------
    kept : bool (feature maps,)
        Which are joined; all of them until they are chosen.
    updates : int64 ()
        Updates seen.
    """

    ENCODER: ClassVar[tuple[str, ...]] = ("trunk", "pyramid")
    SMALL: ClassVar[Mapping[str, Any]] = {"width": 8, "features": 32, "hidden": 64, "settle": 40}
    UPDATES: ClassVar[int] = 80
    HEAVY: ClassVar[frozenset[str]] = frozenset({"training"})
    kept: Tensor
    updates: Tensor

    def __init__(
        self, in_channels: int = 1, classes: int = 1, dims: int = 2, *, depth: int = 18, width: int = 16, cardinality: int = 1, per_group: int = 4,
        stride: int = 2, features: int = 32, hidden: int = 128, anchor: float = 4.0, box_weight: float = 3.0, mask_weight: float = 3.0, settle: int = 60,
    ) -> None:
        strides = [stride * 2**level for level in range(4)]
        super().__init__(in_channels, classes, dims, strides[-1], features=features, strides=strides, anchor=anchor, points=32)
        if min(box_weight, mask_weight, settle) < 0:
            raise InvalidInputError("weights of a loss and updates are 0 or more", where="box_weight, mask_weight, settle", todo="Give numbers from 0 on")
        self.box_weight, self.mask_weight, self.settle = box_weight, mask_weight, settle
        self.trunk = Trunk(in_channels, depth, width, stride, cardinality, per_group)
        self.pyramid = Pyramid(self.trunk.channels[1:], features)
        self.candidates = (*self.trunk.channels, *(features for _ in strides))
        self.join = nn.ModuleList(nn.Conv2d(channels, features, 1, bias=False) for channels in self.candidates)
        self.joined = nn.Sequential(norm(features), nn.ReLU())
        self.head = ClassAndBox(features, BOX, hidden, classes)
        self.masks = Masks(features, features, classes)
        self.register_buffer("kept", torch.ones(sum(self.candidates), dtype=torch.bool))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def maps(self, windows: Tensor) -> list[Tensor]:
        """The feature maps of every level, coarse ones at their own size: stem, stages, pyramid.

        They are (n, channels, y, x), of windows (n, channels, y, x) whose sides are multiples of `step`.
        """
        stages = self.trunk(windows)
        return [*stages, *self.pyramid(stages[1:])]

    def see(self, windows: Tensor) -> Seen:
        """The pyramid for the proposals, and the joined maps at the input's size."""
        maps = self.maps(windows)
        total: Tensor | None = None
        for features, conv, kept in zip(maps, self.join, torch.split(self.kept, list(self.candidates)), strict=True):
            part = resized(conv(features * kept[:, None, None]), windows)
            total = part if total is None else total + part
        joined = self.joined(total)
        return Seen(maps[-4:], [joined], [joined])

    def region(self, seen: Seen, boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Of the joined maps."""
        found: tuple[Tensor, Tensor] = self.head(roi_align(seen.box[0], boxes, BOX, 1.0))
        return found

    def shaped(self, seen: Seen, boxes: Sequence[Tensor], labels: Tensor) -> tuple[None, Tensor]:
        """Masks, logits (r, m, m)."""
        return None, self.masks(roi_align(seen.shape[0], boxes, MASK, 1.0), labels)

    def region_loss(self, seen: Seen, regions: Sequence[Regions], truths: Sequence[Truth], proposed: tuple[Tensor, Tensor]) -> Tensor:
        """Class + l * box + m * mask (eq. 1)."""
        objectness, rough = proposed
        logits, codes = self.region(seen, [some.boxes for some in regions])
        classes, weights = (torch.cat([getattr(some, name) for some in regions]) for name in ("classes", "weights"))
        held = [Regions(some.boxes[at], some.classes[at], some.objects[at], some.weights[at]) for some in regions for at in [some.positive]]
        labels, counts = (torch.cat([getattr(some, name) for some in held]) for name in ("classes", "weights"))
        boxes = torch.cat([some.boxes for some in held])
        true = torch.cat([known.boxes[some.objects] for some, known in zip(held, truths, strict=True)])
        mine = codes[classes > 0][torch.arange(len(labels), device=labels.device), labels - 1]
        fine = box_loss(mine, encode(true, boxes, CODES), counts)
        _, masks = self.shaped(seen, [some.boxes for some in held], labels)
        wanted = [
            roi_align(known.masks[:, None], _each_its_own(some, len(known)), 2 * MASK, 1.0)[:, 0][_order(some)]
            for some, known in zip(held, truths, strict=True)
        ]
        shape = mask_loss(masks, torch.cat(wanted), counts)
        return class_loss(logits, classes, weights) + objectness + self.box_weight * (fine + rough) + self.mask_weight * shape

    def own_loss(self, windows: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """As `Detector.own_loss`; counts the updates, and chooses the kernels once."""
        if self.training:
            if self.settle and int(self.updates) == self.settle:
                self._settle(windows, targets, weights)
            self.updates += 1
        return super().own_loss(windows, targets, weights)

    def choose(self, examples: Mapping[str, Sequence[tuple[Tensor, Tensor]]], threshold: float = 0.5) -> int:
        """Keep the feature maps that say something of the objects in every modality (section 3.2).

        Parameters
        ----------
        examples : by modality, (window (channels, y, x), boxes (k, 4))
            Each box is cropped and shown to the network.
        threshold : float
            Above this share of the way from a kernel's least to its largest response, over all crops, a response counts as 1, else as 0. A kernel whose
            responses are all 0 or all 1 in a modality is dropped.

        Returns
        -------
        int
            How many are kept; where none would be, all are.

        Raises
        ------
        InvalidInputError
            When a modality has no box, or images with other channels than the network.
        """
        responses = Responses(threshold)
        for name, images in examples.items():
            if not any(len(boxes) for _, boxes in images):
                raise InvalidInputError("no object is marked", where=name, todo="Give every modality at least one image with an object")
            for window, boxes in images:
                for box in boxes:
                    responses.add(name, self._shown(window, box))
        chosen = responses.informative()
        self.kept.copy_(chosen if bool(chosen.any()) else torch.ones_like(chosen))
        return int(self.kept.sum())

    def drawn(self, found: Detections, index: int, size: tuple[int, int]) -> Tensor:
        """The mask's logits (h, w), bilinearly in its box; nothing outside.

        Raises
        ------
        ValueError
            When the detections hold no masks.
        """
        if found.masks is None:
            raise ValueError("these detections hold no masks")
        return pasted_mask(found.masks[index], found.boxes[index], size)

    def _shown(self, window: Tensor, box: Tensor) -> list[Tensor]:
        """The feature maps of a crop."""
        height, width = window.shape[1:]
        y0, x0, y1, x1 = (int(v) for v in torch.cat([box[:2].floor(), box[2:].ceil()]))
        y0, x0 = min(max(y0, 0), height - 1), min(max(x0, 0), width - 1)
        crop = window[None, :, y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
        was = self.training
        self.eval()
        with torch.no_grad():
            maps = self.maps(self._padded(crop))
        self.train(was)
        return [features[0] for features in maps]

    def _settle(self, windows: Tensor, targets: Tensor, weights: Tensor) -> None:
        """Choose by this batch: each channel alone is a modality, the others at their mean of 0."""
        known = [truth(target, weight, self.points) for target, weight in zip(targets, weights, strict=True)]
        boxes = [some.boxes[some.taught] for some in known]
        if not any(map(len, boxes)):
            self.updates -= 1  # nothing to choose by: the next update asks again
            return
        channels = range(self.in_channels)
        alone = {str(c): windows * (torch.arange(self.in_channels, device=windows.device) == c)[:, None, None] for c in channels}
        self.choose({name: list(zip(images, boxes, strict=True)) for name, images in alone.items()})


def pasted_mask(mask: Tensor, box: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits (m, m) of a box as logits (h, w) of a slice: bilinear, the mask's outer pixels reaching to the edge of the box."""
    y0, x0, y1, x1 = box.tolist()
    rows, columns = torch.arange(size[0], device=mask.device) + 0.5, torch.arange(size[1], device=mask.device) + 0.5
    y, x = (rows - y0) / max(y1 - y0, 1e-3) * 2 - 1, (columns - x0) / max(x1 - x0, 1e-3) * 2 - 1
    grid = torch.stack([x[None].expand(size), y[:, None].expand(size)], -1)[None]
    drawn = nnf.grid_sample(mask[None, None], grid.to(mask), padding_mode="border", align_corners=False)[0, 0]
    within = (y.abs() <= 1)[:, None] & (x.abs() <= 1)[None]
    return torch.where(within, drawn, NOTHING)


def _each_its_own(regions: Regions, objects: int) -> list[Tensor]:
    """The boxes of regions, grouped by the object they hold."""
    return [regions.boxes[regions.objects == index] for index in range(objects)]


def _order(regions: Regions) -> Tensor:
    """Where each region is after such a grouping."""
    return regions.objects.argsort(stable=True).argsort(stable=True)
