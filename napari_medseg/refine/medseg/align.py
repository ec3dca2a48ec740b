"""Weak masks moved to where a network that did not see them finds the object.

A weak mask often has the right shape in the wrong place. Each is moved as a whole (shift and affine) and bent a little (a few smooth knots), so that it
gathers as much evidence as possible: the sum of log-odds under it, clipped, against penalties on every departure and on a change of volume. A common offset
of the evidence keeps the masks' volume on average: the log-odds of noisy training lie far too low. Lengths are in units of the object's size.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage as ndi
from torch import Tensor
from torch.nn import functional as nnf

from napari_medseg.refine.medseg.data import Prepared
from napari_medseg.volume import FloatArray, Shape, Spacing

LATTICE = 12_000  # points at which a mask and its evidence are compared
KNOTS = (5, 6, 5)
CLIP = 2.0  # log-odds beyond which evidence counts no more
FIRM = 4.0  # log-odds of what a person settled
FAR = 8.0  # units: beyond, a distance is not looked at
SOFT = 1.0  # units: softness of a mask's rim while it moves
RATE = 0.15  # units a step
STRAIN, BEND, SMOOTH, SHIFT, SWELL = 2.0, 0.3, 0.9, 0.002, 3.0
MARGIN = 8.0  # units around a mask that it may move in
RIM = 0.5  # voxels: softness of the target's rim


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """How each mask is moved; where a voxel lies is where its value comes from.

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


def can_move(case: Prepared) -> bool:
    """Whether a mask is weak as a whole: nearly all of its surroundings known, and not all settled."""
    box = around(case, 1.0)
    if box is None:
        return False
    part = (slice(None), *box)
    weak = ((case.weight[part] > 0) & ~case.settled[box]).float().mean()
    return bool(weak > 0.5) and bool((case.weight[part] > 0).float().mean() > 0.9)


def around(case: Prepared, margin: float) -> tuple[slice, slice, slice] | None:
    """The box of what is labelled, `margin` voxels wider; None when nothing is."""
    inside = torch.nonzero((case.given > 0.5).any(0))
    if not len(inside):
        return None
    low, high = (inside.amin(0) - margin).clamp(min=0), inside.amax(0) + margin + 1
    return tuple(slice(int(a), int(min(b, n))) for a, b, n in zip(low, high, case.shape, strict=True))  # type: ignore[return-value]


def distances(masks: Tensor, spacing: Spacing, unit: float) -> Tensor:
    """Signed distance (classes, z, y, x) in units, positive inside."""
    out = []
    for mask in masks.numpy() > 0.5:
        inside = ndi.distance_transform_edt(mask, sampling=spacing) if mask.any() else np.zeros(mask.shape)
        outside = ndi.distance_transform_edt(~mask, sampling=spacing) if mask.any() else np.full(mask.shape, np.inf)
        half = min(spacing) / 2
        out.append(np.clip(np.where(mask, inside - half, half - outside) / unit, -FAR, FAR))
    return torch.from_numpy(np.stack(out).astype(np.float32))


