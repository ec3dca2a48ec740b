"""What a report tells, as plain facts. They hold no path, no file name and no patient's number; names are in them only when they were asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_medseg.metrics.summary import Summary, mean
from napari_medseg.review.blinded.summary import Agreement, Preference, Share
from napari_medseg.review.comparing import Comparison
from napari_medseg.review.kept import Kept
from napari_medseg.review.volumes import BlandAltman

Known = Literal["whole", "slices"]
Figures = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Spread:
    """How a number lies over the cases."""

    low: float
    middle: float
    high: float
    count: int

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Spread | None:
        """Least, median and largest; None of nothing."""
        found = np.asarray(values, float)
        return cls(float(found.min()), float(np.median(found)), float(found.max()), found.size) if found.size else None


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """One class of the label maps: its value, its name, and its colour (red, green, blue, 0-1)."""

    value: int
    name: str
    colour: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class DataFacts:
    """The scans.

    Attributes
    ----------
    cases, patients : int
        Scans that name no patient count as a patient each; None where patients are not known at all.
    modalities, statuses, sides : count by "CT", ...; by "verified", ...; by "teach" and "check"
    spacing_mm_zyx, shape_zyx : Spread an axis of the display: slices, rows, columns
    volumes_ml : by class value, over the cases whose latest labels hold it
    work_s : Spread or None
        Seconds of active work a case, over the cases somebody worked on.
    verified_cases, verified_slices : int
        Cases verified as a whole; slices marked in the others.
    """

    cases: int
    patients: int | None = None
    modalities: Mapping[str, int] = field(default_factory=dict)
    statuses: Mapping[str, int] = field(default_factory=dict)
    sides: Mapping[str, int] = field(default_factory=dict)
    spacing_mm_zyx: tuple[Spread, ...] = ()
    shape_zyx: tuple[Spread, ...] = ()
    volumes_ml: Mapping[int, Spread] = field(default_factory=dict)
    work_s: Spread | None = None
    verified_cases: int = 0
    verified_slices: int = 0


@dataclass(frozen=True, slots=True)
class RoundFacts:
    """A round as the run recorded it; None where nothing was known. Round 0 is the labels given."""

    round: int
    updates: int = 0
    seconds: float = 0.0
    loss: float | None = None
    volume_ratio: float | None = None
    dice_verified: float | None = None
    dice_heldout: float | None = None
    dice_refined: float | None = None
    dice_change: float | None = None
    verified_slices: int = 0
    verified_patients: int = 0
    adopted: bool = False
    reason: str = ""
    pieces: str = ""


@dataclass(frozen=True, slots=True)
class LineageFacts:
    """From what a round was made.

    Attributes
    ----------
    round, labels_of_round : int
        The round, and the one whose labels it learned from.
    base, base_sha256 : str
        The model it started from.
    start, freeze, seed, recipe
        As the run was asked.
    cases, patients : int
    voxels : count by where the label of a voxel comes from
    labels_sha256, proposals_sha256 : by number of the case in this report, or name when names were asked for
    """

    round: int
    labels_of_round: int
    base: str = ""
    base_sha256: str = ""
    start: str = ""
    freeze: str = ""
    seed: int | None = None
    recipe: str = ""
    cases: int = 0
    patients: int = 0
    voxels: Mapping[str, int] = field(default_factory=dict)
    labels_sha256: Mapping[str, str] = field(default_factory=dict)
    proposals_sha256: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A refinement.

    Attributes
    ----------
    title : str
        "Run 2".
    created : datetime or None
        UTC.
    recipe : str
    settings : dict
        The recipe's, as the first round recorded them.
    rounds : RoundFacts from round 0 on
    best_round : int
    zero_shot : Dice of the base model before any training, by "dice_refined", "dice_heldout", "dice_labels"
    lineage : LineageFacts by round
    model_sha256, model_licence : str
        Of the weights it left; "" where they are not there.
    cases : int
    finished : bool
    """

    title: str
    created: datetime | None
    recipe: str
    settings: Mapping[str, Any]
    rounds: tuple[RoundFacts, ...]
    best_round: int = 0
    zero_shot: Mapping[str, float | None] = field(default_factory=dict)
    lineage: tuple[LineageFacts, ...] = ()
    model_sha256: str = ""
    model_licence: str = ""
    cases: int = 0
    finished: bool = True


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """One label version of the study; `author` is a letter unless names were asked for."""

    case: str
    number: int
    kind: str
    tool: str
    author: str
    created: datetime
    parent: int | None
    model: str
    checksum: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ScoreFacts:
    """How the labels of one stage fit the truth of a case.

    Attributes
    ----------
    stage : str
    known : "whole" or "slices"
        Of slices only overlap is told, over the marked slices together.
    classes : figures by class value as text, named as `metrics.measure` names them
    """

    stage: str
    known: Known
    classes: Mapping[str, Figures]

    @property
    def dice(self) -> float | None:
        """Mean over the classes that are there; None without one."""
        return mean(figures.get("dice") for figures in self.classes.values())


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """One case.

    Attributes
    ----------
    id : str
        "case-0001" in a study; "case 1" where the run knows file names only.
    name : str
        What people call it; "" unless names were asked for.
    side : "teach", "check" or ""
        Whether what was verified of its patient may have been learned from.
    scores : ScoreFacts by stage, in order
    problem : str
        What of it could not be read; "" for nothing.
    """

    id: str
    name: str = ""
    modality: str = ""
    status: str = ""
    side: str = ""
    scores: tuple[ScoreFacts, ...] = ()
    problem: str = ""

    def score(self, stage: str) -> ScoreFacts | None:
        """How a stage fits, where it is known."""
        return next((one for one in self.scores if one.stage == stage), None)


