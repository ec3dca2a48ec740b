"""Who learns and who is only looked at: by patient, never by slice or scan, drawn once and kept as JSON in the run's folder.

Slices of one scan, and scans of one patient, resemble each other too much to check one another; a split that is drawn anew with every run lets every patient
be learnt from in the end.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from napari_medseg.errors import UnreadableFileError

NAME = "splits.json"


def held_back(patients: Iterable[str], share: float, seed: int, before: Mapping[str, bool] | None = None) -> dict[str, bool]:
    """Whether each patient is held back, about `share` of them; always one who is, and one who is not, where there are two.

    Who it is depends on the patient's name and the seed alone, not on the order or on who else is there.

    Parameters
    ----------
    before : by patient
        Drawn earlier; kept as it is.
    """
    dealt = dict(before or {})
    new = sorted(set(patients) - dealt.keys(), key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    everyone = len(dealt) + len(new)
    wanted = min(math.ceil(share * everyone), everyone - 1) - sum(dealt.values())
    return {**dealt, **{name: index < wanted for index, name in enumerate(new)}}


def read_splits(folder: Path) -> dict[str, Any]:
    """What an earlier run in this folder drew; empty without one.

    Raises
    ------
    UnreadableFileError
        When the file is damaged.
    """
    try:
        found = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UnreadableFileError("is cut short or damaged", where=folder / NAME, todo="Delete it to have patients drawn anew") from error
    return found if isinstance(found, dict) else {}


def write_splits(folder: Path, splits: Mapping[str, Any]) -> None:
    """Keep what was drawn.

    Raises
    ------
    UnwritableFileError
        When the disk refuses.
    """
    from napari_medseg.io.atomic import replacing

    with replacing(folder / NAME) as part:
        part.write_text(json.dumps(splits, indent=2, sort_keys=True) + "\n", encoding="utf-8")
