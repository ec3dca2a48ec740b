"""The rounds of the latest run of a study, from what lies on the disk: a study that is opened another day shows them as they were left.

Figures and labels lie in the run's folder, beside what the window noted there; which round is in use is told by the versions of the study's cases. Where the
folder is on another machine the study's own record still has the figures, and a round that was taken can be taken back.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medseg.errors import MedsegError
from napari_medseg.session.making import Making
from napari_medseg.session.network_choices import NetworkChoices
from napari_medseg.session.round_pictures import Change, drawn
from napari_medseg.session.run_notes import RunNotes, read_notes
from napari_medseg.session.study_adopting import RUN, in_force, wanted
from napari_medseg.session.study_refinement import Stored

if TYPE_CHECKING:
    from napari_medseg.project import Project
    from napari_medseg.refine import RoundFigures

log = logging.getLogger(__name__)
RECORD = "rounds.json"
FORMAT = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True, slots=True, eq=False)
class Again:
    """A run that ended, or was cut off, an earlier time.

    Attributes
    ----------
    notes : RunNotes
    ids : cases that are still in the study
    figures : tuple of RoundFigures
    best : int
    model : Path or None
        Where it still lies on this machine.
    labels : by round and case
    in_use : int
        The round whose labels the cases have now; 0 for those of before.
    untouched : cases that have not changed since the run began
    missed : cases that the round in use would change and did not reach
        The program ended while it was taken into them.
    """

    notes: RunNotes
    ids: tuple[str, ...]
    figures: tuple[RoundFigures, ...]
    best: int
    model: Path | None
    labels: Mapping[int, Mapping[str, Stored]]
    in_use: int
    untouched: frozenset[str]
    missed: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Redrawn:
    """The pictures of a round, drawn again."""

    round: int
    changes: tuple[Change, ...]
    fraction: float | None = None
    message: str = ""


def latest_run(project: Project, folder: Path) -> Again | None:
    """The latest refinement of a study, of which a round is done; None when there is none. On the study's thread.

    Parameters
    ----------
    folder : Path
        Where the runs of this study lie.
    """
    here = _in_folder(folder)
    recorded = _in_study(project)
    if here is not None and (recorded is None or here[1].began >= recorded[0].began):
        out, notes, record = here
        return _again(project, notes, record, out)
    return _again(project, *recorded, None) if recorded is not None else None


def pictures(project: Project, again: Again) -> Iterator[Redrawn]:
    """The slices that each round changed most, drawn again from the scans, the best round first; beside the window."""
    from napari_medseg import io

    for number in sorted(again.labels, key=lambda each: (each != again.best, -each)):
        changes = []
        for where in again.notes.changes.get(number, ()):
            with suppress(MedsegError, IndexError):  # a scan that is elsewhere now has no picture
                path, series = project.source(where.case)
                before = project.labels(where.case, again.notes.versions[where.case]).array
                changes.append(drawn(where, io.read(path, series=series or None), before, again.labels[number][where.case].labels))
        yield Redrawn(number, tuple(changes))


def _in_folder(folder: Path) -> tuple[Path, RunNotes, dict[str, Any]] | None:
    """The run that began last, of those in the folder that have a finished round."""
    found = []
    for out in (p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else ():
        notes, record = read_notes(out), _read(out / RECORD)
        rounds = record.get("rounds")
        if notes is not None and isinstance(rounds, list) and len(rounds) > 1:
            found.append((out, notes, record))
    return max(found, key=lambda each: each[1].began, default=None)


def _in_study(project: Project) -> tuple[RunNotes, dict[str, Any]] | None:
    """The run that the study itself remembers last."""
    runs = [run for run in project.runs() if run.kind == "refine" and run.parameters.get(RUN) and len(run.figures.get("rounds", ())) > 1]
    if not runs:
        return None
    last = max(runs, key=lambda run: str(run.parameters[RUN]))
    facts = last.parameters
    network = NetworkChoices.read(facts.get("network"))
    notes = RunNotes(str(facts[RUN]), str(facts.get("recipe", "")), int(facts.get("rounds", 1)), dict.fromkeys(last.cases, 0), network=network)
    return notes, dict(last.figures)


def _again(project: Project, notes: RunNotes, record: Mapping[str, Any], out: Path | None) -> Again | None:
    from napari_medseg.refine import RoundFigures

    try:
        figures = tuple(RoundFigures(**each) for each in record["rounds"])
        best = int(record["best_round"])
        datetime.strptime(notes.began, FORMAT)
    except (KeyError, TypeError, ValueError) as error:
        log.info("the rounds of an earlier run cannot be shown: %s", error)
        return None
    cases = {case.id: case for case in project.cases() if case.id in notes.versions}
    labels: dict[int, dict[str, Stored]] = {}
    for number in (each.round for each in figures if each.round and out is not None):
        files = {case.id: (out or Path()) / f"round{number}" / f"{case.id}.nii.gz" for case in cases.values()}
        made = Making("refine", "proposal", {"recipe": notes.recipe, "rounds": notes.rounds, "round": number, RUN: notes.began})
        labels[number] = {
            case: Stored(path, cases[case].geometry, f"proposal round {number}", made) for case, path in files.items() if path.is_file()
        }
    model = Path(str(record.get("model"))) if out is not None and record.get("model") else None
    used = _in_use(project, list(cases), notes.began)
    untouched = frozenset(case.id for case in cases.values() if case.latest == notes.versions[case.id] and not case.has_unsaved)
    missed = frozenset(case for case in untouched & labels.get(used, {}).keys() if _would_change(project, case, labels[used][case]))
    return Again(notes, tuple(cases), figures, best, model if model is not None and model.exists() else None, labels, used, untouched, missed)


def _in_use(project: Project, ids: Sequence[str], began: str) -> int:
    """The round that was taken into all cases last, and not taken back."""
    taken = [version for case in ids for version in in_force(project.versions(case), began) if version.parameters.get("adopted")]
    last = max(taken, key=lambda version: version.created, default=None)
    return int(last.parameters.get("round", 0)) if last is not None else 0


def _would_change(project: Project, case: str, proposal: Stored) -> bool:
    """Whether a round would change a case; one whose labels are lost changes nothing."""
    try:
        return wanted(project, case, proposal) is not None
    except MedsegError as error:
        log.info("%s: %s", case, error)
        return False


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
