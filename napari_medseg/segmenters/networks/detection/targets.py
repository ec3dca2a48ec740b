"""What a detector learns from a label map: the connected parts of every class of a slice, each with its box, its boundary and what it counts.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage as ndi
from torch import Tensor

from napari_medseg.segmenters.networks.detection.contours import outline
from napari_medseg.volume import Array

LEAST = 4  # pixels: a smaller part is neither taught nor punished
AROUND = np.ones((3, 3), bool)


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The objects of one slice.

    Attributes
    ----------
    boxes : float32 (k, 4)
        (y0, x0, y1, x1), pixel edges.
    classes : int64 (k,)
        From 1.
    masks : float32 (k, h, w)
        0 or 1.
    contours : float32 (k, p, 2)
        (y, x), pixel edges; see `contours.outline`.
    counts : float32 (k,)
        What each counts: the mean weight of its pixels. 0 where it cannot be told how far it reaches, since it touches what nobody judged, and where it is
        too small: nothing is taught there.
    weights : float32 (h, w)
        What each pixel counts, 0 where unknown.
    """

    boxes: Tensor
    classes: Tensor
    masks: Tensor
    contours: Tensor
    counts: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def taught(self) -> Tensor:
        """Which objects are taught, bool (k,)."""
        return self.counts > 0


def truth(targets: Tensor, weights: Tensor, points: int) -> Truth:
    """The objects of a slice.

    Parameters
    ----------
    targets : (classes, h, w)
        Share of each class, 0-1; parts are what lies above one half, 8-connected.
    weights : (1, h, w)
        What a pixel counts; 0 where unknown, where the targets may be anything.
    points : int
        Of a boundary.
    """
    known = weights[0].detach().float().cpu().numpy()
    shares = np.where(known > 0, targets.detach().float().cpu().numpy(), 0)
    boxes, classes, masks, contours, counts = [], [], [], [], []
    for label, share in enumerate(shares, start=1):
        parts, _ = ndi.label(share > 0.5, AROUND)
        for index, where in enumerate(ndi.find_objects(parts), start=1):
            part = parts == index
            boxes.append([where[0].start, where[1].start, where[0].stop, where[1].stop])
            classes.append(label)
            masks.append(part)
            contours.append(outline(_alone(share, part, parts), points))
            counts.append(_count(part, known))
    of = targets.device
    return Truth(
        torch.tensor(boxes, dtype=torch.float32, device=of).reshape(-1, 4), torch.tensor(classes, dtype=torch.int64, device=of),
        torch.from_numpy(np.array(masks, np.float32).reshape(-1, *known.shape)).to(of),
        torch.from_numpy(np.array(contours, np.float32).reshape(-1, points, 2)).to(of),
        torch.tensor(counts, dtype=torch.float32, device=of), torch.from_numpy(known).to(of),
    )


def _alone(share: Array, part: Array, parts: Array) -> Array:
    """The share of one part and of the pixels next to it, without its neighbours, so that its boundary is where the share says."""
    beside = ndi.binary_dilation(part, AROUND) & (parts == 0)
    return np.where(part | beside, share, 0)


def _count(part: Array, known: Array) -> float:
    touches = bool((ndi.binary_dilation(part, AROUND) & (known <= 0)).any())
    return 0.0 if touches or part.sum() < LEAST else float(known[part].mean())
