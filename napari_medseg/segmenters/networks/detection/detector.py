"""What every network that finds objects is: a `Network` whose maps are pasted from what it finds, with a loss of its own.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.networks.detection.boxes import area, clipped, decode, suppress
from napari_medseg.segmenters.networks.detection.matching import Regions, chosen
from napari_medseg.segmenters.networks.detection.proposals import Proposals
from napari_medseg.segmenters.networks.detection.targets import Truth, truth
from napari_medseg.segmenters.networks.network import Network

NOTHING = -10.0  # logit where nothing was found
CODES = (10.0, 5.0)  # weights of shift and size of a refined box (Girshick et al.)
SCORE = 0.5
SAME = 0.3  # overlap of two boxes of a class that are one object
MOST = 32  # objects of a slice
REGIONS, POSITIVE = 48, 0.33  # of a slice in training, and the largest share of them that hold an object
PROPOSALS = 100


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What was found on one window, the best first.

    Attributes
    ----------
    boxes : float32 (k, 4)
        (y0, x0, y1, x1), pixel edges.
    labels : int64 (k,)
        From 1.
    scores : float32 (k,)
        0-1.
    contours : float32 (k, p, 2) or None
        (y, x), pixel edges, of a network that answers with boundaries.
    masks : float32 (k, m, m) or None
        Logits within the boxes, of one that answers with masks.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    contours: Tensor | None = None
    masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Features of a batch.

    Attributes
    ----------
    levels : for the proposals, finest first
    box, shape : what regions are taken from, for classes and boxes, and for masks or boundaries
    """

    levels: Sequence[Tensor]
    box: Sequence[Tensor]
    shape: Sequence[Tensor]


