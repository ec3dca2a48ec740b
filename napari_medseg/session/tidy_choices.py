"""What the clean-up and interpolation pages hold, and the chain of steps the engine makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from napari_medseg.weaklabel.cleanup_steps import CleanupChain, Operation, Step, Voxel

MARGIN_VOXELS = 4
TAIL = 4.0  # standard deviations that a smoothing reaches


@dataclass(frozen=True, slots=True)
class CleanupChoices:
    """How accepted labels are tidied; a step is done where it is on, in this order.

    Attributes
    ----------
    combining : bool
        Whether the chosen class is combined with another one.
    operation, other, near_mm
        How, with which class, and how many mm around that class count as it.
    open_mm, close_mm : float
        What is thinner than twice this goes; gaps up to twice this are closed.
    fill : bool
        Holes are filled, slice by slice.
    clicking : bool
        Only the pieces that were clicked stay.
    min_ml : float
        Smaller pieces go.
    largest : bool
        Only the largest piece of each class stays.
    smooth_mm : float
        Outlines are rounded; every class keeps its volume.
    margin_mm : float
        Grown by this, below 0 shrunk.
    only_chosen : bool
        Only the chosen class is touched.
    inside : int
        Only within this class, 0 anywhere.
    windowed, window
        Whether only voxels in this range of grey values, in the scan's units, may change.
    locked : frozenset of int
        Classes that are left as they are.
    live : bool
        Whether a change of any of these shows at once.
    """

    combining: bool = False
    operation: Operation = "subtract"
    other: int = 0
    near_mm: float = 2.0
    opening: bool = False
    open_mm: float = 1.0
    closing: bool = False
    close_mm: float = 1.0
    fill: bool = True
    clicking: bool = False
    dropping: bool = True
    min_ml: float = 0.1
    largest: bool = False
    smoothing: bool = False
    smooth_mm: float = 1.0
    resizing: bool = False
    margin_mm: float = 1.0
    only_chosen: bool = False
    inside: int = 0
    windowed: bool = False
    window: tuple[float, float] = (0.0, 0.0)
    locked: frozenset[int] = frozenset()
    live: bool = True

    def chain(self, chosen: int, clicked: Sequence[Voxel] = ()) -> CleanupChain:
        """For the engine; `clicked` are the voxels that were clicked, in the order of work."""
        from napari_medseg.weaklabel import cleanup_steps as steps

        chain: list[Step] = []
        if self.combining and self.other and self.other != chosen:
            chain.append(steps.Combine(self.operation, self.other, self.near_mm, classes=(chosen,)))
        if self.opening and self.open_mm:
            chain.append(steps.Open(self.open_mm))
        if self.closing and self.close_mm:
            chain.append(steps.Close(self.close_mm))
        if self.fill:
            chain.append(steps.Fill())
        if self.clicking and clicked:
            chain.append(steps.KeepClicked(tuple(clicked)))
        if self.dropping and self.min_ml:
            chain.append(steps.RemoveSmall(self.min_ml))
        if self.largest:
            chain.append(steps.KeepLargest())
        if self.smoothing and self.smooth_mm:
            chain.append(steps.Smooth(self.smooth_mm))
        if self.resizing and self.margin_mm:
            chain.append(steps.Grow(self.margin_mm) if self.margin_mm > 0 else steps.Shrink(-self.margin_mm))
        window = (min(self.window), max(self.window)) if self.windowed else None
        return steps.CleanupChain(tuple(chain), steps.EditMask(self.inside or None, window, tuple(sorted(self.locked))))

    @property
    def reach_mm(self) -> float:
        """How far around the labels anything can change."""
        far = 2 * self.close_mm * self.closing + 2 * self.open_mm * self.opening + self.near_mm * self.combining
        return far + TAIL * self.smooth_mm * self.smoothing + abs(self.margin_mm) * self.resizing


@dataclass(frozen=True, slots=True)
class InterpolateChoices:
    """How slices between annotated ones are filled.

    Attributes
    ----------
    axis : 0, 1, 2 or None
        Along which the annotated slices lie: axial, coronal, sagittal; None takes the one with the fewest.
    follow : bool
        Whether the outline follows the scan; else only the shapes are blended.
    left_out : frozenset of (axis, slice)
        Annotated slices that do not count.
    empty : frozenset of (axis, slice)
        Slices without a label that were left so on purpose.
    """

    axis: Literal[0, 1, 2] | None = None
    follow: bool = True
    left_out: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    empty: frozenset[tuple[int, int]] = field(default_factory=frozenset)
