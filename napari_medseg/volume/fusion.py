"""Several scans of one study as channels on one grid: PET with its CT; T1, T2 and FLAIR.

They are brought together by their millimetres alone; the scanner (or a registration done before) has put them into one frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume.geometry import Geometry
from napari_medseg.volume.resample import resample
from napari_medseg.volume.volume import Array, Volume

LEAST_OVERLAP = 0.05  # of the smaller box, in mm3
_BY_DETAIL = ("CT", "MR")  # what one draws on first, where it is there


def combine(volumes: Sequence[Volume], base: int | None = None) -> tuple[Volume, ...]:
    """Bring scans onto the grid of one of them.

    Parameters
    ----------
    volumes : one-channel or many-channel scans; each channel becomes one of the answer
    base : int, optional
        Whose grid; without it `finest` chooses.

    Returns
    -------
    tuple of Volume
        One channel each, the base's first, all on its grid; linear between voxels, the lowest value outside. Each says by a note what it was sampled from.

    Raises
    ------
    InvalidInputError
        With nothing to combine, or a scan that hardly meets the base: it is of another place or another patient.
    """
    if not volumes:
        raise InvalidInputError("there is nothing to put together", where="channels", todo="Choose two scans or more")
    first = finest(volumes) if base is None else base
    ordered = [volumes[first], *(v for i, v in enumerate(volumes) if i != first)]
    grid = ordered[0].geometry
    made: list[Volume] = []
    for volume in ordered:
        if overlap(grid, volume.geometry) < LEAST_OVERLAP:
            raise InvalidInputError(
                f"lies elsewhere than '{ordered[0].name}': they have no place in common", where=volume.name or "scan",
                todo="Choose scans of one study, or register them first",
            )
        if not volume.geometry.matches(grid):
            note = f"sampled from {volume.geometry} onto the grid of {ordered[0].name}"
            lowest = np.nanmin(volume.array)
            volume = replace(resample(volume, grid, fill=float(lowest) if np.isfinite(lowest) else 0.0), notes=(*volume.notes, note))
        made += split(volume)
    return tuple(made)


def split(volume: Volume) -> tuple[Volume, ...]:
    """The channels of a scan, each a scan of its own with the channel's name; views of the same memory."""
    if volume.array.ndim == 3:
        return (volume,)
    names = channel_names(volume)
    return tuple(replace(volume, array=volume.array[i], name=f"{volume.name} {name}".strip(), channel_names=()) for i, name in enumerate(names))


def channel_names(volume: Volume) -> tuple[str, ...]:
    """A name for every channel: the file's, or "channel 2"."""
    known = volume.channel_names
    return tuple(known[i] if i < len(known) and known[i] else f"channel {i + 1}" for i in range(volume.channels))


def finest(volumes: Sequence[Volume]) -> int:
    """Which of several scans to work on: CT or MR before PET, then the smallest voxels."""
    def rank(volume: Volume) -> tuple[bool, float]:
        return volume.modality not in _BY_DETAIL, volume.geometry.voxel_ml

    return min(range(len(volumes)), key=lambda i: rank(volumes[i]))


def overlap(a: Geometry, b: Geometry) -> float:
    """How much of the smaller of two boxes along the patient's axes lies in the other, 0-1."""
    (low_a, high_a), (low_b, high_b) = _box(a), _box(b)
    shared = np.clip(np.minimum(high_a, high_b) - np.maximum(low_a, low_b), 0, None)
    return float(np.prod(shared) / min(np.prod(high_a - low_a), np.prod(high_b - low_b)))


def _box(geometry: Geometry) -> tuple[Array, Array]:
    outer = geometry.world(np.array(list(product(*((-0.5, n - 0.5) for n in geometry.shape)))))
    return outer.min(0), outer.max(0)
