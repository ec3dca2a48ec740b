"""Who works on which case. A claim ends by itself: a window renews its own while it lives, so that a machine that died frees its cases."""

from __future__ import annotations

import os
import platform
import secrets
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import psutil
from sqlalchemy import Connection, delete, insert, select, update

from napari_medseg.errors import CaseClaimedError, InvalidInputError, MedsegError
from napari_medseg.project import rows
from napari_medseg.project.layout import case_id as named
from napari_medseg.project.layout import case_key
from napari_medseg.project.machine import machine_id
from napari_medseg.project.records import Claim
from napari_medseg.project.study import Study

LEASE = 120.0
"""Seconds a window's claim lives when it is not renewed."""
LONGEST = 31 * 86400.0


class Claims(Study):
    """Claiming cases, letting go of them, telling who has which.

    Attributes
    ----------
    session : str
        Tells the claims of this open study from all others; begins with the process's number and the machine where that counts.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._claimed: set[str] = set()
        self.session = f"{os.getpid()}-{machine_id()}-{secrets.token_hex(6)}"

    def claim(self, case_id: str, seconds: float | None = None) -> Claim:
        """Take a case in work, or go on with it.

        Parameters
        ----------
        case_id : str
        seconds : float, optional
            Keep it so long whether or not this study stays open, for this person on any machine. When not given it lasts while this study is open
            and `keep` is called, or `LEASE`.

        Raises
        ------
        CaseClaimedError
            When somebody else has it; says who.
        InvalidInputError, ProjectError, UnwritableFileError
            When the time is none, the study has no such case, or nothing can be written.
        """
        if seconds is not None and not 0 < seconds <= LONGEST:
            raise InvalidInputError(f"{seconds:g} s is no time to claim a case for", where="seconds", todo="Give up to 31 days")
        self._require_writer()
        with self._mutex, self._database.writing() as connection:
            key, now = case_key(self._row(connection, case_id).id), self._database.now(connection)
            before = self._require_free(connection, case_id)
            until, table = now + timedelta(seconds=seconds or LEASE), rows.t.claims
            if before is not None and seconds is None:
                until = max(until, before.until)
            connection.execute(delete(table).where(table.c.case_id == key))
            made = Claim(case_id, self.user, platform.node(), now if before is None else before.since, until, mine=True)
            told = {"author": made.author, "machine": made.machine, "since": made.since, "until": until}
            connection.execute(insert(table).values(case_id=key, session=self.session if seconds is None else "", **told))
            if before is None:
                rows.log(connection, self.user, "claimed", case_id)
            if seconds is None:
                self._claimed.add(case_id)
        return made

    def keep(self) -> list[str]:
        """Renew what this open study has claimed; the cases that are not its own any more, since it came too late."""
        with self._mutex, self._database.writing() as connection:
            table, now = rows.t.claims, self._database.now(connection)
            found = list(connection.execute(select(table).where(table.c.session == self.session)))
            for row in found:
                connection.execute(update(table).where(table.c.case_id == row.case_id).values(until=max(row.until, now + timedelta(seconds=LEASE))))
            had, self._claimed = self._claimed, {named(row.case_id) for row in found}
        return sorted(had - self._claimed)

    def release(self, case_id: str, *, force: bool = False) -> bool:
        """Let others work on a case; whether anybody had it.

        Parameters
        ----------
        case_id : str
        force : bool
            Also when somebody else has it; the log says who did that.

        Raises
        ------
        CaseClaimedError
            When somebody else has it, without `force`.
        """
        self._require_writer()
        with self._mutex, self._database.writing() as connection:
            self._row(connection, case_id)
            claim = next((one for one in self._claims(connection, [case_id])), None)
            if claim is not None and not claim.mine and not force:
                raise _taken(claim)
            if claim is not None:
                self._free(connection, case_id)
                rows.log(connection, self.user, "released", case_id, of=claim.author)
        return claim is not None

    def claims(self) -> list[Claim]:
        """Who has which case, by case."""
        with self._database.reading() as connection:
            return self._claims(connection)

    def leave(self, case_id: str) -> None:
        """A window closes a case: what it claimed for itself is free again, what the person had claimed for longer stays the person's."""
        with self._mutex, self._database.writing() as connection:
            table, now = rows.t.claims, self._database.now(connection)
            mine = (table.c.case_id == case_key(case_id)) & (table.c.session == self.session)
            for row in list(connection.execute(select(table).where(mine))):
                if row.until > now + timedelta(seconds=LEASE):
                    connection.execute(update(table).where(mine).values(session=""))
                else:
                    self._free(connection, case_id)
                    rows.log(connection, self.user, "released", case_id, of=row.author)
            self._claimed.discard(case_id)

    def close(self) -> None:
        """Leave every case and close the study; may be called twice."""
        with self._mutex:
            for case in sorted(self._claimed):
                with suppress(MedsegError):  # else they end by themselves
                    self.leave(case)
            self._claimed.clear()
            super().close()

    def _claims(self, connection: Connection, cases: Iterable[str] | None = None) -> list[Claim]:
        table, now = rows.t.claims, self._database.now(connection)
        asked = select(table).order_by(table.c.case_id)
        if cases is not None:
            asked = asked.where(table.c.case_id.in_([case_key(case) for case in cases]))
        return [
            Claim(named(row.case_id), row.author, row.machine, row.since, row.until, self._is_mine(row)) for row in connection.execute(asked)
            if row.until > now and not _has_died(row)
        ]

    def _is_mine(self, row: Any) -> bool:
        """Whether it is this open study's, or what this person claimed for longer."""
        return bool(row.session == self.session or (not row.session and row.author == self.user))

    def _require_free(self, connection: Connection, case: str) -> Claim | None:
        """The claim that is one's own, if there is one; an error when it is somebody else's."""
        claim = next((one for one in self._claims(connection, [case])), None)
        if claim is not None and not claim.mine:
            raise _taken(claim)
        return claim

    def _free(self, connection: Connection, case: str) -> None:
        table = rows.t.claims
        connection.execute(delete(table).where(table.c.case_id == case_key(case)))


def _has_died(row: Any) -> bool:
    """Whether the window that claimed it was on this machine and is gone. Of another machine of the same name nothing is known: its claim ends by itself."""
    number, _, rest = str(row.session).partition("-")
    return rest.partition("-")[0] == machine_id() and number.isdecimal() and not psutil.pid_exists(int(number))


def _taken(claim: Claim) -> CaseClaimedError:
    todo = "Wait until it is released, or take another case; `medseg project release --force` takes it away from a machine that is gone"
    return CaseClaimedError(f"is being worked on by {claim.who}", where=claim.case, todo=todo)
