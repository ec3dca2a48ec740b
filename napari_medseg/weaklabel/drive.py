"""What moves a front, as the fronts see it."""

from __future__ import annotations

from typing import Protocol

from napari_medseg.volume import BoolArray, FloatArray, Shape, Spacing


class Drive(Protocol):
    """The terms of one level-set equation on one grid, made tile by tile where the front is about to come.

    phi < 0 inside, in mm; every engine solves

    ``phi_t = -P |grad phi| + (1 - edge + edge g) curvature_mm kappa |grad phi| + edge advection (grad g . grad phi)``

    with ``P = (1 - edge) speed + edge balloon g``. Time is counted in mm: a front of speed 1 moves 1 mm in 1.

    Attributes
    ----------
    shape : (z, y, x) voxels
    spacing : mm per voxel (z, y, x)
    tile : int
        Edge of a tile, voxels; the grid of tiles has ceil(shape / tile) of them.
    speed : float32 (z, y, x)
        -1 to 1; above 0 the front moves out. 0 where no tile is made yet.
    stopping : float32 (z, y, x) or None
        1 where the scan is flat, 0 on an edge; None where edges do not count.
    edge : float
        0 grey values only ... 1 edges only.
    curvature_mm, advection : float
        Surface tension, and the pull of edges.
    balloon : float
        Pushes out (> 0) or in (< 0) where the scan is flat.
    version : int
        Grows whenever tiles made before were made anew.
    method : str
        For people: "region", "edge", "threshold", "probability" or a mixture.
    """

    shape: Shape
    spacing: Spacing
    tile: int
    speed: FloatArray
    stopping: FloatArray | None
    edge: float
    curvature_mm: float
    advection: float
    balloon: float
    version: int
    method: str

    def prepare(self, tiles: BoolArray) -> None:
        """Make the tiles asked for, bool (z, y, x) over the grid of tiles, that are not made yet."""

    def learn(self, inside: BoolArray, slices: int = 1) -> bool:
        """Fit the models of the two sides again, from the front as it stands, bool (z, y, x); whether the speed changes, now or with the next refreshes."""

    def refresh(self, *, whole: bool = False) -> bool:
        """Make a slice of what `learn` has left, or all of it; whether there was any."""

    def describe(self) -> str:
        """For people: what the front follows."""
