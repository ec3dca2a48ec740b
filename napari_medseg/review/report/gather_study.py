"""Facts from a study's own store: what is in it, what was verified, what the tools had made of it before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np

from napari_medseg import io
from napari_medseg.project import Case, Project, Version
from napari_medseg.review.kept import kept
from napari_medseg.review.report.annotators import annotators_agree
from napari_medseg.review.report.blinding import FOLDER, blinded_reviews
from napari_medseg.review.report.facts import CaseFacts, ClassFacts, DataFacts, ReportFacts, Spread, StageFacts, VersionFacts
from napari_medseg.review.report.models import models_of, tools_used
from napari_medseg.review.report.naming import People
from napari_medseg.review.report.provenance import packages
from napari_medseg.review.report.runs import run_facts
from napari_medseg.review.report.sources import UNKNOWN, CaseLabels, CaseSource, CohortSource, Gathered, Gathering, ReportTick
from napari_medseg.volume import LabelArray, Volume, axis_map

WEAK, PROPOSAL, LATEST = "weak", "proposal", "latest"
STAGES = (StageFacts(WEAK, "weak label"), StageFacts(PROPOSAL, "network's proposal"))
UNSCORED = (StageFacts(WEAK, "first label"), StageFacts(LATEST, "latest label"))
ABOUT = (
    "Each stage is what tools had made before a person changed or marked it. Where only slices are marked, figures are of those slices together. A verified "
    "label often began as one of these stages, which favours that stage; a blinded choice does not have this fault."
)
_WEAK_KINDS, _BY_HAND = ("weak", "imported"), ("corrected", "verified")


def gather_study(folder: Path, held: ExitStack, made_at: datetime, names: bool = False, title: str = "") -> Gathering:
    """Look at a study; it stays open, read-only, until `held` closes.

    Raises
    ------
    MissingFileError, ProjectError
        As `Project.open`.
    """
    yield ReportTick(0.0, "Opening the study")
    project = held.enter_context(Project.open(folder, readonly=True))
    cases, people = project.cases(), People(names)
    made: dict[str, list[Version]] = {}
    for index, case in enumerate(cases):
        yield ReportTick(0.5 * index / len(cases), f"Reading the history of {case.id}")
        made[case.id] = project.versions(case.id)
    patients: dict[str, str] = {}
    for index, case in enumerate(cases):  # the first time each scan's header is asked whose it is
        yield ReportTick(0.5 + 0.5 * index / len(cases), f"Counting patients: {case.id}")
        patients |= project.patients([case.id])
    versions = tuple(_version(one, people) for case in cases for one in made[case.id])
    agree = yield from annotators_agree(project, made, people)
    sides = project.sides()
    runs = project.runs()
    called = {case.id: case.id for case in cases}
    refined = tuple(
        run_facts(
            f"Run {number}", run.figures, called, created=run.created, recipe=str(run.parameters.get("recipe", "")), cases=len(run.cases),
            model_sha256=run.model,
        )
        for number, run in enumerate((run for run in runs if run.kind == "refine"), 1)
    )
    facts = ReportFacts(
        "study", title or _title(project, names), _lead(cases), _data(project, cases, made, patients, sides), made_at,
        tuple(ClassFacts(c.value, c.name, c.colour) for c in project.classes), runs=refined,
        blinded=blinded_reviews(project.folder / FOLDER, names), agreement=agree,
        kept=kept(runs), versions=versions,
        events=dict(Counter(event.action for event in project.events())),
        models=(*tools_used((one.tool, one.model) for one in versions), *models_of(refined)), packages=packages(), names=names,
    )
    sources = tuple(_source(project, case, made[case.id], sides.get(case.id, ""), names) for case in cases)
    scored = any(one.scored for one in sources)
    cohort = CohortSource("Figures and pictures", ABOUT if scored else "", "the verified labels" if scored else "", STAGES if scored else UNSCORED, sources)
    return Gathered(facts, (cohort,) if sources else ())


def _title(project: Project, names: bool) -> str:
    """The title, unless it is the folder's name, which may be a patient's."""
    own = project.title.strip()
    return own if own and (names or own.casefold() != project.folder.stem.casefold()) else "A study"


def _lead(cases: Sequence[Case]) -> str:
    if not cases:
        return "This study holds no scan yet."
    labelled = sum(case.latest is not None for case in cases)
    verified = sum(case.status == "verified" for case in cases)
    return f"{len(cases)} scan{'s' if len(cases) != 1 else ''}, {labelled} with labels, {verified} verified as a whole."


def _data(project: Project, cases: Sequence[Case], made: dict[str, list[Version]], patients: dict[str, str], sides: dict[str, str] | object) -> DataFacts:
    grids = [axis_map(case.geometry).geometry(case.geometry) for case in cases]
    ml: dict[int, list[float]] = {}
    for case in cases:
        for value, amount in _volumes(case, made[case.id]).items():
            ml.setdefault(value, []).append(amount)
    whole = {case.id for case in cases if case.status == "verified"}
    return DataFacts(
        len(cases), len(set(patients.values())), dict(Counter(case.modality or "not said by the file" for case in cases)),
        dict(Counter(case.status for case in cases)),
        dict(Counter(project.sides().values())), tuple(_spreads([grid.spacing for grid in grids])), tuple(_spreads([grid.shape for grid in grids])),
        {value: spread for value in sorted(ml) if (spread := Spread.of(ml[value]))}, Spread.of([case.seconds for case in cases if case.seconds > 0]),
        len(whole), sum(one.case not in whole for one in project.verified_slices()),
    )


def _spreads(rows: Sequence[tuple[float, ...]]) -> Iterator[Spread]:
    for column in zip(*rows, strict=True):
        spread = Spread.of(column)
        if spread is not None:
            yield spread


def _volumes(case: Case, made: Sequence[Version]) -> dict[int, float]:
    """Ml of each class in the latest labels."""
    voxel = float(np.prod(case.geometry.spacing)) / 1000.0
    return {value: count * voxel for value, count in made[-1].voxels.items()} if made else {}


def _version(one: Version, people: People) -> VersionFacts:
    return VersionFacts(one.case, one.number, one.kind, one.tool, people(one.author), one.created, one.parent, one.model, one.checksum, one.seconds)


def _source(project: Project, case: Case, made: Sequence[Version], side: str, names: bool) -> CaseSource:
    verified = bool(made) and (made[-1].kind == "verified" or bool(project.verified_slices(case.id)))
    facts = CaseFacts(case.id, case.name if names and case.name != case.id else "", case.modality, case.status, side)
    image = partial(_image, project, case.id) if case.is_there else None
    return CaseSource(facts, partial(_labels, project, case, tuple(made), verified), image, sum(_volumes(case, made).values()), verified)


def _image(project: Project, case: str) -> Volume:
    path, series = project.source(case)
    return io.read(path, series=series or None)


def _labels(project: Project, case: Case, made: tuple[Version, ...], verified: bool) -> CaseLabels:
    if not made:
        return CaseLabels(case.geometry.spacing, {})
    if not verified:
        shown = {LATEST: made[-1].number} if len(made) == 1 else {WEAK: made[0].number, LATEST: made[-1].number}
        return CaseLabels(case.geometry.spacing, {key: _map(project, case.id, number) for key, number in shown.items()})
    truth = project.verified_labels(case.id)
    whole = made[-1].kind == "verified"
    places = _whole(case, made) if whole else _slices(project, case, made)
    stages: dict[str, LabelArray] = {}
    for key in (WEAK, PROPOSAL):
        found = _assembled(project, case, [(box, before[key]) for box, before in places])
        if found is not None:
            stages[key] = found
    return CaseLabels(case.geometry.spacing, stages, truth, "whole" if whole else "slices")


@dataclass(frozen=True, slots=True)
class _Before:
    """Which versions by a tool came before the hand."""

    weak: int | None
    proposal: int | None

    def __getitem__(self, key: str) -> int | None:
        return self.weak if key == WEAK else self.proposal

    @classmethod
    def up_to(cls, made: Sequence[Version], last: int | None) -> _Before:
        """Of the versions up to this one; none where no tool made any."""
        fit = [one for one in made if last is not None and one.number <= last]
        weak = next((one.number for one in reversed(fit) if one.kind in _WEAK_KINDS), None)
        return cls(weak, next((one.number for one in reversed(fit) if one.kind == "proposal"), None))


_Place = tuple[tuple[slice, ...], _Before]


def _whole(case: Case, made: Sequence[Version]) -> list[_Place]:
    hand = next(one.number for one in made if one.kind in _BY_HAND)
    return [((slice(None),) * 3, _Before.up_to(made, hand - 1))]


def _slices(project: Project, case: Case, made: Sequence[Version]) -> list[_Place]:
    return [
        (tuple(slice(one.index, one.index + 1) if axis == one.axis else slice(None) for axis in range(3)), _Before.up_to(made, one.before))
        for one in project.verified_slices(case.id)
    ]


def _assembled(project: Project, case: Case, places: Sequence[tuple[tuple[slice, ...], int | None]]) -> LabelArray | None:
    """Boxes of several versions in one map, 255 elsewhere; None when no place has a version."""
    numbers = sorted({number for _, number in places if number is not None})
    if not numbers:
        return None
    found = np.full(case.geometry.shape, UNKNOWN, np.uint8)
    for number in numbers:
        labels = _map(project, case.id, number)
        for box in (box for box, of in places if of == number):
            found[box] = labels[box]
    return found


def _map(project: Project, case: str, number: int) -> LabelArray:
    return np.asarray(project.labels(case, number).array, np.uint8)
