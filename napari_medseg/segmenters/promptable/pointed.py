"""What was pointed at for one object, on the voxels of the scan: checked, and free of the patient's axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.annotation.prompts import ObjectPrompt, PointLPS, Prompts
from napari_medseg.errors import InvalidInputError, NoSeedsError
from napari_medseg.volume import Geometry, Volume
from napari_medseg.volume.orientation import AxisMap

Positions = npt.NDArray[np.float64]
WHERE = "prompts"


@dataclass(frozen=True, slots=True, eq=False)
class Pointed:
    """Prompts of one object; positions are voxel coordinates (z, y, x) of the turned scan, fractions allowed.

    Attributes
    ----------
    points : (n, 3)
        In the order given.
    signs : (n,) of +1 and -1
    boxes : (k, 2, 3)
        The least and the greatest corner of each.
    lassos : tuple of (m, 3)
    strokes, background : (n, 3)
        Voxels that were scribbled for it and against it.
    mask : (n, 3)
        Voxels of the label to start from.
    """

    points: Positions
    signs: npt.NDArray[np.intp]
    boxes: Positions
    lassos: tuple[Positions, ...]
    strokes: Positions
    background: Positions
    mask: Positions

    @property
    def areas(self) -> tuple[Positions, ...]:
        """Corners of boxes and outlines of lassos."""
        return (*self.boxes, *self.lassos)

    @property
    def key(self) -> bytes:
        """All but the points, for telling whether it is still the same."""
        parts = (self.boxes, *self.lassos, self.strokes, self.background, self.mask)
        return b"|".join(np.ascontiguousarray(part).tobytes() for part in parts)

    def until(self, count: int) -> Pointed:
        """With the first `count` points only."""
        return Pointed(self.points[:count], self.signs[:count], self.boxes, self.lassos, self.strokes, self.background, self.mask)

    @property
    def steps(self) -> tuple[int, ...]:
        """How many points each step of the answer knows: at first none, or those up to the first inside where nothing else says inside; then one more each."""
        count = len(self.points)
        if len(self.strokes) or len(self.mask) or self.areas:
            first = 0
        else:
            first = int(np.flatnonzero(self.signs > 0)[0]) + 1
        return tuple(range(first, count + 1))


def pointed(prompts: Prompts | None, volume: Volume, turn: AxisMap, turned: Geometry) -> dict[int, list[Pointed]]:
    """Read prompts for a scan.

    Parameters
    ----------
    turn : AxisMap
        How the scan's axes are turned before anything is computed.
    turned : Geometry
        The grid after that.

    Returns
    -------
    dict of label to its objects
        Ascending. Strokes and the mask of a label belong to its first object.

    Raises
    ------
    NoSeedsError
        When nothing says what is inside, or a point lies outside the scan.
    InvalidInputError
        When strokes or mask lie on another grid.
    """
    if prompts is None or prompts.is_empty or not prompts.labels:
        raise NoSeedsError("nothing was pointed at", where=WHERE, todo="Click inside what shall be outlined, or draw a box round it")
    strokes, mask = (_turned(drawn, volume, turn, name) for drawn, name in ((prompts.scribbles, "scribbles"), (prompts.mask, "mask")))
    found: dict[int, list[Pointed]] = {}
    for label in prompts.labels:
        own = [o for o in prompts.objects if o.label == label] or [ObjectPrompt(label)]
        drawn, against = (strokes == label, (strokes > 0) & (strokes != label)) if strokes is not None else (None, None)
        held = None if mask is None else mask == label
        found[label] = [_one(each, turned, drawn if i == 0 else None, against, held if i == 0 else None) for i, each in enumerate(own)]
    return found


def _one(
    prompt: ObjectPrompt, grid: Geometry, strokes: npt.NDArray[np.bool_] | None, background: npt.NDArray[np.bool_] | None, mask: npt.NDArray[np.bool_] | None,
) -> Pointed:
    name = f"object {prompt.label}"
    points = _voxels(grid, [p[:3] for p in prompt.points])
    if not grid.contains(points).all():
        raise NoSeedsError("a point lies outside the scan", where=name, todo="Click on the scan")
    boxes = _voxels(grid, [corner for box in prompt.boxes for corner in box]).reshape(-1, 2, 3)
    boxes = np.stack([boxes.min(axis=1), boxes.max(axis=1)], axis=1)
    lassos = tuple(_voxels(grid, outline) for outline in prompt.lassos)
    for area in (*boxes, *lassos):
        if (area.max(axis=0) < -0.5).any() or (area.min(axis=0) > np.array(grid.shape) - 0.5).any():
            raise NoSeedsError("a box or an outline lies outside the scan", where=name, todo="Draw it on the scan")
    found = Pointed(
        np.clip(points, 0, np.array(grid.shape) - 1.0), np.array([p[3] for p in prompt.points], dtype=np.intp), boxes, lassos,
        _where(strokes), _where(background), _where(mask),
    )
    if not ((found.signs > 0).any() or len(found.strokes) or len(found.mask) or found.areas):
        raise NoSeedsError("nothing says what is inside", where=name, todo="Click inside it at least once, or draw a box round it")
    return found


def _voxels(grid: Geometry, points: list[PointLPS] | tuple[PointLPS, ...]) -> Positions:
    """Voxel coordinates, to a thousandth, so that they do not depend on how the file stores its axes."""
    return np.round(grid.voxel(np.array(points, dtype=float).reshape(-1, 3)), 3) + 0.0


def _where(mask: npt.NDArray[np.bool_] | None) -> Positions:
    return np.zeros((0, 3)) if mask is None else np.argwhere(mask).astype(float)


def _turned(drawn: object, volume: Volume, turn: AxisMap, name: str) -> npt.NDArray[np.integer] | None:
    if drawn is None:
        return None
    if not isinstance(drawn, Volume) or drawn.array.shape != volume.geometry.shape or not drawn.geometry.matches(volume.geometry):
        raise InvalidInputError(f"{name} lie on another grid than the scan", where=WHERE, todo="Draw them on this scan")
    if drawn.array.dtype.kind not in "biu" or (drawn.array.size and (int(drawn.array.min()) < 0 or int(drawn.array.max()) > BACKGROUND)):
        raise InvalidInputError(f"{name} are no whole numbers from 0 to {BACKGROUND}", where=WHERE, todo="Give a label map")
    return turn.view(drawn.array)
