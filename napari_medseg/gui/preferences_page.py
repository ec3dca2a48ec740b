"""napari's preferences dialog and what we keep: the dialog's page of ours is the place to choose, and every choice counts at once.

The page is made by napari from `configurations` in napari.yaml, and saved by it; a copy goes to `session.preferences`, which the command line reads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from napari.settings import get_plugin_settings
from napari.utils.notifications import show_warning

from napari_medseg.session import preferences
from napari_medseg.session.choices import Choices, checked
from napari_medseg.session.remembering import settle
from napari_medseg.session.session import Session

log = logging.getLogger(__name__)
PLUGIN = "napari-medseg"


class PreferencesPage:
    """Follows the dialog for one session.

    Parameters
    ----------
    session : Session
    look : callable
        Told when how labels look was changed.
    """

    def __init__(self, session: Session, look: Callable[[Choices], None]) -> None:
        self._session, self._look = session, look
        self._told: set[str] = set()
        self._sections = _sections()
        for section in self._sections:
            section.events.connect(self._on_change)
        if self._sections:
            self._on_change()

    def close(self) -> None:
        """Follow no more."""
        for section in self._sections:
            section.events.disconnect(self._on_change)

    def set(self, **values: Any) -> None:
        """A choice that was made in our own window; the dialog shows it too."""
        for section in self._sections:
            for name in values.keys() & set(section.model_dump()):
                setattr(section, name, values[name])
        if not self._sections:
            self._take(asdict(self._session.choices) | values)

    def _on_change(self, event: Any = None) -> None:
        self._take({name: value for section in self._sections for name, value in section.model_dump().items()})

    def _take(self, values: dict[str, Any]) -> None:
        choices = checked(values, self._tell)
        if choices != self._session.choices:
            settle(self._session, choices)
            self._look(choices)
        self._session.study.preferences = preferences.choose(choices)

    def _tell(self, sentence: str) -> None:
        """Each sentence once: a folder that is typed letter by letter is none until its last."""
        if sentence not in self._told:
            self._told.add(sentence)
            log.warning("%s", sentence)
            show_warning(sentence)


def _sections() -> list[Any]:
    """Our sections of the dialog; none where napari does not know the plugin, as in a script that made the viewer before it was installed."""
    try:
        ours: Any = get_plugin_settings(PLUGIN)
    except KeyError:
        return []
    return [getattr(ours, name) for name in type(ours).model_fields if name.startswith("medseg_")]
