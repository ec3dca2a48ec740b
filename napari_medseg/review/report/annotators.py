"""How far the people of a study agree, where two of them labelled one case by hand."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from itertools import combinations

from napari_medseg.errors import MedsegError
from napari_medseg.metrics import measure
from napari_medseg.metrics.summary import over_classes, summarise
from napari_medseg.project import Project, Version
from napari_medseg.review.report.facts import AgreementFacts
from napari_medseg.review.report.sources import ReportTick

_BY_HAND = ("corrected", "verified")


def annotators_agree(
    project: Project, made: Mapping[str, Sequence[Version]], called: Callable[[str], str],
) -> Generator[ReportTick, None, tuple[AgreementFacts, ...]]:
    """Compare the last labels by each hand, case by case; cases of one hand cost nothing."""
    shared = {case: hands for case, versions in made.items() if len(hands := _hands(versions)) > 1}
    dices: dict[tuple[str, str], list[float | None]] = {}
    dependent: dict[tuple[str, str], int] = {}
    for index, (case, hands) in enumerate(shared.items()):
        yield ReportTick(index / len(shared), f"Comparing annotators on {case}")
        try:
            maps = {author: project.labels(case, version.number).array for author, version in hands.items()}
        except MedsegError:  # the case says so where it is measured
            continue
        for one, two in combinations(hands, 2):
            figures = measure(maps[one], maps[two], project.case(case).geometry.spacing)
            dices.setdefault((one, two), []).append(over_classes(figures).get("dice"))
            begun = _began(made[case], hands[one], two) or _began(made[case], hands[two], one)
            dependent[one, two] = dependent.get((one, two), 0) + begun
    return tuple(AgreementFacts(called(one), called(two), summarise(found), dependent[one, two]) for (one, two), found in sorted(dices.items()))


def _hands(versions: Sequence[Version]) -> dict[str, Version]:
    """The last version that each person made by hand, by author in alphabetical order."""
    found = {one.author: one for one in versions if one.kind in _BY_HAND and one.tool != "restore"}
    return dict(sorted(found.items()))


def _began(versions: Sequence[Version], version: Version, other: str) -> bool:
    """Whether a version goes back to one that the other made by hand."""
    by_number = {one.number: one for one in versions}
    parent = version.parent
    while parent is not None and parent in by_number:
        if by_number[parent].author == other and by_number[parent].kind in _BY_HAND:
            return True
        parent = by_number[parent].parent
    return False
