"""Rows of the database and what they mean; every stored fact is looked at before it is believed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from sqlalchemy import Connection, CursorResult, Row, func, insert, select

from napari_medseg.annotation import SIDES, LabelClass, Side, classes_from_dicts, classes_to_dicts
from napari_medseg.errors import InvalidInputError, ProjectDamagedError
from napari_medseg.project import schema
from napari_medseg.project.database import REPAIR
from napari_medseg.project.layout import case_id, case_key
from napari_medseg.project.records import KINDS, Event, Review, Run, Version
from napari_medseg.volume import Geometry

t = schema
VERDICTS = ("preferred", "tie", "not preferred")


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case as the database knows it, and its latest version."""

    id: str
    added: datetime
    modality: str
    geometry: Geometry
    fingerprint: str
    seconds: float
    versions: int
    latest: int | None
    kind: str | None
    author: str


def setting(connection: Connection, name: str, otherwise: Any = None) -> Any:
    """A stored setting."""
    found = connection.execute(select(t.settings.c.value).where(t.settings.c.name == name)).first()
    return otherwise if found is None else found[0]


def set_setting(connection: Connection, name: str, value: Any) -> None:
    """Store a setting."""
    done = connection.execute(t.settings.update().where(t.settings.c.name == name).values(value=value))
    if not done.rowcount:
        connection.execute(insert(t.settings).values(name=name, value=value))


def classes(connection: Connection) -> tuple[LabelClass, ...]:
    """The study's label schema."""
    try:
        return classes_from_dicts(setting(connection, "classes", []))
    except InvalidInputError as error:
        raise _odd("its classes") from error


def log(connection: Connection, author: str, action: str, case: str = "", number: int | None = None, **details: Any) -> None:
    """Add a line to the audit log."""
    key = case_key(case) if case else None
    connection.execute(insert(t.events).values(created=None, author=author, action=action, case_id=key, number=number, details=plain(details)))


def cases(connection: Connection, case: str | None = None) -> list[CaseRow]:
    """Cases by id, or one of them."""
    of = t.versions.c
    made = select(of.case_id, func.count().label("n"), func.max(of.number).label("latest"), func.sum(of.seconds).label("worked"))
    count = made.group_by(of.case_id).subquery()
    newest = (t.versions.c.case_id == t.cases.c.id) & (t.versions.c.number == count.c.latest)
    asked = select(t.cases, count.c.n, count.c.latest, count.c.worked, t.versions.c.kind, t.versions.c.author)
    asked = asked.select_from(t.cases.outerjoin(count, count.c.case_id == t.cases.c.id).outerjoin(t.versions, newest)).order_by(t.cases.c.id)
    if case is not None:
        asked = asked.where(t.cases.c.id == case_key(case))
    return [_case(row) for row in connection.execute(asked)]


def add_case(connection: Connection, modality: str, geometry: Geometry, fingerprint: str, key: int | None = None) -> str:
    """A new case; its id."""
    number = key or (connection.execute(select(func.max(t.cases.c.id))).scalar() or 0) + 1
    connection.execute(insert(t.cases).values(id=number, added=None, modality=modality, grid=grid_facts(geometry), fingerprint=fingerprint, seconds=0.0))
    return case_id(number)


def versions(connection: Connection, case: str, number: int | None = None) -> list[Version]:
    """Versions of a case by number, or one of them."""
    asked = select(t.versions).where(t.versions.c.case_id == case_key(case)).order_by(t.versions.c.number)
    if number is not None:
        asked = asked.where(t.versions.c.number == number)
    return [_version(row) for row in connection.execute(asked)]


def used_values(connection: Connection) -> set[int]:
    """Class values that some version holds."""
    return {int(value) for (voxels,) in connection.execute(select(t.versions.c.voxels)) for value in voxels}


def add_version(connection: Connection, version: Version) -> None:
    """Record a version whose labels are on the disk."""
    facts = version_facts(version)
    connection.execute(insert(t.versions).values({**facts, "case_id": case_key(version.case), "created": version.created}))


def version_facts(version: Version) -> dict[str, Any]:
    """What is recorded of a version, as plain JSON, without the case."""
    facts = {name: getattr(version, name) for name in ("number", "kind", "name", "author", "tool", "parameters", "prompts", "parent", "model", "seconds")}
    return {
        **facts, "created": version.created.isoformat(timespec="milliseconds"), "classes": classes_to_dicts(version.classes),
        "voxels": {str(k): v for k, v in version.voxels.items()}, "dtype": version.dtype, "checksum": version.checksum,
    }


