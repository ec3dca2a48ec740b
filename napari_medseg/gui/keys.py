"""Keys: bound on the canvas while a dock of ours is open, given back when the last one closes. What they are is in `key_table`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QApplication

from napari_medseg.gui.key_sheet import KeySheets
from napari_medseg.gui.key_table import TABLE, assigned, changed
from napari_medseg.gui.key_words import TipWords, worded
from napari_medseg.session import preferences

if TYPE_CHECKING:
    from napari_medseg.gui.desk import Desk


class Keys:
    """The keys of one viewer.

    Parameters
    ----------
    viewer : napari viewer
    desk : Desk

    Attributes
    ----------
    now : dict
        The key of every act by its id, in napari's spelling; "" for none.
    sheet : KeySheets
        The sheet that tells them.
    """

    def __init__(self, viewer: Any, desk: Desk) -> None:
        self._viewer, self._desk = viewer, desk
        self._before: dict[str, Callable[..., Any] | None] = {}
        self.now = assigned(preferences.load().keys)
        self.sheet = KeySheets(desk)
        self._tips: TipWords | None = None

    def bind(self) -> None:
        """Take the keys."""
        if self._before:
            return
        for row in TABLE:
            key = self.now[row.id]
            if key and row.run is not None:
                self._before[key] = self._viewer.bind_key(key, self._bound(row.run), overwrite=True)
        app = QApplication.instance()
        if changed(self.now) and app is not None:
            self._tips = TipWords(self.now, self._desk)
            app.installEventFilter(self._tips)

    def unbind(self) -> None:
        """Give the keys back to whoever had them."""
        for key, before in self._before.items():
            self._viewer.bind_key(key, before, overwrite=True)
        self._before = {}
        app = QApplication.instance()
        if self._tips is not None and app is not None:
            app.removeEventFilter(self._tips)
            self._tips.deleteLater()
        self._tips = None

    def change(self, keys: Mapping[str, str]) -> None:
        """Other keys from now on, and at the next start."""
        self.unbind()
        self.now = dict(keys)
        preferences.remember_keys(changed(self.now))
        self.bind()
        self._desk.session.changed.emit()

    def worded(self, text: str) -> str:
        """A text that was written with the keys of the table, with the keys of now."""
        return worded(text, self.now)

    def _bound(self, act: Callable[[Desk], Any]) -> Callable[[Any], Any]:
        desk = self._desk

        def held(viewer: Any) -> Iterator[None]:
            yield from act(desk)

        def pressed(viewer: Any) -> None:
            act(desk)

        return held if inspect.isgeneratorfunction(act) else pressed
