"""What was found and done, in words."""

from __future__ import annotations

from dataclasses import dataclass

NOTICED_MM = 0.3


@dataclass(frozen=True, slots=True)
class ClassReport:
    """One class.

    Attributes
    ----------
    value : int
        Its label.
    proposed : bool
        False when the weak label was kept.
    wrong_before, wrong_unseen : int
        Voxels of the corrected slices that the weak label had wrong, and that the proposal has wrong when it is made from the other corrected slices only.
    shift_mm : float
        How much too large (positive) the weak label is.
    looks : float
        How much looks count, 0-1.
    """

    value: int
    proposed: bool
    wrong_before: int
    wrong_unseen: int
    shift_mm: float
    looks: float

    @property
    def words(self) -> str:
        """One sentence."""
        test = f"on corrected slices, each proposed from the others, {self.wrong_unseen} voxels were wrong, of the weak label {self.wrong_before}"
        if not self.proposed:
            return f"Class {self.value}: the weak label is kept as it is, because {test}."
        way = "large" if self.shift_mm > 0 else "small"
        size = f" The weak label is about {abs(self.shift_mm):.1f} mm too {way}." if abs(self.shift_mm) >= NOTICED_MM else ""
        return f"Class {self.value}: {test}.{size}"


@dataclass(frozen=True, slots=True)
class Report:
    """What was done.

    Attributes
    ----------
    classes : ClassReport of each class
    axis : int
        Of the scan, along which slices are counted.
    corrected : tuple of int
        Slices that were learnt from.
    next_slice : int or None
        The slice along `axis` that a further correction would teach most about; None when nothing is in doubt.
    doubtful_mm2 : float
        Area in doubt on it.
    fits : int
        Classifiers trained.
    seconds : float
    """

    classes: tuple[ClassReport, ...]
    axis: int
    corrected: tuple[int, ...]
    next_slice: int | None
    doubtful_mm2: float
    fits: int
    seconds: float

    @property
    def useful(self) -> str:
        """Whether a further corrected slice would help."""
        if self.next_slice is None:
            return "No slice is in doubt: look through the proposal."
        return f"Slice {self.next_slice} is the one to correct next: {self.doubtful_mm2:.0f} mm² of it are in doubt."

    @property
    def words(self) -> str:
        """All of it, for people."""
        count = len(self.corrected)
        head = f"Learnt from {count} corrected slice{'s' if count != 1 else ''} in {self.seconds:.0f} s."
        return " ".join([head, *(each.words for each in self.classes), self.useful])
