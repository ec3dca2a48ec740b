"""What a pruning is asked for, and what it tells: the curve of work against quality and time. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.cases import Case
from napari_medseg.refine.request import Folders

SAMPLES = 48
"""Windows that filters are judged by; the paper took 39, and found the same with 235."""
CURVE = (0.9, 0.75, 0.5, 0.35, 0.25)
JUDGED = 0.5
"""Share of the patients that only judge the smaller models."""


@dataclass(frozen=True, slots=True, eq=False)
class PruneRequest:
    """What is asked for.

    Attributes
    ----------
    model : Path
        A file, or a folder that holds `model.safetensors`.
    cases : tuple of Case, or Folders
        With labels that are believed; of two patients at least.
    share : float
        Of the work (floating-point operations) that may be left, 0-1; 1 asks for the curve alone.
    curve : tuple of float
        Further shares to measure; those that are less than the network can be brought to are left out.
    out : Path or None
        Folder for the smaller model; None measures only.
    patients : by case id
        Each case is a patient of its own where it is not there.
    judges : frozenset of case ids
        Who judges, where that is not to be drawn; the others say what filters are worth.
    seed : int
    samples : int
        Windows that the filters are judged by.
    points : Path or None
        Folder in which the model of each point is left, in one of its own, for a person to choose from.
    """

    model: Path
    cases: tuple[Case, ...] | Folders
    share: float = 0.5
    curve: tuple[float, ...] = ()
    out: Path | None = None
    patients: Mapping[str, str] = field(default_factory=dict)
    judges: frozenset[str] = frozenset()
    seed: int = 0
    samples: int = SAMPLES
    points: Path | None = None

    def __post_init__(self) -> None:
        if any(not 0 < share <= 1 for share in (self.share, *self.curve)) or self.samples < 1:
            raise InvalidInputError("a model can be brought to more than 0 and at most all of its work", where="flops", todo="Give a share such as 0.5")

    def ticks(self) -> Iterator[PruneTick]:
        """Do it; imports torch. Raises as `pruning.prune`."""
        from napari_medseg.refine.pruning.pruning import prune

        return prune(self)


@dataclass(frozen=True, slots=True)
class Point:
    """A model on the curve.

    Attributes
    ----------
    asked : float
        Share of the work that was asked for; 1 is the whole model.
    flops : int
        Counted, for a window, over all networks of the model.
    share : float
        `flops` against those of the whole model.
    parameters : int
    channels : int
        Filters that are left of those that can go.
    dice : float or None
        On the cases that said nothing about the filters.
    ms : float
        Median time for a window on this machine's processor.
    whole_ms : float
        Of the whole model, measured in turns with it.
    faster : float
        Median of the pairs' ratios.
    file : Path or None
        The model, where it was to be left.
    """

    asked: float
    flops: int
    share: float
    parameters: int
    channels: int
    dice: float | None
    ms: float
    whole_ms: float
    faster: float
    file: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Pruned:
    """What came of it.

    Attributes
    ----------
    points : tuple of Point
        The whole model first, then falling shares.
    chosen : Point
        What was asked for.
    file : Path or None
        The smaller model.
    judged_by : tuple of str
        Cases that Dice was measured on.
    window : (z, y, x) or (y, x)
    """

    points: tuple[Point, ...]
    chosen: Point
    file: Path | None
    judged_by: tuple[str, ...]
    window: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PruneTick:
    """How far it is; the last one carries the result."""

    fraction: float
    message: str
    point: Point | None = None
    result: Pruned | None = None
