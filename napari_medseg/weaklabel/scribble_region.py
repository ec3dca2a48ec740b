"""The part of a scan that strokes can reach, cut out once and made larger as strokes are added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import BoolArray, FloatArray, LabelArray, Shape, Spacing
from napari_medseg.weaklabel.compiled import compiled
from napari_medseg.weaklabel.marked import marked
from napari_medseg.weaklabel.scene import Box, distance_to

SMOOTH_VOXELS = 0.5
MARGIN = 2  # voxels the smoothing looks beyond
SAMPLE = 100_000

Factor = tuple[int, int, int]
Shift = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Typical:
    """A scan's grey values at a glance, from a sample on a lattice.

    Attributes
    ----------
    middle, span : float
        Median, and width from the 1st to the 99th percentile, in the scan's units.
    """

    middle: float
    span: float


def typical(image: npt.NDArray[Any]) -> Typical:
    """Look at about a hundred thousand voxels of a scan of any size."""
    every = max(1, round((image.size / SAMPLE) ** (1 / 3)))
    some = image[tuple(slice(min(every // 2, n - 1), None, every) for n in image.shape)].astype(np.float64)
    some = some[np.isfinite(some)]
    if not some.size:
        return Typical(0.0, 1.0)
    low, middle, high = np.percentile(some, [1, 50, 99])
    return Typical(float(middle), float(high - low) or float(np.ptp(some)) or 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """What a solver works on; coarser than the scan where there would be too much of it.

    Attributes
    ----------
    box : (z, y, x) slices of the scan
    factor : three int
        Voxels of the scan along each axis of a voxel here.
    spacing : mm per voxel here (z, y, x)
    contrast : float32 (z, y, x)
        Grey values, 0 the scan's median and 1 its span, lightly smoothed if so asked.
    closed : bool (z, y, x)
        Where the scan holds no number.
    """

    box: Box
    factor: Factor
    spacing: Spacing
    contrast: FloatArray
    closed: BoolArray

    @property
    def shape(self) -> Shape:
        """Voxels here (z, y, x)."""
        return self.contrast.shape[0], self.contrast.shape[1], self.contrast.shape[2]

    @property
    def coarse(self) -> bool:
        """Whether a voxel here is more than one of the scan."""
        return max(self.factor) > 1

    def shift(self, other: Region) -> Shift | None:
        """Where this begins in another region of the same voxels, which meets it; None where there is no such place."""
        if self.factor != other.factor or any(a.stop <= b.start or b.stop <= a.start for a, b in zip(self.box, other.box, strict=True)):
            return None
        z, y, x = ((a.start - b.start) // f for a, b, f in zip(self.box, other.box, self.factor, strict=True))
        return z, y, x

    def marks(self, drawn: LabelArray, border: bool) -> LabelArray:
        """Strokes on these voxels; a class survives before background.

        Parameters
        ----------
        drawn : uint8, the scan's voxels in the box
        border : bool
            Whether the faces of the box count as background.

        Returns
        -------
        uint8 (z, y, x)
            Not to be written to: it may be what was given.
        """
        marks = _most_of(drawn, self.factor) if self.coarse else drawn.copy() if border else drawn
        for axis, n in enumerate(marks.shape):
            if border and n >= 3:  # a slice on its own has no border before and behind
                for end in (0, -1):
                    face = marks[(slice(None),) * axis + (end,)]
                    face[face == 0] = BACKGROUND
        return marks

    def reached(self, marks: LabelArray, reach_mm: float) -> BoolArray:
        """Where a class's stroke is near enough, to an eighth of the reach.

        Returns
        -------
        bool (z, y, x)
        """
        return self.within(self.coarsely(marks, reach_mm), reach_mm)

    def coarsely(self, marks: LabelArray, reach_mm: float) -> BoolArray:
        """Which blocks of an eighth of the reach hold a class's stroke: it seldom changes while strokes are added.

        `marks` is uint8, the region's (z, y, x); what comes out is bool, a value for each block along z, y, x.
        """
        z, y, x = self._blocks(reach_mm)
        places = marked(marks)
        held = np.unravel_index(places[marks.ravel()[places] != BACKGROUND], self.shape)
        blocks = np.zeros([-(-n // f) for n, f in zip(self.shape, (z, y, x), strict=True)], bool)
        blocks[held[0] // z, held[1] // y, held[2] // x] = True
        return blocks

    def within(self, blocks: BoolArray, reach_mm: float) -> BoolArray:
        """Where one of these blocks is near enough: bool (z, y, x)."""
        z, y, x = self._blocks(reach_mm)
        times = self.spacing[0] * z, self.spacing[1] * y, self.spacing[2] * x
        return _repeated(distance_to(blocks, times) <= reach_mm, (z, y, x), self.shape)

    def _blocks(self, reach_mm: float) -> Factor:
        return blocks_of(reach_mm, self.spacing)

    def restored(self, labels: LabelArray) -> LabelArray:
        """Labels, uint8 (z, y, x), brought back to the scan's voxels in the box."""
        return _repeated(labels, self.factor, tuple(s.stop - s.start for s in self.box)) if self.coarse else labels


