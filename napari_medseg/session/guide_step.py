"""One step that the Guide names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_medseg.session.accepting import AGAIN

Action = Literal[
    "open", "reopen", "seeds", "scribbles", "limit", "run", "stop", "accept", "refine", "weak", "save", "recover", "add", "next", "neck", "paint", "point",
    "farther", "adopt", "right", "look", "rest", "resume", "verify", "export", "discard", "again", "none",
]

TAKEN = ("Accepted", AGAIN)
"""How notices begin after which the labels are looked at: something entered them just now."""
NO_MOUSE = "No mouse: Ctrl+Shift and arrows lead there, Shift+Enter clicks."


@dataclass(frozen=True, slots=True)
class Step:
    """One next step.

    Attributes
    ----------
    sentence : str
    action : str
        What the one filled button does.
    key : str
        Its key, "" without one.
    why : str
        Why, for those who ask.
    waiting : str
        What it waits for; "" when it waits for the person.
    trouble : bool
        Whether the sentence says what went wrong and how to mend it.
    plain : bool
        Whether the sentence tells more than a next step and stands as it is.
    """

    sentence: str
    action: Action = "none"
    key: str = ""
    why: str = ""
    waiting: str = ""
    trouble: bool = False
    plain: bool = False
