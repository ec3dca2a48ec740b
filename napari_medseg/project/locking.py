"""Who may write. A study of one's own has one writer: the system's own file lock is what counts, so it is free the moment its process ends, however it ends."""

from __future__ import annotations

import getpass
import os
import platform
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from napari_medseg.errors import ProjectError, ProjectLockedError
from napari_medseg.project.durable import read_json, unwritable, write_json, writing
from napari_medseg.project.layout import Layout


def login_name() -> str:
    """Who is logged in; "" where the system does not say."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


class WriterLock:
    """The right to write to a study, held until `release`.

    Parameters
    ----------
    layout : Layout
    user : str
        Whom others see.

    Raises
    ------
    ProjectLockedError
        When somebody else holds it; says who.
    UnwritableFileError
        When the folder cannot be written.
    """

    def __init__(self, layout: Layout, user: str) -> None:
        self._layout = layout
        self._lock = FileLock(layout.lock, timeout=0, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout as error:  # an OSError too
            raise _locked(layout) from error
        except OSError as error:
            raise unwritable(error, layout.folder) from error
        except NotImplementedError as error:
            todo = "Copy the study to another disk, or open it read-only"
            raise ProjectError("lies on a disk that cannot lock files", where=layout.folder, todo=todo) from error
        try:
            since = datetime.now(UTC).isoformat(timespec="seconds")
            write_json(layout.holder, {"user": user or login_name(), "machine": platform.node(), "process": os.getpid(), "since": since})
        except OSError:
            self._lock.release()
            raise

    def release(self) -> None:
        """Let others write."""
        if self._lock.is_locked:
            with suppress(OSError):
                self._layout.holder.unlink(missing_ok=True)
            self._lock.release()


class Sharing:
    """The right to write to a study that a team shares: anybody's who may write to its folder. The database keeps them apart.

    Raises
    ------
    UnwritableFileError
        When the folder cannot be written.
    """

    def __init__(self, layout: Layout) -> None:
        with writing(layout.folder):
            layout.drafts.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=layout.drafts):
                pass

    def release(self) -> None:
        """Nothing is held."""


def holder(path: Path) -> str:
    """Who is said to hold a lock, for people: "Ann on ward3 since 14:02"; "somebody" when the file does not say."""
    try:
        told = read_json(path)
        user, machine = (" ".join(str(told[key]).split())[:60] for key in ("user", "machine"))
        since = datetime.fromisoformat(told["since"]).astimezone()
    except (ProjectError, KeyError, TypeError, ValueError, OverflowError):
        return "somebody"
    day = "" if since.date() == datetime.now(UTC).astimezone().date() else f"{since:%Y-%m-%d} "
    return f"{user or 'somebody'} on {machine or 'another machine'} since {day}{since:%H:%M}"


def _locked(layout: Layout) -> ProjectLockedError:
    who = holder(layout.holder)
    return ProjectLockedError(f"is being worked on by {who}", where=layout.folder, todo="Close it there first, or open it read-only")