def blocks_of(reach_mm: float, spacing: Spacing) -> Factor:
    """Voxels along each axis of the blocks that tell what strokes reach: an eighth of the reach."""
    z, y, x = (max(1, int(reach_mm / (8 * step))) for step in spacing)
    return z, y, x


def cut_out(image: npt.NDArray[Any], box: Box, spacing: Spacing, most_voxels: int, look: Typical, smooth: float = SMOOTH_VOXELS) -> Region:
    """Cut a region out of a scan.

    Parameters
    ----------
    box : (z, y, x) slices
        Made a little larger where coarse voxels begin before it.
    smooth : float
        Standard deviation of the smoothing, in voxels; 0 leaves the grey values as they are.

    Raises
    ------
    InvalidInputError
        When no voxel of it holds a number, or all hold the same one.
    """
    factor = _coarsening([s.stop - s.start for s in box], most_voxels)
    z, y, x = (slice(s.start - s.start % f, s.stop) for s, f in zip(box, factor, strict=True))
    box = z, y, x
    wide = tuple(slice(max(0, s.start - MARGIN), min(n, s.stop + MARGIN)) for s, n in zip(box, image.shape, strict=True))
    core = tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(box, wide, strict=True))
    values = (image[wide].astype(np.float32) - np.float32(look.middle)) / np.float32(look.span)
    real = np.isfinite(values)
    if not real[core].any():
        raise InvalidInputError("holds no number around the strokes, only NaN", where="scan", todo="Load the scan again or choose another series")
    if not real.all():
        values[~real] = 0
    some = values[core]
    if some.min() == some.max():
        where = float(some.flat[0]) * look.span + look.middle
        raise InvalidInputError(f"holds one value only ({where:g}) around the strokes", where="scan", todo="Check that the right scan is open")
    contrast = (ndi.gaussian_filter(values, [0 if n == 1 else smooth for n in image.shape]) if smooth else values)[core]
    times = spacing[0] * factor[0], spacing[1] * factor[1], spacing[2] * factor[2]
    if max(factor) == 1:
        return Region(box, factor, times, np.ascontiguousarray(contrast), ~real[core])
    return Region(box, factor, times, _mean_of(contrast, factor), _mean_of((~real[core]).astype(np.float32), factor) > 0.5)


def _coarsening(shape: list[int], most: int) -> Factor:
    factor = [1, 1, 1]
    while np.prod([-(-n // f) for n, f in zip(shape, factor, strict=True)]) > most:
        left = [n / f for n, f in zip(shape, factor, strict=True)]
        factor[int(np.argmax(left))] += 1
    return factor[0], factor[1], factor[2]


def _blocks(array: npt.NDArray[Any], factor: Factor, mode: Any) -> npt.NDArray[Any]:
    padded = np.pad(array, [(0, -n % f) for n, f in zip(array.shape, factor, strict=True)], mode=mode)
    return padded.reshape([m for n, f in zip(padded.shape, factor, strict=True) for m in (n // f, f)])


def _repeated(array: npt.NDArray[Any], factor: Factor, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    out = np.empty(shape, array.dtype)
    _repeat(np.ascontiguousarray(array), factor, out)
    return out


@compiled
def _repeat(array: npt.NDArray[Any], factor: Factor, out: npt.NDArray[Any]) -> None:
    row = np.empty(out.shape[2], array.dtype)
    for k in range(array.shape[0]):
        for j in range(array.shape[1]):
            for i in range(array.shape[2]):
                row[i * factor[2] : (i + 1) * factor[2]] = array[k, j, i]
            for z in range(k * factor[0], min((k + 1) * factor[0], out.shape[0])):
                for y in range(j * factor[1], min((j + 1) * factor[1], out.shape[1])):
                    out[z, y] = row


def _mean_of(values: FloatArray, factor: Factor) -> FloatArray:
    return np.asarray(_blocks(values, factor, "edge").mean(axis=(1, 3, 5), dtype=np.float32))


def _most_of(drawn: LabelArray, factor: Factor) -> LabelArray:
    blocks = _blocks(drawn, factor, "constant")
    classes = np.where(blocks == BACKGROUND, 0, blocks).max(axis=(1, 3, 5))
    return np.where(classes > 0, classes, np.where((blocks == BACKGROUND).any(axis=(1, 3, 5)), BACKGROUND, 0)).astype(np.uint8)
