"""The part of a blended answer that is not final yet: sums of weighted maps, made where windows come and given away where the last one has been.

Windows lie on a grid of starts, so it is known beforehand how many will cover a place. The image is cut along its first two axes wherever a window begins or
ends; every window that touches such a cell covers its whole thickness and height, and a cell lives from its first window to its last. What is held at a time
is then a few windows' height of the image and not the image.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, product

import torch
from torch import Tensor

from napari_medseg.volume import FloatArray, Shape

Box = tuple[slice, slice, slice]
Index = tuple[int, int]

ROOM = 64  # windows: what sums may hold of a graphics card


class Cells:
    """Sums of weighted maps over an image.

    Parameters
    ----------
    shape : (z, y, x) of the image, no smaller than the window
    starts : where windows begin, along each axis, ascending; together they cover the image
    weight : float32 (z, y, x) of a window
    """

    def __init__(self, shape: Shape, starts: Sequence[Sequence[int]], weight: FloatArray) -> None:
        self._width = shape[2]
        self._window = weight.shape
        self._weights = {torch.device("cpu"): torch.from_numpy(weight)}
        self._bounds = [_bounds(axis, size) for axis, size in zip(starts[:2], weight.shape[:2], strict=True)]
        over = [[sum(s <= a < s + size for s in starts[axis]) for a, _ in self._bounds[axis]] for axis, size in enumerate(weight.shape[:2])]
        self._left = {(i, j): n * m * len(starts[2]) for (i, n), (j, m) in product(enumerate(over[0]), enumerate(over[1]))}
        self._sums: dict[Index, Tensor] = {}
        self._done: dict[Index, list[Box]] = {}
        self._full: list[Index] = []
        self._on_card = True

    @property
    def held(self) -> int:
        """Voxels of which sums are held now."""
        return sum(sums[0].numel() for sums in self._sums.values())

    def add(self, box: Box, maps: Tensor) -> None:
        """Blend the maps (classes, *window) of the window at a box in; they are not changed."""
        for index, (rows, columns) in self._touched(box):
            if index not in self._sums:
                self._sums[index], self._done[index] = self._begun(index, maps), []
            sums = self._sums[index]
            inside = slice(rows.start - box[0].start, rows.stop - box[0].start), slice(columns.start - box[1].start, columns.stop - box[1].start)
            sums[..., box[2]].addcmul_(maps[(slice(None), *inside)].to(sums.device), self._weight(sums.device)[inside])
            self._done[index].append(box)
            self._left[index] -= 1
            if not self._left[index]:
                self._full.append(index)

    def so_far(self, box: Box, axis: int, at: int) -> Iterator[tuple[Box, FloatArray]]:
        """What is known of one plane of a window that has been, in pieces (classes, z, y, x); what was given away is left out."""
        if not box[axis].start <= at < box[axis].stop:
            return
        for index, (rows, columns) in self._touched(box):
            if index not in self._sums:
                continue
            part = [rows, columns, box[2]]
            if not part[axis].start <= at < part[axis].stop:
                continue
            part[axis] = slice(at, at + 1)
            (top, _), (left, _) = self._bounds[0][index[0]], self._bounds[1][index[1]]
            here = slice(part[0].start - top, part[0].stop - top), slice(part[1].start - left, part[1].stop - left), part[2]
            seen = self._seen(index, (part[0], part[1], part[2]))
            yield (part[0], part[1], part[2]), (self._sums[index][(slice(None), *here)] / seen).cpu().numpy()

    def finished(self) -> Iterator[tuple[Box, FloatArray]]:
        """Cells (classes, z, y, x) whose last window has been, once; they are the caller's then."""
        full, self._full = self._full, []
        for index in full:
            (top, bottom), (left, right) = self._bounds[0][index[0]], self._bounds[1][index[1]]
            box = slice(top, bottom), slice(left, right), slice(0, self._width)
            seen = self._seen(index, box)
            sums = self._sums.pop(index)
            sums /= seen
            del self._done[index], seen
            yield box, sums.cpu().numpy()

    def leave_card(self) -> bool:
        """Keep the sums in main memory from now on; whether the graphics card held any."""
        held = [index for index, sums in self._sums.items() if sums.device.type != "cpu"]
        self._on_card = False
        for index in held:
            self._sums[index] = self._sums[index].cpu()
        return bool(held)

    def _touched(self, box: Box) -> Iterator[tuple[Index, tuple[slice, slice]]]:
        """Cells that a window covers, and where along the first two axes."""
        inside = [[i for i, (a, b) in enumerate(bounds) if part.start <= a and b <= part.stop] for part, bounds in zip(box[:2], self._bounds, strict=True)]
        for i, j in product(*inside):
            yield (i, j), (slice(*self._bounds[0][i]), slice(*self._bounds[1][j]))

    def _seen(self, index: Index, part: Box) -> Tensor:
        """Sum of the weights that a part of a cell has had."""
        device = self._sums[index].device
        seen = torch.zeros([p.stop - p.start for p in part], device=device)
        for box in self._done[index]:
            both = [slice(max(p.start, b.start), min(p.stop, b.stop)) for p, b in zip(part, box, strict=True)]
            if both[2].start < both[2].stop:
                here, there = ([slice(c.start - o.start, c.stop - o.start) for c, o in zip(both, origin, strict=True)] for origin in (part, box))
                seen[tuple(here)] += self._weight(device)[tuple(there)]
        return seen

    def _begun(self, index: Index, maps: Tensor) -> Tensor:
        shape = *(stop - start for start, stop in (self._bounds[0][index[0]], self._bounds[1][index[1]])), self._width
        held = sum(sums.numel() for sums in self._sums.values() if sums.device.type != "cpu")
        device = maps.device if self._on_card and held < ROOM * maps.numel() else torch.device("cpu")
        return torch.zeros((len(maps), *shape), device=device)

    def _weight(self, device: torch.device) -> Tensor:
        if device not in self._weights:
            self._weights[device] = self._weights[torch.device("cpu")].to(device)
        return self._weights[device]


def _bounds(starts: Sequence[int], size: int) -> list[tuple[int, int]]:
    """Cells (start, stop) between the places where windows begin or end."""
    cuts = sorted({*starts, *(s + size for s in starts)})
    return list(pairwise(cuts))
