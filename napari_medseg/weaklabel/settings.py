"""What a person can turn on a level set. Light: importing it loads neither numba nor torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_medseg.errors import InvalidInputError

Method = Literal["auto", "edge", "region"]
Start = Literal["auto", "seeds", "limit"]
Contrast = Literal["histogram", "sigmoid"]
Device = Literal["auto", "cpu", "cuda", "torch"]

AMOUNTS = ("smooth_mm", "curvature_mm", "advection", "hand_trust", "close_mm")  # zero or more
LENGTHS = ("shell_mm", "reach_mm")  # more than zero


@dataclass(frozen=True, slots=True)
class LevelSetSettings:
    """What a person can turn. Versions of labels record it, so a field may be added with a default and never loses its meaning.

    Attributes
    ----------
    method : "auto", "region" or "edge"
        What moves the front: which side a voxel's value is likelier to belong to, or edges. "auto" takes both as the data ask for.
    start : "auto", "seeds" or "limit"
        Grow from the seeds, or shrink from the painted limit; "auto" shrinks where there is a limit.
    size : float
        Log-odds for the target added everywhere: above 0 a bigger result, below 0 a smaller one.
    edge : float or None
        0 grey values only ... 1 edges only; None from the data. `method` "region" means 0 and "edge" 1.
    window : (low, high) or None
        Only values between these belong to the target, in the scan's units; what the seeds tell counts among them.
    contrast : "histogram" or "sigmoid"
        How the whole scan's grey values become evidence: by the ratio of two histograms, or by the paper's sigmoid.
    learned : float
        How much a probability map counts where one is given: 1 the map alone ... 0 grey values alone.
    local_mm : float or None
        How far the local statistics of grey values look; None: from the data, 0: one statistic for the whole scan.
    smooth_mm : float
        Detail smaller than this is noise.
    curvature_mm : float
        Surface tension: larger makes a rounder result and closes narrow leaks.
    advection : float
        How strongly edges draw the front to them; counts as far as edges do.
    hand_trust : float
        How much lying deep inside the painted limit counts for a voxel, in log-odds; 0 ignores its shape.
    shell_mm : float
        How far outside the limit the background is looked at.
    reach_mm : float or None
        Without a limit nothing farther from the seeds is taken; None: from how far the seeds lie apart.
    close_mm : float
        Gaps and holes up to twice this are closed at the end.
    iterations : int
        Most iterations of the front.
    iterations_per_update : int
        Between two partial results.
    device : "auto", "cpu", "cuda" or "torch"
        Where the front moves: "auto" is the processor, "cuda" a graphics card; "torch" is the card's own code on the processor, for comparison.
    """

    method: Method = "auto"
    start: Start = "auto"
    size: float = 0.0
    edge: float | None = None
    window: tuple[float, float] | None = None
    contrast: Contrast = "histogram"
    learned: float = 1.0
    local_mm: float | None = None
    smooth_mm: float = 0.9
    curvature_mm: float = 0.3
    advection: float = 1.0
    hand_trust: float = 1.0
    shell_mm: float = 8.0
    reach_mm: float | None = None
    close_mm: float = 1.0
    iterations: int = 1200
    iterations_per_update: int = 3
    device: Device = "auto"

    def __post_init__(self) -> None:
        for name in AMOUNTS:
            if not 0 <= getattr(self, name) < np.inf:
                raise InvalidInputError(f"{getattr(self, name)} is not zero or more", where=name, todo="Give a number, zero or more")
        for name in LENGTHS:
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:
                raise InvalidInputError(f"{value} mm is no distance", where=name, todo="Give more than zero mm")
        if self.local_mm is not None and not 0 <= self.local_mm < np.inf:
            raise InvalidInputError(f"{self.local_mm} is not zero or more", where="local_mm", todo="Give millimetres, 0 for the whole scan")
        if not np.isfinite(self.size):
            raise InvalidInputError(f"{self.size} is no number", where="size", todo="Give 0, or less for a smaller result, or more for a bigger one")
        if self.edge is not None and not 0 <= self.edge <= 1:
            raise InvalidInputError(f"{self.edge} is not from 0 to 1", where="edge", todo="Give 0 for grey values only up to 1 for edges only")
        if not 0 <= self.learned <= 1:
            raise InvalidInputError(f"{self.learned} is not from 0 to 1", where="learned", todo="Give 0 for grey values only up to 1 for the map only")
        if self.contrast not in ("histogram", "sigmoid"):
            raise InvalidInputError(f"there is no contrast '{self.contrast}'", where="contrast", todo="Choose histogram or sigmoid")
        if self.iterations < 1 or self.iterations_per_update < 1:
            raise InvalidInputError("at least one iteration is needed", where="iterations", todo="Give a positive whole number")
        if self.method not in ("auto", "edge", "region") or self.start not in ("auto", "seeds", "limit"):
            raise InvalidInputError(f"there is no method '{self.method}' with start '{self.start}'", where="method", todo="Choose auto, edge or region")
        if self.device not in ("auto", "cpu", "cuda", "torch"):
            raise InvalidInputError(f"there is no device '{self.device}'", where="device", todo="Choose auto, cpu or cuda")
        object.__setattr__(self, "window", _window(self.window))

    @property
    def edge_share(self) -> float | None:
        """0 grey values only ... 1 edges only, with what `method` says about it; None is left to the data."""
        if self.edge is not None:
            return self.edge
        return {"region": 0.0, "edge": 1.0}.get(self.method)

    @classmethod
    def salah2023(cls) -> LevelSetSettings:
        """The paper's own pipeline: sigmoid contrast, seeds, level set, times the hand-painted limit, closed (Salah et al., MIUA 2023).

        Two deviations: alpha and beta come from the seeds of each scan (the paper has 80 and 200 for one scanner), and the limit bounds the front at every
        step, where the paper multiplies at the end; the product of the two is the same but for growth around a corner outside the limit.
        """
        return cls(method="region", start="seeds", contrast="sigmoid", local_mm=0.0, hand_trust=0.0)


def _window(given: Sequence[float] | None) -> tuple[float, float] | None:
    """Two rising numbers; a recorded version gives them as a list."""
    if given is None:
        return None
    if len(given) != 2 or not all(np.isfinite(given)) or not given[0] < given[1]:
        raise InvalidInputError(f"{list(given)} is no range of values", where="window", todo="Give the lowest and the highest value, in the scan's units")
    return float(given[0]), float(given[1])
