"""The database of a study that a team shares: PostgreSQL, with the same tables and the same promises as the file of a study of one's own.

Many may write. Changes are made one after the other, by a lock that ends with the transaction, so that whoever changes something has seen all that was
changed before; a case is held by a lock of the connection while a version of it is written, and that connection alone may record it. Both are free the
moment the connection is gone, however it went.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, exc, func, insert, inspect, select, text

from napari_medseg.errors import InvalidInputError, MedsegError, ProjectDamagedError, StudyServerError, UnavailableError, UnwritableFileError
from napari_medseg.io import replacing
from napari_medseg.project import schema
from napari_medseg.project.address import Address
from napari_medseg.project.database import KEPT_BACKUPS, Database
from napari_medseg.project.durable import writing
from napari_medseg.project.layout import Layout, case_key

WAIT_SECONDS = 60
ALONE = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3 -c idle_in_transaction_session_timeout=600000"
REPAIR = "Ask who keeps the server to restore it; the folder backups holds a daily copy"
MISSING = 'Install it with: python -m pip install "napari-medseg[team]"'
_UNREACHABLE = "Check the network and the server; password and user come from ~/.pgpass, PGPASSFILE and PGUSER"


class ServerDatabase(Database):
    """Connections to the schema of a study on a PostgreSQL server; see `Database`.

    Raises
    ------
    UnavailableError
        When psycopg is not installed.
    StudyServerError
        When the server does not answer, or lets nobody in.
    """

    shared = True

    def __init__(self, layout: Layout, address: Address, *, readonly: bool = False) -> None:
        self._address = address
        self._held = threading.local()
        self._key = int.from_bytes(hashlib.sha256(address.schema.encode()).digest()[:4], "big", signed=True)
        super().__init__(layout, readonly=readonly, network=True)
        self.path = layout.store

    # -- making, opening -------------------------------------------------------------------------------------------------------------------------------

    def create(self) -> None:
        """Make the schema, which must not be there, and its tables.

        Raises
        ------
        UnwritableFileError
            When the schema is there already.
        """
        with self._translated(), self._once() as connection:
            if inspect(connection).has_schema(self._address.schema):
                raise UnwritableFileError("holds another study already", where=f"schema {self._address.schema}", todo="Choose another schema")
            connection.execute(text(f'CREATE SCHEMA "{self._address.schema}"'))
        super().create()

    def drop(self) -> None:
        """Take the schema away again, when no study came of it."""
        with suppress(MedsegError), self._translated(), self._once() as connection:
            connection.execute(text(f'DROP SCHEMA IF EXISTS "{self._address.schema}" CASCADE'))

    def backup(self, reason: str) -> Path:
        """Copy the database, as one moment knows it, to a file in the folder of backups that a study of one's own could have."""
        folder = self._layout.backups
        with writing(folder):
            folder.mkdir(exist_ok=True)
            path = folder / f"project-{datetime.now(UTC):%Y%m%d-%H%M%S}-{reason}.db"
            with replacing(path) as temporary:  # another member may be making the same copy
                copy = create_engine(f"sqlite:///{temporary.as_posix()}", poolclass=NullPool)
                with self.reading() as source, copy.begin() as target:
                    there = set(inspect(source).get_table_names())
                    for table in schema.metadata.sorted_tables:
                        if table.name in there:
                            table.create(target)
                            for part in source.execute(select(table)).partitions(1000):
                                target.execute(insert(table), [dict(row._mapping) for row in part])
                    for name, sql in schema.TRIGGERS.items():
                        if name.rpartition("_refuse_")[0] in there:
                            target.exec_driver_sql(sql)
            for old in sorted(folder.glob("project-*.db"))[:-KEPT_BACKUPS]:
                old.unlink(missing_ok=True)
        return path

    # -- using -----------------------------------------------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """As `Database.writing`; one after the other, whoever writes."""
        self._require_writing()
        held: Connection | None = getattr(self._held, "connection", None)
        with self._translated(), (self._connected() if held is None else nullcontext(held)) as connection, connection.begin():
            connection.execute(select(func.pg_advisory_xact_lock(self._key, 0)))
            yield connection

    @contextmanager
    def holding(self, case: str = "") -> Iterator[None]:
        """Nobody else writes a version of this case meanwhile; without a case, nobody changes anything.

        What this thread writes goes through the connection that holds: if it is lost, so is the right to write.

        Raises
        ------
        UnwritableFileError
            When somebody else holds it for a minute.
        """
        self._require_writing()
        key = case_key(case) if case else 0
        outer: Connection | None = getattr(self._held, "connection", None)
        with self._translated(), (self._connected() if outer is None or outer.invalidated else nullcontext(outer)) as connection:
            connection.execute(select(func.pg_advisory_lock(self._key, key)))
            connection.commit()
            self._held.connection = connection
            try:
                yield
            finally:
                self._held.connection = outer
                try:
                    connection.rollback()
                    connection.execute(select(func.pg_advisory_unlock(self._key, key)))
                    connection.commit()
                except exc.SQLAlchemyError:  # the server lets go by itself when the connection ends
                    connection.invalidate()

    def now(self, connection: Connection) -> datetime:
        """The server's time: clocks of the team's machines may differ."""
        found: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return found.astimezone(UTC)

    def integrity(self) -> list[str]:
        """Nothing: the server looks after its own pages and references."""
        return []

    # -- how it is opened ------------------------------------------------------------------------------------------------------------------------------

    def _engine(self) -> Engine:
        try:
            import psycopg
        except ImportError as error:
            raise UnavailableError("a study on a team's server needs psycopg", where=self._layout.folder, todo=MISSING) from error
        a = self._address
        self._given: dict[str, Any] = {
            "dbname": a.database, "port": a.port, "connect_timeout": 10, "sslmode": a.secrecy, "application_name": "napari-medseg",
            **({"host": a.host} if a.host else {}), **({"user": a.user} if a.user else {}),
        }
        if psycopg.pq.version() >= 160000 and a.secrecy not in ("verify-ca", "verify-full"):
            self._given["require_auth"] = "!password"  # a server that nobody has checked gets no password to read
        options = f"-c search_path={a.schema} -c lock_timeout={WAIT_SECONDS}s {ALONE}{' -c default_transaction_read_only=on' if self.readonly else ''}"
        return create_engine("postgresql+psycopg://", connect_args={**self._given, "options": options}, pool_pre_ping=True)

    @contextmanager
    def _once(self) -> Iterator[Connection]:
        """A connection that takes no schema for granted."""
        engine = create_engine("postgresql+psycopg://", connect_args=self._given)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    @contextmanager
    def _looking(self) -> Iterator[Connection]:
        self._require_open()
        with self.engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True) as connection, connection.begin():
            yield connection

    def _connected(self) -> Connection:
        self._require_open()
        return self.engine.connect()

    def _require_there(self) -> None:
        """A server says so by itself when the study is not there."""

    def _require_sound(self, connection: Connection) -> None:
        """The server looks after its own pages."""

    def _parts(self, connection: Connection) -> tuple[set[str], bool]:
        tables = set(inspect(connection).get_table_names())
        triggers = connection.execute(text(
            "SELECT t.tgname, t.tgenabled, p.prosrc FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
            " JOIN pg_proc p ON p.oid = t.tgfoid WHERE n.nspname = current_schema() AND NOT t.tgisinternal",
        ))
        found = {str(name): (str(enabled), str(source).strip()) for name, enabled, source in triggers}
        views = inspect(connection).get_view_names()
        return tables, not views and found == dict.fromkeys(schema.SERVER_TRIGGERS, ("O", schema.REFUSING))

    def _damaged(self) -> ProjectDamagedError:
        return ProjectDamagedError("has a database on its server that makes no sense", where=self._layout.folder, todo=REPAIR)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Faults of the server as errors for people; nothing of its answer is repeated, since that can hold names and values."""
        try:
            yield
        except exc.SQLAlchemyError as error:
            original = getattr(error, "orig", None)
            state = str(getattr(original, "sqlstate", None) or "")
            where = self._layout.folder
            if state == "55P03":
                raise UnwritableFileError("is busy: somebody else is saving", where=where, todo="Try again in a minute") from error
            if state in ("42501", "25006"):
                raise UnwritableFileError("may not be written by this user of the database", where=where, todo="Ask who keeps the server") from error
            if state.startswith("53"):
                raise UnwritableFileError("the server has no room left", where=where, todo="Ask who keeps it; earlier versions are unchanged") from error
            if state.startswith("28") or (not state and "password" in str(original)):
                raise StudyServerError("its database server lets nobody in by this name and password", where=where, todo=_UNREACHABLE) from error
            if isinstance(error, exc.DataError):
                raise InvalidInputError("a text or number cannot be recorded", where=where, todo="Leave out letters that are none") from error
            if isinstance(error, (exc.OperationalError, exc.InterfaceError, exc.TimeoutError)) or state[:2] in ("08", "57", "25"):
                raise StudyServerError("its database server does not answer", where=where, todo=_UNREACHABLE) from error
            raise self._damaged() from error
