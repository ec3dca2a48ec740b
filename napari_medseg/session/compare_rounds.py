"""The rounds of the open study's latest refinement as models to compare, and what of each case a comparison must not count.

What a person had painted or taught before a run began stands in its rounds as that person left it, so it says nothing of how good a round is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.errors import InvalidInputError
from napari_medseg.io.formats import stem_of
from napari_medseg.session.rounds_again import FORMAT, latest_run
from napari_medseg.session.study_refinement import Stored, by_hand
from napari_medseg.volume import BoolArray, Volume

if TYPE_CHECKING:
    from napari_medseg.project import Project

Read = Callable[[], Volume]
GIVEN = "labels given"
BY_TOOL = ("weak", "proposal", "imported")


@dataclass(frozen=True, slots=True, eq=False)
class RoundModel:
    """One round, or the labels that the refinement was given.

    Attributes
    ----------
    title : str
        "labels given" or "round 2".
    study : Path
        Whose it is.
    labels : what reads them, by name of the case
    settled : what tells the voxels that a person had settled before the run began, by name of the case; in the file's voxel order, None for none
    """

    title: str
    study: Path
    labels: Mapping[str, Read]
    settled: Mapping[str, Callable[[], BoolArray | None]]


def rounds_of(project: Project, folder: Path) -> tuple[RoundModel, ...]:
    """The labels given and every round of a study's latest refinement, the earlier first. On the study's thread.

    Parameters
    ----------
    folder : Path
        Where the runs of this study lie.

    Raises
    ------
    InvalidInputError
        When no refinement's labels are on this machine.
    """
    again = latest_run(project, folder)
    if again is None or not any(again.labels.values()):
        what, todo = "no round of a refinement of this study is on this machine", "Refine the study, or add folders of label maps"
        raise InvalidInputError(what, where="Compare", todo=todo)
    names = {case.id: stem_of(case.name) for case in project.cases()}
    began = datetime.strptime(again.notes.began, FORMAT).astimezone(UTC)
    versions = {case: again.notes.versions[case] for case in again.ids}
    settled = {names[case]: partial(settled_then, project, case, number, began) for case, number in versions.items()}
    given: dict[str, Read] = {names[case]: partial(project.labels, case, made) for case, number in versions.items() if (made := _given(project, case, number))}
    models: list[tuple[str, dict[str, Read]]] = [(GIVEN, given)]
    for number in sorted(again.labels):
        models.append((f"round {number}", {names[case]: partial(_read, stored) for case, stored in again.labels[number].items()}))
    return tuple(RoundModel(title, project.folder, labels, settled) for title, labels in models)


def settled_then(project: Project, case: str, number: int, began: datetime) -> BoolArray | None:
    """Voxels that a person had painted, or had verified for teaching, when a run began; None for none.

    Parameters
    ----------
    number : int
        The version that the run began with.
    began : datetime
        UTC.
    """
    version, teaches = project.version(case, number), project.sides().get(case) == "teach"
    shape = project.labels(case, number).geometry.shape
    if version.kind == "verified":
        return np.ones(shape, bool) if teaches else None
    found = by_hand(project, case, number)
    found = np.zeros(shape, bool) if found is None else found.copy()
    for one in project.verified_slices(case) if teaches else ():
        if one.created <= began:
            found[tuple(slice(one.index, one.index + 1) if axis == one.axis else slice(None) for axis in range(3))] = True
    return found if found.any() else None


def _given(project: Project, case: str, number: int) -> int:
    """The version whose labels a run was given; what tools had made before where a person had verified the whole, 0 for nothing."""
    made = [version for version in project.versions(case) if version.number <= number]
    if made and made[-1].kind != "verified":
        return number
    return next((version.number for version in reversed(made) if version.kind in BY_TOOL), 0)


def _read(stored: Stored) -> Volume:
    return Volume(stored.labels, stored.geometry)
