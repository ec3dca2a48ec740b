"""What the image says between two annotated slices: each voxel asks the voxels that look like it on both.

Non-local label fusion (Coupé et al., NeuroImage 2011): around where a voxel would lie on an annotated slice, every voxel votes for its own class with a
weight that falls with the difference of the two 3x3 patches of the image. The search moves with the shapes, so that a slanted organ finds itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import BoolArray, FloatArray
from napari_medseg.weaklabel.compiled import compiled, in_parts

IntArray = npt.NDArray[np.intp]

SEARCH = 3  # voxels to each side
NEAR = 2.0  # voxels: a vote's weight falls by exp(-1/2 (distance / NEAR)^2)


def votes(plane: FloatArray, slices: FloatArray, classes: npt.NDArray[np.uint8], shifts: IntArray, where: BoolArray, noise: float, count: int) -> FloatArray:
    """Votes for each class on one slice.

    Parameters
    ----------
    plane : float32 (y, x)
        The slice of the image.
    slices : float32 (n, y, x)
        The annotated slices of the image.
    classes : uint8 (n, y, x)
        What they hold: 0 to `count` - 1.
    shifts : int (n, 2)
        Where a voxel lies on each of them, in voxels (y, x) from its own place.
    where : bool (y, x)
        Who asks.
    noise : float
        Standard deviation of the image in even tissue.
    count : int

    Returns
    -------
    float32 (count, y, x)
        Shares that add up to one where voxels ask; 0 elsewhere.
    """
    out = np.zeros((count, *plane.shape), np.float32)
    in_parts(_ask, len(plane), plane, slices, classes, shifts, where, np.float32(noise**2), out, least=8)
    return out


def noise_of(image: FloatArray) -> float:
    """Standard deviation in even tissue: the median difference to the mean of the 3x3 voxels around, slice by slice (z, y, x)."""
    padded = np.pad(image, [(0, 0), (1, 1), (1, 1)], mode="edge")
    rows, columns = image.shape[1:]
    mean = sum(padded[:, dy : dy + rows, dx : dx + columns] for dy in range(3) for dx in range(3)) / 9
    return float(np.median(np.abs(image - mean))) / 0.6745


@compiled
def _ask(
    start: int, stop: int, plane: FloatArray, slices: FloatArray, classes: npt.NDArray[np.uint8], shifts: IntArray, where: BoolArray, noise: np.float32,
    out: FloatArray,
) -> None:
    rows, columns = plane.shape
    side = 2 * SEARCH + 1
    unlike = np.empty((len(slices), side, side), np.float32)
    for y in range(start, stop):
        for x in range(columns):
            if not where[y, x]:
                continue
            least = np.float32(np.inf)
            for which in range(len(slices)):
                for dy in range(side):
                    for dx in range(side):
                        cy, cx = y + shifts[which, 0] + dy - SEARCH, x + shifts[which, 1] + dx - SEARCH
                        unlike[which, dy, dx] = np.inf
                        if not (0 <= cy < rows and 0 <= cx < columns):
                            continue
                        difference = np.float32(0)
                        for py in range(-1, 2):
                            for px in range(-1, 2):
                                here = plane[min(max(y + py, 0), rows - 1), min(max(x + px, 0), columns - 1)]
                                there = slices[which, min(max(cy + py, 0), rows - 1), min(max(cx + px, 0), columns - 1)]
                                difference += (here - there) ** 2
                        unlike[which, dy, dx] = difference / np.float32(9)
                        least = min(least, unlike[which, dy, dx])
            total = np.float32(0)
            for which in range(len(slices)):
                for dy in range(side):
                    for dx in range(side):
                        if unlike[which, dy, dx] < np.inf:
                            away = ((dy - SEARCH) ** 2 + (dx - SEARCH) ** 2) / (2 * NEAR**2)
                            weight = np.float32(np.exp(-unlike[which, dy, dx] / (least + noise) - away))
                            held = classes[which, y + shifts[which, 0] + dy - SEARCH, x + shifts[which, 1] + dx - SEARCH]
                            out[held, y, x] += weight
                            total += weight
            if total > 0:
                for held in range(len(out)):
                    out[held, y, x] /= total
