"""The slices that a round changed most, as small pictures: what the label is there, and what the round makes of it. Kept in memory only: they show patients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from napari_medseg.session.pictures import OUTLINE, Picture, grey, rim, small
from napari_medseg.volume import Array, BoolArray, LabelArray, Volume, axis_map, orient

MOST = 3
"""Pictures of a round."""
MARGIN_MM = 8.0
SMALLEST_MM = 40.0
SIZE = 96
"""Pixels of the longer side of a picture."""
Voxel = tuple[int, int, int]
BEFORE = (86, 180, 233)
"""Okabe and Ito's sky blue, drawn dashed; what comes after is their orange, drawn whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """A slice that a round changed.

    Attributes
    ----------
    case : str
        Id of the case, or name of the open scan.
    voxel : (z, y, x)
        In the middle of the change, on the display grid; the slice is along its first axis.
    mm2 : float
        Area that differs.
    before, after : uint8 (y, x, 3)
        The same part of the slice, with the label as it was and as the round makes it.
    """

    case: str
    voxel: Voxel
    mm2: float
    before: Picture
    after: Picture

    @property
    def index(self) -> int:
        """The display slice."""
        return self.voxel[0]


def changed_most(
    images: Iterable[tuple[str, Volume]], before: Mapping[str, LabelArray], after: Mapping[str, LabelArray], most: int = MOST,
) -> tuple[Change, ...]:
    """The slices with the largest area of change, one a case as long as there are cases; label maps are in the files' voxel order."""
    found: list[tuple[float, str, int, Volume]] = []
    for name, image in images:
        if name not in before or name not in after:
            continue
        axes = axis_map(image.geometry)
        spacing = axes.geometry(image.geometry).spacing
        areas = np.count_nonzero(axes.apply(before[name] != after[name]), axis=(1, 2)) * spacing[1] * spacing[2]
        order = np.argsort(areas)[::-1][:most]
        found += [(float(areas[index]), name, int(index), image) for index in order if areas[index] > 0]
    found.sort(key=lambda each: -each[0])
    firsts = [each for place, each in enumerate(found) if each[1] not in {other[1] for other in found[:place]}]
    chosen = (firsts + [each for each in found if each not in firsts])[:most]
    return tuple(_drawn(name, index, mm2, image, before[name], after[name]) for mm2, name, index, image in chosen)


def _drawn(name: str, index: int, mm2: float, image: Volume, before: LabelArray, after: LabelArray) -> Change:
    axes = axis_map(image.geometry)
    shown = orient(image if image.array.ndim == 3 else image.like(image.channel(0)))
    old, new = axes.apply(before)[index], axes.apply(after)[index]
    spacing = shown.geometry.spacing[1:]
    part = _around((old > 0) | (new > 0) | (old != new), spacing)
    y, x = (round(float(v)) for v in np.argwhere(old != new).mean(0))
    picture = small(grey(shown.array[index])[part], spacing, SIZE)
    return Change(name, (index, y, x), mm2, _outlined(picture, old[part], BEFORE, dashed=True), _outlined(picture, new[part], OUTLINE))


def _around(mask: BoolArray, spacing: tuple[float, ...]) -> tuple[slice, slice]:
    """A square part of a slice around a mask, with a margin."""
    where = np.argwhere(mask)
    low, high = where.min(0), where.max(0) + 1
    centre = (low + high) / 2
    half = max(float(((high - low) * spacing).max()) / 2 + MARGIN_MM, SMALLEST_MM / 2)
    sides = []
    for axis in (0, 1):
        reach = half / spacing[axis]
        sides.append(slice(max(0, int(centre[axis] - reach)), min(mask.shape[axis], int(np.ceil(centre[axis] + reach)))))
    return sides[0], sides[1]


def _outlined(picture: Picture, labels: Array, colour: tuple[int, int, int], *, dashed: bool = False) -> Picture:
    made = picture.copy()
    rows, columns = (np.arange(n) * m // n for n, m in zip(made.shape[:2], labels.shape, strict=True))
    scaled = labels[np.ix_(rows, columns)]
    edge = np.zeros(scaled.shape, bool)
    for value in np.unique(scaled[scaled > 0]):
        edge |= rim(scaled == value)
    if dashed:
        y, x = np.indices(edge.shape)
        edge &= (y + x) // 3 % 2 == 0
    made[edge] = colour
    return made