class Aligner:
    """Weak masks of several cases, ready to be moved.

    Parameters
    ----------
    cases : those that can move
    spacing : (z, y, x) mm of the network's grid
    unit_mm : float
    """

    def __init__(self, cases: Sequence[Prepared], spacing: Spacing, unit_mm: float) -> None:
        self.cases, self.unit, self.spacing = cases, unit_mm, torch.tensor(spacing)
        self.signed = [distances(case.given.float(), spacing, unit_mm) for case in cases]
        inside = [torch.nonzero((case.given > 0.5).any(0)).float() for case in cases]
        self.middle = torch.stack([places.mean(0) for places in inside])
        half = torch.stack([(places - middle).abs().amax(0) for places, middle in zip(inside, self.middle, strict=True)]).amax(0)
        self.reach = half * self.spacing / unit_mm + MARGIN  # units, from the middle
        sides = 2 * self.reach
        step = max(float((sides.prod() / LATTICE) ** (1 / 3)), 1e-3)
        self.lattice: Shape = tuple(max(1, int(n)) for n in torch.minimum((sides / step).ceil(), (sides * unit_mm / self.spacing).ceil()))  # type: ignore[assignment]
        axes = [(torch.arange(n) + 0.5) / n * 2 - 1 for n in self.lattice]
        self.points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1) * self.reach
        self.inside = torch.stack([self._sampled(maps, i, self.points) for i, maps in enumerate(self.signed)])

    def _voxels(self, points: Tensor, index: int) -> Tensor:
        """Points (units from the middle) as voxels of a case."""
        return points * self.unit / self.spacing + self.middle[index]

    def _sampled(self, maps: Tensor, index: int, points: Tensor, outside: str = "border") -> Tensor:
        last = torch.tensor([max(n - 1, 1) for n in maps.shape[1:]])
        grid = (self._voxels(points, index) / last * 2 - 1).flip(-1)
        return nnf.grid_sample(maps[None].float(), grid[None], mode="bilinear", padding_mode=outside, align_corners=True)[0]

    def evidence(self, logits: Sequence[FloatArray], offsets: Sequence[float]) -> Tensor:
        """Log-odds of each class at the lattice's points, clipped; what a person settled is firm, what nobody knows says nothing."""
        out = []
        for index, (case, maps) in enumerate(zip(self.cases, logits, strict=True)):
            votes = (torch.from_numpy(maps) + torch.tensor(offsets)[:, None, None, None]).clamp(-CLIP, CLIP)
            votes = torch.where(case.settled, (case.given.float() * 2 - 1) * FIRM, votes) * (case.weight > 0)
            out.append(self._sampled(votes, index, self.points, "zeros"))
        return torch.stack(out)

    def fit(self, evidence: Tensor, steps: int) -> Moves:
        """Move every mask to where its evidence is greatest."""
        moves = Moves.none(len(self.cases))
        parts = [part.requires_grad_() for part in (moves.shift, moves.strain, moves.bend)]
        optimiser = torch.optim.Adam([{"params": [moves.shift], "lr": RATE}, {"params": [moves.strain], "lr": RATE / 10}, {"params": [moves.bend], "lr": RATE}])
        with torch.no_grad():
            start = self._masks(moves).sum((2, 3, 4))
        whole = start.sum(1).clamp(min=1e-3)
        offset = torch.zeros(evidence.shape[1])
        with torch.enable_grad():
            for _ in range(steps):
                masks = self._masks(moves)
                volume = masks.sum((2, 3, 4))
                gain = (masks * (evidence - offset[:, None, None, None])).sum((1, 2, 3, 4)) / whole
                loss = (self._price(moves) + SWELL * (volume.sum(1) / whole - 1) ** 2 - gain).sum()
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                offset += (volume.detach().sum(0) / start.sum(0).clamp(min=1e-3) - 1).clamp(-0.5, 0.5)
        return Moves(*(part.detach() for part in parts))

    def moved(self, moves: Moves, index: int) -> Tensor:
        """The masks of a case after its move, float32 (classes, z, y, x) with a soft rim, 0-1; nothing outside the box that it may move in."""
        case = self.cases[index]
        ranges = []
        for axis, n in enumerate(case.shape):
            half = float(self.reach[axis] * self.unit / self.spacing[axis])
            ranges.append(slice(max(0, int(self.middle[index, axis] - half)), min(n, int(self.middle[index, axis] + half) + 1)))
        axes = [(torch.arange(r.start, r.stop) - m) * s / self.unit for r, m, s in zip(ranges, self.middle[index], self.spacing, strict=True)]
        points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
        with torch.no_grad():
            there = points + self._displaced(moves, points[None], [index])[0]
            signed = self._sampled(self.signed[index], index, there)
        out = torch.zeros(case.given.shape)
        rim = RIM * float(self.spacing.min()) / self.unit
        parts = torch.sigmoid(signed / rim)
        out[(slice(None), *ranges)] = parts / parts.sum(0, keepdim=True).clamp(min=1)
        return out

    def distance_mm(self, moves: Moves) -> list[float]:
        """How far each mask was shifted."""
        return [float(v) * self.unit for v in moves.shift.norm(dim=1)]

    def _displaced(self, moves: Moves, points: Tensor, which: Sequence[int]) -> Tensor:
        """Displacement (n, ..., 3) at points (n or 1, ..., 3)."""
        chosen = list(which)
        straight = torch.einsum("nij,nzyxj->nzyxi", moves.strain[chosen], points.expand(len(chosen), *points.shape[1:]))
        grid = (points / self.reach).flip(-1).expand(len(chosen), *points.shape[1:])
        bent = nnf.grid_sample(moves.bend[chosen], grid, mode="bilinear", padding_mode="border", align_corners=True)
        return straight + moves.shift[chosen][:, None, None, None] + bent.permute(0, 2, 3, 4, 1)

    def _masks(self, moves: Moves) -> Tensor:
        there = self.points[None] + self._displaced(moves, self.points[None], range(len(self.cases)))
        grid = (there / self.reach).flip(-1)
        scale = torch.tensor([n / max(n - 1, 1) for n in self.lattice]).flip(0)  # the lattice's points lie in the middle of its cells
        signed = nnf.grid_sample(self.inside, grid * scale, mode="bilinear", padding_mode="border", align_corners=True)
        return torch.sigmoid(signed / SOFT)

    def _price(self, moves: Moves) -> Tensor:
        price = STRAIN * moves.strain.square().sum((1, 2)) + SHIFT * moves.shift.square().sum(1) + BEND * moves.bend.square().mean((1, 2, 3, 4))
        for axis in (2, 3, 4):
            price = price + SMOOTH * moves.bend.diff(dim=axis).square().mean((1, 2, 3, 4))
        return price

