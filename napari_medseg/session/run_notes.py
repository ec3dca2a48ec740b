"""What the window knows of a run beside its figures, kept in the run's folder so that its rounds can be shown another day.

Places only: which version of each case's labels the run began with, which slices each round changed most, and what to correct next. Pictures show patients and
are drawn again from the scans.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from napari_medseg.io.atomic import replacing
from napari_medseg.session.network_choices import NetworkChoices

log = logging.getLogger(__name__)
FILE, FORMAT = "window.json", 1
Voxel = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Spot:
    """A place where a correction would teach.

    Attributes
    ----------
    case : str
    voxel : (z, y, x)
        On the display grid.
    reason : str
        For people.
    control : bool
        Whether it was picked at random, to compare with.
    """

    case: str
    voxel: Voxel
    reason: str
    control: bool


@dataclass(frozen=True, slots=True)
class Where:
    """A slice that a round changed.

    Attributes
    ----------
    case : str
    voxel : (z, y, x)
        In the middle of the change, on the display grid; the slice is along its first axis.
    mm2 : float
        Area that differs.
    """

    case: str
    voxel: Voxel
    mm2: float


@dataclass(slots=True)
class RunNotes:
    """Of one run over a study.

    Attributes
    ----------
    began : str
        When; the name of the run in the versions it makes.
    recipe : str
    rounds : int
        As many as were asked for.
    versions : number of the version its labels were when the run began, by case
    changes : by round
        The slices that it changed most.
    spots : by round
        What to correct next.
    network : NetworkChoices
        What was trained.
    """

    began: str
    recipe: str
    rounds: int
    versions: Mapping[str, int]
    changes: dict[int, tuple[Where, ...]] = field(default_factory=dict)
    spots: dict[int, tuple[Spot, ...]] = field(default_factory=dict)
    network: NetworkChoices = field(default_factory=NetworkChoices)

    def add(self, number: int, changes: Sequence[Where], spots: Sequence[Spot]) -> None:
        """A round has ended."""
        self.changes[number], self.spots[number] = tuple(changes), tuple(spots)

    def write(self, folder: Path) -> None:
        """Keep them in the run's folder; where that fails the rounds are shown today only, and the log says so."""
        record = {
            "format": FORMAT, "began": self.began, "recipe": self.recipe, "rounds": self.rounds, "versions": dict(self.versions),
            "network": self.network.kept,
            "changes": {str(number): [asdict(each) for each in found] for number, found in self.changes.items()},
            "spots": {str(number): [asdict(each) for each in found] for number, found in self.spots.items()},
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(folder / FILE) as temporary:
                temporary.write_text(json.dumps(record, allow_nan=False), encoding="utf-8")
        except OSError as error:
            log.warning("the rounds of this run cannot be shown another day: %s", error)


def read_notes(folder: Path) -> RunNotes | None:
    """What was noted of the run in a folder; None where there is nothing, or nothing that can be made sense of."""
    try:
        kept = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if kept["format"] != FORMAT:
            return None
        return RunNotes(
            str(kept["began"]), str(kept["recipe"]), int(kept["rounds"]), {str(case): int(number) for case, number in kept["versions"].items()},
            {int(number): tuple(Where(str(w["case"]), _voxel(w["voxel"]), float(w["mm2"])) for w in found) for number, found in kept["changes"].items()},
            {int(number): tuple(_spot(each) for each in found) for number, found in kept["spots"].items()}, NetworkChoices.read(kept.get("network")),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.info("%s tells nothing of its rounds: %s", folder.name, error)
        return None


def _spot(kept: Mapping[str, Any]) -> Spot:
    return Spot(str(kept["case"]), _voxel(kept["voxel"]), str(kept["reason"]), bool(kept["control"]))


def _voxel(kept: Sequence[Any]) -> Voxel:
    z, y, x = (int(each) for each in kept)
    return z, y, x
