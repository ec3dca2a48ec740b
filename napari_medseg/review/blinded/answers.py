"""What one rater answered: a file that only grows, so that nothing is lost however the program ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

FORMAT = "medseg-blinded-answers"
VERSION = 1
SUFFIX = ".answers.jsonl"

Choice = Literal["left", "tie", "right"]
CHOICES: tuple[Choice, ...] = get_args(Choice)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. It says left or right only; what lay there stands in the plan.

    Attributes
    ----------
    question : int
    choice : str
        "left", "tie" or "right".
    seconds : float
        From when the pictures were shown, without the time the window was not in front.
    at : str
        ISO time, UTC.
    unusable : bool
        Whether neither mask is good enough.
    note : str
    """

    question: int
    choice: Choice
    seconds: float
    at: str
    unusable: bool = False
    note: str = ""
