"""What drives a front: chances of the target, learned from the seeds and from both sides of the front as it grows.

Four terms can be mixed. *Region*: how much likelier a grey value is in the target than around it, by the whole scan's histograms and by the neighbourhood's
means, so that shading does not matter. *Window*: values a person named. *Learned*: any segmenter's probability map. *Edges*: a sigmoid of the gradient.
Everything is made tile by tile where the front is about to come; the first step on a scan of any size costs what a crop of it costs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from napari_medseg.volume import BoolArray, FloatArray, Shape, Spacing
from napari_medseg.weaklabel.blank import blank
from napari_medseg.weaklabel.compiled import in_parts
from napari_medseg.weaklabel.contrast import Contrast, Table, fit_contrast, histogram_table, sigmoid_table
from napari_medseg.weaklabel.edges import EdgeScale, edge_scale, steepness
from napari_medseg.weaklabel.evidence import FARTHEST, chances, nearness
from napari_medseg.weaklabel.hand import Hand
from napari_medseg.weaklabel.local_statistics import NOWHERE, LocalStatistics, learned
from napari_medseg.weaklabel.samples import Samples, around_points, look, reach_of
from napari_medseg.weaklabel.scene import Box, IntArray, box_around_points
from napari_medseg.weaklabel.settings import LevelSetSettings
from napari_medseg.weaklabel.tiles import TILE, Triple, gaussian, grid_of, inner, listed, smoothed, tile_box, tiles_in, tiles_of, widened

INDISTINCT = 0.8  # overlap of values above which edges say more than values
BALLOON = 0.1  # where grey values count beside edges; more runs over edges
LOCAL_MM = 8.0
LOCAL_SHARE = 0.5  # of the neighbourhood's statistics against the whole scan's, within a painted limit
LOOSE_TENSION = 0.5  # of the surface tension, without one: all of it crushes small targets
LOOSE_SHARE = 0.25  # without one: what a front has not reached yet counts as background in them
EDGE_SHARE = 0.3  # within a painted limit where grey values tell; without one edges hold a front up too soon
CLEAR_SHARE = 0.8  # the same where the picture is clear
CLEAR = (0.2, 0.28)  # roughness up to which it is, and from which on it is not (see `_edges_by_the_data`)
EDGE_ALONE = 0.6  # of edges where grey values do not count: the rest is how deep a voxel lies in the limit, or how near to a seed
EDGE_ALONE_NEAR = 2.0  # log-odds at a seed, falling by 3 over the reach; 1 where grey values count
EDGE_ALONE_PULL = 3.0  # times the advection
BORDER_DEPTH = 0.35  # share of a slice's depth that painted limits are too wide by
START_MM = 5.0
FEW = 32  # points; around more of them whole tiles are made at once
SURROUNDINGS = 1.5  # times the reach
LEAST_IN_WINDOW = 0.1  # share of the background's values that a window must leave before they are worth telling apart from the target's
WINDOW_BLUR = 0.02  # of its width: 1 log-odds
SUREST = 1e-5  # a probability map is never surer


class Speed:
    """The terms of one level set on one grid (what `drive.Drive` asks for).

    Parameters
    ----------
    image : (z, y, x), any real type
        A view is enough: only what tiles need is read.
    spacing : mm per voxel (z, y, x)
    settings : LevelSetSettings
    points : (n, 3) voxel indices
        Seeds.
    limit : bool (z, y, x), optional
        Painted roughly by hand; nothing outside it is the target.
    init : bool (z, y, x), optional
        A mask the front starts from; learned from where there is no seed.
    probability : float (z, y, x), 0-1, optional
    allowed : bool (z, y, x), optional
        Where the target may be; it may change later (see `remake`).
    inward : bool
        Whether the front starts from the limit.
    reach_mm : float, optional
        How far the front may go where the settings leave it open; None: from how far the seeds lie apart.

    Attributes
    ----------
    tension_mm : float
        The surface tension a front ends with; `curvature_mm` is the one it is under now, for whoever drives it to set.
    version : int
        Grows by one whenever tiles that were made are made again.
    sighted : int or None
        The version of which the speed is known wherever the surface of the first front lies, though no tile is made yet.

    Raises
    ------
    InvalidInputError
        When no seed lies on a usable voxel, or the scan shows nothing around them.
    """

    tile = TILE

    def __init__(
        self, image: npt.NDArray[Any], spacing: Spacing, settings: LevelSetSettings, points: IntArray, *,
        limit: BoolArray | None = None, init: BoolArray | None = None, probability: npt.NDArray[Any] | None = None,
        allowed: BoolArray | None = None, inward: bool = False, reach_mm: float | None = None,
    ) -> None:
        self.shape: Shape = (image.shape[0], image.shape[1], image.shape[2])
        self.spacing = spacing
        self.grid = grid_of(self.shape)
        self.speed: FloatArray = blank(self.shape, np.float32)
        self.stopping: FloatArray | None = None
        self.prepared: BoolArray = np.zeros(self.grid, bool)
        self._promised: BoolArray = np.zeros(self.grid, bool)  # tiles that were looked into before they are made
        self._image, self._init, self._probability, self._allowed = image, init, probability, allowed
        self._near = 1.0
        self._hand = None if limit is None else Hand(limit, spacing)
        self._inward, self._reach = inward, reach_mm
        self._local: LocalStatistics = NOWHERE
        self.version = 0
        self.sighted: int | None = None
        self._stale: list[Triple] = []
        self._slice = 0
        self.points = points
        self._take(settings)
        self._look()

    def change(self, settings: LevelSetSettings) -> None:
        """Take other settings; what is prepared is made again."""
        self._take(settings)
        self._look()
        self.remake()

    def seeds(self, points: IntArray) -> None:
        """Learn from these seeds, (n, 3) voxel indices, in place of the earlier ones."""
        self.points = points
        self._look()
        self.remake()

    def remake(self, box: Box | None = None) -> None:
        """Make prepared tiles again: all, or those a box touches."""
        self.version += 1
        again = self.prepared if box is None else self.prepared & tiles_in(box, self.shape)
        if box is None:
            self._stale = []
        self._make(list(listed(again)))

    def refresh(self, *, whole: bool = False) -> bool:
        """Make the next slice of the tiles again that `learn` has left, or all of them; whether there were any."""
        if not self._stale:
            return False
        count = len(self._stale) if whole else self._slice
        todo, self._stale = self._stale[:count], self._stale[count:]
        self.version += 1
        self._make(todo)
        return True

    def prepare(self, tiles: BoolArray) -> None:
        """Make the tiles asked for, bool over the grid of tiles, that are not made yet."""
        fresh = (tiles | self._promised) & ~self.prepared
        if fresh.any():
            self._make(list(listed(fresh)))
            self.prepared |= fresh

    def start(self) -> tuple[BoolArray, Box]:
        """A first front at the seeds, bool (z, y, x): what looks like the target within some mm of them; and a box around it."""
        mask: BoolArray = blank(self.shape)
        mask[tuple(self.like_target(self.points).T)] = True
        mask[tuple(self.points.T)] = True
        self.sighted = self.version if self.stopping is None and len(self.points) <= FEW else None
        return mask, box_around_points(self.points, self._near_mm, self.spacing, self.shape)

    def like_target(self, points: IntArray) -> IntArray:
        """Voxels within some mm of these, (n, 3), that look like the target, (m, 3).

        Only what lies around the points is looked at, so that a person sees the answer soon; its tiles are made with the next that are asked for.
        """
        near = around_points(points, self._near_mm, self.spacing, self.shape)
        tiles = tiles_of(near, self.shape)
        if len(points) > FEW:
            self.prepare(tiles)
            return np.asarray(near[self.speed[tuple(near.T)] > 0])
        self._promised |= tiles
        boxes = [widened(box_around_points(point[None], self._near_mm, self.spacing, self.shape), self.shape, (1, 1, 1)) for point in points]
        self._measure_hand(boxes)

        def make(first: int, stop: int) -> None:
            for box in boxes[first:stop]:
                self.speed[box] = self._speed_in(box)

        in_parts(make, len(boxes))
        return np.asarray(near[self.speed[tuple(near.T)] > 0])

    @property
    def _near_mm(self) -> float:
        return max(START_MM, 2.5 * min(self.spacing))

    def learn(self, inside: BoolArray, slices: int = 1) -> bool:
        """Learn the neighbourhoods' statistics from the front as it stands, bool (z, y, x); whether the speed changes.

        The target is what lies inside and looks like it, the background what looks like background on either side, in the prepared tiles. In several slices the
        tiles are made again one slice a `refresh`, those the front runs through first, so that no update waits for all of them.
        """
        self.refresh(whole=True)
        if self._local_mm <= 0 or self._value_share <= 0 or self._by_window or self._edges_alone:
            return False
        tiles = list(listed(self.prepared))
        found: list[tuple[FloatArray, npt.NDArray[np.uint8], IntArray]] = []
        for part in in_parts(lambda first, stop: [self._sides(tile, inside) for tile in tiles[first:stop]], len(tiles)):
            found += part
        local = learned(found, self.shape, self.spacing, self._local_mm)
        if local is NOWHERE or (self._local is not NOWHERE and np.array_equal(local.lattice, self._local.lattice)):
            return False
        self._local = local
        if slices == 1:
            self.remake()
        else:
            crossed = [bool(part.any()) and not part.all() for part in (inside[tile_box(tile, self.shape)] for tile in tiles)]
            self._stale = sorted(tiles, key=dict(zip(tiles, crossed, strict=True)).__getitem__, reverse=True)
            self._slice = -(-len(tiles) // slices)
        return True

    def beyond(self, inside: BoolArray, box: Box, barred: BoolArray | None) -> float:
        """Share of the voxels next to a mask that look like the target by themselves, however far from the seeds they lie.

        Parameters
        ----------
        inside : bool (z, y, x)
            The mask, within `box`.
        barred : bool (z, y, x) or None
            Where a barrier lies: no voxel there counts.
        """
        around = widened(box, self.shape, (1, 1, 1))
        mask = inside[around]
        next_to = ndi.binary_dilation(mask) & ~mask
        if barred is not None:
            next_to &= ~barred[around]
        if not next_to.any():
            return 0.0
        allowed, near, self._allowed, self._near = self._allowed, self._near, None, 0.0
        looks = self._speed_in(around)
        self._allowed, self._near = allowed, near
        return float(np.mean(looks[next_to] > 0))

    @property
    def is_settled(self) -> bool:
        """Whether all that was learned is in force."""
        return not self._stale

    def drawn(self) -> BoolArray:
        """Where it drives a front outwards, bool (z, y, x), also where no front has been; no tile is made for it, so that nothing else is learned."""
        where: BoolArray = blank(self.shape)

        def look_in(first: int, stop: int) -> None:
            for tile in tiles[first:stop]:
                box = tile_box(tile, self.shape)
                where[box] = (self.speed[box] if self.prepared[tile] else self._speed_in(box)) > 0

        tiles = [tile for tile in np.ndindex(*self.grid) if self._allowed is None or self._allowed[tile_box(tile, self.shape)].any()]
        in_parts(look_in, len(tiles))
        return where

    def describe(self, unit: str = "") -> str:
        """For people: what the front follows; `unit` is what grey values are called."""
        words = []
        if self._by_map > 0 and not self._edges_alone:
            words.append("follows the probability map")
        if self.settings.window is not None and not self._edges_alone:
            words.append(f"keeps values from {self.settings.window[0]:.4g} to {self.settings.window[1]:.4g} {unit}".rstrip())
        if self._value_share > 0 and not self._by_window and not self._edges_alone:
            words.append(self._contrast.describe(unit))
        if self.edge > 0:
            words.append("follows edges")
        return ", ".join(words)

    def _take(self, settings: LevelSetSettings) -> None:
        self.settings = settings
        self.tension_mm = settings.curvature_mm * (LOOSE_TENSION if self._hand is None else 1.0)
        self.curvature_mm = self.tension_mm
        self._local_mm = LOCAL_MM if settings.local_mm is None else settings.local_mm
        self._by_map = 0.0 if self._probability is None else settings.learned
        self._value_share = 1.0 - self._by_map
        smooth = settings.smooth_mm if self._value_share > 0 else 0.0
        z, y, x = (gaussian(smooth / s) for s in self.spacing)
        self._weights = (z, y, x)

    def _look(self) -> None:
        self.reach_mm = self.settings.reach_mm or self._reach or reach_of(self.points, self.spacing)
        self._samples: Samples = look(
            self._image, self.spacing, self.points, hand=self._hand, shell_mm=self.settings.shell_mm, init=self._init, allowed=self._allowed,
            reach_mm=self.reach_mm,
        )
        target, background = self._in_window(self._samples.target), self._in_window(self._samples.background)
        self._by_window = len(background) < LEAST_IN_WINDOW * len(self._samples.background) or not len(target)
        if self._by_window:
            target, background = self._samples.target, self._samples.background
        self._contrast: Contrast = fit_contrast(target, background)
        if self._by_window:
            self._table = Table(0.0, 1.0, np.full(2, FARTHEST, np.float32))
        elif self.settings.contrast == "sigmoid":
            self._table = sigmoid_table(self._contrast, np.concatenate([target, background]))
        else:
            self._table = histogram_table(target, background)
        share = self.settings.edge_share
        if share or (share is None and self._hand is not None):
            self._scale: EdgeScale = edge_scale(self._image, self._samples, self.spacing, self.settings.smooth_mm)
        if share is None:
            share = self._edges_by_the_data(target, background)
        self._edges_alone = share == 1
        self.edge = EDGE_ALONE if self._edges_alone else share
        self.advection = self.settings.advection * (EDGE_ALONE_PULL if self._edges_alone else 1.0)
        self.balloon = 0.0 if self._edges_alone or self._init is not None else -BALLOON if self._inward else BALLOON
        self.method = self._kind()
        if self.edge > 0 and self.stopping is None:
            self.stopping = np.ones(self.shape, np.float32)

    def _edges_by_the_data(self, target: FloatArray, background: FloatArray) -> float:
        """How much edges count, 0-1: more in a clear picture, whose gradients around the seeds are small beside those of a step between its two sides.

        `target` and `background` are grey values, float32 (n,).
        """
        if self._by_map > 0 or self._by_window or self._hand is None:
            return 0.0
        if self._contrast.overlap > INDISTINCT:
            return 1.0
        apart = abs(float(np.median(target)) - float(np.median(background)))
        roughness = self._scale.beta * self._scale.sigma_mm / max(apart, 1e-9)
        return float(np.interp(roughness, CLEAR, (CLEAR_SHARE, EDGE_SHARE)))

    def _kind(self) -> str:
        kinds = ["probability"] if self._by_map > 0 and not self._edges_alone else []
        if not self._edges_alone:
            kinds += ["region"] * (self._value_share > 0 and not self._by_window) + ["threshold"] * (self.settings.window is not None)
        return " and ".join(kinds + ["edge"] * (self.edge > 0))

    def _in_window(self, values: FloatArray) -> FloatArray:
        if self.settings.window is None:
            return values
        return values[(values >= self.settings.window[0]) & (values <= self.settings.window[1])]

    def _make(self, todo: list[Triple]) -> None:
        boxes = [tile_box(tile, self.shape) for tile in todo]
        self._measure_hand(boxes)

        def make(first: int, stop: int) -> None:
            for core in boxes[first:stop]:
                self.speed[core] = self._speed_in(core)
                if self.stopping is not None:
                    self.stopping[core] = self._scale.stopping(steepness(self._image, core, self.spacing, self._scale))

        in_parts(make, len(boxes))

    def _measure_hand(self, boxes: list[Box]) -> None:
        """Slices are shared by boxes: what is measured in them is measured before the boxes are spread over the cores."""
        if self._hand is not None:
            for first, stop in sorted({(box[0].start, box[0].stop) for box in boxes}):
                halo = len(self._weights[0]) // 2
                self._hand.depth(max(0, first - halo), min(self.shape[0], stop + halo))

    def _speed_in(self, core: Box) -> FloatArray:
        """The speed in a box, the same whatever the box is."""
        block = widened(core, self.shape, [len(each) // 2 for each in self._weights])
        allowed = self._where(block)
        values, prior = self._values(block), self._prior(block)
        out = np.empty(values.shape, np.float32)
        start = np.array([part.start for part in block], np.intp)
        table = self._table
        share = 0.0 if self._local is NOWHERE else LOOSE_SHARE if self._hand is None else LOCAL_SHARE
        window = None if self._edges_alone else self.settings.window
        low, high = window or (-np.inf, np.inf)
        blur = WINDOW_BLUR * (high - low) if window else 1.0
        worth = 0.0 if self._edges_alone else self._value_share
        chances(
            values, prior, allowed, table.odds * np.float32(worth), table.low, table.step, FARTHEST * worth, self._local.lattice, self._local.cell, start,
            share, self._local.sharpness * worth, low, high, blur, out,
        )
        here = inner(core, block)
        speed = 2 * smoothed(out, self._weights)[here] - 1
        speed[~allowed[here]] = -1
        return np.asarray(speed)

    def _values(self, block: Box) -> FloatArray:
        return np.ascontiguousarray(self._image[block], np.float32)

    def _where(self, block: Box) -> BoolArray:
        shape = tuple(part.stop - part.start for part in block)
        allowed = np.ones(shape, bool) if self._allowed is None else self._allowed[block].copy()
        if self._hand is not None:
            allowed &= self._hand.limit[block]
        return allowed

    def _prior(self, block: Box) -> FloatArray:
        """Log-odds that do not come from grey values."""
        odds = np.full(tuple(part.stop - part.start for part in block), self.settings.size, np.float32)
        by_map = 0.0 if self._edges_alone else self._by_map
        if self._hand is not None and by_map < 1:
            depth = self._hand.depth(block[0].start, block[0].stop)[:, block[1], block[2]]
            odds += np.float32(2 * (1 - by_map) * self.settings.hand_trust) * (depth - np.float32(BORDER_DEPTH))
        elif by_map < 1 and not (self._edges_alone and self._init is not None):  # edges near a given mask need no push
            near = EDGE_ALONE_NEAR if self._edges_alone else 1.0
            odds += np.float32(self._near * (1 - by_map)) * (np.float32(near) - 3 * self._away(block, odds.shape) / np.float32(self.reach_mm))
        if by_map > 0 and self._probability is not None:
            chance = np.clip(np.nan_to_num(self._probability[block].astype(np.float32), nan=0.0), SUREST, 1 - SUREST)
            odds += np.float32(by_map) * np.log(chance / (1 - chance))
        return np.asarray(odds, np.float32)

    def _away(self, block: Box, shape: tuple[int, ...]) -> FloatArray:
        away = np.empty(shape, np.float32)
        places = self.points if len(self.points) else self._samples.places[:: max(1, len(self._samples.places) // 256)]
        nearness(
            np.asarray(places * np.array(self.spacing), np.float32), np.array([part.start for part in block], np.intp),
            np.array(self.spacing, np.float32), away,
        )
        return away

    def _sides(self, tile: Triple, inside: BoolArray) -> tuple[FloatArray, npt.NDArray[np.uint8], IntArray]:
        """A tile's values and which side each voxel is on: 1 target, 2 background, 0 neither."""
        core = tile_box(tile, self.shape)
        values, speed, within = self._values(core), self.speed[core], inside[core]
        if self._hand is not None:
            region = self._hand.region(core[0].start, core[0].stop, self.settings.shell_mm)[:, core[1], core[2]]
        else:
            region = self._away(core, values.shape) <= SURROUNDINGS * self.reach_mm
        even = np.tanh(self.settings.size / 2)  # the speed of even odds: a person's wish for more or less says nothing about grey values
        side = np.where(within & (speed > even), 1, np.where(region & (speed <= even), 2, 0)).astype(np.uint8)
        side[~np.isfinite(values)] = 0
        return values, side, np.array([part.start for part in core], np.intp)
