"""npe2 writers: labels and images in every format we write, always on the grid of the file they came from, labels with their names and colours."""

from __future__ import annotations

import logging
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg.annotation import LabelMap, named
from napari_medseg.errors import MedsegError
from napari_medseg.volume import Array, Volume

log = logging.getLogger(__name__)


def write_image(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write one image layer."""
    return _write(path, np.asarray(data), meta, labels=False)


def write_labels(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write one label layer; as small a whole-number type as holds it."""
    array = np.asarray(data)
    largest = int(array.max(initial=0))
    return _write(path, array.astype(np.uint8 if largest <= 255 else np.uint16), meta, labels=True)


def _write(path: str, array: Array, meta: dict[str, Any], *, labels: bool) -> list[str]:
    from napari.utils.notifications import show_error, show_info

    from napari_medseg.gui.layers import KEY, source_volume
    from napari_medseg.io import write

    facts = (meta.get("metadata") or {}).get(KEY) or {}
    known: Volume | None = facts.get("volume")
    try:
        volume = source_volume(array, meta)
        if labels:
            volume = _named(volume, facts)
        written = write(volume, Path(path), source=known.source if known is not None else None, series=known.series if known is not None else "")
    except MedsegError as error:
        log.info("%s: %s", type(error).__name__, error.what)
        show_error(str(error))
        return []
    show_info(f"Saved {' and '.join(p.name for p in written)} on the grid of the scan it belongs to.")
    return [str(p) for p in written]


def _named(volume: Volume, facts: dict[str, Any]) -> LabelMap:
    """Labels with what their values mean: the session's classes for its own labels, else those the layer was opened with."""
    from napari_medseg.gui.desk import classes_of

    scan = facts["scan"]() if "scan" in facts else None
    classes = (classes_of(scan) if scan is not None else ()) or facts.get("classes", ())
    return LabelMap(**{f.name: getattr(volume, f.name) for f in fields(Volume)}, classes=named(volume.array, classes))
