"""The tables, and the steps that made them.

Tables are SQLAlchemy Core: SQLite holds them in the study's folder, PostgreSQL on a team's server.
Texts never hold a path or anything of the patient: cases are numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, Connection, Double, ForeignKey, Integer, Table, Text

metadata = sa.MetaData()


class Facts(sa.TypeDecorator[Any]):
    """A dict or list as JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str:
        """To text; no NaN, no infinity."""
        return json.dumps(value, allow_nan=False, separators=(",", ":"))

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        """From text."""
        return json.loads(value)


class Moment(sa.TypeDecorator[datetime]):
    """A time as ISO text in UTC, which sorts."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> str:
        """To text."""
        return (value or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds")

    def process_result_value(self, value: Any, dialect: Any) -> datetime:
        """From text."""
        return datetime.fromisoformat(value).astimezone(UTC)


steps = Table("steps", metadata, Column("number", Integer, primary_key=True, autoincrement=False), Column("taken", Moment, nullable=False))

settings = Table("settings", metadata, Column("name", Text, primary_key=True), Column("value", Facts, nullable=False))

cases = Table(
    "cases", metadata,
    Column("id", Integer, primary_key=True),
    Column("added", Moment, nullable=False),
    Column("modality", Text, nullable=False),
    Column("grid", Facts, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("seconds", Double, nullable=False),
    sa.Index("cases_by_fingerprint", "fingerprint"),
)

versions = Table(
    "versions", metadata,
    Column("case_id", Integer, ForeignKey("cases.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created", Moment, nullable=False),
    Column("tool", Text, nullable=False),
    Column("parameters", Facts, nullable=False),
    Column("prompts", Facts, nullable=False),
    Column("parent", Integer),
    Column("model", Text, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("classes", Facts, nullable=False),
    Column("voxels", Facts, nullable=False),
    Column("dtype", Text, nullable=False),
    Column("checksum", Text, nullable=False),
    sa.PrimaryKeyConstraint("case_id", "number"),
    sa.ForeignKeyConstraint(["case_id", "parent"], ["versions.case_id", "versions.number"]),
    sa.CheckConstraint("parent IS NULL OR parent < number", name="parent_is_older"),
    sa.CheckConstraint("kind IN ('imported', 'weak', 'proposal', 'corrected', 'verified')", name="kind_is_known"),
)

runs = Table(
    "runs", metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created", Moment, nullable=False),
    Column("parameters", Facts, nullable=False),
    Column("figures", Facts, nullable=False),
    Column("model", Text, nullable=False),
)

run_cases = Table(
    "run_cases", metadata,
    Column("run_id", Integer, ForeignKey("runs.id"), primary_key=True),
    Column("case_id", Integer, ForeignKey("cases.id"), primary_key=True),
)

events = Table(
    "events", metadata,
    Column("id", Integer, primary_key=True),
    Column("created", Moment, nullable=False),
    Column("author", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("case_id", Integer, ForeignKey("cases.id")),
    Column("number", Integer),
    Column("details", Facts, nullable=False),
    sqlite_autoincrement=True,
)

reviews = Table(
    "reviews", metadata,
    Column("id", Integer, primary_key=True),
    Column("case_id", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("author", Text, nullable=False),
    Column("created", Moment, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("details", Facts, nullable=False),
    sa.ForeignKeyConstraint(["case_id", "number"], ["versions.case_id", "versions.number"]),
)

slice_marks = Table(
    "slice_marks", metadata,
    Column("id", Integer, primary_key=True),
    Column("case_id", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("axis", Integer, nullable=False),
    Column("at", Integer, nullable=False),
    Column("stands", Integer, nullable=False),
    Column("author", Text, nullable=False),
    Column("created", Moment, nullable=False),
    sa.ForeignKeyConstraint(["case_id", "number"], ["versions.case_id", "versions.number"]),
    sa.CheckConstraint("axis IN (0, 1, 2) AND at >= 0 AND stands IN (0, 1)", name="mark_is_one"),
)

sides = Table(
    "sides", metadata,
    Column("case_id", Integer, ForeignKey("cases.id"), primary_key=True),
    Column("patient", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created", Moment, nullable=False),
    sa.CheckConstraint("side IN ('teach', 'check')", name="side_is_known"),
)

claims = Table(
    "claims", metadata,
    Column("case_id", Integer, ForeignKey("cases.id"), primary_key=True),
    Column("author", Text, nullable=False),
    Column("machine", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("since", Moment, nullable=False),
    Column("until", Moment, nullable=False),
)

_WRITTEN_ONCE = ("versions", "runs", "run_cases", "events", "reviews", "slice_marks", "sides")
TRIGGERS = {
    f"{table}_refuse_{act}": f"CREATE TRIGGER {table}_refuse_{act} BEFORE {act.upper()} ON {table} BEGIN SELECT RAISE(ABORT, '{table} are written once'); END"
    for table in _WRITTEN_ONCE for act in ("update", "delete")
}
"""Name to SQL: what was recorded stays as it is, even for a person with a database program."""


REFUSING = "BEGIN RAISE EXCEPTION '% are written once', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation'; END"
SERVER_TRIGGERS = {
    f"{table}_refuse_{act}": f"CREATE TRIGGER {table}_refuse_{act} BEFORE {act.upper()} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    for table in _WRITTEN_ONCE for act in ("update", "delete", "truncate")
}
"""The same on PostgreSQL, where a trigger calls a function and a table can be emptied without deleting rows."""


def _tables(*made: Table) -> Callable[[Connection], None]:
    return lambda connection: metadata.create_all(connection, tables=made, checkfirst=False)


def _triggers(*tables: str) -> Callable[[Connection], None]:
    def make(connection: Connection) -> None:
        on_server = connection.dialect.name == "postgresql"
        if on_server:
            connection.exec_driver_sql(f"CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $${REFUSING}$$".replace("%", "%%"))
        for name, sql in (SERVER_TRIGGERS if on_server else TRIGGERS).items():
            if name.rpartition("_refuse_")[0] in tables:
                connection.exec_driver_sql(sql)

    return make


STEPS: tuple[Callable[[Connection], None], ...] = (
    _tables(settings, cases, versions),
    _tables(runs, run_cases, events),
    _triggers("versions", "runs", "run_cases", "events"),
    _tables(reviews),
    _triggers("reviews"),
    _tables(slice_marks, sides),
    _triggers("slice_marks", "sides"),
    _tables(claims),
)
"""A step is never changed once a release has taken it; when a table changes, its step keeps the old definition and a later one alters it."""
