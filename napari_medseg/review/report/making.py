"""A report from a folder: gathered, measured, drawn and written, with progress and a place to stop at every case."""

from __future__ import annotations

import base64
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from napari_medseg.errors import InvalidInputError, MedsegError, MissingFileError
from napari_medseg.io.atomic import replacing
from napari_medseg.project.layout import SUFFIX, Layout
from napari_medseg.review.report import gather_run
from napari_medseg.review.report.blocks import Image
from napari_medseg.review.report.facts import CohortFacts, ReportFacts, Spread, StageFacts
from napari_medseg.review.report.gather_run import Beside, gather_demo
from napari_medseg.review.report.gather_study import gather_study
from napari_medseg.review.report.measuring import Chosen, chosen, measured
from napari_medseg.review.report.page import PARTS, page
from napari_medseg.review.report.pictures import contours
from napari_medseg.review.report.saying import share
from napari_medseg.review.report.sources import CohortSource, Gathering, ReportTick
from napari_medseg.review.report.tables import csv_text, json_text

T = TypeVar("T")
PANELS = 4
"""Stages shown in a picture, beside the bare scan."""
TODO = "Give a study, or a folder that `medseg refine` or `medseg demo` wrote"
_GATHERED, _MEASURED, _DRAWN = 0.2, 0.8, 0.97


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What a report is asked for.

    Attributes
    ----------
    source : Path
        A study, or a folder that `medseg refine` or `medseg demo` wrote.
    out : Path
        The HTML file.
    json_out, csv_out : Path or None
        The same facts for programs and tables.
    names : bool
        Whether scans and annotators go by their names.
    title : str
        What the page is called; "" for the study's own.
    parts : of `page.PARTS`
    beside : Beside
        For a refinement: folders of scans, given and true labels.
    made_at : datetime or None
        What the page says of when it was made; now, when not given.
    """

    source: Path
    out: Path
    json_out: Path | None = None
    csv_out: Path | None = None
    names: bool = False
    title: str = ""
    parts: tuple[str, ...] = PARTS
    beside: Beside = field(default_factory=Beside)
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A report that was written: its facts, files, how many pictures it holds and how many bytes the page has."""

    facts: ReportFacts
    files: tuple[Path, ...]
    pictures: int
    bytes: int


@dataclass(frozen=True, slots=True)
class MakingTick(ReportTick):
    """The last tick holds what was made."""

    made: Made | None = None


def make(request: ReportRequest) -> Iterator[MakingTick]:
    """Make a report.

    Yields
    ------
    MakingTick
        At each case. Stop iterating to cancel: nothing has been written then, as the files are written last.

    Raises
    ------
    MissingFileError, UnreadableFileError, ProjectError
        When the source is not there or is damaged.
    InvalidInputError
        When a part is none, two of the files are one, or the folder holds nothing to report on.
    UnwritableFileError
        When a file cannot be written.
    """
    _require_sense(request)
    with ExitStack() as held:
        found = yield from _part(_gather(request, held), 0.0, _GATHERED)
        facts, cohorts = found.facts, []
        want = {"figures", "pictures"} & set(request.parts)
        for index, source in enumerate(found.cohorts if want else ()):
            span = (_MEASURED - _GATHERED) / len(found.cohorts)
            one = yield from _part(measured(source), _GATHERED + index * span, _GATHERED + (index + 1) * span)
            cohorts.append(one.cohort)
            if not facts.data.volumes_ml and not source.every_picture:
                ml = {value: spread for value in sorted(one.volumes_ml) if (spread := Spread.of(one.volumes_ml[value]))}
                facts = replace(facts, data=replace(facts.data, volumes_ml=ml))
        facts = replace(facts, cohorts=tuple(cohorts))
        pictures: dict[int, list[Image]] = {}
        if "pictures" in request.parts:
            pictures = yield from _part(_draw(facts, found.cohorts), _MEASURED, _DRAWN)
    yield MakingTick(_DRAWN, "Writing the report")
    html = page(facts, pictures, request.parts)
    texts = {request.out: html, request.json_out: json_text(facts), request.csv_out: csv_text(facts)}
    written = tuple(path for path in texts if path is not None)
    for path in written:
        with replacing(path) as temporary:
            temporary.write_text(texts[path], encoding="utf-8", newline="\n")
    made = Made(facts, written, sum(map(len, pictures.values())), len(html.encode("utf-8")))
    yield MakingTick(1.0, "Done", made)


