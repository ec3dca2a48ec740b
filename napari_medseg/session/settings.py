"""What the sliders hold, in the words of the window, and what the engines make of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_medseg.session.network_choices import NetworkChoices

if TYPE_CHECKING:
    from napari_medseg.refine import RoundFigures
    from napari_medseg.weaklabel.scribble_settings import ScribbleSettings
    from napari_medseg.weaklabel.settings import Device, LevelSetSettings

Solver = Literal["auto", "geodesic", "growcut", "walker"]
Begin = Literal["", "label", "preview"]
Preset = Literal["", "salah2023"]

SMOOTH_STEP, CURVATURE_STEP = 1.5, 2.0
SIZE_STEP = 0.25  # log-odds
SIZES, SMOOTHS, EDGE_STEPS = 8, 3, 10  # how far each slider goes


@dataclass(frozen=True, slots=True)
class LevelSetChoices:
    """How a level set grows.

    Attributes
    ----------
    size : int
        Below 0 smaller, above 0 bigger.
    smoothness : int
        -3 sharp ... 0 ... 3 smooth.
    edge : int or None
        0 grey values only ... 10 edges only; None leaves it to the data.
    preset : "" or "salah2023"
        What the sliders start from: our own settings, or the paper's pipeline.
    begin : "", "label" or "preview"
        What the front starts from: the seeds and the limit, the accepted label, or the preview that is shown.
    learned : bool
        Whether a segmenter's probabilities, where there are some, drive the front in place of the grey values.
    window : (low, high) or None
        Only these values belong to the target, in the scan's units.
    local_mm : float or None
        How far the statistics of grey values look; None leaves it to the data, 0 is the whole scan.
    reach_mm : int
        Nothing farther from the seeds is taken; 0 leaves it to the engine. A painted limit replaces it.
    close_mm : float or None
        Holes and gaps up to twice this are closed at the end; None is the preset's own.
    device : str
        "auto", "cpu" or "cuda".
    use_limit : bool
        Whether a painted limit counts.
    bubble_mm : float
        Radius of the next bubble.
    """

    size: int = 0
    smoothness: int = 0
    edge: int | None = None
    preset: Preset = ""
    begin: Begin = ""
    learned: bool = True
    window: tuple[float, float] | None = None
    local_mm: float | None = None
    reach_mm: int = 0
    close_mm: float | None = None
    device: Device = "auto"
    use_limit: bool = True
    bubble_mm: float = 5.0

    def settings(self) -> LevelSetSettings:
        """For the engine."""
        from napari_medseg.weaklabel.settings import LevelSetSettings

        plain = LevelSetSettings.salah2023() if self.preset == "salah2023" else LevelSetSettings()
        return replace(
            plain,
            size=plain.size + SIZE_STEP * self.size,
            edge=plain.edge if self.edge is None else self.edge / EDGE_STEPS,
            window=self.window,
            local_mm=plain.local_mm if self.local_mm is None else self.local_mm,
            reach_mm=float(self.reach_mm) if self.reach_mm else None,
            smooth_mm=plain.smooth_mm * SMOOTH_STEP**self.smoothness,
            curvature_mm=plain.curvature_mm * CURVATURE_STEP**self.smoothness,
            close_mm=plain.close_mm if self.close_mm is None else self.close_mm,
            device=self.device,
        )


@dataclass(frozen=True, slots=True)
class ScribbleChoices:
    """How strokes grow.

    Attributes
    ----------
    solver : "auto", "geodesic", "growcut" or "walker"
        What spreads them.
    learn : bool
        Whether what tissue looks like may be learned from the strokes; automatic decides whether it helps.
    live : bool
        Whether every stroke answers at once.
    """

    solver: Solver = "auto"
    learn: bool = True
    live: bool = True

    def settings(self) -> ScribbleSettings:
        """For the engine."""
        from napari_medseg.weaklabel.scribble_settings import ScribbleSettings

        return ScribbleSettings(method=self.solver, classifier=(None if self.solver == "auto" else True) if self.learn else False)


@dataclass(frozen=True, slots=True)
class SegmentChoices:
    """How a segmenter is asked.

    Attributes
    ----------
    live : bool
        Whether every prompt is answered at once; without prompts, whether the slices follow the scrolling while it runs.
    mirrored : bool
        Whether the mean with the mirrored scan is taken.
    combined : tuple of str
        Ids of other segmenters whose answers are averaged with it.
    cleanup : bool
        Whether the clean-up that a refined model holds is done; nothing for one that holds none.
    """

    live: bool = True
    mirrored: bool = False
    combined: tuple[str, ...] = ()
    cleanup: bool = True


@dataclass(frozen=True, slots=True)
class LimitChoices:
    """The brush that paints the limit.

    Attributes
    ----------
    radius_mm : float
        Of its ball.
    softness : float
        Share of the radius over which it fades, 0-1.
    erase : bool
        Whether it takes away.
    """

    radius_mm: float = 15.0
    softness: float = 0.5
    erase: bool = False


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
    network : NetworkChoices
        What is trained in place of the recipe's own network and loss.
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
    network: NetworkChoices = field(default_factory=NetworkChoices)
    left_out: set[int | str] = field(default_factory=set)
    images: Path | None = None
    labels: Path | None = None
    out: Path | None = None
    losses: list[float] = field(default_factory=list)
    round_starts: list[int] = field(default_factory=list)
    figures: list[RoundFigures] = field(default_factory=list)
    model: Path | None = None
    best_round: int | None = None