class Detector(Network):
    """Sees windows of slices, finds objects, and draws them as maps.

    Where a network has `own_loss`, training calls it in place of a loss of maps: the maps of a detector are pasted, which no gradient follows.

    Parameters
    ----------
    in_channels, classes, dims, step
        As `Network`; `dims` must be 2.
    features : int
        Channels of the pyramid.
    strides : of its levels
    anchor : float
        Side of a level's smallest anchor, in strides.
    points : int
        Of an object's boundary.

    Raises
    ------
    InvalidInputError
        When a number makes no network.
    """

    EXPORTABLE: ClassVar[bool] = False
    """A traced or exported network would hold on to the objects of the one window it was traced with."""

    def __init__(
        self, in_channels: int, classes: int, dims: int, step: int, *, features: int, strides: Sequence[int], anchor: float, points: int,
    ) -> None:
        super().__init__(in_channels, classes, dims, step)
        if dims != 2:
            raise InvalidInputError("finds objects on slices only", where=type(self).__name__, todo="Use 2 dimensions, or another network")
        if features < 1 or points < 8 or anchor <= 0:
            what = f"no detector has {features} features, {points} boundary points and anchors of {anchor} strides"
            raise InvalidInputError(what, where=type(self).__name__, todo="Give 1 or more features, 8 or more points and anchors above 0")
        self.points = points
        self.proposals = Proposals(features, strides, anchor)

    def see(self, windows: Tensor) -> Seen:
        """Features of windows (n, channels, y, x) whose sides are multiples of `step`."""
        raise NotImplementedError

    def region(self, seen: Seen, boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Class logits (r, classes + 1), background first, and codes (r, classes, 4) of regions of every window."""
        raise NotImplementedError

    def shaped(self, seen: Seen, boxes: Sequence[Tensor], labels: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Contours (r, p, 2) in pixels or None, and mask logits (r, m, m) or None, of regions with their classes from 1."""
        raise NotImplementedError

    def region_loss(self, seen: Seen, regions: Sequence[Regions], truths: Sequence[Truth], proposed: tuple[Tensor, Tensor]) -> Tensor:
        """The loss from the regions, with the losses of objectness and boxes of the proposals, as the network weighs them; each of shape ()."""
        raise NotImplementedError

    def drawn(self, found: Detections, index: int, size: tuple[int, int]) -> Tensor:
        """One object as a map of logits (h, w)."""
        raise NotImplementedError

    def own_loss(self, windows: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """The loss of what it finds on windows.

        Parameters
        ----------
        windows : (n, channels, y, x)
            Of any size.
        targets : (n, classes, y, x)
            Share of each class, 0-1; objects are the connected parts of what lies above one half.
        weights : (n, 1, y, x)
            What a pixel counts; nothing is taught where it is 0, not even by an object that touches such a pixel.

        Raises
        ------
        InvalidInputError
            When the windows have other channels than the network, or the targets other classes.
        """
        whole = self._padded(windows)
        if targets.shape[1] != self.classes or targets.shape[2:] != windows.shape[2:]:
            what = f"takes targets of {self.classes} classes on the windows' grid, not {tuple(targets.shape)}"
            raise InvalidInputError(what, where=type(self).__name__, todo="Give label maps with the classes that the network was made for")
        truths = [truth(target, weight, self.points) for target, weight in zip(targets, weights, strict=True)]
        size = (int(windows.shape[2]), int(windows.shape[3]))
        seen = self.see(whole)
        proposed = self.proposals(seen.levels)
        boxes = self.proposals.best(proposed, size, PROPOSALS)
        regions = [chosen(some, known, REGIONS, POSITIVE) for some, known in zip(boxes, truths, strict=True)]
        return self.region_loss(seen, regions, truths, self.proposals.loss(proposed, truths))

    @torch.no_grad()
    def find(self, windows: Tensor, score: float = SCORE) -> list[Detections]:
        """What lies on each window.

        Parameters
        ----------
        windows : (n, channels, y, x)
            Of any size.
        score : float
            Least probability of the class.

        Raises
        ------
        InvalidInputError
            When the windows have other channels than the network.
        """
        seen = self.see(self._padded(windows))
        size = (int(windows.shape[2]), int(windows.shape[3]))
        boxes = self.proposals.best(self.proposals(seen.levels), size, PROPOSALS)
        logits, codes = self.region(seen, boxes)
        picked = []
        for start, some in zip(_starts(boxes), boxes, strict=True):
            part = slice(start, start + len(some))
            picked.append(_picked(some, logits[part], codes[part], size, score))
        labels = torch.cat([labels for _, labels, _ in picked])
        contours, masks = self.shaped(seen, [some for some, _, _ in picked], labels)
        found = []
        for start, (some, which, scores) in zip(_starts([b for b, _, _ in picked]), picked, strict=True):
            part = slice(start, start + len(some))
            found.append(Detections(some, which, scores, None if contours is None else contours[part], None if masks is None else masks[part]))
        return found

    def logits(self, windows: Tensor) -> Tensor:
        """Maps pasted from what is found: a pixel is of the object that holds it most firmly, -10 elsewhere."""
        size = (int(windows.shape[2]), int(windows.shape[3]))
        return torch.stack([self.pasted(found, size) for found in self.find(windows)])

    def pasted(self, found: Detections, size: tuple[int, int]) -> Tensor:
        """Maps (classes, h, w) of the objects of a window of this size."""
        maps = torch.full((self.classes, *size), NOTHING, device=found.boxes.device)
        for index in range(len(found)):
            label = int(found.labels[index]) - 1
            maps[label] = torch.maximum(maps[label], self.drawn(found, index, size).clamp(NOTHING, -NOTHING))
        return torch.where(maps < maps.max(0, keepdim=True).values, torch.full_like(maps, NOTHING), maps)


def _starts(parts: Sequence[Tensor]) -> list[int]:
    """Where each of several lists begins once they are joined."""
    starts = [0]
    for part in parts:
        starts.append(starts[-1] + len(part))
    return starts[:-1]


def _picked(boxes: Tensor, logits: Tensor, codes: Tensor, size: tuple[int, int], score: float) -> tuple[Tensor, Tensor, Tensor]:
    """Refined boxes, classes and scores of the regions that hold something: their best class, each object once."""
    chances = logits.float().softmax(1)[:, 1:]
    scores, which = chances.max(1)
    refined = decode(codes[torch.arange(len(boxes), device=boxes.device), which].float(), boxes, CODES)
    refined = clipped(refined, size)
    real = (scores >= score) & (area(refined) >= 1)
    refined, scores, which = refined[real], scores[real], which[real]
    best = suppress(refined, scores, SAME, which)[:MOST]
    return refined[best], which[best] + 1, scores[best]
