"""Refinement of a whole study: every labelled case takes part, open or not, and each round's labels wait beside the accepted ones until a person looks."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medseg.errors import NoLabelsError, NoRoomError
from napari_medseg.session.making import Making
from napari_medseg.volume import BoolArray, LabelArray, Volume

if TYPE_CHECKING:
    from napari_medseg.project import Project
    from napari_medseg.refine import Case, RefineRequest, RefineRun, Tick
    from napari_medseg.session.session import Session

UNKNOWN = 255
BY_HAND = "by_hand"
"""Name of the array that a version keeps of what a person painted, 1 there."""
BYTES = 5
"""A voxel of a case in memory: its value as float32 at most, and its label."""
SHARE = 0.4
"""Of the free memory that the cases of one refinement may take."""


@dataclass(frozen=True, slots=True)
class Learner:
    """A row of what a refinement learns from.

    Attributes
    ----------
    key : str or int
        Case id, or `id` of a scan that is in no study.
    name : str
    ml : float
    """

    key: str | int
    name: str
    ml: float


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A round's labels of a case that is not open; compressed, as there may be hundreds."""

    packed: bytes
    shape: tuple[int, ...]
    title: str
    made: Making

    @classmethod
    def of(cls, labels: LabelArray, title: str, made: Making) -> Waiting:
        """Pack labels in the file's voxel order."""
        return cls(zlib.compress(np.ascontiguousarray(labels, np.uint8).tobytes(), 1), labels.shape, title, made)

    @property
    def labels(self) -> LabelArray:
        """Unpacked, in the file's voxel order."""
        return np.frombuffer(zlib.decompress(self.packed), np.uint8).reshape(self.shape)


def learners(session: Session) -> list[Learner]:
    """What can take part: every labelled case of the open study, else every open scan with labels."""
    study = session.study
    if not study.is_open:
        return [Learner(id(scan), scan.name, sum(scan.ml(c.value) for c in session.classes)) for scan in session.scans if scan.has_labels]
    rows = []
    for case in study.cases:
        scan = study.scan if case.id == study.current else None
        if scan is not None and scan.has_labels:
            rows.append(Learner(case.id, case.name, sum(scan.ml(c.value) for c in session.classes)))
        elif case.latest is not None and case.is_there:
            rows.append(Learner(case.id, case.name, study.amounts[case.id].ml if case.id in study.amounts else 0.0))
    return rows


def chosen(session: Session) -> list[str]:
    """Ids of the cases that take part.

    Raises
    ------
    NoLabelsError
        When there is none.
    NoRoomError
        When they do not fit in the memory together.
    """
    import psutil

    ids = [str(row.key) for row in learners(session) if row.key not in session.refine.left_out]
    if not ids:
        raise NoLabelsError("no case of the study takes part", where="Refine", todo="Make a weak label and accept it, or tick a case")
    need = sum(BYTES * int(np.prod(case.geometry.shape)) for case in session.study.cases if case.id in ids)
    free = psutil.virtual_memory().available
    if need > SHARE * free:
        what = f"{len(ids)} cases need about {need / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free"
        raise NoRoomError(what, where="Refine", todo="Untick some cases, or run `medseg project export --images` and `medseg refine` on a larger machine")
    return ids


def ticks(
    request: Callable[[tuple[Case, ...], Mapping[str, Volume]], RefineRequest], project: Project, ids: Sequence[str], runs: list[RefineRun],
) -> Iterator[Tick]:
    """Read the cases, then train; called beside the window. The run is put into `runs`, to be stopped there."""
    from napari_medseg.refine import RefineRun

    cases, corrected = gathered(project, ids)
    run = RefineRun(request(cases, corrected))
    runs.append(run)
    yield from run


def gathered(project: Project, ids: Sequence[str]) -> tuple[tuple[Case, ...], dict[str, Volume]]:
    """Scans with their latest labels, and what a person corrected in them."""
    from napari_medseg import io
    from napari_medseg.refine import Case

    cases, corrected = [], {}
    for case_id in ids:
        path, series = project.source(case_id)
        labels = project.labels(case_id)
        image = io.read(path, series=series or None)
        image = image if image.array.ndim == 3 else image.like(image.channel(0))
        cases.append(Case(case_id, replace(image, name=case_id), labels))
        mended = corrections(project, case_id, np.asarray(labels.array, np.uint8))
        if mended is not None:
            corrected[case_id] = labels.like(mended)
    return tuple(cases), corrected


def corrections(project: Project, case_id: str, now: LabelArray) -> LabelArray | None:
    """What a person corrected, 255 elsewhere; all of it once it is verified. None for nothing."""
    if project.version(case_id).kind == "verified":
        return now
    painted = by_hand(project, case_id)
    return np.where(painted, now, np.uint8(UNKNOWN)) if painted is not None and painted.any() else None


def by_hand(project: Project, case_id: str) -> BoolArray | None:
    """Where a person painted on the latest version, in the file's voxel order; None for nowhere.

    Versions of before this was kept tell it by what changed since a tool last wrote.
    """
    versions = project.versions(case_id)
    if not versions:
        return None
    kept = project.arrays(case_id, versions[-1].number).get(BY_HAND)
    if kept is not None:
        return np.asarray(kept > 0)
    if versions[-1].kind != "corrected":
        return None
    now = np.asarray(project.labels(case_id, versions[-1].number).array)
    by_tool = [version for version in versions if version.kind in ("weak", "proposal", "imported")]
    if not by_tool:
        return np.ones(now.shape, bool)
    return np.asarray(np.asarray(project.labels(case_id, by_tool[-1].number).array) != now)


def settled(project: Project, case_id: str) -> BoolArray | None:
    """Voxels of a case's latest version that no proposal may change, in the file's voxel order; None for none."""
    return by_hand(project, case_id)


def figures_of(result: Any) -> dict[str, Any]:
    """A run's figures as the project keeps them: without paths of this machine."""
    return {key: value for key, value in result.as_dict().items() if key != "model"}
