"""A limit painted with a big soft tip, in 3D: a weight map of one byte a voxel.

Above 127 a voxel lies within the limit. A stamp is a ball in mm: 255 in its core, falling to 0 across its rim, and just half of that at its radius, so
that the hard limit is the ball of that radius however soft the rim. Painting takes the larger of two weights, erasing the smaller, so passing twice
changes nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import BoolArray, FloatArray, LabelArray, Shape, Spacing
from napari_medseg.weaklabel.compiled import compiled, in_parts
from napari_medseg.weaklabel.scene import Box, checked_spacing

HALF = 127
FULL = 255

Point = tuple[float, float, float]


def stamp(
    weight: LabelArray, centre: Point, radius_mm: float, spacing: Spacing, softness: float = 0.5, *,
    erase: bool = False, since: Point | None = None, flat: int | None = None,
) -> Box | None:
    """Press the brush on a weight map, in place.

    Parameters
    ----------
    weight : uint8 (z, y, x), C order
    centre : voxel indices (z, y, x), fractions allowed
        May lie outside the map. The voxel it lies in is always painted, however small the brush.
    radius_mm : float
    spacing : mm per voxel (z, y, x)
    softness : float
        Half the rim's width as a share of the radius, 0-1.
    erase : bool
        Take away instead.
    since : voxel indices, optional
        Where the brush was before: all that it passed over on the straight way from there is painted too.
    flat : int, optional
        An axis along which the brush is one slice thick; None for a ball.

    Returns
    -------
    three slices or None
        Holds all that may have changed; None when the brush is off the map.

    Raises
    ------
    InvalidInputError
        When the map is not uint8 (z, y, x), or the radius or the softness cannot be.
    """
    if weight.ndim != 3 or weight.dtype != np.uint8:
        raise InvalidInputError("the limit is one byte a voxel, (z, y, x)", where="limit brush", todo="Give a uint8 map")
    spacing = checked_spacing(spacing)
    if not 0 < radius_mm < np.inf or not 0 <= softness <= 1:
        raise InvalidInputError(f"a radius of {radius_mm:g} mm and a softness of {softness:g} cannot be", where="limit brush",
                                todo="Give a radius above 0 and a softness from 0 to 1")
    box = reach((weight.shape[0], weight.shape[1], weight.shape[2]), centre, radius_mm, spacing, softness, since=since, flat=flat)
    if box is None:
        return None
    steps = np.array([0.0 if axis == flat else s for axis, s in enumerate(spacing)])
    end, start = np.asarray(centre, np.float64), np.asarray(centre if since is None else since, np.float64)
    part = weight[box]
    origin = np.array([s.start for s in box], np.float64)
    in_parts(_press, len(part), part, (start - origin) * steps, (end - origin) * steps, steps, radius_mm, radius_mm * softness, erase, least=4)
    home = tuple(int(np.floor(c + 0.5)) for c in centre)
    if all(0 <= c < n for c, n in zip(home, weight.shape, strict=True)):
        weight[home] = 0 if erase else FULL
    return box


def reach(
    shape: Shape, centre: Point, radius_mm: float, spacing: Spacing, softness: float = 0.5, *, since: Point | None = None, flat: int | None = None
) -> Box | None:
    """The box a stamp may change, as `stamp` returns it; for keeping what was there before."""
    wide = radius_mm * (1 + softness)
    ends = []
    for axis, (here, before) in enumerate(zip(centre, centre if since is None else since, strict=True)):
        margin = max(0.5, wide / spacing[axis])
        low, high = min(here, before) - margin, max(here, before) + margin
        if axis == flat:
            low = high = np.floor(here + 0.5)
        ends.append((max(0, int(np.ceil(low))), min(shape[axis], int(np.floor(high)) + 1)))
    if any(first >= last for first, last in ends):
        return None
    z, y, x = (slice(first, last) for first, last in ends)
    return z, y, x


def hard(weight: npt.NDArray[np.uint8]) -> BoolArray:
    """The limit itself: what was painted more than half, bool, of the weight map's shape."""
    return np.asarray(weight > HALF)


@compiled
def _press(
    first: int, last: int, part: LabelArray, start: FloatArray, end: FloatArray, steps: FloatArray, radius: float, rim: float, erase: bool
) -> None:
    """Stamp all that lies near the way from start to end (mm, in the box), slices `first` to `last`."""
    way = end - start
    length = way[0] ** 2 + way[1] ** 2 + way[2] ** 2
    most = (radius + rim) ** 2 * (1 + 1e-9)
    for z in range(first, last):
        dz = z * steps[0] - start[0]
        for y in range(part.shape[1]):
            dy = y * steps[1] - start[1]
            for x in range(part.shape[2]):
                dx = x * steps[2] - start[2]
                along = min(max((dz * way[0] + dy * way[1] + dx * way[2]) / length, 0.0), 1.0) if length > 0 else 0.0
                away = (dz - along * way[0]) ** 2 + (dy - along * way[1]) ** 2 + (dx - along * way[2]) ** 2
                if away > most:
                    continue
                depth = radius - np.sqrt(away)
                share = 0.5 + 0.5 * depth / rim if rim > 0 else 1.0
                value = int(255.0 * min(max(share, 0.0), 1.0) + 0.5 + 1e-6)
                if erase:
                    part[z, y, x] = min(part[z, y, x], 255 - value)
                else:
                    part[z, y, x] = max(part[z, y, x], value)
