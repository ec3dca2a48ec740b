"""npe2 writers: labels and images as NIfTI, NRRD or MHA, always on the grid of the file they came from."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg.errors import MedsegError

log = logging.getLogger(__name__)


def write_image(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write one image layer."""
    return _write(path, np.asarray(data), meta)


def write_labels(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write one label layer; as small a whole-number type as holds it."""
    array = np.asarray(data)
    largest = int(array.max(initial=0))
    return _write(path, array.astype(np.uint8 if largest <= 255 else np.uint16), meta)


def _write(path: str, array: np.ndarray[Any, Any], meta: dict[str, Any]) -> list[str]:
    from napari.utils.notifications import show_error, show_info

    from napari_medseg.gui.layers import source_volume
    from napari_medseg.io import write

    try:
        write(source_volume(array, meta), Path(path))
    except MedsegError as error:
        log.info("%s", error)
        show_error(str(error))
        return []
    show_info(f"Saved {Path(path).name} on the grid of the scan it belongs to.")
    return [path]
