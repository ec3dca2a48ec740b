"""What raters are asked, in which order, and what lies on which side; written once, before the first answer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

FORMAT = "medseg-blinded-plan"
VERSION = 1

Which = Literal["a", "b"]
"""One of the two sets of masks."""

View = Literal["axial", "coronal", "sagittal"]
VIEWS: tuple[View, ...] = get_args(View)
"""By the axis of the display grid that is looked along: z, y, x."""


@dataclass(frozen=True, slots=True)
class MaskSet:
    """One of the two sets of masks.

    Attributes
    ----------
    title : str
        What the result calls it; no rater sees it before the end.
    where : str
        The folder or file it lies in, from the plan's folder on where that is possible; for a study what was taken: "verified", "round 2", ...
    """

    title: str
    where: str


@dataclass(frozen=True, slots=True)
class PlannedCase:
    """A scan with its two masks, and what they held when the plan was made.

    Attributes
    ----------
    case : str
        The name its files share, or its id in a study.
    image, a, b : str
        File names in their folders; of a study version numbers as text, and "" for the scan.
    image_sha256, a_sha256, b_sha256 : str
        Of values and grid; see `fingerprints.fingerprint`.
    """

    case: str
    image: str
    a: str
    b: str
    image_sha256: str
    a_sha256: str
    b_sha256: str


@dataclass(frozen=True, slots=True)
class Question:
    """One slice or volume that is shown with both masks.

    Attributes
    ----------
    number : int
        From 1, in the order of showing.
    case : str
    view : str
        How a slice lies; for a volume the view it is scrolled in.
    slice : int or None
        Along the display grid's axis of the view, from 0; None for a whole volume.
    left : "a" or "b"
        What lies on the left.
    repeats : int or None
        The question that this one asks again with the sides changed.
    same : bool
        Whether both masks are the same there, so that every answer is a tie by chance or habit.
    """

    number: int
    case: str
    view: View
    slice: int | None
    left: Which
    repeats: int | None = None
    same: bool = False

    def chosen(self, choice: str) -> str:
        """What "left", "tie" or "right" means: "a", "tie" or "b"."""
        if choice == "tie":
            return "tie"
        return self.left if choice == "left" else ("b" if self.left == "a" else "a")


@dataclass(frozen=True, slots=True)
class Plan:
    """A blinded review as it was planned.

    Attributes
    ----------
    title : str
        For people; no rater learns from it what is compared.
    created : str
        ISO time, UTC.
    kind : str
        "slices" or "volumes".
    source : str
        "folders" or "study".
    images : str
        Where the scans lie, as `MaskSet.where`; "" for a study.
    a, b : MaskSet
    label : int or None
        The class whose masks are shown; None for every class, without telling them apart.
    seed : int
        Slices, order and sides all follow from it.
    options : dict
        What was asked for: slices, spread, repeats, ...
    cases : tuple of PlannedCase
    questions : tuple of Question
    notes : tuple of str
        What a person should know: cases left out, and why.
    """

    title: str
    created: str
    kind: Literal["slices", "volumes"]
    source: Literal["folders", "study"]
    images: str
    a: MaskSet
    b: MaskSet
    label: int | None
    seed: int
    options: dict[str, Any]
    cases: tuple[PlannedCase, ...]
    questions: tuple[Question, ...]
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """What rater files name the plan by: the SHA-256 of all it says."""
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def scope(self) -> str:
        """How much is asked, as "40 questions about 12 cases"."""
        asked, of = len(self.questions), len(self.cases)
        return f"{asked} question{'s' if asked != 1 else ''} about {of} case{'s' if of != 1 else ''}"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON, with format, version and hash."""
        return {"format": FORMAT, "version": VERSION, "sha256": self.sha256, **asdict(self)}

    def case(self, name: str) -> PlannedCase:
        """A case by name."""
        return next(case for case in self.cases if case.case == name)

    def title_of(self, which: str) -> str:
        """What the result calls "a", "b" or "tie"."""
        return {"a": self.a.title, "b": self.b.title}.get(which, "tie")
