"""What the window and the command line remember of a person: the name that goes with their labels, and the studies they opened last.

One JSON file in the user's configuration folder; MEDSEG_PREFERENCES names another, and empty it means that nothing is kept.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import platformdirs

from napari_medseg.io import replacing

log = logging.getLogger(__name__)
VARIABLE = "MEDSEG_PREFERENCES"
MOST_RECENT = 8
LARGEST_FILE = 1 << 20


@dataclass(frozen=True, slots=True)
class Preferences:
    """What is remembered.

    Attributes
    ----------
    user : str
        Who makes the labels; "" until the person was asked.
    recent : tuple of str
        Folders of studies, the last opened first.
    """

    user: str = ""
    recent: tuple[str, ...] = ()

    @property
    def last_study(self) -> str:
        """Folder of the study opened last, "" for none."""
        return self.recent[0] if self.recent else ""


def load() -> Preferences:
    """Read the preferences; what cannot be read counts as not there."""
    path = _path()
    if path is None:
        return Preferences()
    try:
        if path.stat().st_size > LARGEST_FILE:
            return Preferences()
        kept = json.loads(path.read_text(encoding="utf-8"))
        user, recent = kept.get("user", ""), kept.get("recent", [])
    except (OSError, ValueError, AttributeError):
        return Preferences()
    return Preferences(user if isinstance(user, str) else "", tuple(r for r in recent if isinstance(r, str)) if isinstance(recent, list) else ())


def save(preferences: Preferences) -> None:
    """Write the preferences; where that fails they hold for this session only, and the log says so."""
    path = _path()
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(asdict(preferences), indent=2), encoding="utf-8")
    except OSError as error:
        log.warning("preferences are not kept: %s", error)


def set_user(name: str) -> Preferences:
    """Remember who makes the labels."""
    kept = replace(load(), user=" ".join(name.split()))
    save(kept)
    return kept


def opened(study: Path) -> Preferences:
    """Remember that a study was opened."""
    kept = load()
    folder = str(study.resolve())
    kept = replace(kept, recent=(folder, *(r for r in kept.recent if r != folder))[:MOST_RECENT])
    save(kept)
    return kept


def _path() -> Path | None:
    named = os.environ.get(VARIABLE)
    if named is not None:
        return Path(named) if named else None
    return platformdirs.user_config_path("napari-medseg", appauthor=False) / "preferences.json"
