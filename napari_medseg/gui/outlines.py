"""Label layers shown as outlines, found quickly."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels

from napari_medseg.session.planes import edges


def outline(layer: Labels, width: int) -> None:
    """Show a layer as outlines of this width in pixels, found as the orthogonal views find theirs.

    napari passes over each slice it shows by two rank filters, 8 ms for 512x512 where this takes 0.5. The method that is replaced is not public: where napari
    names it otherwise, its own way stays.
    """

    def contour(labels: npt.NDArray[Any], shown: tuple[slice, ...]) -> npt.NDArray[Any] | None:
        if labels.ndim != 2:
            return None
        wider = tuple(slice(max(0, side.start - width), side.stop + width) for side in shown)
        part = labels[wider]
        lines = np.where(edges(part, width), part, part.dtype.type(0))
        return lines[tuple(slice(side.start - wide.start, side.stop - wide.start) for side, wide in zip(shown, wider, strict=True))]

    setattr(layer, "_calculate_contour", contour)  # noqa: B010 - mypy takes a method for a constant
    layer.contour = width
