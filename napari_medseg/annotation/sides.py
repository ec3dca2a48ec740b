"""Who teaches and who checks: patients with verified labels are put on one of two sides, once.

What a model learned from cannot say how good it is, so a part of what a person verified is kept away from every loss and only checked against. Sides are by
patient, never by slice: slices of one scan resemble each other too much to check one another.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

Side = Literal["teach", "check"]
SIDES: tuple[Side, ...] = get_args(Side)
PAIRED = 8
"""Patients up to here are dealt in pairs, one to each side; of those after them every third checks."""


def sides(patients: Iterable[str], stored: Mapping[str, Side] | None = None) -> dict[str, Side]:
    """Put patients on a side; those that have one keep it.

    The first patient checks: without a check nothing shows that a round is worse, while a few slices less to learn from are hardly missed. Within each later
    pair (block of three) the patient's own key decides who checks, not the order in which a person works (permuted blocks, as trials deal their arms).

    Parameters
    ----------
    patients : str each
        In the order they were verified.
    stored : by patient
        Sides given before.

    Returns
    -------
    dict
        Side of every patient, stored ones included.
    """
    dealt = dict(stored or {})
    for patient in patients:
        if patient not in dealt:
            dealt[patient] = _next(patient, len(dealt), sum(side == "check" for side in dealt.values()))
    return dealt


def _next(patient: str, dealt: int, checking: int) -> Side:
    if dealt == 0:
        return "check"
    size, before, owed = (2, dealt % 2, dealt // 2) if dealt < PAIRED else (3, (dealt - PAIRED) % 3, PAIRED // 2 + (dealt - PAIRED) // 3)
    if checking > owed:  # this block has its one
        return "teach"
    left = size - before
    return "check" if checking < owed or zlib.crc32(patient.encode()) % left == 0 else "teach"
