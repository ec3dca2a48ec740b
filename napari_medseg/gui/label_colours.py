"""The colours of label layers: one a class, and what stands for the background, the limit and the barrier."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

BACKGROUND_STROKE = (0.55, 0.65, 0.9, 1.0)
LIMIT_COLOUR = (1.0, 1.0, 1.0, 1.0)
BARRIER_COLOUR = (1.0, 0.15, 0.65, 1.0)
CLEAR = (0.0, 0.0, 0.0, 0.0)


def colours(classes: Any, *, background: bool = False, hidden: Collection[int] = ()) -> DirectLabelColormap:
    """Class colours for a layer; values without a class are grey, hidden ones clear."""
    table: dict[int | None, Any] = {None: (0.6, 0.6, 0.6, 1.0), 0: CLEAR}
    table.update({c.value: np.array([*c.colour, 0.0 if c.value in hidden else 1.0]) for c in classes})
    if background:
        table[255] = BACKGROUND_STROKE
    return DirectLabelColormap(color_dict=table)


def fading(colour: tuple[float, float, float, float]) -> DirectLabelColormap:
    """One colour for weights: 255 full, 0 none."""
    red, green, blue, _ = colour
    table: dict[int | None, Any] = {value: (red, green, blue, value / 255) for value in range(256)}
    return DirectLabelColormap(color_dict={None: CLEAR, **table})
