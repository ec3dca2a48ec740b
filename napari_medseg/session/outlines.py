"""What was drawn by hand, where it meets a slice: boxes, lassos and rulers, for panes that look along any axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from napari_medseg.session.state import Scan

NEAR = 0.5 + 1e-3  # voxels from the middle of a slice to what still lies in it


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """A line in a slice.

    Attributes
    ----------
    places : (n, 3)
        Voxels (z, y, x) of the display grid.
    closed : bool
        Whether its end is joined to its beginning.
    value : int
        The class it is for; 0 for a ruler.
    words : str
        What stands beside it.
    """

    places: npt.NDArray[np.float64]
    closed: bool
    value: int = 0
    words: str = ""


def outlines(scan: Scan, axis: int, index: int) -> Iterator[Outline]:
    """What of a scan's boxes, lassos and rulers lies in the slice across an axis of the display grid."""
    voxel = scan.display.geometry.voxel
    for target in scan.board.targets:
        for mark in target.of_kind("box"):
            ends = voxel(mark.places)
            low, high = np.rint(ends.min(0)) - 0.5, np.rint(ends.max(0)) + 0.5
            if low[axis] <= index <= high[axis]:
                yield Outline(_rectangle(low, high, axis, index), True, target.value)
        for mark in target.of_kind("lasso"):
            places = voxel(mark.places)
            if (np.abs(places[:, axis] - index) <= NEAR).all():
                yield Outline(places, True, target.value)
    for ruler in scan.rulers:
        places = voxel(ruler.places)
        for pair in pairwise(places):
            ends = np.array(pair)
            if (np.abs(ends[:, axis] - index) <= NEAR).all():
                yield Outline(ends, False, words=f"{ruler.name}: {ruler.words}" if ruler.name else ruler.words)


def _rectangle(low: npt.NDArray[np.float64], high: npt.NDArray[np.float64], axis: int, index: int) -> npt.NDArray[np.float64]:
    one, two = (each for each in range(3) if each != axis)
    corners = np.full((4, 3), float(index))
    corners[:, one] = [low[one], low[one], high[one], high[one]]
    corners[:, two] = [low[two], high[two], high[two], low[two]]
    return corners
