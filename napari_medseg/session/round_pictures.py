"""The slices that a round changed most, as small pictures: what the label is there, and what the round makes of it. Kept in memory only: they show patients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from napari_medseg.session.pictures import OUTLINE, Picture, grey, rim, small
from napari_medseg.session.run_notes import Voxel, Where
from napari_medseg.volume import Array, BoolArray, Geometry, LabelArray, Volume, axis_map, orient

MOST = 3
"""Pictures of a round."""
MARGIN_MM = 8.0
SMALLEST_MM = 40.0
SIZE = 96
"""Pixels of the longer side of a picture."""
BEFORE = (86, 180, 233)
"""Okabe and Ito's sky blue, drawn dashed; what comes after is their orange, drawn whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """A slice that a round changed, drawn.

    Attributes
    ----------
    where : Where
    before, after : uint8 (y, x, 3)
        The same part of the slice, with the label as it was and as the round makes it.
    """

    where: Where
    before: Picture
    after: Picture

    @property
    def case(self) -> str:
        """Id of the case, or name of the open scan."""
        return self.where.case

    @property
    def voxel(self) -> Voxel:
        """In the middle of the change, on the display grid."""
        return self.where.voxel

    @property
    def mm2(self) -> float:
        """Area that differs."""
        return self.where.mm2

    @property
    def index(self) -> int:
        """The display slice."""
        return self.where.voxel[0]


def changed_most(
    images: Iterable[tuple[str, Volume]], before: Mapping[str, LabelArray], after: Mapping[str, LabelArray], most: int = MOST,
) -> tuple[Change, ...]:
    """The slices with the largest area of change, one a case as long as there are cases; label maps are in the files' voxel order."""
    scans = dict(images)
    found: list[Where] = []
    for name, image in scans.items():
        if name in before and name in after:
            found += _most(name, image.geometry, before[name], after[name], most)
    found.sort(key=lambda each: -each.mm2)
    firsts = [each for place, each in enumerate(found) if each.case not in {other.case for other in found[:place]}]
    chosen = (firsts + [each for each in found if each not in firsts])[:most]
    return tuple(drawn(each, scans[each.case], before[each.case], after[each.case]) for each in chosen)


def drawn(where: Where, image: Volume, before: LabelArray, after: LabelArray) -> Change:
    """A slice before and after a round; everything in the file's voxel order."""
    axes = axis_map(image.geometry)
    shown = orient(image if image.array.ndim == 3 else image.like(image.channel(0)))
    index = where.voxel[0]
    old, new = axes.apply(before)[index], axes.apply(after)[index]
    spacing = shown.geometry.spacing[1:]
    part = _around((old > 0) | (new > 0) | (old != new), spacing)
    picture = small(grey(shown.array[index])[part], spacing, SIZE)
    return Change(where, _outlined(picture, old[part], BEFORE, dashed=True), _outlined(picture, new[part], OUTLINE))


def _most(name: str, geometry: Geometry, before: LabelArray, after: LabelArray, most: int) -> list[Where]:
    axes = axis_map(geometry)
    spacing = axes.geometry(geometry).spacing
    differ = axes.apply(before != after)
    areas = np.count_nonzero(differ, axis=(1, 2)) * spacing[1] * spacing[2]
    found = []
    for index in (int(i) for i in np.argsort(areas)[::-1][:most] if areas[i] > 0):
        y, x = (round(float(v)) for v in np.argwhere(differ[index]).mean(0))
        found.append(Where(name, (index, y, x), float(areas[index])))
    return found


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
