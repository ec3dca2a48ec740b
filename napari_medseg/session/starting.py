"""How work begins while nothing is open: the studies a person worked in last, and what they are told once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medseg.session import preferences
from napari_medseg.session.study import SUFFIX

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

MOST = 4
"""Studies that are offered at once; the others are in the Study menu."""


@dataclass(frozen=True, slots=True)
class Recent:
    """A study that a person worked in.

    Attributes
    ----------
    title : str
        Its folder's name without its ending.
    folder : Path
    """

    title: str
    folder: Path


def title_of(folder: Path) -> str:
    """What a study's folder is called without its ending."""
    return folder.name[:-len(SUFFIX)] if folder.name.lower().endswith(SUFFIX) else folder.name


def recent(session: Session) -> tuple[Recent, ...]:
    """The studies worked in last, the latest first; those whose folder is gone or out of reach are left out."""
    return _there(session.study.preferences.recent)


def notice_is_due(session: Session) -> bool:
    """Whether the person has yet to see what this program is for."""
    return not session.study.preferences.noticed


def notice_seen(session: Session) -> None:
    """The person has seen it; it is not shown large again."""
    if notice_is_due(session):
        session.study.preferences = preferences.notice_seen()
        session.changed.emit()


@lru_cache(maxsize=4)
def _there(folders: tuple[str, ...]) -> tuple[Recent, ...]:
    """Looked up once: a share that does not answer would hold the window up at every redraw."""
    return tuple(Recent(title_of(Path(folder)), Path(folder)) for folder in folders if Path(folder).is_dir())[:MOST]
