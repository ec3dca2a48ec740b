"""The raster sweeps of geodesic distance on a processor, compiled: one pass forwards and one back over all 26 neighbours, voxel by voxel.

Loads numba: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def _sweep(image: Floats, distance: Floats, squared: Floats, rounds: int) -> None:
    """Lower `distance` (k, z, y, x) in place, `rounds` times forwards and back; `squared` (3, 3, 3) holds the squared cost of each step's length."""
    maps, depth, height, width = distance.shape
    for number in range(2 * rounds):
        sign = 1 - 2 * (number % 2)
        for plane in range(depth):
            z = plane if sign > 0 else depth - 1 - plane
            for row in range(height):
                y = row if sign > 0 else height - 1 - row
                for column in range(width):
                    x = column if sign > 0 else width - 1 - column
                    here = image[z, y, x]
                    for step in range(13):  # the neighbours this pass has been at: of 27 in raster order, those before the middle
                        dz, dy, dx = step // 9 - 1, step // 3 % 3 - 1, step % 3 - 1
                        oz, oy, ox = z + sign * dz, y + sign * dy, x + sign * dx
                        if oz < 0 or oy < 0 or ox < 0 or oz >= depth or oy >= height or ox >= width:
                            continue
                        change = here - image[oz, oy, ox]
                        cost = math.sqrt(squared[dz + 1, dy + 1, dx + 1] + change * change)
                        for k in range(maps):
                            reached = distance[k, oz, oy, ox] + cost
                            if reached < distance[k, z, y, x]:
                                distance[k, z, y, x] = reached


def _compiled(kernel: Any) -> Any:
    try:
        return numba.njit(kernel, cache=True, nogil=True)
    except RuntimeError:  # nowhere to keep the compiled kernel
        return numba.njit(kernel, nogil=True)


sweep = _compiled(_sweep)
