"""Whether a round is adopted: the new model against the best so far, on what was kept for checking, with volumes and shapes watched; and when to stop.

Rounds do not improve without fail: in pilots the third was often worse than the first, and the agreement of successive labels (0.96-0.97 while improving and
while degrading) says nothing about it. So every version is kept, one is the best so far, and a round takes its place only on evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from napari_medseg.annotation import Side, sides
from napari_medseg.metrics.pieces import centroid
from napari_medseg.refine.evidence import UNKNOWN, CheckSet, Compared, Labels, Measured, moved, shapes_of
from napari_medseg.refine.verdict import Evidence, Verdict
from napari_medseg.volume import Spacing

__all__ = ["Evidence", "Gate", "Side", "Verdict", "sides"]

BETTER = 0.7
"""Chance of being better from which a round is adopted; chosen on development trials (docs/refinement.md)."""
SURE = 0.9
"""Chance of being better from which another round is worth its time."""
FALL, FALL_ERRORS = 0.15, 2.5
"""A fall of one patient's Dice by so much, and by so many of its standard errors, is not made good by any gain elsewhere."""
MANY = 0.1
"""Share of the cases that may lose nearly all of their foreground."""
EMPTIED = 0.1
"""Share of the foreground given below which a case has lost it."""
MOVED, MOVED_ERRORS = 1.0, 4.0
"""A round lies elsewhere than the labels given, or than the best round so far, when the mean way over all cases is longer than this many voxels, and than this
many standard errors."""
STRAY = 0.1
"""Share of the foreground in stray pieces, or in holes, above what is usual."""


