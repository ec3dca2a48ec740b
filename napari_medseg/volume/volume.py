"""A scan or a label map: an array and the grid it lies on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import GridMismatchError, InvalidInputError
from napari_medseg.volume.geometry import Geometry, format_shape

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float32]
LabelArray = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A scan or a label map.

    Attributes
    ----------
    array : (z, y, x) or (c, z, y, x), any real dtype
    geometry : Geometry
        Of the three spatial axes.
    name : str
        What the window calls it; the file's name without its suffix.
    modality : str
        "CT", "MR", ... or "" when the file does not say.
    source : Path or None
        The file or folder it was read from.
    notes : tuple of str
        What the reader had to decide, for the person to know.
    units : str
        Of the values: "HU", "BQML", "GML" (SUV), ... or "" when the file does not say.
    channel_names : tuple of str
        One a channel, or () when the file does not name them.
    series : str
        DICOM series UID when `source` may hold several; else "".
    """

    array: Array
    geometry: Geometry
    name: str = ""
    modality: str = ""
    source: Path | None = None
    notes: tuple[str, ...] = ()
    units: str = ""
    channel_names: tuple[str, ...] = ()
    series: str = ""

    def __post_init__(self) -> None:
        if self.array.ndim not in (3, 4) or self.array.shape[-3:] != self.geometry.shape:
            raise InvalidInputError(
                f"an array of {format_shape(self.array.shape)} does not fill a grid of {format_shape(self.geometry.shape)}",
                where=self.name or "volume",
                todo="A volume is (z, y, x) or (channel, z, y, x)",
            )

    @property
    def channels(self) -> int:
        """How many values a voxel has."""
        return self.array.shape[0] if self.array.ndim == 4 else 1

    def channel(self, index: int = 0) -> Array:
        """One channel as (z, y, x)."""
        return self.array[index] if self.array.ndim == 4 else self.array

    def like(self, array: Array, name: str = "") -> Volume:
        """Another array, (z, y, x) or (c, z, y, x), on the same grid."""
        return replace(self, array=array, name=name or self.name, notes=())

    def cropped(self, box: tuple[slice, slice, slice]) -> Volume:
        """The part inside `box` (z, y, x slices without step), on its own grid; a view, not a copy."""
        return replace(self, array=self.array[(..., *box)], geometry=self.geometry.cropped(box))


def require_same_grid(image: Geometry, mask: Geometry, where: str | Path) -> None:
    """Refuse a mask that was not drawn on this scan.

    Raises
    ------
    GridMismatchError
        When shape differs or any corner is off by more than 0.01 voxel.
    """
    if not image.matches(mask):
        found, expected = str(mask), str(image)
        detail = f"({found}, not {expected})" if found != expected else f"(same size, but {_offset_mm(image, mask):.1f} mm away)"
        raise GridMismatchError(
            f"lies on another grid than its scan {detail}",
            where=where,
            todo="Resample it with `medseg convert SRC DST --like SCAN`, or open the scan it was drawn on",
        )


def _offset_mm(a: Geometry, b: Geometry) -> float:
    return float(np.linalg.norm(a.corners() - b.corners(), axis=1).max())
