"""The middle of a scan, for a small picture of it, without reading all of it where the format allows."""

from __future__ import annotations

from pathlib import Path

from napari_medseg.io.reading import read
from napari_medseg.volume import Volume


def middle(path: Path, series: str | None = None) -> Volume:
    """The slice in the middle of a DICOM series, or a whole scan of another format.

    Raises
    ------
    MissingFileError, UnreadableFileError, InvalidInputError
        As `read`.
    """
    if not path.is_dir() or series is None:
        return read(path, series=series)
    from napari_medseg.io.dicom import stream

    first = next(stream(path, series))  # let go of at once, which ends the reading
    index = first.slices[0]
    _, y, x = first.volume.geometry.shape
    return first.volume.cropped((slice(index, index + 1), slice(0, y), slice(0, x)))
