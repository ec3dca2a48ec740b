"""A blinded review that is there: its plan, and how far its raters have come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_medseg.review.blinded import Plan


@dataclass(frozen=True, slots=True)
class FoundReview:
    """A review that is there.

    Attributes
    ----------
    folder : Path
    plan : Plan
    raters : tuple of (name, answered)
    """

    folder: Path
    plan: Plan
    raters: tuple[tuple[str, int], ...]

    def answered(self, rater: str) -> int:
        """How many questions somebody has answered."""
        wanted = " ".join(rater.split()).casefold()
        return next((count for name, count in self.raters if name.casefold() == wanted), 0)

    @property
    def title(self) -> str:
        """What the list calls it: nothing of what is compared."""
        thing = "slices" if self.plan.kind == "slices" else "volumes"
        return f"{self.folder.name}: {len(self.plan.questions)} {thing}"


def found_review(path: Path) -> FoundReview:
    """The review whose plan is this file.

    Raises
    ------
    MedsegError
        When the plan or a rater's file is damaged.
    """
    from napari_medseg.review.blinded import read_all_answers, read_plan

    plan = read_plan(path)
    return FoundReview(path.parent, plan, tuple((one.rater, len(one.by_question)) for one in read_all_answers(plan, path.parent)))
