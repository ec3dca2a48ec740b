"""Names of files and folders that every system takes: a study made on one machine opens on another."""

from __future__ import annotations

import re
from collections.abc import Collection

LONGEST = 100  # letters: the folders above and our own endings need room too, Windows takes 259 in all
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?", re.IGNORECASE)  # names of devices on Windows, with any ending
_REFUSED = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]+')


def plain_name(name: str, otherwise: str = "scan") -> str:
    """A name without anything that Windows, macOS or Linux refuses in a file's name.

    Parameters
    ----------
    name : str
        Of a scan, a series, a label.
    otherwise : str
        What it is called when nothing is left.
    """
    kept = _REFUSED.sub("-", name)[:LONGEST].strip().rstrip(". ")
    kept = kept if kept.strip("-. ") else otherwise
    return f"{kept.partition('.')[0]}_{kept[len(kept.partition('.')[0]):]}" if _DEVICES.fullmatch(kept) else kept


def free_name(name: str, taken: Collection[str], otherwise: str = "scan") -> str:
    """A plain name that is none of those taken, with a number where needed; upper and lower case are the same name on Windows and macOS."""
    plain = plain_name(name, otherwise)
    known = {each.casefold() for each in taken}
    number, free = 2, plain
    while free.casefold() in known:
        free, number = f"{plain} {number}", number + 1
    return free
