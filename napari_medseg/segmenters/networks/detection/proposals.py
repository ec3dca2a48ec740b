"""Region proposal network (Ren et al., 2017): where on a slice something may lie, whatever it is.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from napari_medseg.segmenters.networks.detection.anchors import COUNT, anchors
from napari_medseg.segmenters.networks.detection.boxes import clipped, decode, encode, suppress
from napari_medseg.segmenters.networks.detection.losses import balanced, box_loss
from napari_medseg.segmenters.networks.detection.matching import matched
from napari_medseg.segmenters.networks.detection.targets import Truth

UPPER, LOWER = 0.7, 0.3  # overlaps: HMR-Net section 3.3
SAME = 0.7  # overlap of two proposals that say the same
BEFORE = 400  # proposals that are compared with each other
SMALLEST = 1.0  # pixel: a thinner proposal is none


@dataclass(frozen=True, slots=True, eq=False)
class Proposed:
    """What the network says of the anchors of a batch.

    Attributes
    ----------
    logits : (n, a)
    codes : (n, a, 4)
    anchors : (a, 4)
    """

    logits: Tensor
    codes: Tensor
    anchors: Tensor


class Proposals(nn.Module):
    """One head for every level of a pyramid.

    Parameters
    ----------
    features : int
        Channels of a level.
    strides : of the levels
    anchor : float
        Side of a level's smallest anchor, in strides.
    """

    def __init__(self, features: int, strides: Sequence[int], anchor: float) -> None:
        super().__init__()
        self.strides, self.anchor = tuple(strides), anchor
        self.body = nn.Conv2d(features, features, 3, padding=1)
        self.objectness = nn.Conv2d(features, COUNT, 1)
        self.codes = nn.Conv2d(features, 4 * COUNT, 1)
        for head in (self.objectness, self.codes):
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]

    def forward(self, levels: Sequence[Tensor]) -> Proposed:
        """Objectness and codes of the anchors of every level."""
        logits, codes, places = [], [], []
        for features, stride in zip(levels, self.strides, strict=True):
            n, _, height, width = features.shape
            body = nnf.relu(self.body(features))
            logits.append(self.objectness(body).permute(0, 2, 3, 1).reshape(n, -1))
            codes.append(self.codes(body).permute(0, 2, 3, 1).reshape(n, -1, 4))
            places.append(anchors(height, width, stride, stride * self.anchor, features))
        return Proposed(torch.cat(logits, 1).float(), torch.cat(codes, 1).float(), torch.cat(places).float())

    def best(self, proposed: Proposed, size: tuple[int, int], count: int) -> list[Tensor]:
        """The best boxes (k, 4) of each image, at most `count`; nothing is learned through them."""
        found = []
        for logits, codes in zip(proposed.logits.detach(), proposed.codes.detach(), strict=True):
            scores, order = logits.sort(descending=True, stable=True)
            scores, order = scores[:BEFORE], order[:BEFORE]
            boxes = clipped(decode(codes[order], proposed.anchors[order]), size)
            real = ((boxes[:, 2:] - boxes[:, :2]) >= SMALLEST).all(1) & torch.isfinite(scores)
            boxes, scores = boxes[real], scores[real]
            found.append(boxes[suppress(boxes, scores, SAME)[:count]])
        return found

    def loss(self, proposed: Proposed, truths: Sequence[Truth]) -> tuple[Tensor, Tensor]:
        """Objectness and boxes of a batch: both sides of yes and no count alike, over all anchors and images."""
        positive, weights, wanted = [], [], []
        for truth in truths:
            classes, objects, weight = matched(proposed.anchors, truth, UPPER, LOWER, best=True)
            positive.append(classes > 0)
            weights.append(weight)
            boxes = truth.boxes[objects] if len(truth) else proposed.anchors
            wanted.append(encode(boxes, proposed.anchors))
        held, weight = torch.stack(positive), torch.stack(weights)
        return balanced(proposed.logits, held, weight), box_loss(proposed.codes[held], torch.stack(wanted)[held], weight[held])
