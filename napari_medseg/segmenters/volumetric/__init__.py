"""Networks that see patches of a volume: how a set of scans looks, how a scan reaches the network's grid, the network, and models on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_medseg.segmenters.volumetric.model import VolumetricModel

__all__ = ["load_volumetric"]


def load_volumetric(path: str | Path, device: str = "auto") -> VolumetricModel:
    """Read a volumetric model; see `model.load_volumetric`. Loads torch."""
    from napari_medseg.segmenters.volumetric.model import load_volumetric as load

    return load(path, device)
