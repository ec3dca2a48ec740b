"""ITK's x, y, z turned into a grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_medseg.errors import InvalidInputError, UnreadableFileError
from napari_medseg.io.grids import flat
from napari_medseg.volume import Geometry


def grid(size: tuple[int, ...], spacing: tuple[float, ...], origin: tuple[float, ...], direction: tuple[float, ...], path: Path) -> Geometry:
    """ITK's x, y, z of a 2D or 3D image as a Geometry; sizes in voxels, lengths in mm.

    Raises
    ------
    UnreadableFileError
        When it cannot be one; names the file.
    """
    matrix = np.reshape(direction, (len(size), len(size)))
    if len(size) == 2:
        matrix, size, spacing, origin = flat(matrix), (*size, 1), (*spacing, 1.0), (*origin, 0.0)
    x, y, z = origin
    try:
        return Geometry(tuple(size[::-1]), tuple(spacing[::-1]), (x, y, z), tuple(float(v) + 0.0 for v in matrix.ravel()))  # type: ignore[arg-type]
    except InvalidInputError as error:
        raise UnreadableFileError(error.what, where=path, todo=error.todo) from error
