"""Scans that do not fit in memory: worked on at a resolution that does, seen in full detail from the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_medseg.annotation import LabelMap
from napari_medseg.gui.layers import KEY, LayerTuple, placement
from napari_medseg.io.formats import OME_ZARR, format_of
from napari_medseg.volume import Volume, axis_map
from napari_medseg.volume.windows import presets


def full_detail(path: Path, volume: Volume) -> LayerTuple | None:
    """A layer of all levels of an OME-Zarr image, read when looked at, where `volume` is a coarser level of it; None where it is the finest."""
    if format_of(path) is not OME_ZARR or isinstance(volume, LabelMap):
        return None
    from napari_medseg.io.omezarr import open_levels

    levels = open_levels(path, volume.series or None)
    finest = levels[0].geometry
    if finest.shape == volume.geometry.shape:
        return None
    turn = axis_map(finest)
    shown = [turn.view(level.array if level.array.ndim == 3 else level.array[0]) for level in levels]
    keywords: dict[str, Any] = {
        "name": f"{volume.name} in full detail", "multiscale": True, "colormap": "gray", "metadata": {KEY: {"worked_on": volume.name}},
        "contrast_limits": presets(volume.modality, volume.units)[0].of(volume.channel(0)).limits, **placement(turn.geometry(finest)),
    }
    return shown, keywords, "image"
