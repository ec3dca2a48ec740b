"""Where a network looks: maps that tell a person how it came to its answer, such as how far each gate of an attention U-Net opens. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from napari_medseg.segmenters.protocol import Box, Focus
from napari_medseg.volume import FloatArray, Shape, Volume


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A piece of the maps.

    Attributes
    ----------
    names : tuple of str
        Of the maps, finest first; the same in every piece.
    box : (z, y, x) slices with start and stop, in the array of the volume that was given
    maps : float32 (names, *box)
        0-1. A later piece replaces an earlier one where both lie.
    fraction : float
        Share of the work done.
    message : str
    """

    names: tuple[str, ...]
    box: Box
    maps: FloatArray
    fraction: float
    message: str = "Asking where it looks"


@runtime_checkable
class Looker(Protocol):
    """A segmenter that can also tell where it looks; its `Capabilities.looks` says whether the model it has can."""

    def look(self, volume: Volume, *, device: str = "auto", focus: Focus = None) -> Iterator[Look]:
        """Maps of a scan, window by window, blended where windows overlap as the answer is; `focus` as in `protocol.Segmenter.predict`.

        Raises
        ------
        InvalidInputError
            When the model's networks have no such maps, or the scan has other channels than it takes.
        """


def collected(looks: Iterable[Look], shape: Shape) -> dict[str, FloatArray]:
    """Put the pieces together: float32 (z, y, x) by name; nothing where no piece came."""
    whole: dict[str, FloatArray] = {}
    for piece in looks:
        for name, part in zip(piece.names, piece.maps, strict=True):
            whole.setdefault(name, np.zeros(shape, np.float32))[piece.box] = part
    return whole