class Gate:
    """Judges the rounds of one run, in order.

    Parameters
    ----------
    given : uint8 (z, y, x) by case id
        The labels given, as tools made them; 255 unknown.
    check : uint8 (z, y, x) by case id
        What was verified and kept for checking; 255 elsewhere. Nothing of it may have been taught.
    values : label values of the classes
    spacing : mm (z, y, x) by case id
    patients : by case id, optional
        A case that is not in it is a patient of its own.
    drift : float
        Factor by which the volume of all cases may differ from the labels given.

    Attributes
    ----------
    best : int
        The best round so far; 0 is the labels given.
    first : Evidence
        Of the labels given.
    """

    def __init__(
        self, given: Labels, check: Labels, values: Sequence[int], spacing: Mapping[str, Spacing], patients: Mapping[str, str] | None = None, *,
        drift: float = 1.5,
    ) -> None:
        self._given, self._values, self._spacing, self._drift = given, tuple(values), spacing, drift
        self._check = CheckSet(check, self._values, spacing, patients or {})
        self._measured = {0: self._measure(given)}
        self._usual = {value: self._usual_pieces(value) for value in self._values}
        self.best = 0
        self.first = self._evidence(0, 0, None)

    def judge(self, number: int, answers: Labels) -> Verdict:
        """Judge a round right after it; when it is adopted it is the best from now on.

        Parameters
        ----------
        number : int
            From 1.
        answers : label maps (z, y, x) by case id
            What the round's model makes of the cases, with nothing a person settled put back.
        """
        self._measured[number] = self._measure(answers)
        compared = self._check.compare(self._measured[number], self._measured[self.best])
        evidence = self._evidence(number, self.best, compared)
        alarm = self._alarm(evidence)
        name = _name(self.best)
        if compared is None:
            adopted, stop = not alarm, bool(alarm)
            reason = f"{alarm}; {name} {_stay(self.best)}" if alarm else "volume and shapes are plausible; nothing was verified to check it by"
        else:
            adopted = not alarm and compared.chance >= BETTER
            stop = not adopted or compared.chance < SURE
            reason = self._score_words(compared, name, alarm)
        self.best = number if adopted else self.best
        return Verdict(number, adopted, stop, reason, evidence)

    def roll_back(self, number: int) -> None:
        """Make an earlier round, or the labels given (0), the best again; later rounds are judged against it.

        Raises
        ------
        KeyError
            When there was no such round.
        """
        self._measured[number]
        self.best = number

    # -- measuring -------------------------------------------------------------------------------------------------------------------------------------

    def _measure(self, labels: Labels) -> Measured:
        counts, answered = self._check.counts(labels)
        shapes, ml, middle = {}, {}, {}
        for case, given in self._given.items():
            known = np.where(given != UNKNOWN, labels[case], 0)
            ml[case] = float(np.count_nonzero(known)) * float(np.prod(self._spacing[case])) / 1000.0
            if ml[case]:
                middle[case] = np.asarray(centroid(known > 0) * self._spacing[case], np.float64)
            shapes[case] = shapes_of(np.where(labels[case] == UNKNOWN, 0, labels[case]), self._values, self._spacing[case])
        return Measured(counts, answered, shapes, ml, middle)

    def _usual_pieces(self, value: int) -> int:
        found = [shapes[value].pieces for shapes in self._measured[0].shapes.values() if shapes[value].ml]
        return max(1, int(np.ceil(np.median(found)))) if found else 1

    def _evidence(self, number: int, against: int, compared: Compared | None) -> Evidence:
        new, given = self._measured[number], self._measured[0]
        ratios = {case: new.ml[case] / given.ml[case] for case in given.ml if given.ml[case] > 0}
        furthest = max(ratios, key=lambda case: abs(np.log(max(ratios[case], 1e-6))), default="")
        total = sum(given.ml.values())
        shift = max((self._shift(number, other) for other in sorted({0, against})), key=lambda one: one[0])
        looks = {key: self._looks(version) for key, version in (("", new), ("usual_", given))}
        facts: dict[str, Any] = {f"{key}{name}": value for key, found in looks.items() for name, value in found.items()}
        if compared is not None:
            worst = int(np.argmin(compared.by_patient))
            facts["worst_error"] = float(compared.errors[worst])
            rows = np.flatnonzero(new.answered & self._measured[against].answered)
            people = np.unique(self._check.of[rows])
            case = next(self._check.slices[row].case for row in rows if self._check.of[row] == people[worst])
            facts |= {
                "slices": compared.slices, "patients": compared.patients, "dice": compared.dice, "dice_old": compared.dice_old, "change": compared.change,
                "error": compared.error, "chance": compared.chance, "worst": float(compared.by_patient[worst]), "worst_case": case,
            }
        return Evidence(
            number, against, volume_ratio=sum(new.ml.values()) / total if total else 1.0, volume_check=self._checked_volume(new),
            volume_worst=ratios.get(furthest, 1.0), volume_worst_case=furthest, emptied=sum(r < EMPTIED for r in ratios.values()),
            **shift[1], **facts,
        )

    def _shift(self, number: int, other: int) -> tuple[float, dict[str, Any]]:
        """How far a round lies from another version, and how clear that is: 1 where it speaks against the round."""
        way, error = moved(self._measured[number], self._measured[other])
        axis = int(np.argmax(np.abs(way) / np.maximum(error, 1e-9)))
        voxel = float(np.median([spacing[axis] for spacing in self._spacing.values()]))
        known = bool(np.isfinite(error[axis]))
        clear = abs(float(way[axis])) / max(MOVED * voxel, MOVED_ERRORS * float(error[axis])) if known else 0.0
        return clear, {"moved_mm": float(way[axis]), "moved_error_mm": float(error[axis]) if known else None, "moved_axis": axis, "moved_from": other}

    def _looks(self, version: Measured) -> dict[str, float]:
        shapes = [(shape, value) for found in version.shapes.values() for value, shape in found.items() if shape.ml]
        if not shapes:
            return {"pieces": 0.0, "holes": 0.0, "strays": 0.0, "hollow": 0.0}
        means = [(shape.pieces, shape.holes, shape.strays(self._usual[value]), shape.hollow) for shape, value in shapes]
        return dict(zip(("pieces", "holes", "strays", "hollow"), (float(v) for v in np.mean(means, axis=0)), strict=True))

    def _checked_volume(self, version: Measured) -> float | None:
        rows = version.answered
        true = float(version.counts[rows, :, 2].sum())
        return float(version.counts[rows, :, 1].sum()) / true if true else None

    # -- judging ---------------------------------------------------------------------------------------------------------------------------------------

    def _alarm(self, evidence: Evidence) -> str:
        """What speaks against a round whatever its score; "" for nothing."""
        ratio, cases = evidence.volume_ratio, sum(ml > 0 for ml in self._measured[0].ml.values())
        if not 1 / self._drift <= ratio <= self._drift and not self._drifts_to_truth(evidence):
            return f"its volume is {ratio:.2f} times that of the labels given"
        if evidence.emptied > MANY * cases:
            return f"it lost nearly everything in {evidence.emptied} of {cases} cases ({evidence.volume_worst_case} first)"
        elsewhere = self._shift(evidence.round, evidence.moved_from)[0] > 1
        if elsewhere and (evidence.chance is None or evidence.chance < SURE):  # surely better where it was verified: then the other version lay elsewhere
            way = f"{abs(evidence.moved_mm):.1f} mm beside {_name(evidence.moved_from)}"
            return f"it lies {way} (along {'zyx'[evidence.moved_axis]}, in all cases alike; ± {evidence.moved_error_mm or 0.0:.1f} mm)"
        if evidence.strays > evidence.usual_strays + STRAY:
            return f"{evidence.strays:.0%} of its volume lies in stray pieces, against {evidence.usual_strays:.0%} in the labels given"
        if evidence.hollow > evidence.usual_hollow + STRAY:
            return f"it is full of holes ({evidence.hollow:.0%} of its volume, against {evidence.usual_hollow:.0%} in the labels given)"
        if evidence.worst is not None and -evidence.worst > max(FALL, FALL_ERRORS * (evidence.worst_error or 0.0)):
            return f"it fails in {evidence.worst_case}: Dice {evidence.worst:+.3f} there"
        return ""

    def _drifts_to_truth(self, evidence: Evidence) -> bool:
        """Whether a drift away from the labels given is one towards what was verified: weak labels may be too large or too small altogether."""
        old = self._checked_volume(self._measured[0])
        return bool(evidence.volume_check and old and abs(np.log(evidence.volume_check)) < abs(np.log(old)))

    def _score_words(self, compared: Compared, name: str, alarm: str) -> str:
        patients = "1 patient" if compared.patients == 1 else f"{compared.patients} patients"
        slices = "1 verified slice" if compared.slices == 1 else f"{compared.slices} verified slices"
        figures = f"Dice {compared.dice:.3f} against {compared.dice_old:.3f} of {name} on {slices} of {patients}"
        spread = f"{compared.change:+.3f} ± {compared.error:.3f}"
        if compared.chance <= 1 - BETTER:
            return f"worse: {figures} ({spread}){f', and {alarm}' if alarm else ''}; {name} {_stay(self.best)}"
        if alarm:
            return f"{alarm}; {name} {_stay(self.best)} ({figures})"
        if compared.chance < BETTER:
            return f"no better beyond chance: {figures} ({spread}); {name} {_stay(self.best)}"
        return f"better: {figures} ({spread})"


def _name(version: int) -> str:
    return f"round {version}" if version else "the labels given"


def _stay(best: int) -> str:
    return "stays" if best else "stay"
