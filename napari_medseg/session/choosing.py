"""The series of a folder as a person chooses among them: one row each, and a small picture of its middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_medseg.errors import InvalidInputError
from napari_medseg.io.series import SeriesInfo
from napari_medseg.session.state import displayed
from napari_medseg.volume import LabelArray, Volume, format_shape
from napari_medseg.volume.fusion import split
from napari_medseg.volume.windows import presets

PICTURE = 72  # pixels across


@dataclass(frozen=True, slots=True)
class Row:
    """One series.

    Attributes
    ----------
    key : str
        What `io.read` picks it by.
    title, modality, size, images : str
        For people: what the scanner called it, "CT", voxels and millimetres, how many images.
    notes : str
        What to know before opening it; why not, where it cannot be read.
    readable : bool
    scout : bool
        Whether it is a localiser.
    """

    key: str
    title: str
    modality: str
    size: str
    images: str
    notes: str
    readable: bool
    scout: bool = False


def rows_of(infos: Sequence[SeriesInfo]) -> tuple[Row, ...]:
    """The rows of a folder, in its order; localisers come behind the scans, and what cannot be read last."""
    return tuple(sorted(map(row_of, infos), key=lambda row: (not row.readable, row.scout)))


def row_of(info: SeriesInfo) -> Row:
    """One series in words."""
    shape, spacing = info.shape_zyx, info.spacing_mm_zyx
    extent = " × ".join(f"{n * s:.0f}" for n, s in zip(shape[::-1], spacing[::-1], strict=True))
    size = f"{format_shape(shape).replace('x', '×')}\n{extent} mm"
    images = str(shape[0] * info.timepoints) + (f" ({info.timepoints} times)" if info.timepoints > 1 else "")
    return Row(info.series or info.title, info.title or "unnamed", info.modality or "?", size, images, "; ".join(info.notes), info.readable, info.scout)


def only_one(rows: Sequence[Row]) -> Row | None:
    """The series to open without asking: where all can be read, the only one that is no localiser."""
    if not all(row.readable for row in rows):
        return None
    scans = [row for row in rows if not row.scout] or list(rows)
    return scans[0] if len({row.key.removesuffix("/straight") for row in scans}) == 1 else None


def require_several(keys: Sequence[str]) -> None:
    """Refuse to put a single scan together with nothing.

    Raises
    ------
    InvalidInputError
        When there are fewer than two.
    """
    if len(keys) < 2:
        raise InvalidInputError("one scan alone has no other channels", where="Open as channels", todo="Tick two series of one study or more")


def picture(volume: Volume, size: int = PICTURE) -> LabelArray:
    """The middle axial slice as radiologists see it, grey values 0-255, in its true proportions.

    Parameters
    ----------
    volume : Volume
        A scan, or its middle part.
    size : int
        Pixels of the longer side.

    Returns
    -------
    uint8 (height, width)
    """
    shown = displayed(split(volume)[0])
    plane = np.asarray(shown.array[len(shown.array) // 2], np.float32)
    low, high = presets(shown.modality, shown.units)[0].of(plane[None]).limits
    tall, wide = plane.shape[0] * shown.geometry.spacing[1], plane.shape[1] * shown.geometry.spacing[2]
    scale = size / max(tall, wide)
    rows = np.clip((np.arange(max(1, round(tall * scale))) + 0.5) / (tall * scale) * plane.shape[0], 0, plane.shape[0] - 1).astype(int)
    columns = np.clip((np.arange(max(1, round(wide * scale))) + 0.5) / (wide * scale) * plane.shape[1], 0, plane.shape[1] - 1).astype(int)
    grey = np.nan_to_num((plane[np.ix_(rows, columns)] - low) / (high - low))
    return np.asarray(255 * np.clip(grey, 0, 1), np.uint8)


def folder_name(path: Path) -> str:
    """What a folder is called in a title."""
    return path.name or str(path)
