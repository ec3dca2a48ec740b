"""Models, rounds or annotators over the same cases: which is better, by how much, and for whom it is not.

A mean hides a group that got worse, so every comparison can be cut by scanner, site or size. What too few cases cannot tell is None, with a note in words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

from napari_medseg.errors import InvalidInputError
from napari_medseg.metrics.summary import Figures, Summary, mean, over_classes, summarise
from napari_medseg.review.paired import FEWEST, PairedTest, Scores, holm, paired_test

Cases = Mapping[str, Mapping[str, Figures]]
"""By case and class: what `measure` found."""
Verdict = Literal["better", "worse", "unclear", "equal", "not enough data"]

LOWER_IS_BETTER = ("hd95_mm", "assd_mm", "centroid_mm", "false_positives", "missed")
_HIGHER_IS_BETTER = re.compile(r"dice|iou|precision|recall|surface_dice_.+mm")
_ERRORS = ("volume_error_ml", "volume_error")


@dataclass(frozen=True, slots=True)
class CaseScores:
    """One case: the figure of each model, in the order of `Comparison.models`; None where it is undefined or missing."""

    case: str
    scores: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group of cases.

    Attributes
    ----------
    group : str
        Such as "Scanner B"; "(none given)" for cases without.
    test : PairedTest
        On its cases alone; `p_holm` is corrected over the groups of one table.
    gain : float or None
        Mean difference, turned so that above 0 the second is better.
    verdict : str
        "better" or "worse" when the interval of the difference leaves out 0, or, with too few pairs for one, "not enough data".
    """

    group: str
    test: PairedTest
    gain: float | None
    verdict: Verdict

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"group": self.group, "gain": self.gain, "verdict": self.verdict, **self.test.as_dict()}


@dataclass(frozen=True, slots=True)
class GroupTable:
    """Two models, group by group.

    Attributes
    ----------
    grouping : str
        What the groups are, such as "scanner".
    rows : tuple of GroupRow
        In order of their names.
    warnings : tuple of str
        A sentence for each group that got worse while the mean over all cases did not.
    """

    grouping: str
    rows: tuple[GroupRow, ...]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"grouping": self.grouping, "rows": [row.as_dict() for row in self.rows], "warnings": list(self.warnings)}


