"""What raters chose, as figures that a report can hold."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its exact binomial interval.

    Attributes
    ----------
    count, of : int
    share : float or None
        `count / of`; None when `of` is 0.
    low, high : float or None
        95 % interval of Clopper and Pearson; None when `of` is 0.
    """

    count: int
    of: int
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Preference:
    """How often each set was chosen.

    Attributes
    ----------
    a, tie, b : int
        Answers for the first set, for neither, for the second.
    of_all : Share
        The first set's share of all answers, ties among them.
    without_ties : Share
        Its share of the answers that chose a side.
    p : float or None
        Two-sided exact binomial test of `without_ties` against one half (a sign test); None when nobody chose a side.
    """

    a: int
    tie: int
    b: int
    of_all: Share
    without_ties: Share
    p: float | None


@dataclass(frozen=True, slots=True)
class Sides:
    """Whether a rater leans to one side of the screen.

    Attributes
    ----------
    left, right : int
        Answers for the left and the right picture, whatever lay there.
    share : Share
        Of left among the two.
    p : float or None
        Two-sided exact binomial test of that share against one half.
    """

    left: int
    right: int
    share: Share
    p: float | None


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds an answer took.

    Attributes
    ----------
    total : float
    median, lower, upper : float or None
        Median and quartiles; None without answers.
    """

    total: float
    median: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far answers agree beyond chance, over the three answers first set, tie, second set.

    Attributes
    ----------
    raters : tuple of str
    of : int
        Questions that all of them answered.
    same : Share
        Of them, those answered alike by all.
    kappa : float or None
        Cohen's for two raters, Fleiss' for more; None when it is not defined (no question, or one answer throughout).
    se : float or None
        Its standard error.
    low, high : float or None
        95 % interval, kept within -1 to 1.
    method : str
        Which kappa and which standard error.
    """

    raters: tuple[str, ...]
    of: int
    same: Share
    kappa: float | None
    se: float | None
    low: float | None
    high: float | None
    method: str


@dataclass(frozen=True, slots=True)
class RaterResult:
    """One rater.

    Attributes
    ----------
    rater : str
    answered, of : int
        Questions; repeated ones count.
    preference : Preference
        Of first showings only.
    sides : Sides
    times : Times
    again : Agreement or None
        With their own first answers, where questions were repeated.
    unusable : int
        Questions where the rater found neither mask good enough.
    notes : int
    """

    rater: str
    answered: int
    of: int
    preference: Preference
    sides: Sides
    times: Times
    again: Agreement | None
    unusable: int
    notes: int


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case, all raters together."""

    case: str
    questions: int
    preference: Preference


@dataclass(frozen=True, slots=True)
class QuestionResult:
    """One question and what each rater answered.

    Attributes
    ----------
    question : int
    case : str
    view : str
    slice : int or None
    left : str
    repeats : int or None
    same : bool
        Whether both masks are the same there.
    choices : dict
        Rater to "a", "tie" or "b".
    seconds : dict
        Rater to seconds.
    unusable : tuple of str
        Raters who found neither mask good enough.
    notes : dict
        Rater to note.
    """

    question: int
    case: str
    view: str
    slice: int | None
    left: str
    repeats: int | None
    same: bool
    choices: dict[str, str]
    seconds: dict[str, float]
    unusable: tuple[str, ...]
    notes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of a blinded review.

    Attributes
    ----------
    plan : str
        The plan's hash.
    title : str
    a, b : str
        What was compared.
    kind : str
        "slices" or "volumes".
    seed : int
    created : str
    questions : int
        First showings; `repeated` come on top.
    repeated : int
    cases : int
    a_on_left : Share
        How often the first set lay on the left, of all showings.
    is_complete : bool
        Whether every rater answered every question.
    raters : tuple of RaterResult
        By name.
    together : Preference
        All raters' answers in one. Its interval takes answers for independent, which two answers to one slice are not.
    by_case : (float, float) or None
        95 % interval of `together.without_ties.share` that resamples whole cases (percentile bootstrap); None below 5 cases.
    sides : Sides
        All raters.
    times : Times
        All raters.
    pairs : tuple of Agreement
        Every two raters.
    all_raters : Agreement or None
        More than two raters.
    per_case : tuple of CaseResult
    per_question : tuple of QuestionResult
    disliked_a, disliked_b : tuple of int
        Questions in which every rater (two at least) preferred the other set.
    unusable : tuple of int
        Questions in which every rater found neither mask good enough.
    same : int
        Questions whose two masks are the same.
    notes : tuple of str
        Where there is not enough data for a figure, what was left out, who has not finished.
    """

    plan: str
    title: str
    a: str
    b: str
    kind: str
    seed: int
    created: str
    questions: int
    repeated: int
    cases: int
    a_on_left: Share
    is_complete: bool
    raters: tuple[RaterResult, ...]
    together: Preference
    by_case: tuple[float, float] | None
    sides: Sides
    times: Times
    pairs: tuple[Agreement, ...]
    all_raters: Agreement | None
    per_case: tuple[CaseResult, ...]
    per_question: tuple[QuestionResult, ...]
    disliked_a: tuple[int, ...]
    disliked_b: tuple[int, ...]
    unusable: tuple[int, ...]
    same: int
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON; figures that are not defined are null."""
        return asdict(self)
