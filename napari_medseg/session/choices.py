"""What a person settles once for all: where things are computed, how the window answers and looks, which folders are theirs.

napari's preferences dialog is where they are chosen (`configurations` in napari.yaml); `preferences` keeps a copy for whatever runs without napari.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

log = logging.getLogger(__name__)

Device = Literal["auto", "cpu", "cuda", "mps"]
DEVICES: tuple[str, ...] = get_args(Device)
LIMITS: dict[str, tuple[float, float]] = {"threads": (0, 256), "autosave_s": (0.5, 60), "fill": (0, 100)}


@dataclass(frozen=True, slots=True)
class Choices:
    """What is settled.

    Attributes
    ----------
    device : "auto", "cpu", "cuda" or "mps"
        Where networks and level sets are computed; "auto" takes a graphics card where there is one.
    threads : int
        Of a training on the processor; 0 leaves it to the machine.
    live : bool
        Whether every click and stroke is answered at once, until a person says otherwise in a tab.
    pen : bool
        Whether the pressure of a pen sets the size of brushes.
    autosave_s : float
        From a change of a study's labels to its copy on the disk.
    fill : int
        How opaque accepted labels are, percent.
    letters, place : bool
        Whether the canvas has orientation letters, and the status bar the place under the cursor.
    scans, studies, trainings : str
        Folders where dialogs look for scans and studies first, and where trainings and their models are kept; "" for the usual ones.
    """

    device: Device = "auto"
    threads: int = 0
    live: bool = True
    pen: bool = False
    autosave_s: float = 1.2
    fill: int = 50
    letters: bool = True
    place: bool = True
    scans: str = ""
    studies: str = ""
    trainings: str = ""

    @property
    def scans_folder(self) -> Path:
        """Where dialogs look for scans first."""
        return there(self.scans) or Path.home()

    @property
    def studies_folder(self) -> Path:
        """Where dialogs look for studies first."""
        return there(self.studies) or Path.home()


def there(folder: str) -> Path | None:
    """A chosen folder that is there now; a share that is out of reach counts as not chosen."""
    try:
        return path if folder and (path := Path(folder).expanduser()).is_dir() else None
    except (OSError, ValueError, RuntimeError):
        return None


def checked(found: Mapping[str, Any], tell: Callable[[str], None] = log.warning) -> Choices:
    """Choices from what was read; a value that makes no sense becomes the usual one, and `tell` hears a sentence about it."""
    usual = Choices()
    kept: dict[str, Any] = {}
    for each in fields(Choices):
        if each.name not in found:
            continue
        default, value = getattr(usual, each.name), found[each.name]
        wrong = _wrong(each.name, default, value)
        if wrong:
            tell(f"Preferences: {each.name} is {value!r}, {wrong}; {_words(default)} is used. Choose it anew in napari's preferences, under Medseg")
        else:
            kept[each.name] = type(default)(value)
    return Choices(**kept)


def _wrong(name: str, default: object, value: object) -> str:
    """What is wrong with a value, "" for nothing."""
    if name == "device":
        return "" if value in DEVICES else f"which is none of {', '.join(DEVICES)}"
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "which is neither on nor off"
    if isinstance(default, str):
        if not isinstance(value, str):
            return "which is no folder"
        return "" if not value or there(value) else "which is no folder that is there"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "which is no number"
    low, high = LIMITS[name]
    if low <= value <= high:
        return "which is no whole number" if isinstance(default, int) and value != int(value) else ""
    return f"which is not between {low:g} and {high:g}"


def _words(value: object) -> str:
    return "the usual folder" if value == "" else {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
