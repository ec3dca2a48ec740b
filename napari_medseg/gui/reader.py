"""npe2 reader: scans and label maps, turned to the display grid and placed in millimetres."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_medseg.errors import MedsegError

log = logging.getLogger(__name__)
SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm")
LayerTuple = tuple[Any, dict[str, Any], str]


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerTuple]] | None:
    """A reader for files whose names we know and for folders; None leaves the path to others."""
    paths = [path] if isinstance(path, str) else list(path)
    known = all(Path(p).is_dir() or str(p).lower().endswith(SUFFIXES) for p in paths)
    return read_layers if paths and known else None


def read_layers(path: str | Sequence[str]) -> list[LayerTuple]:
    """One layer a path; a fault is told in the window and that path left out."""
    from napari.utils.notifications import show_error, show_info

    from napari_medseg.gui.layers import layer_data, looks_like_labels
    from napari_medseg.io import read

    made: list[LayerTuple] = []
    for each in [path] if isinstance(path, str) else path:
        try:
            volume = read(Path(each))
        except MedsegError as error:
            log.info("%s", error)
            show_error(str(error))
            continue
        for note in volume.notes:
            show_info(f"{volume.name}: {note}")
        made.append(layer_data(volume, labels=looks_like_labels(volume.array)))
    return made or [(None,)]  # type: ignore[list-item]  # npe2: read, and nothing to show
