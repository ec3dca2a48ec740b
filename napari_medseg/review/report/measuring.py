"""Every case measured against what is known to be right in it, one at a time, and the cases chosen whose pictures tell most."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_medseg.errors import MedsegError
from napari_medseg.metrics import dice, iou, measure, precision, recall
from napari_medseg.metrics.overlap import require_same_shape
from napari_medseg.review.report.facts import CaseFacts, CohortFacts, Figures, ScoreFacts
from napari_medseg.review.report.sources import UNKNOWN, CaseLabels, CaseSource, CohortSource, ReportTick
from napari_medseg.review.report.summing import statistics
from napari_medseg.volume import LabelArray, Spacing

UNREADABLE = "its labels cannot be read, so it is left out of the figures"


@dataclass(frozen=True, slots=True)
class Measured:
    """A cohort's facts with scores, and the ml of each class in each case's latest labels that were read."""

    cohort: CohortFacts
    volumes_ml: Mapping[int, Sequence[float]]


def measured(source: CohortSource) -> Generator[ReportTick, None, Measured]:
    """Read and measure every case; one that cannot be read says so and costs itself only."""
    cases: list[CaseFacts] = []
    ml: dict[int, list[float]] = {}
    for index, case in enumerate(source.cases):
        yield ReportTick(index / len(source.cases), f"Measuring {case.facts.id}")
        if not case.scored and source.truth:
            cases.append(case.facts)
            continue
        try:
            labels = case.labels()
            cases.append(replace(case.facts, scores=scores(labels)))
        except MedsegError:
            cases.append(replace(case.facts, problem=UNREADABLE))
            continue
        for value, amount in _volumes(labels).items():
            ml.setdefault(value, []).append(amount)
    cohort = CohortFacts(source.title, source.about, source.truth, source.stages, tuple(cases), source.shown)
    return Measured(replace(cohort, statistics=statistics(cohort)), ml)


def scores(labels: CaseLabels) -> tuple[ScoreFacts, ...]:
    """How each stage fits the truth; nothing where there is no truth."""
    truth = labels.truth
    if truth is None:
        return ()
    return tuple(ScoreFacts(key, labels.known, _figures(found, truth, labels)) for key, found in labels.stages.items())


def _figures(found: LabelArray, truth: LabelArray, labels: CaseLabels) -> Mapping[str, Figures]:
    require_same_shape(found, truth)
    known = (truth != UNKNOWN) & (found != UNKNOWN)
    if labels.known == "whole" and known.all():
        return measure(found, truth, labels.spacing)
    return _overlap(np.where(known, found, 0), np.where(known, truth, 0), labels.spacing)


def _overlap(found: LabelArray, truth: LabelArray, spacing: Spacing) -> dict[str, Figures]:
    """Overlap and volume of the part that is known; a distance to what is not known says nothing."""
    ml = float(np.prod(spacing)) / 1000.0
    figures: dict[str, Figures] = {}
    for value in np.union1d(np.unique(found), np.unique(truth)):
        if value:
            a, b = found == value, truth == value
            pred_ml, true_ml = np.count_nonzero(a) * ml, np.count_nonzero(b) * ml
            figures[str(value)] = {
                "dice": dice(a, b), "iou": iou(a, b), "precision": precision(a, b), "recall": recall(a, b), "volume_ml_pred": pred_ml,
                "volume_ml_truth": true_ml,
            }
    return figures


def _volumes(labels: CaseLabels) -> dict[int, float]:
    latest = next(reversed(list(labels.stages.values())), None)
    if latest is None:
        return {}
    counts = np.bincount(latest.ravel(), minlength=UNKNOWN + 1)
    voxel = float(np.prod(labels.spacing)) / 1000.0
    return {int(value): float(counts[value]) * voxel for value in np.flatnonzero(counts[:UNKNOWN]) if value}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A case to show, and what makes it worth showing."""

    place: str
    source: CaseSource
    facts: CaseFacts


def chosen(source: CohortSource, cohort: CohortFacts) -> list[Chosen]:
    """Best, median and worst by the mean Dice of the last stage; by volume where nothing is measured; every case where a cohort wants it so. Each case once."""
    whole = [(case, facts) for case, facts in zip(source.cases, cohort.cases, strict=True) if case.image is not None and not facts.problem]
    if source.every_picture:
        return [Chosen("", case, facts) for case, facts in whole]
    stage = cohort.last_stage
    if stage:
        ranked = [(score.dice, case, facts) for case, facts in whole if (score := facts.score(stage)) is not None and score.dice is not None]
        words = ("Best", "Median", "Worst")
    else:
        ranked = [(case.ml, case, facts) for case, facts in whole if case.ml or not source.truth]
        words = ("Largest", "Median", "Smallest")
    ranked.sort(key=lambda row: (-(row[0] or 0.0), row[2].id))
    if not ranked:
        return []
    places = dict.fromkeys((0, (len(ranked) - 1) // 2, len(ranked) - 1))
    named = [words[0]] if len(places) == 1 else [words[0], words[2]] if len(places) == 2 else list(words)
    if len(ranked) == 1:
        named = ["The only"]
    return [Chosen(word, ranked[index][1], ranked[index][2]) for word, index in zip(named, places, strict=True)]
