"""From the figures of single cases to those of a cohort; averages and tests are those of `metrics.summary` and `review.comparing`."""

from __future__ import annotations

from collections.abc import Mapping

from napari_medseg.metrics.summary import over_cases, summarise
from napari_medseg.review.comparing import compare, size_groups
from napari_medseg.review.report.facts import CaseFacts, CohortFacts, Figures, ScoreFacts, Statistics
from napari_medseg.review.volumes import BlandAltman, bland_altman


def statistics(cohort: CohortFacts) -> Statistics | None:
    """What the figures come to; None where nothing is measured."""
    stages = cohort.measured_stages
    if not stages:
        return None
    measured = {stage.key: _classes(cohort, stage.key) for stage in stages}
    first, out = stages[0].key, cohort.last_stage
    last = out if out != first else stages[-1].key
    comparison = None
    if first != last:
        titles = {stage.key: stage.title for stage in stages}
        comparison = compare({titles[key]: measured[key] for key in (first, last)}, groups=_groups(cohort, measured[last]))
    return Statistics(
        {key: over_cases(list(cases.values())) for key, cases in measured.items()},
        {stage.key: summarise(score.dice for case in cohort.cases if (score := case.score(stage.key)) is not None) for stage in stages},
        comparison, _volumes(cohort, out),
    )


def _classes(cohort: CohortFacts, stage: str) -> dict[str, Mapping[str, Figures]]:
    return {case.id: score.classes for case in cohort.cases if (score := case.score(stage)) is not None}


def _groups(cohort: CohortFacts, measured: Mapping[str, Mapping[str, Figures]]) -> dict[str, dict[str, str]]:
    """By whether a patient taught, by kind of scan, by size; a grouping with one group is none."""
    ml = {case: sum(row.get("volume_ml_truth") or 0.0 for row in classes.values()) for case, classes in measured.items()}
    found = {
        "patients that": {case.id: {"teach": "may have been learned from", "check": "only check"}.get(case.side, "") for case in cohort.cases},
        "scans": {case.id: case.modality for case in cohort.cases},
        "volume": size_groups(ml),
    }
    return {name: of for name, of in found.items() if len({of.get(case, "") for case in measured}) > 1}


def _volumes(cohort: CohortFacts, stage: str) -> dict[str, BlandAltman]:
    whole = [(case, score) for case in cohort.cases if (score := case.score(stage)) is not None and score.known == "whole"]
    values = sorted({value for _, score in whole for value in score.classes}, key=int)
    return {value: bland_altman(*(_ml(whole, value, name) for name in ("volume_ml_truth", "volume_ml_pred"))) for value in values}


def _ml(rows: list[tuple[CaseFacts, ScoreFacts]], value: str, name: str) -> dict[str, float | None]:
    return {case.id: score.classes[value].get(name) for case, score in rows if value in score.classes}