@dataclass(frozen=True, slots=True)
class PairComparison:
    """Two of the models: the test over all cases, its verdict in the direction of better, and the tables by group."""

    test: PairedTest
    gain: float | None
    verdict: Verdict
    groups: tuple[GroupTable, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.test.as_dict(), "gain": self.gain, "verdict": self.verdict, "groups": [table.as_dict() for table in self.groups]}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two or more models over the same cases, by one figure.

    Attributes
    ----------
    figure : str
        As `measure` names it, such as "dice".
    value : str or None
        The class; None for the mean over classes.
    higher_is_better : bool
    models : tuple of str
    cases : tuple of CaseScores
        The case where the last model loses most against the first comes first.
    common : tuple of str
        Cases where every model has the figure; summaries are over these, so that means compare.
    summaries : by model
    pairs : tuple of PairComparison
        Every model with every later one; `p_holm` is corrected over all of them.
    """

    figure: str
    value: str | None
    higher_is_better: bool
    models: tuple[str, ...]
    cases: tuple[CaseScores, ...]
    common: tuple[str, ...]
    summaries: dict[str, Summary]
    pairs: tuple[PairComparison, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "figure": self.figure, "class": self.value, "higher_is_better": self.higher_is_better, "models": list(self.models), "common": list(self.common),
            "cases": [asdict(case) for case in self.cases], "summaries": {name: summary.as_dict() for name, summary in self.summaries.items()},
            "pairs": [pair.as_dict() for pair in self.pairs],
        }


def compare(
    measured: Mapping[str, Cases], figure: str = "dice", value: str | None = None, *, groups: Mapping[str, Mapping[str, str]] | None = None, seed: int = 0,
) -> Comparison:
    """Compare models case by case.

    Parameters
    ----------
    measured : by model, case and class
        What `measure` found; two models at least, in the order in which they came (the earlier is the first of a pair).
    figure : str
        Which figure. Volume errors are compared by their size.
    value : str, optional
        Which class; the mean over classes when not given.
    groups : by grouping and case, optional
        Such as `{"scanner": {"case-0001": "A"}}`.

    Raises
    ------
    InvalidInputError
        With fewer than two models, or a figure that has no better and worse.
    """
    if len(measured) < 2:
        raise InvalidInputError(f"{len(measured)} models cannot be compared", where="models", todo="Give two or more")
    upwards = higher_is_better(figure)
    scores = {model: {case: _score(classes, figure, value) for case, classes in cases.items()} for model, cases in measured.items()}
    models, names = tuple(scores), sorted({case for cases in scores.values() for case in cases})
    common = tuple(case for case in names if all(scores[model].get(case) is not None for model in models))
    tests = holm([paired_test(one, two, scores[one], scores[two], seed=seed) for one, two in combinations(models, 2)])
    pairs = tuple(
        PairComparison(
            test, _gain(test, upwards), verdict(test, upwards),
            tuple(by_group(test, scores[test.first], scores[test.second], grouping, of, upwards, seed=seed) for grouping, of in (groups or {}).items()),
        )
        for test in tests
    )
    rows = [CaseScores(case, tuple(scores[model].get(case) for model in models)) for case in names]
    rows.sort(key=lambda row: _loss(row, upwards))
    summaries = {model: summarise((scores[model][case] for case in common), seed=seed) for model in models}
    return Comparison(figure, value, upwards, models, tuple(rows), common, summaries, pairs)


def by_group(
    overall: PairedTest, first: Scores, second: Scores, grouping: str, group_of: Mapping[str, str], upwards: bool = True, *, seed: int = 0,
) -> GroupTable:
    """The same comparison in each group of cases, and which groups lose what the mean gains.

    Parameters
    ----------
    overall : PairedTest
        Over all cases.
    first, second : by case
        Their figures.
    group_of : by case
        Name of the group; cases without one are a group of their own.
    upwards : bool
        Whether higher is better.
    """
    members: dict[str, set[str]] = {}
    for case in {*first, *second}:
        members.setdefault(group_of.get(case) or "(none given)", set()).add(case)
    tests = holm([
        paired_test(overall.first, overall.second, {c: first.get(c) for c in members[group]}, {c: second.get(c) for c in members[group]}, seed=seed)
        for group in sorted(members)
    ])
    rows = tuple(GroupRow(group, test, _gain(test, upwards), verdict(test, upwards)) for group, test in zip(sorted(members), tests, strict=True))
    total = _gain(overall, upwards)
    warnings = tuple(_warning(grouping, row) for row in rows if total is not None and total >= 0 and row.gain is not None and row.gain < 0)
    return GroupTable(grouping, rows, warnings)


def size_groups(volumes_ml: Mapping[str, float | None]) -> dict[str, str]:
    """Cases in thirds by volume: "1 small (below 3.2 ml)", "2 middle", "3 large (from 9.1 ml)". Fewer than three volumes make no groups.

    Parameters
    ----------
    volumes_ml : by case
        Of the truth; cases without a volume are left out.
    """
    known = sorted((ml, case) for case, ml in volumes_ml.items() if ml is not None)
    if len(known) < 3:
        return {}
    low, high = known[len(known) // 3][0], known[2 * len(known) // 3][0]
    names = (f"1 small (below {low:.3g} ml)", f"2 middle ({low:.3g} to {high:.3g} ml)", f"3 large (from {high:.3g} ml)")
    return {case: names[(ml >= low) + (ml >= high)] for ml, case in known}


def higher_is_better(figure: str) -> bool:
    """Whether more of a figure is better.

    Raises
    ------
    InvalidInputError
        When it has no better and worse, such as a volume.
    """
    if _HIGHER_IS_BETTER.fullmatch(figure):
        return True
    if figure in LOWER_IS_BETTER or figure in _ERRORS:
        return False
    raise InvalidInputError(f"{figure} has no better and worse", where="figure", todo="Choose dice, iou, precision, recall, a surface figure or a volume error")


def verdict(test: PairedTest, upwards: bool = True) -> Verdict:
    """What a test says of the second: by the interval of the difference, never by the mean alone."""
    if test.n and test.equal == test.n:
        return "equal"
    if test.difference_low is None or test.difference_high is None or test.p is None:
        return "not enough data"
    if test.difference_low > 0:
        return "better" if upwards else "worse"
    if test.difference_high < 0:
        return "worse" if upwards else "better"
    return "unclear"


def _score(classes: Mapping[str, Figures], figure: str, value: str | None) -> float | None:
    if value is not None:
        found = classes.get(value, {}).get(figure)
        return abs(found) if found is not None and figure in _ERRORS else found
    if figure in _ERRORS:
        return mean(abs(row[figure] or 0.0) for row in classes.values() if row.get(figure) is not None)
    return over_classes(classes).get(figure)


def _gain(test: PairedTest, upwards: bool) -> float | None:
    if test.mean_difference is None:
        return None
    return test.mean_difference if upwards else -test.mean_difference


def _loss(row: CaseScores, upwards: bool) -> tuple[float, str]:
    first, last = row.scores[0], row.scores[-1]
    if first is None or last is None:
        return float("inf"), row.case
    return (last - first) * (1 if upwards else -1), row.case


def _warning(grouping: str, row: GroupRow) -> str:
    test = row.test
    worse = test.lower if (row.gain or 0) == test.mean_difference else test.higher
    sure = {"worse": "and the interval leaves no doubt", "not enough data": f"of too few cases to be sure (fewer than {FEWEST} that differ)"}
    doubt = sure.get(row.verdict, "and chance alone could do that")
    return (
        f"{grouping} {row.group} got worse by {abs(row.gain or 0.0):.3g} on average ({worse} of {test.n} cases) while the mean over all cases did not, {doubt}"
    )
