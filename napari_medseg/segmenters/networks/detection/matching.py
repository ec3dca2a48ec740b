"""Which boxes are taught what: matched by overlap with the objects of a slice, and a choice of them that needs no draw.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_medseg.segmenters.networks.detection.boxes import area, clipped, overlap
from napari_medseg.segmenters.networks.detection.targets import Truth

UNKNOWN_SHARE = 0.25  # a box that holds more unknown pixels might overlap an object there by as much, and is not taught to be background
JITTER = ((0.0, 0.0, 0.0), (0.15, 0.0, 0.1), (-0.15, 0.0, -0.1), (0.0, 0.15, -0.1), (0.0, -0.15, 0.1), (0.1, 0.1, 0.15), (-0.1, -0.1, 0.15), (0.1, -0.1, -0.15))


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Boxes of one slice with what they are taught.

    Attributes
    ----------
    boxes : (r, 4)
    classes : int64 (r,)
        0 for background.
    objects : int64 (r,)
        Index in the slice's `Truth`; 0 for background.
    weights : (r,)
    """

    boxes: Tensor
    classes: Tensor
    objects: Tensor
    weights: Tensor

    @property
    def positive(self) -> Tensor:
        """Indices of those that hold an object."""
        return torch.nonzero(self.classes > 0)[:, 0]


def matched(boxes: Tensor, truth: Truth, upper: float, lower: float, *, best: bool) -> tuple[Tensor, Tensor, Tensor]:
    """What each box is taught.

    Parameters
    ----------
    boxes : (n, 4)
    truth : Truth
    upper, lower : float
        A box that overlaps an object by `upper` or more holds it; one that overlaps none by `lower` is background; those between are not taught.
    best : bool
        Whether an object that no box overlaps enough is held by the boxes that overlap it most.

    Returns
    -------
    classes : int64 (n,)
        0 for background.
    objects : int64 (n,)
    weights : (n,)
        0 for what is not taught: between the two bounds, on an object that is not taught, or background that holds much that is unknown.
    """
    background = _known(boxes, truth.weights)
    if not len(truth):
        nothing = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
        return nothing, nothing, background
    table = overlap(boxes, truth.boxes)
    most, objects = table.max(1)
    held = most >= upper
    if best:
        top = table.max(0).values
        close = (table >= top - 1e-4) & (top > 0.05)
        objects = torch.where(close.any(1) & ~held, close.int().argmax(1), objects)
        held = held | close.any(1)
    classes = torch.where(held, truth.classes[objects], 0)
    weights = torch.where(held, truth.counts[objects], torch.where(most < lower, background, 0.0))
    return classes, torch.where(held, objects, 0), weights


def spread(indices: Tensor, count: int) -> Tensor:
    """At most so many of the indices (n,), spread evenly over them: a choice that is the same every time."""
    if len(indices) <= count:
        return indices
    return indices[torch.linspace(0, len(indices) - 1, count, device=indices.device).round().long()]


def chosen(proposals: Tensor, truth: Truth, count: int, share: float, upper: float = 0.5) -> Regions:
    """Regions of a slice that the heads learn from.

    The objects' own boxes join the proposals, as they are and slightly moved, so that there is something to learn from the first update on.

    Parameters
    ----------
    proposals : (n, 4)
    truth : Truth
    count : int
        At most so many.
    share : float
        At most this share of them hold an object.
    upper : float
        Overlap from which a region holds an object.
    """
    size = (truth.weights.shape[0], truth.weights.shape[1])
    boxes = torch.cat([clipped(jittered(truth.boxes[truth.taught]), size), proposals])
    boxes = boxes[area(boxes) >= 1]
    classes, objects, weights = matched(boxes, truth, upper, upper, best=False)
    taught = weights > 0
    positive = spread(torch.nonzero(taught & (classes > 0))[:, 0], int(count * share))
    negative = spread(torch.nonzero(taught & (classes == 0))[:, 0], count - len(positive))
    some = torch.cat([positive, negative])
    return Regions(boxes[some], classes[some], objects[some], weights[some])


def jittered(boxes: Tensor) -> Tensor:
    """Boxes (n, 4) and each of them moved and scaled by a few fixed shares of its sides, (n * 8, 4)."""
    moves = boxes.new_tensor(JITTER)
    sides = boxes[:, 2:] - boxes[:, :2]
    middles = (boxes[:, :2] + boxes[:, 2:])[:, None] / 2 + moves[None, :, :2] * sides[:, None]
    half = sides[:, None] / 2 * (1 + moves[None, :, 2:])
    return torch.cat([middles - half, middles + half], -1).reshape(-1, 4)


def _known(boxes: Tensor, weights: Tensor) -> Tensor:
    """Mean weight of each box's pixels, 0 where too many of them are unknown; by summed-area tables."""
    height, width = weights.shape
    corners = torch.cat([boxes[:, :2].floor(), boxes[:, 2:].ceil()], 1).long()
    y0, x0, y1, x1 = corners.unbind(1)
    y0, y1, x0, x1 = y0.clamp(0, height), y1.clamp(0, height), x0.clamp(0, width), x1.clamp(0, width)
    pixels = ((y1 - y0) * (x1 - x0)).float()

    def within(maps: Tensor) -> Tensor:
        table = torch.zeros(height + 1, width + 1, device=maps.device, dtype=torch.float64)
        table[1:, 1:] = maps.double().cumsum(0).cumsum(1)
        return (table[y1, x1] - table[y0, x1] - table[y1, x0] + table[y0, x0]).float()

    mean = within(weights) / pixels.clamp(min=1)
    unknown = within(weights <= 0) / pixels.clamp(min=1)
    return torch.where((unknown <= UNKNOWN_SHARE) & (pixels > 0), mean, 0.0)
