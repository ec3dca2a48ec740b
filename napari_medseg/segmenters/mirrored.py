"""A segmenter that is shown the mirror image: test-time mirroring is an ensemble over such views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.ensemble import Ensemble
from napari_medseg.segmenters.protocol import Box, Capabilities, Focus, Prediction, Segmenter
from napari_medseg.volume import Array, Volume, axis_map

if TYPE_CHECKING:
    from napari_medseg.annotation.prompts import PointLPS, Prompts

DISPLAY_AXIS: dict[str, int] = {"head-feet": 0, "front-back": 1, "left-right": 2}


def mirrored(segmenter: Segmenter, directions: Sequence[str] = ("left-right",)) -> Ensemble:
    """The mean over a scan as it is and all its mirror images.

    Parameters
    ----------
    directions : of "left-right", "front-back", "head-feet"
        n of them make 2^n views, and take 2^n times as long.

    Raises
    ------
    InvalidInputError
        When there is none, or one that does not exist.
    """
    if not directions or not set(directions) <= set(DISPLAY_AXIS):
        told = ", ".join(directions) or "none"
        raise InvalidInputError(f"cannot be mirrored this way ({told})", where=segmenter.title, todo=f"Choose of {', '.join(DISPLAY_AXIS)}")
    views = [some for count in range(1, len(directions) + 1) for some in combinations(directions, count)]
    return Ensemble([segmenter, *(MirrorView(segmenter, some) for some in views)], f"{segmenter.title}, mirrored")


class MirrorView:
    """A segmenter behind a mirror: the scan and the prompts are flipped before it sees them, its answer is flipped back.

    Parameters
    ----------
    segmenter : Segmenter
    directions : patient directions along which the voxels are turned round
        The nearest voxel axes; the grid stays, as if the patient were the other way round.
    """

    def __init__(self, segmenter: Segmenter, directions: Sequence[str]) -> None:
        self._segmenter, self._directions = segmenter, tuple(directions)
        self._seen: tuple[Volume, Volume] | None = None
        self.title = f"{segmenter.title}, mirrored {' and '.join(directions)}"

    @property
    def capabilities(self) -> Capabilities:
        """Those of the segmenter."""
        return self._segmenter.capabilities

    def predict(self, volume: Volume, prompts: Prompts | None = None, *, device: str = "auto", focus: Focus = None) -> Iterator[Prediction]:
        """Segment a volume; see `protocol.Segmenter`."""
        order = axis_map(volume.geometry).order
        axes = tuple(sorted(order[DISPLAY_AXIS[direction]] for direction in self._directions))
        shape = volume.geometry.shape
        seen = None if prompts is None else _flipped_prompts(prompts, volume, axes)
        there = _flipped_focus(focus, shape[0]) if 0 in axes else focus
        for piece in self._segmenter.predict(self._flipped(volume, axes), seen, device=device, focus=there):
            parts = enumerate(zip(piece.box, shape, strict=True))
            box: Box = tuple(slice(n - part.stop, n - part.start) if axis in axes else part for axis, (part, n) in parts)  # type: ignore[assignment]
            apart = None if piece.disagreement is None else np.ascontiguousarray(_flip(piece.disagreement, axes))
            yield replace(piece, box=box, probabilities=np.ascontiguousarray(_flip(piece.probabilities, axes)), disagreement=apart)

    def _flipped(self, volume: Volume, axes: tuple[int, ...]) -> Volume:
        """The same object for the same scan, so that a segmenter knows it again."""
        if self._seen is None or self._seen[0].array is not volume.array:
            self._seen = volume, replace(volume, array=_flip(volume.array, axes))
        return self._seen[1]

    def release(self) -> None:
        """Forget the scan seen last."""
        self._seen = None


def _flip(array: Array, axes: tuple[int, ...]) -> Array:
    """(..., z, y, x) turned round along some of the last three axes, without a copy."""
    return np.flip(array, tuple(array.ndim - 3 + axis for axis in axes))


def _flipped_focus(focus: Focus, count: int) -> Focus:
    def turned(index: int | None) -> int | None:
        return None if index is None else count - 1 - index

    if callable(focus):
        ask = focus
        return lambda: turned(ask())
    return turned(focus)


def _flipped_prompts(prompts: Prompts, volume: Volume, axes: tuple[int, ...]) -> Prompts:
    grid = volume.geometry
    last = np.array([grid.shape[axis] - 1 if axis in axes else 0 for axis in range(3)])
    sign = np.array([-1 if axis in axes else 1 for axis in range(3)])

    def moved(point: PointLPS) -> PointLPS:
        x, y, z = (float(v) for v in grid.world(last + sign * grid.voxel(np.array(point))))
        return x, y, z

    objects = tuple(
        replace(
            each,
            points=tuple((*moved(point[:3]), point[3]) for point in each.points),
            boxes=tuple((moved(a), moved(b)) for a, b in each.boxes),
            lassos=tuple(tuple(moved(point) for point in outline) for outline in each.lassos),
        )
        for each in prompts.objects
    )
    scribbles, mask = (replace(drawn, array=_flip(drawn.array, axes)) if isinstance(drawn, Volume) else drawn for drawn in (prompts.scribbles, prompts.mask))
    return replace(prompts, objects=objects, scribbles=scribbles, mask=mask)
