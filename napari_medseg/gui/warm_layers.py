"""What napari loads and compiles for the first layer of a kind, done beside the window: the first click on a tool would wait for it by a second or two."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels, Points

from napari_medseg.gui.label_colours import colours
from napari_medseg.gui.seeds import CLASS


def warm() -> None:
    """Make a layer of seeds and one of labels like ours, which are shown nowhere; may run on any thread."""
    Points(np.empty((0, 3)), ndim=3, features={CLASS: np.empty(0, int)}, border_color="white")
    Labels(np.zeros((1, 2, 2), np.uint8), colormap=colours(())).contour = 1
