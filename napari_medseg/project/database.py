"""The SQLite file of a study: opened with care, since it may come from elsewhere, and brought up to date in small steps."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc, func, insert, inspect, select

from napari_medseg.errors import MedsegError, ProjectDamagedError, ProjectError, UnwritableFileError
from napari_medseg.io.atomic import flush_folder
from napari_medseg.project import schema
from napari_medseg.project.durable import writing
from napari_medseg.project.layout import Layout
from napari_medseg.project.network import on_network

DAY = 86400.0  # seconds
BUSY_SECONDS = 10.0
KEPT_BACKUPS = 5
REPAIR = "Run `medseg project check --repair`, which goes back to its last copy; label versions are files of their own"
_FULL = ("database or disk is full", "disk I/O error")


class Database:
    """Connections to one study's database.

    Parameters
    ----------
    layout : Layout
    readonly : bool
        Nothing on the disk is changed, not even by looking at a write-ahead log.
    network : bool, optional
        Whether the folder lies on a network share; found out when not given.

    Raises
    ------
    ProjectError
        When the file was made by a newer version of this program; ProjectDamagedError when it is missing, damaged or none of ours.
    """

    shared = False
    """Whether several may write to it at once."""

    def __init__(self, layout: Layout, *, readonly: bool = False, network: bool | None = None) -> None:
        self.path = layout.database
        self.readonly = readonly
        self._layout = layout
        self._is_open = True
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._journal = "DELETE" if (on_network(layout.folder) if network is None else network) else "WAL"
        self.engine = self._engine()

    # -- making, opening, closing ----------------------------------------------------------------------------------------------------------------------

    def create(self) -> None:
        """Make the tables in a file that does not exist yet."""
        with self.writing() as connection:
            schema.metadata.create_all(connection, tables=[schema.steps])
            _climb(connection, 0)

    def drop(self) -> None:
        """Nothing: the file goes with its folder."""

    def open(self) -> None:
        """Look whether the file is a whole study database, and take the steps it lacks, after a copy of it.

        Raises
        ------
        ProjectDamagedError
            When it is missing, damaged, or holds parts that are not this program's own.
        ProjectError
            When it was written by a newer version, or by an older one and may only be read.
        """
        self._require_there()
        with self.reading() as connection:
            self._require_sound(connection)
            at = self._step(connection)
        if at > len(schema.STEPS):
            raise ProjectError(
                f"was written by a newer version of napari-medseg (step {at}, this one knows {len(schema.STEPS)})", where=self._layout.folder,
                todo="Update napari-medseg, then open it again",
            )
        if at < len(schema.STEPS):
            if self.readonly:
                todo = "Open it for writing once, which brings it up to date"
                raise ProjectError("was written by an older version of napari-medseg", where=self._layout.folder, todo=todo)
            self.backup(f"step-{at}")
            with self.writing() as connection:
                at = self._step(connection)  # somebody else may have been first
                _climb(connection, at)
                if at < len(schema.STEPS):
                    told = {"from": at, "to": len(schema.STEPS)}
                    connection.execute(insert(schema.events).values(author="", action="migrated", created=None, details=told))
        with self.reading() as connection:
            self._require_own_parts(connection)

    def close(self) -> None:
        """Close every connection; whoever asks for another is told so."""
        self._is_open = False
        self.engine.dispose()
        if self._copy is not None:
            self._copy.cleanup()

    def backup_daily(self) -> None:
        """Copy the database unless a copy is less than a day old."""
        newest = max((path.stat().st_mtime for path in self._layout.backups.glob("project-*.db")), default=0.0)
        if time.time() - newest > DAY:
            self.backup("daily")

    def backup(self, reason: str) -> Path:
        """Copy the database, whole, to the folder of backups; the oldest copies go.

        Raises
        ------
        UnwritableFileError
        """
        folder = self._layout.backups
        with writing(folder):
            folder.mkdir(exist_ok=True)
            path = folder / f"project-{datetime.now(UTC):%Y%m%d-%H%M%S}-{reason}.db"
            with self._translated(), sqlite3.connect(path) as copy, self.reading() as connection:
                source: Any = connection.connection.driver_connection
                source.backup(copy)
            copy.close()
            flush_folder(folder)
            for old in sorted(folder.glob("project-*.db"))[:-KEPT_BACKUPS]:
                old.unlink(missing_ok=True)
        return path

    # -- using ---------------------------------------------------------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the database.

        Raises
        ------
        ProjectError
            When the database is damaged; also for what was read from it and makes no sense.
        """
        try:
            with self._translated(), self._looking() as connection:
                yield connection
        except MedsegError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise self._damaged() from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection whose changes are on the disk when the block is left, all or none of them.

        Raises
        ------
        UnwritableFileError
            When the disk is full or the folder refuses; nothing has changed then.
        ProjectError
            When the database is damaged.
        """
        self._require_writing()
        with self._translated(), self.engine.connect().execution_options(medseg_writes=True) as connection, connection.begin():
            yield connection

    @contextmanager
    def holding(self, case: str = "") -> Iterator[None]:
        """Nobody else writes a version of this case meanwhile, or changes anything when no case is given: a study with one writer needs nothing for it."""
        yield

    def now(self, connection: Connection) -> datetime:
        """The time that all who share the study go by."""
        return datetime.now(UTC)

    def integrity(self) -> list[str]:
        """What SQLite itself finds wrong; empty when nothing."""
        with self.reading() as connection:
            wrong = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(20)") if row[0] != "ok"]
            return wrong + [f"a row of {row[0]} points to nothing in {row[2]}" for row in connection.exec_driver_sql("PRAGMA foreign_key_check")]

    # -- how it is opened ----------------------------------------------------------------------------------------------------------------------------------

    def _require_writing(self) -> None:
        if self.readonly:
            raise UnwritableFileError("is open read-only", where=self._layout.folder, todo="Open it for writing, or save a copy elsewhere")

    def _require_open(self) -> None:
        if not self._is_open:
            raise ProjectError("was closed", where=self._layout.folder, todo="Open it again")

    def _require_there(self) -> None:
        if not self.path.is_file():
            raise ProjectDamagedError("is missing", where=self.path, todo=REPAIR)

    def _require_sound(self, connection: Connection) -> None:
        if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok":
            raise self._damaged()

    def _looking(self) -> AbstractContextManager[Connection]:
        return self.engine.begin()

    def _engine(self) -> Engine:
        engine = create_engine("sqlite+pysqlite://", creator=self._connect, poolclass=_pool())

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("medseg_writes") else "BEGIN")

        return engine

    def _connect(self) -> sqlite3.Connection:
        self._require_open()
        if not self.readonly:
            connection = self._raw(self.path.absolute().as_uri())
            connection.execute(f"PRAGMA journal_mode={self._journal}")
            connection.execute("PRAGMA synchronous=FULL")
            return connection
        try:
            connection = self._raw(f"{self.path.absolute().as_uri()}?mode=ro")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:  # a write-ahead log in a folder that cannot be written: read a copy
            return self._raw(self._copied().absolute().as_uri())
        return connection

    def _raw(self, uri: str) -> sqlite3.Connection:
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None)
        for pragma in ("foreign_keys=ON", "trusted_schema=OFF", "cell_size_check=ON"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _copied(self) -> Path:
        if self._copy is None:
            self._copy = tempfile.TemporaryDirectory(prefix="medseg-")
            for name in (self.path.name, f"{self.path.name}-wal"):
                with suppress(FileNotFoundError):
                    shutil.copyfile(self.path.with_name(name), Path(self._copy.name, name))
        return Path(self._copy.name, self.path.name)

    def _step(self, connection: Connection) -> int:
        if not inspect(connection).has_table("steps"):
            raise ProjectDamagedError("is no study database", where=self.path, todo=REPAIR)
        return connection.execute(select(func.max(schema.steps.c.number))).scalar() or 0

    def _require_own_parts(self, connection: Connection) -> None:
        """Refuse tables that are missing and triggers or views that this program did not make: they would run when it writes."""
        tables, are_ours = self._parts(connection)
        if missing := set(schema.metadata.tables) - tables:
            raise ProjectDamagedError(f"lacks the table {min(missing)}", where=self.path, todo=REPAIR)
        if not are_ours:
            raise ProjectDamagedError("has triggers or views other than this program's own", where=self.path, todo=REPAIR)

    def _parts(self, connection: Connection) -> tuple[set[str], bool]:
        """The tables there are, and whether triggers and views are this program's."""
        found = {str(name): (str(kind), str(sql)) for kind, name, sql in connection.exec_driver_sql("SELECT type, name, sql FROM sqlite_master")}
        active = {name: sql for name, (kind, sql) in found.items() if kind in ("trigger", "view")}
        return {name for name, (kind, _) in found.items() if kind == "table"}, active == schema.TRIGGERS

    def _damaged(self) -> ProjectDamagedError:
        return ProjectDamagedError("is damaged", where=self.path, todo=REPAIR)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Faults of the database, and of what was read from it, as errors for people."""
        path = self.path
        try:
            yield
        except (exc.SQLAlchemyError, sqlite3.Error) as error:
            original = getattr(error, "orig", None) or error
            said = str(original)
            if "locked" in said or "busy" in said:
                raise UnwritableFileError("is busy with another program", where=path, todo="Close the program that has it open, then try again") from error
            if isinstance(original, sqlite3.OperationalError) and any(text in said for text in _FULL):
                todo = "Make space, or save a copy elsewhere; earlier versions are unchanged"
                raise UnwritableFileError("the disk is full", where=path, todo=todo) from error
            if "readonly" in said or "unable to open" in said:
                raise UnwritableFileError("may not be written", where=path, todo="Check the folder's permissions, or save a copy elsewhere") from error
            raise self._damaged() from error


def _climb(connection: Connection, at: int) -> None:
    for number, step in enumerate(schema.STEPS[at:], start=at + 1):
        step(connection)
        connection.execute(insert(schema.steps).values(number=number, taken=None))


def _pool() -> Any:
    from sqlalchemy.pool import QueuePool

    return QueuePool
