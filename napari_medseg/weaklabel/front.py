"""A front that moves on the processor: a sparse field that costs what its surface costs, not what its box costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import BoolArray, FloatArray, Shape, Spacing
from napari_medseg.weaklabel import band, flow
from napari_medseg.weaklabel.blank import blank
from napari_medseg.weaklabel.compiled import in_parts
from napari_medseg.weaklabel.drive import Drive
from napari_medseg.weaklabel.scene import Box

COURANT = 0.9  # share of the largest step that is stable
PART = 4096  # voxels below which a second core is not worth waking
ROWS = 2048
SWEEP_EVERY = 16  # iterations
NEAR_PASSES = 3  # voxels in a slice over which the layer beside the surface is evened out
THICK = 1.25  # times the finest step: slices that need their distances evened out


@dataclass(frozen=True, slots=True)
class Moved:
    """What a front did.

    Attributes
    ----------
    changed : int
        Turnings of voxels, to and fro counted as two.
    box : three slices (z, y, x) or None
        Around all that changed; None when nothing did.
    """

    changed: int
    box: Box | None


class Front:
    """A level set that is known near its surface only.

    Parameters
    ----------
    inside : bool (z, y, x), C order
        Where it starts; kept up to date in place from now on.
    spacing : mm per voxel (z, y, x)
    allowed : bool (z, y, x), C order
        Voxels it may enter; read while it moves, not copied.
    kept : bool (z, y, x), C order
        Voxels that never leave.
    within : three slices (z, y, x), optional
        `inside` and `kept` hold nothing elsewhere; looking there only is quicker.
    sighted : int, optional
        A version of the drive that knows its speed on the surface of `inside` already: its first step asks for no tile, and is soon there.

    Attributes
    ----------
    inside : bool (z, y, x)
    iterations : int
        Since it was made.
    time : float
        Mm that a front of speed 1 would have moved.
    """

    def __init__(
        self, inside: BoolArray, spacing: Spacing, allowed: BoolArray, kept: BoolArray, within: Box | None = None, sighted: int | None = None,
    ) -> None:
        self.inside, self.allowed, self.kept = inside, allowed, kept
        self.spacing: Spacing = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
        self.shape: Shape = (inside.shape[0], inside.shape[1], inside.shape[2])
        self.iterations, self.time = 0, 0.0
        self._drive: Drive | None = None
        self._sighted = sighted
        real = [step for step, count in zip(spacing, inside.shape, strict=True) if count > 1] or [min(spacing)]
        self._least = min(real) / 2
        self._passes = int(np.ceil(max(real) / min(real))) if max(real) > THICK * min(real) else 0
        across = [1.0 / step if count > 1 else 0.0 for step, count in zip(spacing, inside.shape, strict=True)]
        self._inverse = (across[0], across[1], across[2])
        self._weights = (self.spacing[0] ** -2, self.spacing[1] ** -2, self.spacing[2] ** -2)
        self._phi: FloatArray = blank((inside.size,), np.float32)  # read where the state says so only: memory comes as the front does
        self.reset(inside, within)

    @property
    def band(self) -> int:
        """Voxels that are looked at in an iteration."""
        return int(self._sizes.sum())

    def reset(self, inside: BoolArray, within: Box | None = None) -> None:
        """Go on from a mask (z, y, x), with its surface half way between voxels; it and what is kept hold nothing outside `within`."""
        if inside is not self.inside:
            self.inside[...] = inside
        mask, allowed, kept = self.inside.reshape(-1), self.allowed.reshape(-1), self.kept.reshape(-1)
        z, y = (within[0], within[1]) if within is not None else (slice(0, self.shape[0]), slice(0, self.shape[1]))
        first, last = (max(0, z.start - 1), max(0, y.start - 1)), (min(self.shape[0], z.stop + 1), min(self.shape[1], y.stop + 1))
        here = (*first, last[1] - first[1])  # a surface touches the rows beside the mask too
        rows = (last[0] - first[0]) * here[2]
        filled = np.zeros(self.shape[0] * self.shape[1], np.uint8)
        in_parts(band.hold, rows, mask, allowed, kept, *here, *self.shape[1:], filled, least=ROWS)
        counts = np.zeros(rows + 1, np.intp)
        in_parts(band.count_surface, rows, mask, filled, *here, *self.shape, counts, least=ROWS)
        places = np.concatenate([[0], np.cumsum(counts[:-1])])
        self._sizes = np.array([places[-1], 0, 0], np.intp)
        self._active = np.empty(int(places[-1]), np.int32)
        self._near, self._next = np.empty(0, np.int32), np.empty(0, np.int32)
        in_parts(band.list_surface, rows, mask, *here, *self.shape, places, self._active, least=ROWS)
        self._state = blank((mask.size,), np.uint8)
        in_parts(band.first_distances, self._active.size, self._active, mask, *self.shape, *self.spacing, self._phi, self._state, least=PART)
        for _ in range(self._passes):
            self._gentle(self._active, self._sizes[0], band.ACTIVE)
        self._tile, self._second = 0, False  # no speed yet
        self._tiles = np.zeros((0, 0, 0), np.uint8)
        self._asked = np.zeros((0, 0, 0), bool)
        self._swept = self.iterations

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
            On this front's grid. Its tiles are asked for as the front comes to them.
        """
        box = np.array([self.inside.size, -1] * 3, np.intp)
        changed = 0
        for _ in range(iterations):
            self.iterations += 1
            turned = self._step(speed)
            if turned is None:
                break
            changed += turned.size
            self._relayer(turned, box)
        if not changed:
            return Moved(0, None)
        z, y, x = (slice(int(box[a]), int(box[a + 1]) + 1) for a in (0, 2, 4))
        return Moved(changed, (z, y, x))

    def _step(self, speed: Drive) -> npt.NDArray[np.int32] | None:
        """One step of all active voxels; who turned over, or None when nothing moves."""
        self._ready(speed)
        if speed.curvature_mm > 0:
            self._second_layer()
        size, shape = int(self._sizes[0]), self.shape
        active, mask = self._active[:size], self.inside.reshape(-1)
        edges = speed.stopping is not None and speed.edge > 0
        stopping = speed.stopping.reshape(-1) if edges and speed.stopping is not None else np.zeros(0, np.float32)
        rate, bounds = np.empty(size, np.float32), np.empty(size, np.float32)
        edge = float(speed.edge) if edges else 0.0
        fastest = max(in_parts(
            flow.rates, size, active, self._phi, self._state, self.allowed.reshape(-1), speed.speed.reshape(-1), stopping, *shape, *self.spacing,
            *self._inverse, edge, float(speed.balloon), float(speed.curvature_mm), edge * float(speed.advection), rate, bounds, least=PART,
        ), default=0.0)
        if fastest <= 0:
            self._ready(speed)  # where a first step asked for none
            return None
        step = COURANT / fastest
        self.time += step
        turned = np.empty(size, np.int32)
        counts = in_parts(
            flow.move, size, active, rate, bounds, step, self._least, self._phi, mask, self._state, self.allowed.reshape(-1), self.kept.reshape(-1),
            turned, least=PART,
        )
        starts = [size * part // len(counts) for part in range(len(counts))]
        return np.concatenate([turned[start : start + count] for start, count in zip(starts, counts, strict=True)])

    def _relayer(self, turned: npt.NDArray[np.int32], box: npt.NDArray[np.intp]) -> None:
        """Layers and distances after a step."""
        mask, shape = self.inside.reshape(-1), self.shape
        if turned.size:
            fresh = np.empty(7 * turned.size, np.int32)
            self._room(7 * turned.size, 25 * turned.size, 63 * turned.size)
            flow.turn(turned, mask, *shape, box)
            count = flow.follow(
                turned, self._active, self._near, self._sizes, fresh, np.empty(fresh.size, np.float32), self._phi, mask, self._state,
                *shape, *self._weights, self._least,
            )
            flow.wrap(fresh, count, self._near, self._next, self._sizes, self._state, *shape, self._tile, self._tiles.reshape(-1))
        self._first_layer()
        if self.iterations - self._swept >= SWEEP_EVERY:
            self._swept = self.iterations
            self._second_layer()
            self._room(0, 0, int(self._sizes[1]))
            flow.sweep(self._active, self._near, self._next, self._sizes, self._state)
            for voxels, size in zip((self._active, self._near, self._next), self._sizes, strict=True):
                voxels[:size].sort()  # neighbours in memory are neighbours on the list again

    def _gentle(self, voxels: npt.NDArray[np.int32], size: np.intp, layer: int) -> None:
        values = np.empty(int(size), np.float32)
        in_parts(band.gentle, int(size), voxels, layer, self._phi, self._state, *self.shape, *self._weights, values, least=PART)
        in_parts(band.put, int(size), voxels, values, self._phi, least=PART)

    def _first_layer(self) -> None:
        """Distances beside the active voxels: all that a front without tension needs."""
        self._layer(self._near, self._sizes[1], band.NEAR)
        for _ in range(min(self._passes, NEAR_PASSES)):
            self._gentle(self._near, self._sizes[1], band.NEAR)
        self._second = False

    def _second_layer(self) -> None:
        """Distances one voxel on, which curvature looks at."""
        if not self._second:
            self._layer(self._near, self._sizes[1], band.NEXT)
            self._layer(self._next, self._sizes[2], band.NEXT)
            self._second = True

    def _layer(self, voxels: npt.NDArray[np.int32], size: np.intp, layer: int) -> None:
        in_parts(band.relayer, int(size), voxels, layer, self._phi, self.inside.reshape(-1), self._state, *self.shape, *self._weights, least=PART)

    def _ready(self, speed: Drive) -> None:
        """See that the speed is made wherever the band lies."""
        if not self._tile:
            self._tile = speed.tile
            grid = [-(-count // speed.tile) for count in self.shape]
            self._tiles, self._asked = np.zeros(grid, np.uint8), np.zeros(grid, bool)
            size = int(self._sizes[0])
            self._room(0, 6 * size, 18 * size)
            flow.wrap(self._active, size, self._near, self._next, self._sizes, self._state, *self.shape, self._tile, self._tiles.reshape(-1))
            self._first_layer()
        if speed is not self._drive:
            self._drive = speed
            self._asked[...] = False
        sighted, self._sighted = self._sighted, None
        if sighted == speed.version:
            return
        wanted = (self._tiles > 0) & ~self._asked
        if wanted.any():
            speed.prepare(wanted)
            self._asked |= wanted

    def _room(self, *more: int) -> None:
        """Make the three lists long enough for so many more voxels."""
        lists = []
        for voxels, size, extra in zip((self._active, self._near, self._next), self._sizes, more, strict=True):
            if voxels.size < size + extra:
                longer = np.empty(int(size + extra) * 3 // 2, np.int32)
                longer[:size] = voxels[:size]
                voxels = longer
            lists.append(voxels)
        self._active, self._near, self._next = lists
