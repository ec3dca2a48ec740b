"""Geodesic scribbles: every voxel takes the class of the stroke it reaches at least cost.

A step costs sqrt(mm^2 + (edge dI)^2) (Criminisi et al., GeoS, ECCV 2008, eq. 2; Wang et al., DeepIGeoS, PAMI 2019), in mm, so that anisotropic voxels and
intensity edges are in one unit and no path is shorter than its length. Where a pixel classifier says how likely each class is, a class moves the slower
the less it belongs: its steps are longer by `DOUBT` times what the class lacks to certainty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from scipy import ndimage as ndi

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.volume import LabelArray, Spacing
from napari_medseg.weaklabel.compiled import in_parts
from napari_medseg.weaklabel.scene import box_around
from napari_medseg.weaklabel.scribble_region import Region
from napari_medseg.weaklabel.shortest_paths import FAR, LEVELS, Paths, Steps

EDGE_MM = 200.0
DOUBT = 20.0
UNASKED = 128  # level of doubt where the classifier has not been asked yet
CAP = 4.0  # times the reach: what costs more to reach is background
CHUNK = 80_000  # voxels a map spreads from before the next look at whether somebody waits; well under 100 ms
ROUNDING = 1.2  # standard deviation, in finest voxels, with which outlines are smoothed; measured in docs/weaklabel.md

ALL = 0


class Geodesic:
    """Nearest strokes over a region that may move, kept up to date.

    Parameters
    ----------
    region : Region
    reach_mm : float
        The farther this is, the dearer paths may be.
    learned : bool
        Whether doubts will be told; then each class has a map of its own.
    """

    def __init__(self, region: Region, reach_mm: float, learned: bool = False) -> None:
        self._spacing, self._cap, self._learned = region.spacing, CAP * reach_mm, learned
        levels = np.arange(LEVELS, dtype=np.float32) / (LEVELS - 1)
        self._hardness = np.asarray(1 + DOUBT * levels if learned else np.ones(LEVELS), np.float32)
        self._maps: dict[int, Paths] = {}
        self._region = region

    def follow(self, region: Region, marks: LabelArray, scale: float, doubts: Mapping[int, LabelArray] | None = None) -> Iterator[float]:
        """Bring the maps up to date; leaving early does no harm, the next call goes on.

        Parameters
        ----------
        marks : uint8 (z, y, x)
            Strokes as they are now; 0 none.
        scale : float
            Contrast that counts as an edge of 1.
        doubts : mapping of class to uint8 (z, y, x), optional
            How unlikely each class is, 0 sure to 255 out of the question; None leaves them as they were.

        Yields
        ------
        float
            Share of the work done, 0-1.
        """
        wanted = [int(v) for v in np.flatnonzero(np.bincount(marks.ravel(), minlength=256)) if v] if self._learned else [ALL]
        steps = Steps(self._spacing, EDGE_MM / scale, self._hardness, self._cap)
        self._maps = {own: self._moved(own, region, steps) for own in wanted}
        self._region = region
        for own, paths in self._maps.items():
            if doubts is not None and own in doubts:
                paths.harden(doubts[own])
            paths.follow(marks)
        maps, done = list(self._maps.values()), 0

        def spread(start: int, stop: int) -> int:
            return sum(paths.spread(CHUNK) for paths in maps[start:stop] if not paths.settled)

        while not all(paths.settled for paths in maps):
            done += sum(in_parts(spread, len(maps)))
            yield min(1.0, done / (len(maps) * marks.size))

    @property
    def labels(self) -> LabelArray:
        """The nearest stroke's class, uint8 (z, y, x); 0 where none reaches."""
        maps = list(self._maps.values())
        found, best = maps[0].label, maps[0].cost
        for paths in maps[1:]:
            nearer = np.asarray((paths.cost >= 0) & ((best < 0) | (paths.cost < best)))
            found, best = np.where(nearer, paths.label, found), np.where(nearer, paths.cost, best)
        return np.where((best >= 0) & (best < FAR), found, 0).astype(np.uint8)

    def _moved(self, own: int, region: Region, steps: Steps) -> Paths:
        paths, shift = self._maps.get(own), self._region.shift(region)
        going = np.full(region.shape, UNASKED if self._learned else 0, np.uint8)
        if paths is None or shift is None:
            return Paths(region.contrast, going, region.closed, steps, own)
        if self._region is not region:
            paths = paths.moved(region.contrast, going, region.closed, shift)
        paths.pay(steps)
        return paths


def rounded(labels: LabelArray, spacing: Spacing) -> LabelArray:
    """Labels whose outlines are smooth at the scale of a voxel; background (0 or 255) becomes 0.

    Paths leave outlines as rough as the noise. Each voxel takes the class that prevails around it, weighed by a Gaussian.
    """
    classes = [int(v) for v in np.flatnonzero(np.bincount(labels.ravel(), minlength=256)) if v not in (0, BACKGROUND)]
    out = np.zeros(labels.shape, np.uint8)
    if not classes:
        return out
    box = box_around((labels > 0) & (labels != BACKGROUND), 3 * ROUNDING * min(spacing), spacing)
    part = labels[box]
    deviations = [ROUNDING * min(spacing) / step for step in spacing]
    rest, best, winner = np.ones(part.shape, np.float32), np.zeros(part.shape, np.float32), np.zeros(part.shape, np.uint8)
    for value in classes:
        votes = np.asarray(ndi.gaussian_filter((part == value).astype(np.float32), deviations, mode="nearest", truncate=3.0))
        more = votes > best
        best[more], winner[more] = votes[more], value
        rest -= votes
    winner[rest >= best] = 0
    out[box] = winner
    return out
