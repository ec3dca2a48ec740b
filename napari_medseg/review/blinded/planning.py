"""Making a plan: which slices, in which order, what on which side. All of it follows from one seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.review.blinded.plan import VIEWS, Plan, PlannedCase, Question, View, Which
from napari_medseg.review.blinded.sources import Source, Trio
from napari_medseg.volume import Array, Spacing

THICK = 1.5
"""An axis whose voxels are this much longer than the next is the one the scan was taken along."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What is asked.

    Attributes
    ----------
    kind : "slices" or "volumes"
    slices : int
        How many, over all cases, as evenly as they allow; volumes are asked once a case.
    choice : "spread" or "random"
        Slices of a case at equal distances through its labels, or by chance.
    view : "auto" or a view
        "auto": along the axis with the longest voxels where it is clear, else axial.
    label : int or None
        One class; None for all.
    repeats : float
        Share of the questions that is asked again, 0-1, to measure raters against themselves.
    seed : int
    title : str
    """

    kind: Literal["slices", "volumes"] = "slices"
    slices: int = 40
    choice: Literal["spread", "random"] = "spread"
    view: Literal["auto", "axial", "coronal", "sagittal"] = "auto"
    label: int | None = None
    repeats: float = 0.0
    seed: int = 0
    title: str = "Blinded review"

    def __post_init__(self) -> None:
        if self.slices < 1:
            raise InvalidInputError(f"{self.slices} is no number of slices", where="slices", todo="Ask for one at least")
        if not 0 <= self.repeats <= 1:
            raise InvalidInputError(f"{self.repeats} is no share", where="repeats", todo="Give a share from 0 to 1, such as 0.1")
        if self.label is not None and not 1 <= self.label <= 254:
            raise InvalidInputError(f"{self.label} is no class", where="label", todo="Give a class from 1 to 254, or none for all")
        if self.seed < 0:
            raise InvalidInputError(f"{self.seed} is no seed", where="seed", todo="Give a whole number from 0 up")


@dataclass(frozen=True, slots=True)
class Planning:
    """How far the planning is.

    Attributes
    ----------
    fraction : float or None
    message : str
    plan : Plan or None
        With the last tick.
    """

    fraction: float | None
    message: str
    plan: Plan | None = None


Place = tuple[str, View, int | None]


def make_plan(source: Source, options: PlanOptions) -> Iterator[Planning]:
    """Read every case once, note what its masks hold, and draw the questions.

    Yields
    ------
    Planning

    Raises
    ------
    NoLabelsError
        When neither set holds a label.
    MedsegError
        When something cannot be read.
    """
    cases: list[PlannedCase] = []
    held: dict[str, tuple[View, list[int]]] = {}
    same: set[Place] = set()
    for done, case in enumerate(source.cases):
        yield Planning(done / len(source.cases), f"Looking at scan {done + 1} of {len(source.cases)}")
        found = source.read(case)
        cases.append(PlannedCase(case, *source.files(case), found.image_sha256, found.a_sha256, found.b_sha256))
        view = _view(found.image.geometry.spacing) if options.view == "auto" else options.view
        held[case] = view, slices_with_labels(found, view, options.label)
        same |= _same(case, found, view, options)
    notes = list(source.notes)
    empty = [case for case, (_, slices) in held.items() if not slices]
    if empty:
        notes.append(f"neither set holds a label in {', '.join(empty[:3])}{f' and {len(empty) - 3} more' if len(empty) > 3 else ''}: left out")
    filled = {case: value for case, value in held.items() if value[1]}
    if not filled:
        raise NoLabelsError(
            "neither set of masks holds a label" + (f" of class {options.label}" if options.label else ""), where=f"{source.a.title}, {source.b.title}",
            todo="Check the folders and the class",
        )
    random = np.random.default_rng(options.seed)
    places: list[Place]
    if options.kind == "volumes":
        places = [(case, view, None) for case, (view, _) in filled.items()]
    else:
        chosen = choose_slices({case: slices for case, (_, slices) in filled.items()}, options.slices, options.choice, random)
        places = [(case, filled[case][0], index) for case, index in chosen]
        if len(places) < options.slices:
            notes.append(f"only {len(places)} slices hold a label in either set; {options.slices} were asked for")
    plan = Plan(
        options.title, datetime.now(UTC).isoformat(timespec="seconds"), options.kind, "study" if source.kind == "study" else "folders", source.images, source.a,
        source.b, options.label, options.seed, asdict(options), tuple(case for case in cases if case.case in {place[0] for place in places}),
        draw(places, options.repeats, random, same), tuple(notes),
    )
    yield Planning(1.0, f"{len(plan.questions)} questions", plan)


def choose_slices(held: Mapping[str, Sequence[int]], wanted: int, choice: str, random: np.random.Generator) -> list[tuple[str, int]]:
    """Slices from all cases, as evenly as what they hold allows.

    Parameters
    ----------
    held : case to the slices that hold labels, rising
    wanted : int
    choice : "spread" or "random"

    Returns
    -------
    list of (case, slice)
        `wanted` of them, or all there are; by case and slice.
    """
    shares = dict.fromkeys(held, 0)
    order = [list(held)[i] for i in random.permutation(len(held))]
    left = min(wanted, sum(len(slices) for slices in held.values()))
    while left:
        for case in order:
            if left and shares[case] < len(held[case]):
                shares[case] += 1
                left -= 1
    chosen = []
    for case, slices in held.items():
        count = shares[case]
        if choice == "random":
            picked = sorted(int(i) for i in random.choice(len(slices), count, replace=False))
        else:
            picked = [int((i + 0.5) * len(slices) / count) for i in range(count)]
        chosen += [(case, slices[i]) for i in picked]
    return chosen


def draw(places: Sequence[Place], repeats: float, random: np.random.Generator, same: set[Place] | None = None) -> tuple[Question, ...]:
    """Order and sides by chance: either set lies on the left in half of the showings, to the odd one.

    A repeated question comes a quarter of the questions later at least, where there are that many, with its sides changed.
    """
    n = len(places)
    order = [places[i] for i in random.permutation(n)]
    sides: list[Which] = ["a" if i % 2 == 0 else "b" for i in range(n)]
    if n % 2 and random.random() < 0.5:
        sides[-1] = "b"
    sides = [sides[i] for i in random.permutation(n)]
    again = _again(sides, round(repeats * n), random)
    gap = max(1, n // 4)
    keyed: list[tuple[float, int, bool]] = [(float(i), i, False) for i in range(n)]
    keyed += [(i + gap + random.random() * max(1.0, n - i - gap), i, True) for i in again]
    keyed.sort()
    numbers = {i: number for number, (_, i, repeated) in enumerate(keyed, 1) if not repeated}
    questions = []
    for number, (_, i, repeated) in enumerate(keyed, 1):
        case, view, index = order[i]
        left: Which = sides[i] if not repeated else ("b" if sides[i] == "a" else "a")
        questions.append(Question(number, case, view, index, left, numbers[i] if repeated else None, order[i] in (same or set())))
    return tuple(questions)


def slices_with_labels(found: Trio, view: View, label: int | None) -> list[int]:
    """Slices along a view in which either mask holds something, rising."""
    axis = VIEWS.index(view)
    others = tuple(i for i in range(3) if i != axis)
    there = (found.mask("a", label) > 0).any(others) | (found.mask("b", label) > 0).any(others)
    return [int(i) for i in np.flatnonzero(there)]


def _again(sides: Sequence[Which], wanted: int, random: np.random.Generator) -> list[int]:
    """Questions to ask again: from either side as many, and the earlier ones so that time lies between."""
    early = max(wanted, len(sides) - max(1, len(sides) // 4))
    by_side = [[i for i in range(early) if sides[i] == which] for which in ("a", "b")]
    mixed = [[group[k] for k in random.permutation(len(group))] for group in by_side]
    picked: list[int] = []
    while len(picked) < wanted and any(mixed):
        for group in mixed:
            if group and len(picked) < wanted:
                picked.append(group.pop())
    return picked


def _same(case: str, found: Trio, view: View, options: PlanOptions) -> set[Place]:
    differ: Array = found.mask("a", options.label) != found.mask("b", options.label)
    if options.kind == "volumes":
        return set() if differ.any() else {(case, view, None)}
    axis = VIEWS.index(view)
    slices = ~differ.any(tuple(i for i in range(3) if i != axis))
    return {(case, view, int(i)) for i in np.flatnonzero(slices)}


def _view(spacing: Spacing) -> View:
    """The view a scan was taken in: along its longest voxels."""
    longest = int(np.argmax(spacing))
    return VIEWS[longest] if spacing[longest] >= THICK * sorted(spacing)[1] else "axial"
