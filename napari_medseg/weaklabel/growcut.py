"""GrowCut: strokes conquer their surroundings, and hold what they reach with the least change of grey value on the way.

Vezhnevets and Konouchine (GraphiCon 2005) let cells attack their neighbours until nothing changes; Zhu et al. (2014, "An effective interactive medical image
segmentation method using fast GrowCut") showed that shortest paths over the grey-value differences give the same answer in one pass, and that a further stroke
need only pass where it is nearer. Length counts a little, so that where the image says nothing the nearer stroke wins.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from napari_medseg.volume import BoolArray, FloatArray, LabelArray, Spacing
from napari_medseg.weaklabel.scene import Box
from napari_medseg.weaklabel.shortest_paths import LEVELS, Paths, Steps

EDGE_MM = 30.0
LENGTH = 0.1  # how much a millimetre counts beside an edge of 1 / EDGE_MM
CAP_MM = 2000.0
CHUNK = 150_000


class GrowCut:
    """GrowCut over a region that may grow, kept up to date.

    Parameters
    ----------
    spacing : mm per voxel (z, y, x)
    """

    def __init__(self, spacing: Spacing) -> None:
        self._spacing = spacing
        self._paths: Paths | None = None

    def follow(self, contrast: FloatArray, closed: BoolArray, marks: LabelArray, scale: float, inner: Box | None = None) -> Iterator[float]:
        """Bring the map up to date; leaving early does no harm, the next call goes on.

        Parameters
        ----------
        contrast : float32 (z, y, x)
        closed : bool (z, y, x)
            Where nothing is conquered.
        marks : uint8 (z, y, x)
            Strokes as they are now; 0 none.
        scale : float
            Contrast that counts as an edge of 1.
        inner : (z, y, x) slices, optional
            Where the region of the last call lies in this one; None where it is another.

        Yields
        ------
        float
            Share of the work done, 0-1.
        """
        steps = Steps(self._spacing, EDGE_MM / scale, np.full(LEVELS, LENGTH, np.float32), CAP_MM, summed=True)
        going = np.zeros(contrast.shape, np.uint8)
        if self._paths is None or inner is None or self._paths.steps.edge != steps.edge:
            self._paths = Paths(contrast, going, closed, steps)
        elif self._paths.shape != contrast.shape:
            self._paths = self._paths.moved(contrast, going, closed, inner)
        self._paths.follow(marks)
        done = 0
        while not self._paths.settled:
            done += self._paths.spread(CHUNK)
            yield min(1.0, done / contrast.size)

    @property
    def labels(self) -> LabelArray:
        """Who holds each voxel, uint8 (z, y, x); 0 where nobody."""
        return np.zeros((0, 0, 0), np.uint8) if self._paths is None else self._paths.label.copy()
