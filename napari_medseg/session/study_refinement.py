"""Refinement of a whole study: every labelled case takes part, open or not, and each round's labels wait beside the accepted ones until a person looks."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medseg.errors import NoLabelsError, NoRoomError
from napari_medseg.session.cases import STATUSES
from napari_medseg.session.making import Making
from napari_medseg.volume import BoolArray, Geometry, LabelArray, Volume

if TYPE_CHECKING:
    from napari_medseg.annotation import Side
    from napari_medseg.project import Project
    from napari_medseg.project.records import Status
    from napari_medseg.refine import Case
    from napari_medseg.session.session import Session
    from napari_medseg.session.settings import RefineChoices

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
    status : str
        How far its labels are.
    """

    key: str | int
    name: str
    ml: float
    status: Status = "weak"


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


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A round's labels in the folder of its run; read when they are wanted, beside the window."""

    path: Path
    geometry: Geometry
    title: str
    made: Making

    @property
    def labels(self) -> LabelArray:
        """In the file's voxel order.

        Raises
        ------
        MissingFileError, UnreadableFileError, InvalidInputError, GridMismatchError
            When the file is not there any more, or is not what was written.
        """
        from napari_medseg.io import read_labels

        return np.asarray(read_labels(self.path, like=self.geometry).channel(), np.uint8)


Proposal = Waiting | Stored


def learners(session: Session) -> list[Learner]:
    """What can take part: every labelled case of the open study, else every open scan with labels."""
    study = session.study
    if not study.is_open:
        return [
            Learner(id(scan), scan.name, sum(scan.ml(c.value) for c in session.classes), "weak" if scan.by_hand is None else "corrected")
            for scan in session.scans if scan.has_labels
        ]
    rows = []
    for case in study.cases:
        scan = study.scan if case.id == study.current else None
        if scan is not None and scan.has_labels:
            rows.append(Learner(case.id, case.name, sum(scan.ml(c.value) for c in session.classes), "weak" if case.status == "new" else case.status))
        elif case.latest is not None and case.is_there:
            rows.append(Learner(case.id, case.name, study.amounts[case.id].ml if case.id in study.amounts else 0.0, case.status))
    return rows


def counted(rows: Sequence[Learner]) -> str:
    """How many cases there are, and how far they are."""
    found: Counter[str] = Counter(row.status for row in rows)
    parts = ", ".join(f"{found[status]} {status}" for status in STATUSES if found[status])
    return f"{len(rows)} labelled case{'s' if len(rows) != 1 else ''}: {parts}" if rows else ""


@dataclass(frozen=True, slots=True, eq=False)
class Checks:
    """What was verified, and whom it belongs to.

    Attributes
    ----------
    verified : label maps by case, 255 wherever nobody said that it is right
    patients : key of the patient by case
    sides : "teach" or "check" by case
    """

    verified: Mapping[str, Volume]
    patients: Mapping[str, str]
    sides: Mapping[str, Side]


def checks(project: Project, ids: Sequence[str]) -> Checks:
    """What a person verified in these cases; called beside the window."""
    verified = {}
    for case_id in ids:
        labels = project.verified_labels(case_id)
        if labels is not None:
            verified[case_id] = project.labels(case_id).like(labels)
            project.side(case_id)
    return Checks(verified, project.patients(ids), {case: side for case, side in project.sides().items() if case in verified})


def chosen(session: Session, choices: RefineChoices) -> list[str]:
    """Ids of the cases that take part.

    Raises
    ------
    NoLabelsError
        When there is none.
    NoRoomError
        When they do not fit in the memory together.
    """
    import psutil

    ids = [str(row.key) for row in learners(session) if row.key not in choices.left_out]
    if not ids:
        raise NoLabelsError("no case of the study takes part", where="Refine", todo="Make a weak label and accept it, or tick a case")
    need = sum(BYTES * int(np.prod(case.geometry.shape)) for case in session.study.cases if case.id in ids)
    free = psutil.virtual_memory().available
    if need > SHARE * free:
        what = f"{len(ids)} cases need about {need / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free"
        raise NoRoomError(what, where="Refine", todo="Untick some cases, or run `medseg project export --images` and `medseg refine` on a larger machine")
    return ids


def gathered(project: Project, ids: Sequence[str], known: Checks) -> tuple[tuple[Case, ...], dict[str, Volume]]:
    """Scans with their latest labels, and what a person corrected in them; called beside the window.

    Where a slice only checks, its labels are what tools made of it before a person's hand: what a round is judged by must not be what it learns from.
    """
    from napari_medseg import io
    from napari_medseg.refine import Case

    cases, corrected = [], {}
    for case_id in ids:
        path, series = project.source(case_id)
        labels = project.labels(case_id)
        image = io.read(path, series=series or None)
        image = image if image.array.ndim == 3 else image.like(image.channel(0))
        now = np.asarray(labels.array, np.uint8)
        mended, right = corrections(project, case_id, now), known.verified.get(case_id)
        if right is not None and known.sides.get(case_id) != "teach":
            checking, before = right.array != UNKNOWN, project.labels_before(case_id)
            now = np.where(checking, np.uint8(UNKNOWN) if before is None else before, now)
            mended = None if mended is None else np.where(checking, np.uint8(UNKNOWN), mended)
        cases.append(Case(case_id, replace(image, name=case_id), labels.like(now)))
        if mended is not None and (mended != UNKNOWN).any():
            corrected[case_id] = labels.like(mended)
    return tuple(cases), corrected


def corrections(project: Project, case_id: str, now: LabelArray) -> LabelArray | None:
    """What a person corrected, 255 elsewhere; None for nothing. What is verified is told by `checks`."""
    if project.version(case_id).kind == "verified":
        return None
    painted = by_hand(project, case_id)
    return np.where(painted, now, np.uint8(UNKNOWN)) if painted is not None and painted.any() else None


def by_hand(project: Project, case_id: str, number: int | None = None) -> BoolArray | None:
    """Where a person had painted on a version, the latest if none is named, in the file's voxel order; None for nowhere.

    Versions of before this was kept tell it by what changed since a tool last wrote.
    """
    versions = [version for version in project.versions(case_id) if number is None or version.number <= number]
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
    """Voxels of a case's latest version that no proposal may change, painted or verified, in the file's voxel order; None for none."""
    painted, verified = by_hand(project, case_id), project.verified_labels(case_id)
    if verified is None:
        return painted
    right = np.asarray(verified != UNKNOWN)
    return right if painted is None else np.asarray(painted | right)


def figures_of(result: Any) -> dict[str, Any]:
    """A run's figures as the project keeps them: without paths of this machine."""
    return {key: value for key, value in result.as_dict().items() if key != "model"}
