"""GrowCut: strokes conquer their surroundings, and hold what they reach with the least change of grey value on the way.

Vezhnevets and Konouchine (GraphiCon 2005) let cells attack their neighbours until nothing changes; Zhu et al. (2014, "An effective interactive medical image
segmentation method using fast GrowCut") showed that shortest paths over the grey-value differences give the same answer in one pass, and that a further stroke
need only pass where it is nearer. So it is here, on grey values as they are: smoothed ones make a leak of a thin border. Length only decides where the
image says nothing: there the nearer stroke wins.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from napari_medseg.volume import LabelArray
from napari_medseg.weaklabel.scribble_region import Region
from napari_medseg.weaklabel.shortest_paths import Paths, Steps

EDGE_MM = 100.0  # what a contrast of the scan's whole span costs
LENGTH = 0.01  # and what a millimetre does: a ten-thousandth of it
CAP_MM = 2000.0
CHUNK = 80_000


class GrowCut:
    """GrowCut over a region that may move, kept up to date."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._paths: Paths | None = None

    def follow(self, region: Region, marks: LabelArray) -> Iterator[float]:
        """Bring the map up to date; leaving early does no harm, the next call goes on.

        Parameters
        ----------
        marks : uint8 (z, y, x)
            Strokes as they are now; 0 none.

        Yields
        ------
        float
            Share of the work done, 0-1.
        """
        paths, shift = self._paths, self._region.shift(region)
        if paths is None or shift is None:
            paths = Paths(region.contrast, region.closed, Steps(region.spacing, EDGE_MM, LENGTH, CAP_MM))
        elif self._region is not region:
            paths = paths.moved(region.contrast, region.closed, shift)
        self._region, self._paths = region, paths
        paths.follow(marks)
        done = 0
        while not paths.settled:
            done += paths.spread(CHUNK)
            yield min(1.0, done / marks.size)

    @property
    def settled(self) -> bool:
        """Whether the map is up to date."""
        return self._paths is not None and self._paths.settled

    @property
    def labels(self) -> LabelArray:
        """Who holds each voxel, uint8 (z, y, x); 0 where nobody."""
        return np.zeros((0, 0, 0), np.uint8) if self._paths is None else self._paths.label.copy()
