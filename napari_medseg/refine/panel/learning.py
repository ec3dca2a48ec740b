"""One of several networks that learns, with the steps in which the learning rate falls in Gil et al.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from typing import Any

from napari_medseg.refine.medseg.learner import Learner

DROPS = 4  # of equal length; the paper's rate falls every 5 of 20 epochs


class Stepped(Learner):
    """A learner whose rate is multiplied by `fall` after each quarter of its updates; along the recipe's cosine where that is 0.

    Parameters
    ----------
    fall : float
    *others, **more
        As `Learner`.
    """

    def __init__(self, *others: Any, fall: float, **more: Any) -> None:
        super().__init__(*others, **more)
        self.fall = fall

    @property
    def rate(self) -> float:
        """Learning rate of the next update."""
        return self.recipe.learning_rate * float(self.fall ** (DROPS * self.done // max(1, self.total))) if self.fall else super().rate
