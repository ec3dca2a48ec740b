"""Telling a click on the canvas from a drag, which moves the picture."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

STILL = 4.0  # pixels the mouse may move in a click


def stays(event: Any) -> Generator[None, None, bool]:
    """Follow a press to its release, for napari's mouse callbacks: True when the mouse stayed where it was, False as soon as it is a drag."""
    began = np.array(event.pos, float)
    yield
    while event.type == "mouse_move":
        if float(np.abs(np.array(event.pos, float) - began).max()) > STILL:
            return False
        yield
    return True
