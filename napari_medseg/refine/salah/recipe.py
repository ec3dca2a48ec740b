"""A recipe: everything about a refinement that is not data.

`salah2023` follows Salah et al., MIUA 2023. Where the paper is silent the choice is marked "ours", here and in docs/refinement.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.building import built

if TYPE_CHECKING:
    from napari_medseg.refine.method import Method


@dataclass(frozen=True, slots=True)
class Recipe:
    """How rounds are run.

    Attributes
    ----------
    name : str
    rounds : int
        How many times to train and predict (paper: 3).
    epochs : int
        Passes over the slices in a round (paper: 15).
    learning_rate : float
        Of Adam (paper: 1e-3).
    batch : int
        Slices an update looks at (paper: 16 on the small set).
    large_batch, large_from : int
        From `large_from` slices on, updates look at `large_batch` (paper: 64 on the large sets; where the line lies is ours).
    small_batch, small_below, small_passes : int
        Below `small_below` slices, a single scan say, updates look at no more than `small_batch` and there are `small_passes` times as many epochs, so
        that a round still has some two hundred updates instead of thirty (ours; the paper never trains on so few).
    threshold : float
        Probability above which a voxel belongs to a class (paper: 0.5).
    drift : float
        Without verified labels, a round whose volume is more than `drift` times larger or smaller than the labels given is not adopted (ours).
    """

    name: str = "salah2023"
    rounds: int = 3
    epochs: int = 15
    learning_rate: float = 1e-3
    batch: int = 16
    large_batch: int = 64
    large_from: int = 2000
    small_batch: int = 4
    small_below: int = 64
    small_passes: int = 2
    threshold: float = 0.5
    drift: float = 1.5

    def __post_init__(self) -> None:
        if min(self.rounds, self.epochs, self.batch, self.large_batch, self.small_batch, self.small_passes) < 1:
            raise InvalidInputError("rounds, epochs and batch must be 1 or more", where="recipe")
        if not (0 < self.learning_rate < 1 and 0 < self.threshold < 1 and self.drift > 1):
            raise InvalidInputError("learning rate and threshold must lie between 0 and 1, and drift above 1", where="recipe")

    def method(self) -> Method:
        """What learns by this recipe; loads torch."""
        from napari_medseg.refine.salah.method import SalahMethod

        return SalahMethod(self)

    def batch_for(self, slices: int) -> int:
        """Slices an update looks at when there are `slices` in all."""
        if slices < self.small_below:
            return min(self.batch, self.small_batch)
        return self.large_batch if slices >= self.large_from else self.batch

    def epochs_for(self, slices: int) -> int:
        """Passes over the slices in a round when there are `slices` in all."""
        return self.epochs * (self.small_passes if slices < self.small_below else 1)


def salah2023(**overrides: Any) -> Recipe:
    """The paper's loop: every round restarts from the base model with a fresh optimiser; only the labels are carried forward.

    Parameters
    ----------
    **overrides
        Any attribute of `Recipe`.

    Raises
    ------
    InvalidInputError
        When there is no such attribute, or its value makes no sense.
    """
    return built(Recipe, overrides)
