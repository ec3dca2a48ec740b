"""What can go wrong, in the user's words.

Every error says what happened, where (a file or a field) and what to do next. Each is also a builtin, so callers that know nothing of
this package still catch it sensibly.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


class MedsegError(Exception):
    """Something a person can mend.

    Parameters
    ----------
    what : str
        What happened, as a sentence without the full stop.
    where : str or Path, optional
        The file or field it happened to; only a path's last part is shown.
    todo : str, optional
        What to do next, as a sentence without the full stop.

    Attributes
    ----------
    what, where, todo : str
        As given; what `medseg --json` prints.
    """

    def __init__(self, what: str, *, where: str | Path = "", todo: str = "") -> None:
        self.what = what
        self.where = where.name if isinstance(where, Path) else where
        self.todo = todo
        super().__init__(str(self))

    def __str__(self) -> str:
        """One line: where, what, what to do."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}. {self.todo}." if self.todo else f"{head}."

    def __reduce__(self) -> tuple[Callable[..., MedsegError], tuple[object, ...]]:
        """Keep what, where and todo across processes; BaseException would keep the message only."""
        return _rebuild, (type(self), self.what, self.where, self.todo)


def _rebuild(kind: type[MedsegError], what: str, where: str, todo: str) -> MedsegError:
    return kind(what, where=where, todo=todo)


class MissingFileError(MedsegError, FileNotFoundError):
    """A path that does not exist."""


class UnreadableFileError(MedsegError, OSError):
    """A file that is there but is not what it claims to be, is cut short, or holds no image."""


class UnwritableFileError(MedsegError, OSError):
    """A file that could not be written: format, permission or space. What was there before is unchanged."""


class NoRoomError(MedsegError, MemoryError):
    """An array that neither memory nor the temporary folder can hold."""


class InvalidInputError(MedsegError, ValueError):
    """A value or an array that the operation cannot work with."""


class NoSeedsError(InvalidInputError):
    """No seed point inside the volume."""


class NoStrokesError(InvalidInputError):
    """Scribbles that hold no class, or one class with nothing against it."""


class NoLabelsError(InvalidInputError):
    """Nothing to learn from: no label, or none with foreground."""


class GridMismatchError(MedsegError, ValueError):
    """A mask and its scan lie on different grids."""


class ProjectError(MedsegError, OSError):
    """A study folder that cannot be used as it is: none, damaged, made by a newer version, or asked for what it does not hold."""


class ProjectLockedError(ProjectError):
    """A study that another window or command is writing to; says who."""


class CaseClaimedError(ProjectLockedError):
    """A case of a shared study that somebody else works on; says who."""


class StudyServerError(ProjectError, ConnectionError):
    """A study whose database server does not answer, or lets nobody in."""


class ProjectDamagedError(ProjectError):
    """A study whose database cannot be believed; it can go back to the last copy."""


class UnavailableError(MedsegError, ImportError):
    """A part whose package or weights are not there; `todo` holds the command that brings them."""


class ArchiveError(MedsegError, ConnectionError):
    """A hospital's archive that does not answer, refuses, or says what makes no sense. Says nothing of a patient."""


class CatalogueError(MedsegError, ValueError):
    """An unknown or faulty entry of plugins.yaml."""


class SegmenterError(MedsegError, RuntimeError):
    """A network that failed or answered with something that is no segmentation."""


class TrainingError(MedsegError, RuntimeError):
    """A training run that could not start or go on."""


class RemoteError(MedsegError, ConnectionError):
    """A server that cannot be reached, is not who it should be, or refuses."""
