"""What the gate says of a round: its verdict in words, and the figures it rests on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a round was judged by. Dice, change and error are None where no slice was kept for checking.

    Attributes
    ----------
    round, against : int
        The round and the best one before it; 0 is the labels given.
    slices, patients : int
        Kept for checking, of which both say something.
    dice, dice_old, change, error : float or None
        Mean Dice over patients, new and old; the mean paired difference and its standard error.
    chance : float or None
        That the new one is better, 0-1.
    worst, worst_error, worst_case : float or None, float or None, str
        The largest loss (or least gain) of a patient, its standard error, and the id of one of its cases.
    volume_ratio : float
        Foreground of all cases against the labels given, where those are known.
    volume_check : float or None
        Foreground on the check slices against what was verified there.
    volume_worst, volume_worst_case : float, str
        The case whose volume is furthest from the labels given.
    emptied : int
        Cases that lost nearly all of their foreground.
    moved_mm, moved_error_mm : float
        Along the voxel axis with the clearest shift: how far the foreground lies from that of another version, mean over the cases, and its standard error.
    moved_axis : int
        0, 1, 2 for z, y, x.
    moved_from : int
        That version: the labels given (0) or the best so far, whichever shows the clearer shift.
    pieces, holes : float
        Mean count a case and class; crumbs do not count as pieces.
    strays, hollow : float
        Mean share of a class outside of its usual number of pieces, and in holes.
    usual_pieces, usual_holes, usual_strays, usual_hollow : float
        The same of the labels given.
    """

    round: int
    against: int
    slices: int = 0
    patients: int = 0
    dice: float | None = None
    dice_old: float | None = None
    change: float | None = None
    error: float | None = None
    chance: float | None = None
    worst: float | None = None
    worst_error: float | None = None
    worst_case: str = ""
    volume_ratio: float = 1.0
    volume_check: float | None = None
    volume_worst: float = 1.0
    volume_worst_case: str = ""
    emptied: int = 0
    moved_mm: float = 0.0
    moved_error_mm: float | None = None
    moved_axis: int = 0
    moved_from: int = 0
    pieces: float = 0.0
    holes: float = 0.0
    strays: float = 0.0
    hollow: float = 0.0
    usual_pieces: float = 0.0
    usual_holes: float = 0.0
    usual_strays: float = 0.0
    usual_hollow: float = 0.0

    @property
    def topology(self) -> str:
        """In words, where shapes differ from what is usual: "0.8 pieces more a case"; "" where they do not."""
        more = [(self.pieces - self.usual_pieces, "piece"), (self.holes - self.usual_holes, "hole")]
        return ", ".join(f"{n:.1f} {word}s more a case" for n, word in more if n >= 0.5)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a round.

    Attributes
    ----------
    round : int
    adopted : bool
        Whether it is the best now.
    stop : bool
        Whether another round would be a waste: this one was refused, or gained nothing beyond noise.
    reason : str
        A sentence for people.
    evidence : Evidence
    """

    round: int
    adopted: bool
    stop: bool
    reason: str
    evidence: Evidence

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
