"""The network of the catalogue that a recipe names, for a set of scans: one that suits itself to them is told of both, and a pre-trained one stays what it was.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_medseg import catalogue
from napari_medseg.refine.pretraining.encoder_plan import encoder_for
from napari_medseg.segmenters.networks.plan import ArchitecturePlan
from napari_medseg.segmenters.volumetric.members import described
from napari_medseg.segmenters.volumetric.plan import free_window, slice_axis
from napari_medseg.volume import Shape, Spacing


def suited(
    name: str, shape: Shape, spacing: Spacing, *, channels: int, classes: int, dims: int, parameters: Mapping[str, Any], start: str = "",
) -> ArchitecturePlan:
    """The plan of a network for scans of this shape and spacing (z, y, x).

    Parameters
    ----------
    parameters : mapping
        Of the network, where a person chose them; they outrank all others.
    start : str
        A file with a pre-trained encoder, whose parameters count before those that suit the scans; "" for none.

    Raises
    ------
    CatalogueError, UnavailableError, InvalidInputError
        As `members.described`.
    MissingFileError, SegmenterError
        When the file holds no encoder, or that of another network.
    """
    axis = slice_axis(spacing) if dims == 2 else 0
    own = catalogue.load().find(name, "network").parameters
    seen = [place for place in range(3) if dims == 3 or place != axis]
    window = free_window(dims, axis, shape, spacing)
    told = {"spacing": [float(spacing[place]) for place in seen], "window": [window[place] for place in seen]}
    chosen = {each: value for each, value in told.items() if own.get(each) == []}
    if start:
        chosen |= encoder_for(start, name, dims=dims, channels=channels).network.parameters
    return described(name, in_channels=channels, classes=classes, dims=dims, axis=axis, parameters={**chosen, **parameters})
