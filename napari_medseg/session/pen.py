"""How hard a pen is pressed as the size of a brush."""

from __future__ import annotations

import math

LIGHTEST = 0.2


def size_under(full: float, pressure: float) -> float:
    """The size of a brush under a pen.

    Parameters
    ----------
    full : float
        Its size without a pen, in whatever it is measured in; that of a pen pressed with all force.
    pressure : float
        0-1, as Qt tells it. The size grows with its square root: hands press lightly most of the time, and the middle of the range is to be reached easily.
    """
    return full * (LIGHTEST + (1 - LIGHTEST) * math.sqrt(min(1.0, max(0.0, pressure))))
