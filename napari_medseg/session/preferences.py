"""What is remembered of a person: their name, studies, models and keys, what they settled in napari's preferences, and how they left the window.

One JSON file in the user's configuration folder; MEDSEG_PREFERENCES names another, and empty it means that nothing is kept.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import platformdirs

from napari_medseg.io import replacing
from napari_medseg.session.choices import Choices, checked

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
    answers : tuple of (segmenter's id, what it asks, answer)
        What a person answered to what segmenters ask, such as the folder of a model.
    noticed : bool
        Whether the person has seen what this program is for and what it is not.
    keys : dict
        Keys that are not as from the start, by the id of their act; "" for an act without a key.
    choices : Choices
        What was settled in napari's preferences.
    last : dict
        How the window was left, see `remembering`.
    """

    user: str = ""
    recent: tuple[str, ...] = ()
    answers: tuple[tuple[str, str, str], ...] = ()
    noticed: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)
    choices: Choices = field(default_factory=Choices)
    last: Mapping[str, Any] = field(default_factory=dict)

    @property
    def pen(self) -> bool:
        """Whether the pressure of a pen sets the size of brushes."""
        return self.choices.pen

    @property
    def last_study(self) -> str:
        """Folder of the study opened last, "" for none."""
        return self.recent[0] if self.recent else ""

    def answers_by_engine(self) -> dict[str, dict[str, Any]]:
        """Segmenter's id to its answers by name."""
        found: dict[str, dict[str, Any]] = {}
        for engine, name, answer in self.answers:
            found.setdefault(engine, {})[name] = answer
        return found


def load() -> Preferences:
    """Read the preferences; what cannot be read counts as not there."""
    path = _path()
    if path is None:
        return Preferences()
    try:
        if path.stat().st_size > LARGEST_FILE:
            return Preferences()
        kept = json.loads(path.read_text(encoding="utf-8"))
        user, recent, answers = kept.get("user", ""), kept.get("recent", []), kept.get("answers", [])
    except (OSError, ValueError, AttributeError):
        return Preferences()
    return Preferences(
        user if isinstance(user, str) else "",
        tuple(r for r in recent if isinstance(r, str)) if isinstance(recent, list) else (),
        tuple((a[0], a[1], a[2]) for a in answers if _is_answer(a)) if isinstance(answers, list) else (),
        kept.get("noticed") is True,
        _texts(kept.get("keys")),
        checked(_table(kept.get("choices"))),
        _table(kept.get("last")),
    )


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


def notice_seen() -> Preferences:
    """Remember that the person has seen what this program is for."""
    kept = replace(load(), noticed=True)
    save(kept)
    return kept


def remember_keys(keys: Mapping[str, str]) -> Preferences:
    """Remember the keys that are not as from the start."""
    kept = replace(load(), keys=dict(keys))
    save(kept)
    return kept


def choose(choices: Choices) -> Preferences:
    """Keep what was settled; nothing is written where it is so already."""
    before = load()
    kept = replace(before, choices=choices)
    if kept != before:
        save(kept)
    return kept


def remember_last(last: Mapping[str, Any]) -> Preferences:
    """Remember how the window was left; nothing is written where it is so already."""
    before = load()
    kept = replace(before, last={**before.last, **last})
    if kept != before:
        save(kept)
    return kept


def opened(study: Path) -> Preferences:
    """Remember that a study was opened."""
    kept = load()
    folder = str(study.resolve())
    kept = replace(kept, recent=(folder, *(r for r in kept.recent if r != folder))[:MOST_RECENT])
    save(kept)
    return kept


def remember_answers(engine: str, answers: Mapping[str, object]) -> Preferences:
    """Remember what a person answered to what a segmenter asks; an answer of None is forgotten."""
    kept = load()
    others = tuple(each for each in kept.answers if each[0] != engine)
    ours = tuple((engine, name, str(answer)) for name, answer in answers.items() if answer is not None)
    kept = replace(kept, answers=(*others, *ours))
    save(kept)
    return kept


def _texts(found: object) -> dict[str, str]:
    return {name: text for name, text in found.items() if isinstance(text, str)} if isinstance(found, dict) else {}


def _table(found: object) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _is_answer(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(isinstance(part, str) for part in value)


def _path() -> Path | None:
    named = os.environ.get(VARIABLE)
    if named is not None:
        return Path(named) if named else None
    return platformdirs.user_config_path("napari-medseg", appauthor=False) / "preferences.json"