def _require_sense(request: ReportRequest) -> None:
    wrong = sorted(set(request.parts) - set(PARTS))
    if wrong:
        raise InvalidInputError(f"'{wrong[0]}' is no part of a report", where="parts", todo=f"Choose from {', '.join(PARTS)}")
    files = [path for path in (request.out, request.json_out, request.csv_out) if path is not None]
    if len({path.absolute() for path in files}) < len(files):
        raise InvalidInputError("two of the report's files have one name", where=request.out, todo="Give each its own")


def _gather(request: ReportRequest, held: ExitStack) -> Gathering:
    source, made_at = request.source, request.made_at or datetime.now(UTC).replace(microsecond=0)
    if not source.exists():  # as everywhere, the end of a study's name may be left out
        source = source.with_name(source.name + SUFFIX)
    if not source.is_dir():
        raise MissingFileError("there is no such folder", where=request.source, todo=TODO)
    if (source / gather_run.RECORD).is_file():
        return gather_run.gather_run(source, request.beside, made_at, request.names, request.title)
    if (source / gather_run.RESULT).is_file() and (source / "cohort").is_dir():
        return gather_demo(source, made_at, request.names, request.title)
    if not Layout(source).marker.is_file():
        raise InvalidInputError("is neither a study nor what a refinement or the demo wrote", where=source, todo=TODO)
    return gather_study(source, held, made_at, request.names, request.title)


def _draw(facts: ReportFacts, sources: Sequence[CohortSource]) -> Generator[ReportTick, None, dict[int, list[Image]]]:
    """Pictures of the chosen cases, by number of the cohort."""
    wanted = [(index, one) for index, (source, cohort) in enumerate(zip(sources, facts.cohorts, strict=True)) for one in chosen(source, cohort)]
    drawn: dict[int, list[Image]] = {}
    for done, (index, one) in enumerate(wanted):
        yield ReportTick(done / len(wanted), f"Drawing {one.facts.id}")
        picture = None
        with suppress(MedsegError):  # a scan that cannot be read costs its picture only
            picture = _picture(facts, facts.cohorts[index], one)
        if picture is not None:
            drawn.setdefault(index, []).append(picture)
    return drawn


def _picture(facts: ReportFacts, cohort: CohortFacts, one: Chosen) -> Image | None:
    if one.source.image is None:
        return None
    titles = {stage.key: stage.title for stage in _shown(cohort)}
    scores = {key: score.dice for key in titles if (score := one.facts.score(key)) is not None}
    notes = {key: f"Dice {share(dice)}" for key, dice in scores.items()}
    found = contours(one.source.image(), one.source.labels(), titles, facts.classes, notes)
    if found is None:
        return None
    called = f"{one.facts.id} ({one.facts.name})" if one.facts.name and one.facts.name != one.facts.id else one.facts.id
    head = f"{one.place}: {called}" if one.place else called
    told = ", ".join(f"{titles[key]} {share(dice)}" for key, dice in scores.items())
    figures = f"; Dice: {told}" if told else ""
    beside = f", beside {cohort.truth}" if cohort.truth else ""
    alt = f"{head}: {', '.join(['the scan', *titles.values()])} in slice {found.slice} of {found.of}{beside}{figures}"
    caption = f"{head}. Slice {found.slice} of {found.of}, scale {found.bar_mm} mm{figures}."
    source = "data:image/png;base64," + base64.b64encode(found.png).decode("ascii")
    return Image(source, alt, caption, round(found.width / 1.3), round(found.height / 1.3), found.panels)


def _shown(cohort: CohortFacts) -> list[StageFacts]:
    """The stages that a picture has room for: where it began, what came out, and of the others the latest."""
    if len(cohort.stages) <= PANELS:
        return list(cohort.stages)
    first, *others = cohort.stages
    kept = [stage for stage in others if stage.key == cohort.last_stage]
    latest = [stage for stage in others if stage not in kept][-(PANELS - 1 - len(kept)):]
    return [stage for stage in cohort.stages if stage is first or stage in kept or stage in latest]


def _part(work: Generator[ReportTick, None, T], start: float, end: float) -> Generator[MakingTick, None, T]:
    """The ticks of a part as ticks of the whole; gives what the part gives."""
    try:
        while True:
            try:
                tick = next(work)
            except StopIteration as ended:
                answer: T = ended.value
                return answer
            yield MakingTick(start + tick.fraction * (end - start), tick.message)
    finally:
        work.close()
