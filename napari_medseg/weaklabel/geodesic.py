"""Geodesic scribbles: every voxel takes the class of the stroke it reaches at least cost.

A step costs sqrt(mm^2 + (edge dI)^2) (Criminisi et al., GeoS, ECCV 2008, eq. 2; Wang et al., DeepIGeoS, PAMI 2019), in mm, so that anisotropic voxels and
intensity edges are in one unit and no path is shorter than its length. Where a pixel classifier says how likely each class is, a class moves the slower
the less it belongs: its steps are longer by `DOUBT` times what the class lacks to certainty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from napari_medseg.volume import BoolArray, FloatArray, LabelArray, Spacing
from napari_medseg.weaklabel.compiled import in_parts
from napari_medseg.weaklabel.scene import Box
from napari_medseg.weaklabel.shortest_paths import FAR, LEVELS, Paths, Steps

EDGE_MM = 60.0
DOUBT = 10.0
CAP = 4.0  # times the reach
CHUNK = 150_000  # voxels a map spreads from before the next look at whether somebody waits; well under 100 ms

ALL = 0


class Geodesic:
    """Nearest strokes over a region that may grow, kept up to date.

    Parameters
    ----------
    spacing : mm per voxel (z, y, x)
    reach_mm : float
        Paths dearer than this end.
    """

    def __init__(self, spacing: Spacing, reach_mm: float) -> None:
        self._spacing, self._reach = spacing, reach_mm
        self._edge = 0.0
        self._maps: dict[int, Paths] = {}

    def follow(
        self, contrast: FloatArray, closed: BoolArray, marks: LabelArray, scale: float,
        doubts: Mapping[int, LabelArray] | None = None, inner: Box | None = None,
    ) -> Iterator[float]:
        """Bring the maps up to date; leaving early does no harm, the next call goes on.

        Parameters
        ----------
        contrast : float32 (z, y, x)
        closed : bool (z, y, x)
            Where no path goes.
        marks : uint8 (z, y, x)
            Strokes as they are now; 0 none.
        scale : float
            Contrast that counts as an edge of 1.
        doubts : mapping of class to uint8 (z, y, x), optional
            How unlikely each class is, 0 sure to 255 out of the question; for every class in `marks`.
        inner : (z, y, x) slices, optional
            Where the region of the last call lies in this one; None where it is another.

        Yields
        ------
        float
            Share of the work done, 0-1.
        """
        self._prepare(contrast, closed, scale, doubts, inner)
        for own, paths in self._maps.items():
            if doubts is not None:
                paths.harden(doubts[own])
            paths.follow(marks)
        maps, done = list(self._maps.values()), 0

        def spread(start: int, stop: int) -> int:
            return sum(paths.spread(CHUNK) for paths in maps[start:stop] if not paths.settled)

        while not all(paths.settled for paths in maps):
            done += sum(in_parts(spread, len(maps)))
            yield min(1.0, done / (len(maps) * contrast.size))

    @property
    def labels(self) -> LabelArray:
        """The nearest stroke's class, uint8 (z, y, x); 0 where none reaches."""
        maps = list(self._maps.values())
        found, best = maps[0].label, maps[0].cost
        for paths in maps[1:]:
            nearer = np.asarray((paths.cost >= 0) & ((best < 0) | (paths.cost < best)))
            found, best = np.where(nearer, paths.label, found), np.where(nearer, paths.cost, best)
        return np.where((best >= 0) & (best < FAR), found, 0).astype(np.uint8)

    def _prepare(self, contrast: FloatArray, closed: BoolArray, scale: float, doubts: Mapping[int, LabelArray] | None, inner: Box | None) -> None:
        wanted = [ALL] if doubts is None else list(doubts)
        edge = EDGE_MM / scale
        if inner is None or edge != self._edge:
            self._maps = {}
        self._edge = edge
        hardness = np.ones(LEVELS, np.float32) if doubts is None else (1 + DOUBT * np.arange(LEVELS) / (LEVELS - 1)).astype(np.float32)
        steps = Steps(self._spacing, edge, hardness, CAP * self._reach)
        kept: dict[int, Paths] = {}
        for own in wanted:
            going = np.zeros(contrast.shape, np.uint8) if doubts is None else doubts[own]
            paths = self._maps.get(own)
            if paths is None:
                paths = Paths(contrast, going, closed, steps, own)
            elif paths.shape != contrast.shape and inner is not None:
                paths = paths.moved(contrast, going, closed, inner)
            kept[own] = paths
        self._maps = kept
