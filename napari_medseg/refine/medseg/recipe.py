"""The recipe `medseg`: everything about it that is not data. What each choice brought is in docs/refinement.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.building import built

if TYPE_CHECKING:
    from napari_medseg.refine.medseg.method import MedsegMethod


@dataclass(frozen=True, slots=True)
class Medseg:
    """How a round of `medseg` learns.

    Attributes
    ----------
    name : str
    rounds : int
        How often to learn and propose; one round holds `phases` of learning and aligning already.
    drift : float
        Without verified labels, a round whose volume is more than `drift` times larger or smaller than the labels given is not adopted.
    updates : int or None
        Steps of the optimiser in a round, over every network; None for `per_case` each, between `least` and `most`.
    per_case, least, most : int
    folds : int
        Networks; each learns from all patients but its share, and judges those it did not see.
    phases : tuple of float
        Shares of the updates after which the weak masks are moved to where the networks that did not see them find the object.
    batch : int
        Patches an update looks at.
    learning_rate : float
        Of AdamW; falls along a cosine.
    decay : float
        Of the running mean of the weights, which is the network that is used.
    bend : float
        Deviation of the elastic augmentation, in units (a fifteenth of the object's size).
    turn, stretch, shear : float
        Largest rotation (radians), scaling (log) and shear of the augmentation.
    patience : int
        Steps of each alignment.
    """

    name: str = "medseg"
    rounds: int = 1
    drift: float = 1.5
    updates: int | None = None
    per_case: int = 20
    least: int = 300
    most: int = 4000
    folds: int = 2
    phases: tuple[float, ...] = (0.35, 0.7)
    batch: int = 2
    learning_rate: float = 3e-3
    decay: float = 0.99
    bend: float = 2.0
    turn: float = 0.26
    stretch: float = 0.15
    shear: float = 0.07
    patience: int = 40

    def __post_init__(self) -> None:
        if min(self.rounds, self.folds, self.batch, self.per_case, self.least, self.patience) < 1 or (self.updates is not None and self.updates < 1):
            raise InvalidInputError("rounds, updates, folds and batch must be 1 or more", where="recipe")
        if not (0 < self.learning_rate < 1 and 0 <= self.decay < 1 and self.drift > 1 and min(self.bend, self.turn, self.stretch, self.shear) >= 0):
            raise InvalidInputError("learning rate and decay must lie between 0 and 1, drift above 1, and no augmentation below 0", where="recipe")
        if any(not 0 < share < 1 for share in self.phases) or list(self.phases) != sorted(set(self.phases)):
            raise InvalidInputError("phases are rising shares between 0 and 1", where="recipe")

    def updates_for(self, cases: int) -> int:
        """Steps of the optimiser in a round on this many scans."""
        return self.updates or min(max(self.per_case * cases, self.least), self.most)

    def method(self) -> MedsegMethod:
        """What does the work; imports torch."""
        from napari_medseg.refine.medseg.method import MedsegMethod

        return MedsegMethod(self)


def medseg(**overrides: Any) -> Medseg:
    """Our recipe: cross-fitted networks, strong augmentation, weak masks aligned with what unseeing networks find, calibrated volume.

    Parameters
    ----------
    **overrides
        Any attribute of `Medseg`.

    Raises
    ------
    InvalidInputError
        When there is no such attribute, or its value makes no sense.
    """
    return built(Medseg, overrides)
