"""What a set of scans looks like in numbers: the facts from which everything about a network is decided, readable as JSON.

After nnU-Net (Isensee et al., Nature Methods 2021): median spacing and shape, and the intensities of what is labelled.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_medseg.errors import NoLabelsError
from napari_medseg.volume import Array, LabelArray, Volume, axis_map

UNKNOWN = 255
SAMPLES = 20_000  # voxels of each scan that its statistics are taken from
SHARES = (0.5, 99.5)  # percentiles that count as the reach of the values


class ChannelFacts(BaseModel):
    """Intensities of one channel inside what is labelled, stored units."""

    model_config = ConfigDict(extra="forbid")

    low: float
    high: float
    mean: float
    sd: float = Field(gt=0)


class Fingerprint(BaseModel):
    """A set of scans in numbers; arrays turned to the display order (z, y, x).

    Attributes
    ----------
    cases : int
    shape : (z, y, x) voxels, median
    spacing : (z, y, x) mm, median
    channels : facts of each channel
    normalise : "z-score" or "set"
        By each scan's own values, or by the set's where values mean the same in every scan (CT).
    object_mm3 : float
        Median volume of what is labelled in a scan.
    share : share of the known voxels that each class has
    """

    model_config = ConfigDict(extra="forbid")

    cases: int = Field(ge=1)
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    channels: list[ChannelFacts] = Field(min_length=1)
    normalise: Literal["z-score", "set"]
    object_mm3: float = Field(gt=0)
    share: list[float] = Field(min_length=1)

    @property
    def unit_mm(self) -> float:
        """A fifteenth of the object's size (cube root of its volume): the length that shifts and bends are measured in."""
        return float(self.object_mm3 ** (1 / 3) / 15)


def fingerprint(scans: Iterable[tuple[Volume, LabelArray]], values: Iterable[int]) -> Fingerprint:
    """The fingerprint of scans and their label maps, uint8 (z, y, x), 255 unknown.

    Raises
    ------
    NoLabelsError
        When nothing is labelled in any of them.
    """
    wanted = tuple(values)
    shapes, spacings, sizes, labelled, counted = [], [], [], [], np.zeros(len(wanted) + 1)
    scale = []
    for image, labels in scans:
        turn = axis_map(image.geometry)
        shapes.append([labels.shape[axis] for axis in turn.order])
        spacings.append([image.geometry.spacing[axis] for axis in turn.order])
        inside = np.isin(labels, wanted)
        counted += [(labels != UNKNOWN).sum(), *((labels == value).sum() for value in wanted)]
        if inside.any():
            sizes.append(float(inside.sum()) * float(np.prod(image.geometry.spacing)))
            labelled.append(_some(image, inside))
        scale.append(image.modality == "CT" or image.units == "HU")
    if not labelled:
        raise NoLabelsError("no label map has foreground", where="labels", todo="Mark the organ in at least one scan first")
    return Fingerprint(
        cases=len(shapes),
        shape=tuple(int(n) for n in np.median(shapes, axis=0)),  # type: ignore[arg-type]
        spacing=tuple(float(v) for v in np.median(spacings, axis=0)),  # type: ignore[arg-type]
        channels=[_facts(column) for column in np.concatenate(labelled, axis=1)], normalise="set" if all(scale) else "z-score",
        object_mm3=float(np.median(sizes)), share=[float(v) for v in counted[1:] / max(counted[0], 1)],
    )


def _some(image: Volume, inside: Array) -> Array:
    """Values (channel, n) of labelled voxels, at most `SAMPLES`, evenly drawn."""
    places = np.flatnonzero(inside)
    places = places[:: -(-len(places) // SAMPLES)]
    return image.array.reshape(image.channels, -1)[:, places].astype(np.float64)


def _facts(values: Array) -> ChannelFacts:
    finite = values[np.isfinite(values)]
    if not len(finite):
        finite = np.zeros(1)
    low, high = np.percentile(finite, SHARES)
    sd = float(np.clip(finite, low, high).std())
    return ChannelFacts(low=float(low), high=float(high), mean=float(finite.mean()), sd=sd if sd > 0 else 1.0)
