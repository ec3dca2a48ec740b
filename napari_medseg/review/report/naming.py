"""What may be said of a case or a person: a number or a letter, and the name only when names were asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import ascii_uppercase

from napari_medseg.io.formats import stem_of


class People:
    """Annotators by letter, in the order they are met: the one who worked first is A.

    Parameters
    ----------
    names : bool
        Whether they go by their names instead.
    """

    def __init__(self, names: bool) -> None:
        self._names, self._known = names, dict[str, str]()

    def __call__(self, author: str) -> str:
        """What to call somebody."""
        if self._names or not author:
            return author
        if author not in self._known:
            index = len(self._known)
            self._known[author] = ascii_uppercase[index] if index < len(ascii_uppercase) else f"{index + 1}"
        return self._known[author]


def numbered(ids: Iterable[str], names: bool) -> dict[str, str]:
    """What to call cases that are known by file names only: "case 1", ... in the order of their names."""
    return {id_: stem_of(Path(id_)) if names else f"case {number}" for number, id_ in enumerate(sorted(ids), 1)}


def without(text: str, called: Mapping[str, str]) -> str:
    """A sentence in which each case goes by what it is called.

    Ids that are a number or a letter or two are replaced only where the gate speaks of a case, since they may stand for anything elsewhere.
    """
    for id_ in sorted(called, key=len, reverse=True):
        name, said = re.escape(id_), called[id_].replace("\\", r"\\")
        text = re.sub(rf"(?<=fails in ){name}(?=:)|(?<=\(){name}(?= first\))", said, text)
        if len(id_) > 3 and not id_.isdigit():
            text = re.sub(rf"(?<!\w){name}(?!\w)", said, text)
    return text
