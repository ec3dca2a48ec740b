"""What a model still knows of sets that it learnt before: one row a model, one column a data set.

A network that goes on to another modality or organ forgets earlier ones severely unless some of their cases are learnt again (Bibars et al., who take a U-Net
from CT to MR; Salah's group). Whether that happens is only seen where every model is scored on every set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Forgetting:
    """Mean Dice of models on sets.

    Attributes
    ----------
    models : names, in the order they were made
    sets : names
    dice : one row a model, one column a set; None where a model was not scored
    """

    models: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    dice: tuple[tuple[float | None, ...], ...] = ()

    def scored(self, model: str, scores: Mapping[str, float | None]) -> Forgetting:
        """With one more model."""
        sets = (*self.sets, *(name for name in scores if name not in self.sets))
        rows = [tuple(row[self.sets.index(name)] if name in self.sets else None for name in sets) for row in self.dice]
        return Forgetting((*self.models, model), sets, (*rows, tuple(scores.get(name) for name in sets)))

    def of(self, model: str) -> dict[str, float | None]:
        """One model's scores by set."""
        return dict(zip(self.sets, self.dice[self.models.index(model)], strict=True))

    def lost(self) -> dict[str, float]:
        """How far the last model is below the best of all models, by set."""
        lost = {}
        for column, name in enumerate(self.sets):
            known = [value for row in self.dice if (value := row[column]) is not None]
            last = self.dice[-1][column]
            if last is not None:
                lost[name] = max(known) - last
        return lost

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Forgetting:
        """As `as_dict` wrote it."""
        return cls(tuple(record["models"]), tuple(record["sets"]), tuple(tuple(row) for row in record["dice"]))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"models": list(self.models), "sets": list(self.sets), "dice": [list(row) for row in self.dice]}
