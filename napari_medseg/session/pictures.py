"""Small pictures of scans: a row's thumbnail, and unsaved work outlined on the slice where most of it is. Kept in memory only: they show patients."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import Array, BoolArray, Volume, axis_map, orient

Picture = npt.NDArray[np.uint8]
THUMBNAIL = 96
LARGEST = 240
OUTLINE = (230, 159, 0)  # Okabe and Ito's orange: seen on grey by everybody


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Unsaved work of a case, for a person to decide on.

    Attributes
    ----------
    case : str
    name : str
        What the screen calls it.
    written : datetime
        When it was last autosaved, UTC.
    voxels : int
    ml : float
        How much differs from the last saved version.
    picture : uint8 (y, x, 3) or None
        The scan with the outline of the changed part; None when the scan cannot be read.
    """

    case: str
    name: str
    written: datetime
    voxels: int
    ml: float
    picture: Picture | None = None

    @property
    def facts(self) -> str:
        """When, and how much."""
        when = self.written.astimezone()
        day = "today" if when.date() == datetime.now().astimezone().date() else f"on {when:%Y-%m-%d}"
        count = f"{self.voxels:,}".replace(",", " ")
        return f"{count} voxels ({self.ml:.3g} ml) changed, {day} at {when:%H:%M}"


def thumbnail(volume: Volume) -> Picture:
    """The middle slice as radiologists see it, small and grey (y, x, 3)."""
    shown = orient(volume if volume.array.ndim == 3 else volume.like(volume.channel(0)))
    return small(grey(shown.array[shown.array.shape[0] // 2]), shown.geometry.spacing[1:], THUMBNAIL)


def outlined(volume: Volume, before: Array, after: Array) -> Picture:
    """The slice with most of a change, its outline drawn on it (y, x, 3); `before` and `after` are in the file's voxel order."""
    scan = volume if volume.array.ndim == 3 else volume.like(volume.channel(0))
    shown, axes = orient(scan), axis_map(volume.geometry)
    changed = axes.apply(before != after)
    z = int(np.argmax(changed.sum((1, 2))))
    picture = small(grey(shown.array[z]), shown.geometry.spacing[1:], LARGEST)
    rows, columns = (np.arange(n) * m // n for n, m in zip(picture.shape[:2], changed.shape[1:], strict=True))
    picture[rim(changed[z][np.ix_(rows, columns)])] = OUTLINE
    return picture


def grey(plane: Array) -> Picture:
    """A slice (y, x) as grey values (y, x, 3), its extremes left out."""
    values = np.asarray(plane, np.float32)
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [1, 99.5]) if finite.size else (0.0, 1.0)
    grey = np.clip((np.nan_to_num(values, nan=float(low)) - low) / max(float(high - low), 1e-6), 0, 1) * 255
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def small(picture: Picture, spacing: tuple[float, ...], largest: int) -> Picture:
    """At most `largest` pixels wide or high, and as wide as it is in the patient."""
    height, width = picture.shape[0] * spacing[0], picture.shape[1] * spacing[1]
    scale = largest / max(height, width)
    rows = (np.arange(max(1, round(height * scale))) * picture.shape[0] / max(1, round(height * scale))).astype(int)
    columns = (np.arange(max(1, round(width * scale))) * picture.shape[1] / max(1, round(width * scale))).astype(int)
    return np.ascontiguousarray(picture[np.ix_(rows, columns)])


def rim(mask: BoolArray) -> BoolArray:
    """The mask's rim, two pixels wide."""
    inner = mask.copy()
    for _ in range(2):
        kept = inner.copy()
        kept[1:] &= inner[:-1]
        kept[:-1] &= inner[1:]
        kept[:, 1:] &= inner[:, :-1]
        kept[:, :-1] &= inner[:, 1:]
        inner = kept
    return mask & ~inner
