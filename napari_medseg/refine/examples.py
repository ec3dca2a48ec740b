"""From labels of many origins to what a round learns from: what a person said outranks what a tool or a network made.

A person's word is kept apart from the labels of the rounds and laid over them anew each time, so that no round can wear it away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_medseg.refine.cases import Case
from napari_medseg.refine.method import Example
from napari_medseg.refine.trust import UNKNOWN_LABEL, Trust, keep_locked
from napari_medseg.volume import Array, BoolArray, LabelArray

REPLAY = "replay/"
"""What the id of an example begins with that is learnt again, and gets no proposal."""


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """What a person settled in one case.

    Attributes
    ----------
    labels : uint8 (z, y, x)
        255 where nothing is settled.
    trust : uint8 (z, y, x)
        CORRECTED, VERIFIED, or UNKNOWN where nothing is settled.
    teaches : bool (z, y, x)
        Where it may be learnt from; the rest only checks.
    """

    labels: LabelArray
    trust: Array
    teaches: BoolArray

    def over(self, proposal: LabelArray) -> LabelArray:
        """A proposal (z, y, x) with all that a person settled in it: what is shown and written."""
        return keep_locked(proposal, self.labels, self.trust)

    def lesson(self, labels: LabelArray, level: Trust) -> tuple[LabelArray, Array]:
        """Labels to learn from and their trust, both (z, y, x): a person's word where it teaches, else `labels`, believed as far as `level`."""
        taught = np.where(self.teaches, self.labels, labels).astype(np.uint8)
        trust = np.where(self.teaches, self.trust, np.where(labels == UNKNOWN_LABEL, Trust.UNKNOWN, level)).astype(np.uint8)
        return taught, trust


def persons_word(case: Case, corrected: LabelArray | None = None, verified: LabelArray | None = None, *, teach: bool = False) -> Word:
    """What was corrected and verified in a case, each (z, y, x) with 255 elsewhere.

    Verified voxels outrank corrected ones. Those that check (`teach` is false) teach nothing, not even as a correction.
    """
    shape = case.image.geometry.shape
    labels, trust = np.full(shape, UNKNOWN_LABEL, np.uint8), np.zeros(shape, np.uint8)
    teaches = np.zeros(shape, bool)
    for values, level, is_taught in ((corrected, Trust.CORRECTED, True), (verified, Trust.VERIFIED, teach)):
        if values is None:
            continue
        settled = values != UNKNOWN_LABEL
        labels[settled], trust[settled], teaches[settled] = values[settled], level, is_taught
    return Word(labels, trust, teaches)


def example(case: Case, labels: LabelArray, level: Trust, word: Word | None = None, patient: str = "") -> Example:
    """One case to learn from: labels (z, y, x) that are believed as far as `level`, and a person's word over them."""
    taught, trust = (word or persons_word(case)).lesson(labels, level)
    return Example(case.id, patient or case.id, case.image, taught, trust)


def weak_examples(cases: Iterable[Case]) -> tuple[Example, ...]:
    """Cases with nothing but weak labels."""
    return tuple(example(case, case.labels.channel(), Trust.WEAK) for case in cases)


def replayed(cases: Sequence[Case], share: float, learners: int, patients: Mapping[str, str], seed: Sequence[int]) -> tuple[Example, ...]:
    """Cases of an earlier set, drawn so that they are `share` of all that is learnt beside `learners` others; all of them where there are fewer."""
    wanted = min(max(1, round(learners * share / (1 - share))), len(cases))
    drawn = sorted(np.random.default_rng(list(seed)).permutation(len(cases))[:wanted])
    examples = weak_examples(cases[index] for index in drawn)
    return tuple(replace(one, id=REPLAY + one.id, patient=patients.get(one.id, REPLAY + one.id)) for one in examples)
