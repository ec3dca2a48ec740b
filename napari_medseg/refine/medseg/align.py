"""Weak masks moved to where a network that did not see them finds the object.

A weak mask often has the right shape in the wrong place. Each is moved as a whole (shift and affine) and bent a little (a few smooth knots), so that it
gathers as much evidence as possible: the sum of log-odds under it, clipped, against penalties on every departure and on a change of volume. A common offset
of the evidence keeps the masks' volume on average: the log-odds of noisy training lie far too low. Lengths are in units of the object's size
(`Fingerprint.unit_mm`), so that one setting serves a hippocampus and a liver.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage as ndi
from torch import Tensor
from torch.nn import functional as nnf

from napari_medseg.refine.medseg.data import Prepared
from napari_medseg.volume import FloatArray, Shape, Spacing

Box = tuple[slice, slice, slice]

LATTICE = 12_000  # cells in which a mask and its evidence are compared; the mask itself is kept eight times as fine
KNOTS = (5, 6, 5)
CLIP = 2.0  # log-odds beyond which evidence counts no more
FIRM = 4.0  # log-odds of what a person settled
FAR = 8.0  # units: a distance beyond is as good as this
SOFT = 1.0  # units: softness of a mask's rim while it moves
RATE = 0.15  # units a step
STRAIN, BEND, SMOOTH, SHIFT, SWELL = 2.0, 0.3, 0.9, 0.002, 3.0  # prices of affine, bend, its roughness, shift and change of volume
MARGIN = 8.0  # units around a mask in which it may move
RIM = 0.5  # voxels: softness of a moved mask's rim
WEAK, KNOWN = 0.5, 0.9  # shares of a mask's box that are weak, and known, in one that may move


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """How each mask is moved: a voxel takes its value from where it lies plus this.

    Attributes
    ----------
    shift : float32 (n, 3) units
    strain : float32 (n, 3, 3)
        Affine part without the identity, about the mask's middle.
    bend : float32 (n, 3, *knots) units
    """

    shift: Tensor
    strain: Tensor
    bend: Tensor

    @classmethod
    def none(cls, count: int) -> Moves:
        """No mask moved."""
        return cls(torch.zeros(count, 3), torch.zeros(count, 3, 3), torch.zeros(count, 3, *KNOTS))


def around(case: Prepared, margin: Sequence[float] = (1, 1, 1)) -> Box | None:
    """The box of what is labelled, wider by a margin (z, y, x) of voxels; None when nothing is."""
    inside = torch.nonzero((case.given > 0.5).any(0))
    if not len(inside):
        return None
    low, high = inside.amin(0), inside.amax(0) + 1
    return tuple(slice(max(0, int(a - m)), min(n, int(b + m))) for a, b, m, n in zip(low, high, margin, case.shape, strict=True))  # type: ignore[return-value]


def can_move(case: Prepared) -> bool:
    """Whether a mask is weak as a whole: its surroundings known, and most of them not settled by a person."""
    box = around(case)
    if box is None:
        return False
    known = case.weight[(0, *box)] > 0
    return bool((known & ~case.settled[box]).float().mean() > WEAK) and bool(known.float().mean() > KNOWN)


def distances(masks: Tensor, spacing: Spacing, unit_mm: float) -> Tensor:
    """Signed distance of each mask (classes, z, y, x) to its rim, in units, positive inside."""
    out = []
    for mask in masks.numpy() > 0.5:
        half = min(spacing) / 2  # the rim lies between two voxels
        inside = ndi.distance_transform_edt(mask, sampling=spacing) - half
        outside = half - ndi.distance_transform_edt(~mask, sampling=spacing) if mask.any() else np.full(mask.shape, -np.inf)
        out.append(np.clip(np.where(mask, inside, outside) / unit_mm, -FAR, FAR))
    return torch.from_numpy(np.stack(out).astype(np.float32))


class Aligner:
    """Weak masks of several cases, ready to be moved.

    Parameters
    ----------
    cases : those that can move
    spacing : (z, y, x) mm of the network's grid
    unit_mm : float

    Attributes
    ----------
    boxes : (z, y, x) slices of each case
        In which its mask may move, and its evidence is asked for.
    """

    def __init__(self, cases: Sequence[Prepared], spacing: Spacing, unit_mm: float) -> None:
        self.cases, self.spacing, self.unit_mm = cases, spacing, unit_mm
        self._units = torch.tensor(spacing) / unit_mm  # of a voxel
        places = [torch.nonzero((case.given > 0.5).any(0)).float() for case in cases]
        self._middle = torch.stack([each.mean(0) for each in places])
        half = torch.stack([(each - middle).abs().amax(0) for each, middle in zip(places, self._middle, strict=True)]).amax(0)
        self._reach = half * self._units + MARGIN  # units from a mask's middle
        self.boxes: list[Box] = []
        for case, middle in zip(cases, self._middle, strict=True):
            low, high = middle - self._reach / self._units, middle + self._reach / self._units
            sides = zip(low.floor(), high.ceil(), case.shape, strict=True)
            self.boxes.append(tuple(slice(max(0, int(a)), min(n, int(b) + 1)) for a, b, n in sides))  # type: ignore[arg-type]
        step = (2 * self._reach).prod().div(LATTICE) ** (1 / 3)
        wanted = torch.minimum((2 * self._reach / step).ceil(), (2 * self._reach / self._units).ceil())
        coarse: Shape = tuple(int(n) for n in wanted.clamp(min=1))  # type: ignore[assignment]
        fine: Shape = tuple(2 * n for n in coarse)  # type: ignore[assignment]
        self._fine = self._lattice(fine)
        self._cells = torch.tensor([n / (n - 1) for n in fine])  # the points lie in the middle of a lattice's cells
        self._knots = self._lattice(KNOTS, ends=True)
        self._between = [_linear(n, knots) for n, knots in zip(coarse, KNOTS, strict=True)]
        self._inside = torch.stack([self._sampled(self._signed(i), i, self._fine) for i in range(len(cases))])

    def evidence(self, logits: Sequence[FloatArray], offsets: Sequence[float]) -> Tensor:
        """Log-odds of each class at the lattice's points, clipped; what a person settled is firm, what nobody knows says nothing.

        Parameters
        ----------
        logits : float32 (classes, *box) of each case
        offsets : of each class

        Returns
        -------
        float32 (n, classes, *lattice)
        """
        out = []
        for index, (case, box, maps) in enumerate(zip(self.cases, self.boxes, logits, strict=True)):
            votes = (torch.from_numpy(maps) + torch.tensor(offsets)[:, None, None, None]).clamp(-CLIP, CLIP)
            part = (slice(None), *box)
            votes = torch.where(case.settled[box], (case.given[part].float() * 2 - 1) * FIRM, votes) * (case.weight[part] > 0)
            out.append(nnf.avg_pool3d(self._sampled(votes, index, self._fine, "zeros"), 2))
        return torch.stack(out)

    def fit(self, evidence: Tensor, steps: int) -> Generator[float, None, Moves]:
        """Move every mask to where its evidence (n, classes, *lattice), as `evidence` gives it, is greatest; yields the share done."""
        moves = Moves.none(len(self.cases))
        parts = (moves.shift, moves.strain, moves.bend)
        for part in parts:
            part.requires_grad_()
        optimiser = torch.optim.Adam([{"params": [part], "lr": RATE * share} for part, share in zip(parts, (1.0, 0.1, 1.0), strict=True)])
        with torch.no_grad():
            start = self._masks(moves).sum((2, 3, 4))
        whole = start.sum(1).clamp(min=1e-3)
        offset = torch.zeros(evidence.shape[1])
        for step in range(steps):
            masks = self._masks(moves)
            volume = masks.sum((2, 3, 4))
            gain = (masks * (evidence - offset[:, None, None, None])).sum((1, 2, 3, 4)) / whole
            loss = (self._price(moves) + SWELL * (volume.sum(1) / whole - 1) ** 2 - gain).sum()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            offset += (volume.detach().sum(0) / start.sum(0).clamp(min=1e-3) - 1).clamp(-0.5, 0.5)
            yield (step + 1) / steps
        found = [part.detach() for part in parts]
        if not any(bool(case.settled.any()) for case in self.cases):  # annotators err to all sides: what is common to all moves is the networks' drift
            found = [part - part.mean(0) for part in found]
        return Moves(*found)

    def moved(self, moves: Moves, index: int) -> Tensor:
        """The masks of a case after its move, float32 (classes, *box), 0-1, with a soft rim."""
        box = self.boxes[index]
        axes = [(torch.arange(part.start, part.stop) - m) * u for part, m, u in zip(box, self._middle[index], self._units, strict=True)]
        points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
        with torch.no_grad():
            signed = self._sampled(self._signed(index), index, points + self._displaced(moves, points, [index])[0])
        parts = torch.sigmoid(signed * self.unit_mm / (RIM * min(self.spacing)))
        return parts / parts.sum(0, keepdim=True).clamp(min=1)

    def shifts_mm(self, moves: Moves) -> FloatArray:
        """How far each mask was shifted (n, 3) as z, y, x."""
        return np.asarray(-moves.shift.numpy() * self.unit_mm, np.float32)

    def _lattice(self, sides: Shape, ends: bool = False) -> Tensor:
        """Points (*sides, 3) that fill what a mask may reach, units from its middle: of equal cells the middles, or from end to end."""
        axes = [torch.linspace(-1, 1, n) if ends else (torch.arange(n) + 0.5) / n * 2 - 1 for n in sides]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1) * self._reach

    def _signed(self, index: int) -> Tensor:
        return distances(self.cases[index].given[(slice(None), *self.boxes[index])].float(), self.spacing, self.unit_mm)

    def _sampled(self, maps: Tensor, index: int, points: Tensor, outside: str = "border") -> Tensor:
        """Maps (classes, *box) of a case at points (..., 3), units from its mask's middle."""
        start = torch.tensor([part.start for part in self.boxes[index]])
        last = torch.tensor([max(n - 1, 1) for n in maps.shape[1:]])
        grid = ((points / self._units + self._middle[index] - start) / last * 2 - 1).flip(-1)
        grid = torch.where(torch.tensor([n == 1 for n in reversed(maps.shape[1:])]), torch.zeros(()), grid)
        return nnf.grid_sample(maps[None].float(), grid[None], mode="bilinear", padding_mode=outside, align_corners=True)[0]

    def _displaced(self, moves: Moves, points: Tensor, which: Sequence[int]) -> Tensor:
        """Displacement (n, z, y, x, 3) of some cases at points (z, y, x, 3), units."""
        chosen = list(which)
        straight = torch.einsum("nij,zyxj->nzyxi", moves.strain[chosen], points)
        grid = (points / self._reach).flip(-1).expand(len(chosen), *points.shape)
        bent = nnf.grid_sample(moves.bend[chosen], grid, mode="bilinear", padding_mode="border", align_corners=True)
        return straight + moves.shift[chosen][:, None, None, None] + bent.permute(0, 2, 3, 4, 1)

    def _masks(self, moves: Moves) -> Tensor:
        """Soft masks (n, classes, *lattice) after a move.

        Shift and affine part change evenly from knot to knot, so that all of a move is known once it is known at the knots.
        """
        straight = torch.einsum("nij,zyxj->nizyx", moves.strain, self._knots) + moves.shift[:, :, None, None, None]
        there = (self._knots.movedim(-1, 0) + straight + moves.bend) * (self._cells / self._reach)[:, None, None, None]
        grid = there.flip(1)
        for axis, between in zip((2, 3, 4), self._between, strict=True):
            grid = (grid.transpose(axis, -1) @ between).transpose(axis, -1)
        return torch.sigmoid(nnf.grid_sample(self._inside, grid.movedim(1, -1), mode="bilinear", padding_mode="border", align_corners=True) / SOFT)

    def _price(self, moves: Moves) -> Tensor:
        price = STRAIN * moves.strain.square().sum((1, 2)) + SHIFT * moves.shift.square().sum(1) + BEND * moves.bend.square().mean((1, 2, 3, 4))
        for axis in (2, 3, 4):
            price = price + SMOOTH * moves.bend.diff(dim=axis).square().mean((1, 2, 3, 4))
        return price


def _linear(count: int, knots: int) -> Tensor:
    """What each knot (knots, count) counts at the middles of `count` equal cells that lie from the first knot to the last, linearly."""
    places = (torch.arange(count) + 0.5) / count * (knots - 1)
    return (1 - (places - torch.arange(knots)[:, None]).abs()).clamp(min=0)
