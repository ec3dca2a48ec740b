"""The blinded reviews of a study, as facts without names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_medseg.errors import MedsegError
from napari_medseg.review.blinded import Summary, summaries
from napari_medseg.review.blinded.summary import Agreement
from napari_medseg.review.report.facts import BlindedFacts
from napari_medseg.review.report.naming import People

FOLDER = "reviews"
"""Within a study."""


def blinded_reviews(folder: Path, names: bool) -> tuple[BlindedFacts, ...]:
    """Every review that somebody has answered something of; none where the folder holds none, or files in it that cannot be believed."""
    try:
        found = summaries(folder) if folder.is_dir() else []
    except MedsegError:
        return ()
    return tuple(_facts(one, names) for one in found if one.together.of_all.of)


def _facts(one: Summary, names: bool) -> BlindedFacts:
    people = People(names)
    agreement = one.all_raters if one.all_raters is not None else next(iter(one.pairs), None)
    return BlindedFacts(
        one.a, one.b, one.kind, one.questions, one.cases, len(one.raters), one.is_complete, one.seed, one.together, one.by_case, one.sides.share,
        None if agreement is None else _without_raters(agreement, people), {people(rater.rater): rater.preference for rater in one.raters}, len(one.unusable),
        len(one.disliked_a),
    )


def _without_raters(agreement: Agreement, people: People) -> Agreement:
    return replace(agreement, raters=tuple(people(rater) for rater in agreement.raters))
