"""Reading the pictures of questions, each scan once, the most urgent first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from napari_medseg.review.blinded.pictures import Shown, shown
from napari_medseg.review.blinded.plan import Plan, Question
from napari_medseg.review.blinded.sources import Source, require_unchanged


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A tick: one question's pictures.

    Attributes
    ----------
    number : int
        Of the question.
    shown : Shown
    fraction : float
    message : str
    """

    number: int
    shown: Shown
    fraction: float
    message: str = "Reading the next scans"


def load(plan: Plan, source: Callable[[], Source], questions: Sequence[Question]) -> Iterator[Loaded]:
    """Read what questions show, scan by scan in the order in which they are first asked.

    Parameters
    ----------
    source : callable
        Gives the place to read from; called on the thread that reads.

    Yields
    ------
    Loaded
        One a question; close to cancel.

    Raises
    ------
    InvalidInputError
        When a scan or mask was changed since the plan was made.
    MedsegError
        When something cannot be read.
    """
    place = source()
    done = 0
    for case in dict.fromkeys(question.case for question in questions):
        found = place.read(case)
        require_unchanged(plan.case(case), found)
        for question in (one for one in questions if one.case == case):
            done += 1
            yield Loaded(question.number, shown(plan, question, found), done / len(questions))