@dataclass(frozen=True, slots=True)
class StageFacts:
    """A stage of the labels, such as the weak label or round 2: its key and what people call it."""

    key: str
    title: str


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the figures of many cases come to.

    Attributes
    ----------
    classes : Summary by stage, class value and figure
    dice : Summary of each case's mean Dice over its classes, by stage
    comparison : Comparison or None
        The first stage against the one that came out, case by case; None with one stage.
    volumes : BlandAltman by class value
        Volume of the stage that came out against the truth's, ml, over cases known as a whole.
    """

    classes: Mapping[str, Mapping[str, Mapping[str, Summary]]]
    dice: Mapping[str, Summary]
    comparison: Comparison | None = None
    volumes: Mapping[str, BlandAltman] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BlindedFacts:
    """What a blinded choice came to.

    Attributes
    ----------
    first, second : str
        What was compared.
    kind : "slices" or "volumes"
    questions, cases, raters : int
    is_complete : bool
    seed : int
    together : Preference
        All raters' answers.
    by_case : (float, float) or None
        Interval of the share without ties that resamples whole cases.
    left : Share
        How often the left picture was chosen, whatever lay there.
    agreement : Agreement or None
        Between the raters, beyond chance.
    by_rater : Preference by letter, or name where names were asked for
    unusable, disliked : int
        Questions where every rater found neither good enough; where all preferred the second.
    """

    first: str
    second: str
    kind: str
    questions: int
    cases: int
    raters: int
    is_complete: bool
    seed: int
    together: Preference
    by_case: tuple[float, float] | None
    left: Share
    agreement: Agreement | None
    by_rater: Mapping[str, Preference]
    unusable: int
    disliked: int


@dataclass(frozen=True, slots=True)
class CohortFacts:
    """Cases that are told of together.

    Attributes
    ----------
    title, about : str
    truth : str
        What the stages are compared with: "the verified labels", "the expert's labels"; "" for nothing.
    stages : StageFacts in order
    cases : CaseFacts
    shown : str
        Key of the stage that stands for what came out, such as the adopted round; "" for the latest.
    statistics : Statistics or None
        None where nothing is measured.
    """

    title: str
    about: str
    truth: str
    stages: tuple[StageFacts, ...] = ()
    cases: tuple[CaseFacts, ...] = ()
    shown: str = ""
    statistics: Statistics | None = None

    @property
    def measured_stages(self) -> tuple[StageFacts, ...]:
        """Those that are measured in any case."""
        return tuple(stage for stage in self.stages if any(case.score(stage.key) for case in self.cases))

    @property
    def last_stage(self) -> str:
        """The stage that stands for what came out, where it is measured; else the latest that is; "" for none."""
        known = [stage.key for stage in self.measured_stages]
        return self.shown if self.shown in known else known[-1] if known else ""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model or tool that labels came from: its id, title, licence, and where known the hash of its weights and how many label versions it made."""

    id: str
    title: str
    licence: str
    sha256: str = ""
    versions: int = 0


@dataclass(frozen=True, slots=True)
class AgreementFacts:
    """How far two annotators agree.

    Attributes
    ----------
    first, second : str
        Letters, or names where they were asked for.
    dice : Summary
        Of each case's mean Dice over classes.
    dependent : int
        Cases where one of the two began from the other's labels.
    """

    first: str
    second: str
    dice: Summary
    dependent: int


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """Everything a report tells but its pictures.

    Attributes
    ----------
    kind : "study", "refinement" or "demo"
    title, lead : str
    data : DataFacts
    classes : ClassFacts
    cohorts : CohortFacts
    runs : RunFacts
    blinded : BlindedFacts
    agreement : AgreementFacts
    kept : KeptComparison or KeptCalibration
        What was kept from the page Compare.
    versions : VersionFacts
    events : count by action of the audit log
    models : ModelFacts
    packages : version by package
    made_at : datetime
        UTC.
    seconds : float or None
        What the work took, where that is known.
    names : bool
        Whether names were asked for.
    """

    kind: Literal["study", "refinement", "demo"]
    title: str
    lead: str
    data: DataFacts
    made_at: datetime
    classes: tuple[ClassFacts, ...] = ()
    cohorts: tuple[CohortFacts, ...] = ()
    runs: tuple[RunFacts, ...] = ()
    blinded: tuple[BlindedFacts, ...] = ()
    agreement: tuple[AgreementFacts, ...] = ()
    kept: tuple[Kept, ...] = ()
    versions: tuple[VersionFacts, ...] = ()
    events: Mapping[str, int] = field(default_factory=dict)
    models: tuple[ModelFacts, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    names: bool = False
