"""A person's own model on the wire: its file goes as a scan of bytes does, so that what holds for scans holds for it: hashes, sizes, leases, memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_medseg.errors import InvalidInputError, SegmenterError
from napari_medseg.segmenters.named import model_in
from napari_medseg.segmenters.opening import family
from napari_medseg.segmenters.plan import model_file
from napari_medseg.volume import Array, Geometry, Volume

KIND = "MODEL"
"""In the place of a scan's modality."""
LARGEST = 1 << 30


def as_volume(model: Path) -> Volume:
    """The file of a model, byte by byte; uint8, (bytes, 1, 1).

    Parameters
    ----------
    model : Path
        A .safetensors file, a folder that holds one, or the folder of a refinement.

    Raises
    ------
    MissingFileError, SegmenterError
        When it is no model of ours, or cannot be read.
    InvalidInputError
        When it is larger than is sent.
    """
    file = model_file(model_in(model))
    family(file)
    size = file.stat().st_size
    if size > LARGEST:
        raise InvalidInputError(f"has {size >> 20} MB, and at most {LARGEST >> 20} are sent", where=file, todo="Use it on this machine")
    try:
        held = np.fromfile(file, np.uint8)
    except OSError as error:
        raise SegmenterError(f"cannot be read ({error.strerror})", where=file, todo="Check the file's permissions") from error
    return Volume(held.reshape(-1, 1, 1), Geometry((held.size, 1, 1), (1.0, 1.0, 1.0)), modality=KIND)


def bytes_in(sent: Volume) -> Array:
    """The file again; uint8, (bytes,).

    Raises
    ------
    InvalidInputError
        When something else was sent.
    """
    if sent.modality != KIND or sent.array.dtype != np.uint8 or sent.array.shape[1:] != (1, 1) or sent.array.size > LARGEST:
        raise InvalidInputError("is no model", where="the model", todo="Send a model file that napari-medseg wrote")
    return sent.array.reshape(-1)
