"""What a person can turn about scribbles; loads neither numba nor torch, so that a page can show it at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from napari_medseg.errors import InvalidInputError

Method = Literal["auto", "geodesic", "growcut", "walker"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, slots=True)
class ScribbleSettings:
    """How strokes grow into regions.

    Attributes
    ----------
    method : "auto", "geodesic", "growcut" or "walker"
        What spreads the strokes; automatic says which it took and why.
    classifier : bool or None
        Whether values like those under the strokes attract their class; None decides from the strokes. GrowCut has no place for it.
    reach_mm : float
        Strokes colour nothing farther than this from a class's stroke.
    border_is_background : bool
        Where nothing was scribbled as background, the border of the reach counts as such.
    beta : float or None
        How much an edge holds the walker back; None takes the walker's own.
    most_voxels : int
        A region larger than this is worked on in coarser voxels and brought back.
    device : "auto", "cpu" or "cuda"
        Where the walker runs.
    """

    method: Method = "auto"
    classifier: bool | None = None
    reach_mm: float = 30.0
    border_is_background: bool = True
    beta: float | None = None
    most_voxels: int = 4_000_000
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InvalidInputError(f"{self.method!r} is no way to grow strokes", where="scribble settings", todo=f"Choose one of {', '.join(METHODS)}")
        if not 0 < self.reach_mm < np.inf or self.most_voxels < 1000 or (self.beta is not None and not 0 <= self.beta < np.inf):
            raise InvalidInputError("beta, reach and size are positive numbers", where="scribble settings", todo="Correct them")
