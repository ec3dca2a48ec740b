"""What the sliders hold, in the words of the window, and what the engines make of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from napari_medseg.refine import RoundFigures
    from napari_medseg.weaklabel.cleanup import CleanupSettings
    from napari_medseg.weaklabel.levelset import LevelSetSettings

Drive = Literal["auto", "region", "edge"]

SMOOTH_STEP, CURVATURE_STEP = 1.5, 2.0


@dataclass(frozen=True, slots=True)
class LevelSetChoices:
    """How a level set grows.

    Attributes
    ----------
    drive : "auto", "region" or "edge"
        What stops the front: other values, or edges.
    reach_mm : int
        Nothing farther from the seeds is taken; 0 leaves it to the engine. A painted limit replaces it.
    smoothness : int
        -3 sharp ... 0 ... 3 smooth.
    close_mm : float
        Holes and gaps up to twice this are closed at the end.
    use_limit : bool
        Whether a painted limit counts.
    """

    drive: Drive = "auto"
    reach_mm: int = 0
    smoothness: int = 0
    close_mm: float = 1.0
    use_limit: bool = True

    def settings(self) -> LevelSetSettings:
        """For the engine."""
        from napari_medseg.weaklabel.levelset import LevelSetSettings

        plain = LevelSetSettings()
        return LevelSetSettings(
            method=self.drive,
            reach_mm=float(self.reach_mm) if self.reach_mm else None,
            smooth_mm=plain.smooth_mm * SMOOTH_STEP**self.smoothness,
            curvature_mm=plain.curvature_mm * CURVATURE_STEP**self.smoothness,
            close_mm=self.close_mm,
        )


@dataclass(frozen=True, slots=True)
class CleanupChoices:
    """How accepted labels are tidied.

    Attributes
    ----------
    min_ml : float
        Smaller pieces go; 0 keeps all.
    close_mm : float
        Gaps up to twice this are closed.
    fill : bool
        Holes are filled.
    largest : bool
        Only the largest piece of each class stays.
    """

    min_ml: float = 0.1
    close_mm: float = 0.0
    fill: bool = True
    largest: bool = False

    def settings(self) -> CleanupSettings:
        """For the engine."""
        from napari_medseg.weaklabel.cleanup import CleanupSettings

        return CleanupSettings(min_ml=self.min_ml, close_mm=self.close_mm, fill=self.fill, largest=self.largest)


@dataclass(slots=True)
class RefineChoices:
    """What a refinement runs on and with, and what it told so far.

    Attributes
    ----------
    recipe : str
        Id of a catalogue entry.
    base : Path or None
        Model every round starts from; None is M0.
    rounds : int
    left_out : set of int or str
        `id` of open scans, or ids of cases, that do not take part.
    images, labels : Path or None
        Folders instead of the open scans.
    out : Path or None
        Where labels and model go; None makes a dated folder among the user's own data.
    losses : list of float
        One an update, of the run shown.
    round_starts : list of int
        Index into `losses` at which each round begins.
    figures : list of RoundFigures
    model : Path or None
        What the last run wrote.
    """

    recipe: str = "salah2023"
    base: Path | None = None
    rounds: int = 3
    left_out: set[int | str] = field(default_factory=set)
    images: Path | None = None
    labels: Path | None = None
    out: Path | None = None
    losses: list[float] = field(default_factory=list)
    round_starts: list[int] = field(default_factory=list)
    figures: list[RoundFigures] = field(default_factory=list)
    model: Path | None = None
    best_round: int | None = None
