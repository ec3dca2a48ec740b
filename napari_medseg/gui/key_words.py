"""Where a person gave acts other keys, tooltips and the Guide name those."""

from __future__ import annotations

import re
from collections.abc import Mapping

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QToolTip, QWidget

from napari_medseg.gui.key_table import TABLE, spelt


def worded(text: str, keys: Mapping[str, str]) -> str:
    """A text that was written with the keys of the table, with the keys of now. Signs and digits are keys between brackets only: "( , )"."""
    now = {spelt(row.key): spelt(keys[row.id]) or "no key" for row in TABLE if keys[row.id] != row.key}
    if not now:
        return text
    found = (rf"(?<=\()(\s*){re.escape(key)}(\s*)(?=\))" if not key[-1].isalpha() else rf"(?<![\w+])()({re.escape(key)})(?![\w+'])" for key in now)
    return re.sub("|".join(found), lambda match: _instead(match[0], now), text)


def _instead(found: str, now: Mapping[str, str]) -> str:
    return found.replace(found.strip(), now[found.strip()])


class TipWords(QObject):
    """Shows tooltips with the keys of now; only there while a key is not as from the start, since it sees every event of the program.

    Parameters
    ----------
    keys : the key of every act, as now
    """

    def __init__(self, keys: Mapping[str, str], parent: QObject) -> None:
        super().__init__(parent)
        self._keys = keys

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Show a tooltip whose keys are others now in the place of the one that was written."""
        if event.type() != QEvent.Type.ToolTip or not isinstance(watched, QWidget):
            return False
        text = worded(watched.toolTip(), self._keys)
        if text == watched.toolTip():
            return False
        QToolTip.showText(event.globalPos(), text, watched)
        return True
