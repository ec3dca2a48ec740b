"""A front that moves on a graphics card: the same equation and scheme as front.py, on every voxel of the box around the surface at once.

A step reads and writes `flow_torch.STEP_BYTES` bytes a voxel of that box, so a card of B bytes/s makes at most B / (STEP_BYTES * voxels) iterations a second.
The card is waited for once an update. Sums run in another order than on the processor and in single precision, so the two agree to rounding, not bit by bit.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy import ndimage as ndi
from torch import Tensor

from napari_medseg.volume import BoolArray, Shape, Spacing
from napari_medseg.weaklabel import flow_torch
from napari_medseg.weaklabel.drive import Drive
from napari_medseg.weaklabel.flow_torch import Passes
from napari_medseg.weaklabel.front import THICK, Moved
from napari_medseg.weaklabel.scene import Box, box_around

LAYERS = 3  # voxels beyond the surface on which distances are known
BLOCK = 8  # voxels; the surface's place is known to a block

_compiled: dict[torch.device, Passes] = {}


def has_card() -> bool:
    """Whether torch can use a CUDA device here."""
    return torch.cuda.is_available()


def passes_on(device: torch.device) -> Passes:
    """The passes as compiled programs on a CUDA device, once these are ready; until then, and elsewhere, one tensor operation after the other.

    Compiling takes a while, so it runs in the background from the first front on, and a front keeps the passes it began with: a run repeats itself.
    """
    if device.type == "cuda":
        _begin_compiling(device)
    return _compiled.get(device, flow_torch.PLAIN)


@cache
def _begin_compiling(device: torch.device) -> threading.Thread:
    thread = threading.Thread(target=compile_passes, args=(device,), name="medseg level set compiler", daemon=True)
    thread.start()
    return thread


def compile_passes(device: torch.device) -> bool:
    """Compile the passes for a device; whether that worked (it needs a compiler that not every machine has)."""
    passes = Passes._make(torch.compile(each, dynamic=True) for each in flow_torch.PLAIN)
    numbers = torch.ones(4, device=device)
    try:
        for side in (16, 24):
            field, flags = torch.ones((side, side + 1, side + 2), device=device), torch.ones((side, side + 1, side + 2), dtype=torch.uint8, device=device)
            for stopping in (None, field):
                flow_torch.step(passes, field, field, stopping, flags, numbers[:3], numbers[:3], numbers[0], numbers, 1)
    except (RuntimeError, ImportError, OSError):
        return False
    _compiled[device] = passes
    return True


class Front:
    """A level set held on a device of torch.

    Parameters
    ----------
    inside, spacing, allowed, kept : as for `front.Front`
        Arrays on the host; `inside` is brought up to date in place after every advance. `allowed` and `kept` are read when the front is made and
        at `reset`.
    device : str
        A torch device: "cuda", "cuda:1", "cpu".

    Attributes
    ----------
    inside, iterations, time : as of `front.Front`
    """

    def __init__(self, inside: BoolArray, spacing: Spacing, allowed: BoolArray, kept: BoolArray, device: str = "cuda") -> None:
        self.inside, self.allowed, self.kept = inside, allowed, kept
        self.shape: Shape = (inside.shape[0], inside.shape[1], inside.shape[2])
        self.iterations, self.time = 0, 0.0
        self._device = torch.device(device)
        real = [step for step, count in zip(spacing, inside.shape, strict=True) if count > 1] or [min(spacing)]
        self._least = self._numbers([min(real) / 2])[0]
        self._thickness = int(np.ceil(max(real) / min(real))) if max(real) > THICK * min(real) else 0
        self._spacing = self._numbers(spacing)
        self._inverse = self._numbers([1 / step if count > 1 else 0.0 for step, count in zip(spacing, inside.shape, strict=True)])
        self._speed = torch.zeros(self.shape, device=self._device)
        self._stopping: Tensor | None = None
        self._copied: BoolArray | None = None
        self._version: object = None
        self._passes = passes_on(self._device)
        self.reset(inside)

    def reset(self, inside: BoolArray) -> None:
        """Go on from a mask, bool (z, y, x), with its surface half way between voxels."""
        self.inside[...] = self.kept | (inside & self.allowed)
        flags = self.allowed.astype(np.uint8) * np.uint8(flow_torch.ALLOWED) | self.kept.astype(np.uint8) * np.uint8(flow_torch.KEPT)
        self._flags = torch.from_numpy(flags).to(self._device)
        self._phi = flow_torch.start(torch.from_numpy(self.inside).to(self._device), self._spacing, self._thickness)

    def bar(self, barred: BoolArray) -> None:
        """Never enter nor cross these voxels, bool (z, y, x), from now on; what was inside leaves them, kept or not."""
        self.allowed &= ~barred
        self.kept &= ~barred
        self.reset(self.inside)

    def advance(self, speed: Drive, iterations: int) -> Moved:
        """Move on; stops before `iterations` where nothing moves any more.

        Parameters
        ----------
        speed : Drive
            On this front's grid. Its tiles are asked for as the front comes to them, and copied to the device once a version.
        """
        blocks = self._blocks(iterations + LAYERS)
        if not blocks.any():
            self.iterations += 1
            return Moved(0, None)
        self._copy(speed, blocks)
        box = self._box(blocks)
        phi, flags = self._phi[box], self._flags[box] & ~flow_torch.TURNED
        stopping = None if self._stopping is None else self._stopping[box]
        terms = self._numbers([speed.edge, speed.balloon, speed.curvature_mm, speed.edge * speed.advection])
        taken, turned = [], []
        for _ in range(iterations):
            phi, flags, time, count = flow_torch.step(
                self._passes, phi, self._speed[box], stopping, flags, self._spacing, self._inverse, self._least, terms, self._thickness
            )
            taken.append(time)
            turned.append(count)
        self._phi[box], self._flags[box] = phi, flags
        steps = torch.stack(taken).cpu().numpy()
        moving = int((steps > 0).sum())
        self.iterations += min(moving + 1, iterations)
        self.time += float(steps.sum(dtype=float))
        changed = int(torch.stack(turned).sum())
        return Moved(changed, self._bring(box, phi, flags) if changed else None)

    def _numbers(self, values: Any) -> Tensor:
        return torch.tensor([float(value) for value in values], dtype=torch.float32, device=self._device)

    def _blocks(self, margin: int) -> BoolArray:
        """Blocks of voxels that lie within a number of voxels of the surface, bool over the grid of blocks."""
        across = flow_torch.crossings(flow_torch.neighbours(self._phi))
        beside = across[0] | across[1] | across[2]
        room = [(-count) % BLOCK for count in self.shape]
        wide = torch.nn.functional.pad(beside.view(torch.uint8), (0, room[2], 0, room[1], 0, room[0]))
        grid = [count // BLOCK for count in wide.shape]
        held = wide.view(grid[0], BLOCK, grid[1], BLOCK, grid[2], BLOCK).amax((1, 3, 5)).cpu().numpy() > 0
        return np.asarray(ndi.maximum_filter(held, 2 * -(-margin // BLOCK) + 1, mode="constant"))

    def _box(self, blocks: BoolArray) -> Box:
        z, y, x = (slice(part.start * BLOCK, min(part.stop * BLOCK, count)) for part, count in zip(box_around(blocks, 0, (1, 1, 1)), self.shape, strict=True))
        return z, y, x

    def _copy(self, speed: Drive, blocks: BoolArray) -> None:
        """See that the speed is made and on the device wherever the front may come."""
        grid = tuple(-(-count // speed.tile) for count in self.shape)
        places = np.argwhere(blocks) * BLOCK
        wanted = np.zeros(grid, bool)
        last = np.minimum(places + BLOCK, self.shape) - 1
        for corner in np.ndindex(2, 2, 2):
            wanted[tuple((np.where(corner, last, places) // speed.tile).T)] = True
        speed.prepare(wanted)
        edges = speed.stopping is not None and speed.edge > 0
        version = (speed.version, id(speed), edges)
        if self._copied is None or version != self._version:
            self._copied, self._version = np.zeros(grid, bool), version
            self._stopping = torch.ones(self.shape, device=self._device) if edges else None
        for tile in np.argwhere(wanted & ~self._copied):
            z, y, x = (slice(place * speed.tile, (place + 1) * speed.tile) for place in tile.tolist())
            self._speed[z, y, x] = torch.from_numpy(speed.speed[z, y, x])
            if self._stopping is not None and speed.stopping is not None:
                self._stopping[z, y, x] = torch.from_numpy(speed.stopping[z, y, x])
        self._copied |= wanted

    def _bring(self, box: Box, phi: Tensor, flags: Tensor) -> Box | None:
        """Copy what turned over in the box to the host's mask; where."""
        turned = (flags & flow_torch.TURNED) > 0
        hits = [turned.any(1).any(1), turned.any(0).any(1), turned.any(0).any(0)]
        ends = [np.flatnonzero(hit.cpu().numpy()) for hit in hits]
        inner = tuple(slice(int(end[0]), int(end[-1]) + 1) for end in ends)
        z, y, x = (slice(part.start + end.start, part.start + end.stop) for part, end in zip(box, inner, strict=True))
        self.inside[z, y, x] = (phi[inner] < 0).cpu().numpy()
        return z, y, x
