"""What a running level set hands out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_medseg.volume import BoolArray, Shape
from napari_medseg.weaklabel.scene import Box


@dataclass(frozen=True, slots=True, eq=False)
class Evolution:
    """The front as it stands.

    Attributes
    ----------
    box : three slices (z, y, x)
        Outside it the mask is empty.
    part : bool, the box's (z, y, x)
        The mask inside the box.
    shape : (z, y, x)
        Of the whole scan.
    iteration : int
        Iterations so far.
    fraction : float or None
        Share of the work done, 0-1; a guess while it moves.
    message : str
        What is being done, for people.
    stopped_because : str
        "" while it moves; at the end "converged", "reach" where nothing but the distance from the seeds holds it, "iterations", "vanished", "leak", or
        "stopped" when a person did.
    method : str
        What moves the front: "region", "edge", "probability" or a mixture.
    neck : (z, y, x) or None
        Of the scan: where the front seems to leak through, if anywhere.
    changed : three slices (z, y, x) or None
        Of the scan: outside it the mask is what the last one was; None when nothing changed.
    whole : bool
        Whether an update ends here; False only where the level set was asked to show them finely.
    held_mm : float or None
        At the end, where nothing in the scan held the front: how far from the seeds it may go.
    overran : bool
        At the end, whether it came back from farther, where nothing held it either.
    rested_ml : float or None
        While it tries a farther reach: how large it is where it rested before, to which it comes back where nothing holds it farther out either.
    """

    box: Box
    part: BoolArray
    shape: Shape
    iteration: int
    fraction: float | None
    message: str
    stopped_because: str = ""
    method: str = ""
    neck: tuple[int, int, int] | None = None
    changed: Box | None = None
    whole: bool = True
    held_mm: float | None = None
    overran: bool = False
    rested_ml: float | None = None

    @property
    def mask(self) -> BoolArray:
        """The mask on the whole scan's grid, bool (z, y, x); made anew at each call."""
        whole = np.zeros(self.shape, bool)
        whole[self.box] = self.part
        return whole

    @property
    def patch(self) -> tuple[Box, BoolArray] | None:
        """What changed since the last one: where on the scan, and the mask there, bool (z, y, x) and a view; None when nothing did."""
        if self.changed is None:
            return None
        z, y, x = (slice(part.start - whole.start, part.stop - whole.start) for part, whole in zip(self.changed, self.box, strict=True))
        return self.changed, self.part[z, y, x]
