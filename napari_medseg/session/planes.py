"""A slice of what is in view along any axis of the grid, as a picture: nothing larger than the slice is ever read, copied or computed.

Each layer is a `Sheet`: an array, where it lies in the window's millimetres, and how it is drawn. Sheets on the grid of the first are cut straight;
others (a PET that was not resampled, somebody's own layer) are looked up at the nearest voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import BoolArray

Kind = Literal["grey", "colour", "labels"]
Triple = tuple[float, float, float]
Table = npt.NDArray[np.uint8]
MOST_READ = 1 << 30  # bytes of chunks for one slice
MOST_PIXELS = 1 << 20  # of a slice; a larger one is thinned out, a pane has fewer


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """One layer, ready to be cut.

    Attributes
    ----------
    array : (..., z, y, x), or (..., z, y, x, 3 or 4) for "colour"
        Anything that gives an array when it is sliced: one in memory, on the disk, dask's or zarr's.
    scale, translate : mm, (z, y, x)
        Of the window's world.
    kind : "grey", "colour" or "labels"
    table : uint8 (256, 4)
        Colours from black to white, or of the values of labels.
    limits : (float, float)
        Values drawn with the first and the last of the colours.
    gamma : float
    opacity : float
        0-1.
    adds : bool
        Whether it is added to what is below.
    contour : int
        Width in pixels of the outline that labels are drawn as; 0 fills them.
    lead : tuple of int
        Where a series with more axes stands on those before the three.
    mirrored : (bool, bool, bool)
        Axes that the window shows the other way round; the place is that of the voxel shown first.
    """

    array: Any
    scale: Triple
    translate: Triple
    kind: Kind = "grey"
    table: Table | None = None
    limits: tuple[float, float] = (0.0, 255.0)
    gamma: float = 1.0
    opacity: float = 1.0
    adds: bool = False
    contour: int = 0
    mirrored: tuple[bool, bool, bool] = (False, False, False)
    lead: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Its voxels, (z, y, x)."""
        z, y, x = (int(n) for n in self.array.shape[len(self.lead):len(self.lead) + 3])
        return z, y, x

    def read_for(self, axis: int, index: int) -> int:
        """Bytes that have to be read for a slice across an axis: whole chunks where it lies in chunks; 0 for what is in memory."""
        chunks = getattr(self.array, "chunks", None)
        if isinstance(self.array, np.ndarray) or not chunks:
            return 0
        thick = chunks[len(self.lead) + axis]
        if not isinstance(thick, int):  # dask tells the length of every chunk
            ends = np.cumsum(thick)
            thick = int(thick[min(int(np.searchsorted(ends, index, side="right")), len(thick) - 1)])
        sides = [size for side, size in enumerate(self.shape) if side != axis]
        return int(thick) * sides[0] * sides[1] * int(np.dtype(self.array.dtype).itemsize)


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A drawn slice.

    Attributes
    ----------
    picture : uint8 (rows, columns, 3)
        Scans.
    labels : uint8 (rows, columns, 4) or None
        Label maps over it, colours multiplied by their opacity; None where there are none.
    step : int
        Voxels a pixel.
    """

    picture: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8] | None
    step: int = 1


def cut(sheets: Sequence[Sheet], base: Sheet, axis: int, index: int) -> Cut:
    """Draw the slice across an axis of a sheet's grid.

    Parameters
    ----------
    sheets : bottom first
    base : the one whose grid it is
    axis : 0, 1 or 2
    index : slice

    Returns
    -------
    Cut
        Rows and columns are the other two axes in their order.
    """
    sides = [base.shape[other] for other in range(3) if other != axis]
    step = max(1, int(np.ceil(np.sqrt(sides[0] * sides[1] / MOST_PIXELS))))
    size = tuple(-(-side // step) for side in sides)
    picture = np.zeros((*size, 3), np.float32)
    over = np.zeros((*size, 4), np.float32)
    has_labels = False
    for sheet in sheets:
        found = _slice(sheet, base, axis, index, step)
        if found is None:
            continue
        values, rows, columns = found
        if sheet.kind == "labels":
            coloured = _label_colours(sheet, values)
            if coloured is None:
                continue
            has_labels = True
            part = over[rows, columns]
            part *= 1 - coloured[..., 3:]
            part += coloured
        else:
            colour, opacity = _colours(sheet, values)
            part = picture[rows, columns]
            if sheet.adds:
                part += colour * opacity
            elif isinstance(opacity, float) and opacity >= 1:
                part[...] = colour
            else:
                part += (colour - part) * opacity
    shown = np.clip(picture, 0, 255).astype(np.uint8)
    return Cut(shown, np.clip(over * 255, 0, 255).astype(np.uint8) if has_labels else None, step)


def _part(sheet: Sheet, where: Sequence[int | range]) -> npt.NDArray[Any]:
    """Some of a sheet's values in the order in which they are shown: an index or an ascending range for each axis. What lies on the disk need only slice."""
    wanted: list[int | slice] = []
    turned: list[slice] = []
    for at, size, mirrored in zip(where, sheet.shape, sheet.mirrored, strict=True):
        if isinstance(at, int):
            wanted.append(size - 1 - at if mirrored else at)
            continue
        first, last = (size - 1 - at[-1], size - 1 - at[0]) if mirrored else (at[0], at[-1])
        wanted.append(slice(first, last + 1, at.step))
        turned.append(slice(None, None, -1 if mirrored else 1))
    return np.asarray(sheet.array[(*sheet.lead, *wanted)])[tuple(turned)]