def version_from_facts(case: str, facts: Mapping[str, Any]) -> Version:
    """The version that `version_facts` described.

    Raises
    ------
    ProjectDamagedError
        When a fact is none.
    """
    try:
        seconds, created = float(facts["seconds"]), facts["created"]
        version = Version(
            case, facts["number"], facts["kind"], facts["name"], facts["author"], created if isinstance(created, datetime) else datetime.fromisoformat(created),
            facts["tool"], facts["parameters"], facts["prompts"], facts["parent"], facts["model"], seconds, classes_from_dicts(facts["classes"]),
            {int(value): int(n) for value, n in facts["voxels"].items()}, facts["checksum"], facts["dtype"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _odd(case) from error
    texts = (version.name, version.author, version.tool, version.model, version.checksum)
    whole = (
        type(version.number) is int and version.number > 0 and version.kind in KINDS and version.dtype in ("uint8", "uint16") and math.isfinite(seconds)
        and all(isinstance(text, str) for text in texts) and isinstance(version.parameters, dict) and isinstance(version.prompts, dict)
        and (version.parent is None or (type(version.parent) is int and 0 < version.parent < version.number))
    )
    if not whole:
        raise _odd(case)
    return version


@dataclass(frozen=True, slots=True)
class Mark:
    """A slice that somebody marked as right, as the database knows it."""

    case: str
    number: int
    axis: int
    index: int
    author: str
    created: datetime


def marks(connection: Connection, case: str | None = None) -> list[Mark]:
    """The marks that stand, by case, axis and index."""
    asked = select(t.slice_marks, t.cases.c.grid).join(t.cases, t.cases.c.id == t.slice_marks.c.case_id).order_by(t.slice_marks.c.id)
    if case is not None:
        asked = asked.where(t.slice_marks.c.case_id == case_key(case))
    last: dict[tuple[int, int, int], Row[Any]] = {(row.case_id, row.axis, row.at): row for row in connection.execute(asked)}
    return [_mark(row) for _, row in sorted(last.items()) if row.stands]


def add_mark(connection: Connection, author: str, case: str, number: int, axis: int, index: int, *, stands: bool) -> None:
    """Record that a slice was marked as right, or that it is not any more."""
    values = {"case_id": case_key(case), "number": number, "axis": axis, "at": index, "stands": int(stands), "author": author, "created": None}
    connection.execute(insert(t.slice_marks).values(values))


def sides(connection: Connection) -> dict[str, tuple[str, Side]]:
    """Patient and side by case, in the order they were given."""
    found = list(connection.execute(select(t.sides).order_by(t.sides.c.created, t.sides.c.case_id)))
    for row in found:
        if row.side not in SIDES or not isinstance(row.patient, str):
            raise _odd(case_id(row.case_id))
    return {case_id(row.case_id): (row.patient, row.side) for row in found}


def add_side(connection: Connection, author: str, case: str, patient: str, side: Side) -> None:
    """Record the side of a case's patient, once and for all."""
    connection.execute(insert(t.sides).values(case_id=case_key(case), patient=patient, side=side, author=author, created=None))


def events(connection: Connection, case: str | None = None) -> list[Event]:
    """The audit log, oldest first."""
    asked = select(t.events).order_by(t.events.c.id)
    if case is not None:
        asked = asked.where(t.events.c.case_id == case_key(case))
    return [
        Event(row.id, row.created, row.author, row.action, "" if row.case_id is None else case_id(row.case_id), row.number, dict(row.details))
        for row in connection.execute(asked)
    ]


def add_run(connection: Connection, author: str, kind: str, parameters: Any, figures: Any, model: str, cases: Iterable[str]) -> int:
    """Record a run; its id."""
    done = connection.execute(insert(t.runs).values(
        kind=kind, author=author, created=None, parameters=plain(parameters), figures=plain(figures), model=model,
    ))
    run = _made(done)
    for case in dict.fromkeys(cases):
        connection.execute(insert(t.run_cases).values(run_id=run, case_id=case_key(case)))
    return run


def runs(connection: Connection) -> list[Run]:
    """Runs, oldest first."""
    of: dict[int, list[str]] = {}
    for run, key in connection.execute(select(t.run_cases).order_by(t.run_cases.c.run_id, t.run_cases.c.case_id)):
        of.setdefault(run, []).append(case_id(key))
    return [
        Run(row.id, row.kind, row.author, row.created, dict(row.parameters), dict(row.figures), row.model, tuple(of.get(row.id, ())))
        for row in connection.execute(select(t.runs).order_by(t.runs.c.id))
    ]


def add_review(connection: Connection, review: Review) -> None:
    """Record what a person said of a version."""
    connection.execute(insert(t.reviews).values(
        case_id=case_key(review.case), number=review.number, author=review.author, created=review.created, verdict=review.verdict, seconds=review.seconds,
        details=plain({**review.details, "against": review.against}),
    ))


def reviews(connection: Connection, case: str | None = None) -> list[Review]:
    """What was said of versions, oldest first."""
    asked = select(t.reviews).order_by(t.reviews.c.id)
    if case is not None:
        asked = asked.where(t.reviews.c.case_id == case_key(case))
    return [_review(row) for row in connection.execute(asked)]


def grid_facts(geometry: Geometry) -> dict[str, Any]:
    """A grid as plain JSON."""
    return {"shape": list(geometry.shape), "spacing": list(geometry.spacing), "origin": list(geometry.origin), "direction": list(geometry.direction)}


def grid_from_facts(facts: Any) -> Geometry:
    """The grid that `grid_facts` described.

    Raises
    ------
    ProjectDamagedError
        When it is none.
    """
    try:
        shape = tuple(facts["shape"])
        spacing, origin, direction = (tuple(float(v) for v in facts[key]) for key in ("spacing", "origin", "direction"))
        if not all(type(n) is int for n in shape):
            raise _odd("grid")
        return Geometry(shape, spacing, origin, direction)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError) as error:
        raise _odd("grid") from error


def plain(value: Any) -> Any:
    """A value as JSON knows it. Of a path its suffix is kept, since folders and files are often named after patients; what is no number becomes null.

    Raises
    ------
    InvalidInputError
        When it is something that JSON cannot hold.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, PurePath) or (isinstance(value, str) and _is_path(value)):
        return f"*{''.join(PurePath(value).suffixes[-2:])}"
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return json.loads(json.dumps(value))
    raise InvalidInputError(f"a {type(value).__name__} cannot be recorded", where="parameters", todo="Give numbers, texts, lists and dictionaries")


def _is_path(text: str) -> bool:
    return "\n" not in text and (PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute())


def _made(done: CursorResult[Any]) -> int:
    key = done.inserted_primary_key
    if key is None:
        raise _odd("a new row")
    return int(key[0])


def _case(row: Row[Any]) -> CaseRow:
    worked = max(float(row.seconds), float(row.worked or 0))
    case = case_id(row.id)
    kind = row.kind
    if not isinstance(row.modality, str) or (kind is not None and kind not in KINDS):
        raise _odd(case)
    return CaseRow(case, row.added, row.modality, grid_from_facts(row.grid), str(row.fingerprint), worked, row.n or 0, row.latest, kind, row.author or "")


def _version(row: Row[Any]) -> Version:
    facts = dict(row._mapping)
    return version_from_facts(case_id(facts.pop("case_id")), facts)


def _mark(row: Row[Any]) -> Mark:
    case = case_id(row.case_id)
    whole = all(type(n) is int for n in (row.number, row.axis, row.at)) and isinstance(row.author, str)
    if not whole or not 0 <= row.axis <= 2 or not 0 <= row.at < grid_from_facts(row.grid).shape[row.axis]:
        raise _odd(case)
    return Mark(case, row.number, row.axis, row.at, row.author, row.created)


def _review(row: Row[Any]) -> Review:
    case, details = case_id(row.case_id), dict(row.details)
    against, seconds = details.pop("against", None), float(row.seconds)
    whole = type(against) is int and row.verdict in VERDICTS and isinstance(row.author, str) and math.isfinite(seconds)
    if not whole:
        raise _odd(case)
    return Review(case, row.number, against, row.author, row.created, row.verdict, seconds, details)


def _odd(case: str) -> ProjectDamagedError:
    return ProjectDamagedError(f"holds something of {case} that makes no sense", where="project.db", todo=REPAIR)
