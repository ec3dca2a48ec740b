"""Where a person gave acts other keys, tooltips and the Guide name those."""

from __future__ import annotations

import re
from collections.abc import Mapping

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QToolTip, QWidget

from napari_medseg.gui.key_table import TABLE, spelt

WRITTEN = frozenset(spelt(row.key) for row in TABLE)
BRACKETS = re.compile(r"\([^()]*\)")


def worded(text: str, keys: Mapping[str, str]) -> str:
    """A text that was written with the keys of the table, with the keys of now. Signs and digits are keys between brackets only: "( , )", "(8 and 9)"."""
    now = {spelt(row.key): spelt(keys[row.id]) or "no key" for row in TABLE if keys[row.id] != row.key}
    if not now:
        return text
    letters = "|".join(re.escape(key) for key in now if key[-1].isalpha())
    text = re.sub(BRACKETS, lambda match: _in_brackets(match[0], now), text)
    return re.sub(rf"(?<![\w+(])(?:{letters})(?![\w+')])", lambda match: now[match[0]], text) if letters else text


def _in_brackets(text: str, now: Mapping[str, str]) -> str:
    """Brackets that hold nothing but keys, with those of now."""
    parts = re.split(r"([()]|\s+and\s+|\s+or\s+|\s+)", text)
    held = [part for part in parts if part and part not in "()" and not part.isspace() and part.strip() not in ("and", "or")]
    return "".join(now.get(part, part) for part in parts) if all(part in WRITTEN for part in held) else text


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
