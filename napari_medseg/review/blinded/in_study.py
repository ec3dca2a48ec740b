"""A blinded review of a study's versions, in the study's own records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from napari_medseg.project import Project, Review
from napari_medseg.review.blinded.answers import Answers
from napari_medseg.review.blinded.plan import Plan
from napari_medseg.review.blinded.summary import Summary

RUN = "blinded"
_SAID = {"a": "preferred", "tie": "tie", "b": "not preferred"}


def verdicts(plan: Plan, answers: Answers) -> Iterator[Review]:
    """What a rater said, as the study records it: of the first set's version, beside the second's. Notes stay in the rater's file."""
    now = datetime.now(UTC)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    for question in plan.questions:
        answer, case = answers.by_question.get(question.number), plan.case(question.case)
        if answer is None:
            continue
        details: dict[str, Any] = {
            "plan": plan.sha256, "question": question.number, "view": question.view, "slice": question.slice, "left": question.left,
            "repeats": question.repeats, "unusable": answer.unusable,
        }
        yield Review(case.case, int(case.a), int(case.b), answers.rater, now, _SAID[question.chosen(answer.choice)], answer.seconds, details)


def record(project: Project, plan: Plan, answers: Answers, summary: Summary) -> bool:
    """Record a rater's verdicts and what the review amounts to by now; False when they were recorded before.

    Raises
    ------
    ProjectError, UnwritableFileError
        When a version is not there or nothing can be written.
    """
    if not project.record_reviews(plan.sha256, answers.rater, verdicts(plan, answers)):
        return False
    without_notes = replace(summary, per_question=tuple(replace(one, notes={}) for one in summary.per_question))
    parameters = {"plan": plan.sha256, "a": plan.a.title, "b": plan.b.title, "rater": answers.rater, "seed": plan.seed, **plan.options}
    project.record_run(RUN, parameters=parameters, figures=without_notes.as_dict(), cases=[case.case for case in plan.cases])
    return True