Part = tuple[npt.NDArray[Any], slice, slice]


def _slice(sheet: Sheet, base: Sheet, axis: int, index: int, step: int) -> Part | None:
    """A sheet's values on the pixels of the base's slice, and which pixels those are."""
    rows, columns = (other for other in range(3) if other != axis)
    if sheet is base or (sheet.shape == base.shape and np.allclose(sheet.scale, base.scale) and np.allclose(sheet.translate, base.translate)):
        whole = [range(0, size, step) if side != axis else index for side, size in enumerate(sheet.shape)]
        return _part(sheet, whole), slice(None), slice(None)
    at = round((base.translate[axis] + index * base.scale[axis] - sheet.translate[axis]) / sheet.scale[axis])
    if not 0 <= at < sheet.shape[axis]:
        return None
    picked = []
    for side in (rows, columns):
        mm = base.translate[side] + base.scale[side] * np.arange(0, base.shape[side], step)
        found = np.rint((mm - sheet.translate[side]) / sheet.scale[side]).astype(int)
        inside = np.flatnonzero((found >= 0) & (found < sheet.shape[side]))
        if not inside.size:
            return None
        picked.append((found[inside[0]:inside[-1] + 1], slice(int(inside[0]), int(inside[-1]) + 1)))
    box: list[int | range] = [at, at, at]
    for side, (found, _) in zip((rows, columns), picked, strict=True):
        box[side] = range(int(found[0]), int(found[-1]) + 1)
    part = _part(sheet, box)
    return part[np.ix_(picked[0][0] - picked[0][0][0], picked[1][0] - picked[1][0][0])], picked[0][1], picked[1][1]


def _colours(sheet: Sheet, values: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], Any]:
    """Colours 0-255 and their opacity."""
    if sheet.kind == "colour":
        colour = values[..., :3].astype(np.float32)
        colour *= 255.0 if values.dtype.kind == "f" else 255.0 / np.iinfo(values.dtype).max
        opacity = sheet.opacity if values.shape[-1] == 3 else sheet.opacity * (values[..., 3:].astype(np.float32) / (1 if values.dtype.kind == "f" else 255))
        return colour, opacity
    low, high = sheet.limits
    share = np.nan_to_num((values.astype(np.float32) - low) * (1 / max(high - low, 1e-12)), posinf=1.0, neginf=0.0)
    np.clip(share, 0, 1, out=share)
    if sheet.gamma != 1:
        share **= sheet.gamma
    places = (share * 255 + 0.5).astype(np.uint8)
    if sheet.table is None:
        return np.repeat(places[..., None], 3, axis=-1).astype(np.float32), sheet.opacity
    chosen = sheet.table[places]
    whole = bool((sheet.table[:, 3] == 255).all())
    return chosen[..., :3].astype(np.float32), sheet.opacity if whole else chosen[..., 3:].astype(np.float32) * (sheet.opacity / 255)


def _label_colours(sheet: Sheet, values: npt.NDArray[Any]) -> npt.NDArray[np.float32] | None:
    """Colours 0-1 multiplied by their opacity, (rows, columns, 4); None where there is nothing."""
    if sheet.contour:
        values = np.where(edges(values, sheet.contour), values, 0)
    if sheet.table is None or not values.any():
        return None
    small = values if values.dtype == np.uint8 else np.where(values == 0, 0, (values.astype(np.int64) - 1) % 255 + 1)
    table = sheet.table.astype(np.float32) / 255
    table[:, 3] *= sheet.opacity
    table[:, :3] *= table[:, 3:]
    return np.asarray(table[small])


def edges(labels: npt.NDArray[Any], width: int) -> BoolArray:
    """The pixels of a label map's outlines: within `width` pixels of another value, on the inner side."""
    held = np.zeros(labels.shape, bool)
    for way in range(1, width + 1):
        for axis in (0, 1):
            if labels.shape[axis] <= way:
                continue
            one = [slice(None)] * 2
            two = [slice(None)] * 2
            one[axis], two[axis] = slice(way, None), slice(None, -way)
            differs = labels[tuple(one)] != labels[tuple(two)]
            held[tuple(one)] |= differs
            held[tuple(two)] |= differs
    return np.asarray(held & (labels != 0))


def level_for(levels: Sequence[Any], most: int) -> int:
    """Which resolution of a pyramid to cut: the finest with no more voxels than that, or the coarsest."""
    sizes = [int(np.prod([int(n) for n in level.shape[-3:]])) for level in levels]
    return next((i for i, size in enumerate(sizes) if size <= most), len(sizes) - 1)
