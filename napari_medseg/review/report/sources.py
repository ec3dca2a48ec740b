"""What a report is made from, before anything is measured: facts, and where the labels and scans behind them are read when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from napari_medseg.review.report.facts import CaseFacts, Known, ReportFacts, StageFacts
from napari_medseg.volume import LabelArray, Spacing, Volume

UNKNOWN = 255
"""In label maps: nobody said what is there."""


@dataclass(frozen=True, slots=True)
class ReportTick:
    """How far a report is.

    Attributes
    ----------
    fraction : float
        0-1.
    message : str
    """

    fraction: float
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class CaseLabels:
    """The label maps of a case, uint8 (z, y, x) in the file's voxel order, 255 where nothing is known.

    Attributes
    ----------
    spacing : (z, y, x) mm
    stages : by key of the stage, in order; stages that the case does not have are left out
    truth : what they are compared with; None where nothing is known
    known : "whole" or "slices"
    """

    spacing: Spacing
    stages: Mapping[str, LabelArray]
    truth: LabelArray | None = None
    known: Known = "whole"


@dataclass(frozen=True, slots=True, eq=False)
class CaseSource:
    """A case, and how its labels and its scan are read.

    Attributes
    ----------
    facts : CaseFacts without scores
    labels : callable
        Raises a MedsegError when they cannot be read.
    image : callable or None
        None where nobody knows the scan.
    ml : float
        Volume of the latest labels; pictures are chosen by it where nothing can be scored.
    scored : bool
        Whether there may be a truth.
    file : Path or None
        Whose header tells what the scan is, where the facts do not know it yet.
    """

    facts: CaseFacts
    labels: Callable[[], CaseLabels]
    image: Callable[[], Volume] | None = None
    ml: float = 0.0
    scored: bool = True
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class CohortSource:
    """Cases that are told of together, with their stages; see `facts.CohortFacts`.

    Attributes
    ----------
    every_picture : bool
        Whether each case gets its picture, not the best, the median and the worst alone.
    """

    title: str
    about: str
    truth: str
    stages: tuple[StageFacts, ...]
    cases: tuple[CaseSource, ...]
    shown: str = ""
    every_picture: bool = False


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that was found; the facts lack the cohorts, which are measured from here."""

    facts: ReportFacts
    cohorts: tuple[CohortSource, ...] = field(default_factory=tuple)


Gathering = Generator[ReportTick, None, Gathered]
