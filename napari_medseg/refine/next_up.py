"""What to correct next: slices ranked by how much a correction there would teach, with one picked at random among them.

Four hints are looked at: where networks or rounds disagree (query by committee; Seung et al., COLT 1992), where the network is unsure (uncertainty sampling;
Lewis and Gale, SIGIR 1994), where the labels changed most between two versions, and which slices look unlike those corrected so far (coverage; Sener and
Savarese, ICLR 2018). The random pick is the control: whoever wants to know whether the ranking is worth its while compares what the two kinds bring.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from napari_medseg.segmenters.slices import thick_axis
from napari_medseg.volume import Array, FloatArray, LabelArray, Spacing

UNKNOWN = 255
APART_MM = 8.0
"""Places of one scan lie at least this far apart: neighbouring slices teach the same."""
WEIGHTS: Mapping[str, float] = {"disagreement": 1.0, "doubt": 1.0, "change": 1.0, "novelty": 0.5}
"""What each hint counts in the combined rank; one that a scan has nothing of counts for nothing."""
MARGIN = 8
"""Voxels around the labels within which a slice's look is described."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A scan in which something might be corrected; everything in the file's voxel order, (z, y, x).

    Attributes
    ----------
    case : str
    labels : LabelArray
        As they are now.
    spacing : mm (z, y, x)
    others : label maps
        Of other networks or rounds.
    before : LabelArray or None
        The label version before this one.
    doubt : float, 0-1, or None
        How unsure the network is (`Learned.doubt`).
    image : Array or None
    axis : int or None
        Along which slices are corrected; None is the thick one.
    """

    case: str
    labels: LabelArray
    spacing: Spacing
    others: Sequence[LabelArray] = ()
    before: LabelArray | None = None
    doubt: FloatArray | None = None
    image: Array | None = None
    axis: int | None = None

    @property
    def along(self) -> int:
        """The axis its slices lie along."""
        return thick_axis(self.spacing) if self.axis is None else self.axis


@dataclass(frozen=True, slots=True)
class Place:
    """A slice worth a look.

    Attributes
    ----------
    case : str
    axis, index : int
        In the file's voxel order.
    score : float
        Combined, 0-1.
    scores : by hint
        "disagreement", "doubt" and "change" in ml, "novelty" in standard deviations; only those that are known.
    reason : str
        For people.
    control : bool
        Whether it was picked at random.
    """

    case: str
    axis: int
    index: int
    score: float
    scores: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    control: bool = False


def rank(candidates: Sequence[Candidate], done: Mapping[str, Collection[int]] | None = None, count: int = 5, seed: int = 0) -> tuple[Place, ...]:
    """The slices to correct next, the most promising first, and last of all one picked at random.

    Parameters
    ----------
    candidates : sequence of Candidate
    done : indices by case id
        Slices corrected or verified already, along the candidate's axis; they are left out.
    count : int
        How many at most, the random one included.
    seed : int
        Of the random pick; give another one each time (the round's number).
    """
    every = _places(candidates, done or {})
    chosen: list[Place] = []
    apart = {one.case: max(1, round(APART_MM / one.spacing[one.along])) for one in candidates}
    for place in every:
        if len(chosen) < count - 1 and place.score > 0 and not _near(place, chosen, apart):
            chosen.append(place)
    left = sorted((p for p in every if p not in chosen), key=lambda p: (p.case, p.index))
    if left and count > 0:
        drawn = left[int(np.random.default_rng(seed).integers(len(left)))]
        chosen.append(Place(drawn.case, drawn.axis, drawn.index, drawn.score, drawn.scores, "picked at random, to compare with", control=True))
    return tuple(chosen)


def _places(candidates: Sequence[Candidate], done: Mapping[str, Collection[int]]) -> list[Place]:
    """Every slice that something speaks for, best first."""
    rows: list[tuple[Candidate, int, dict[str, float]]] = []
    looks: list[Floats | None] = []
    known: list[Floats] = []
    for one in sorted(candidates, key=lambda c: c.case):
        hints, used = _hints(one)
        look = _looks(one)
        settled = set(done.get(one.case, ()))
        if look is not None:
            known += [look[index] for index in sorted(settled) if 0 <= index < len(look)]
        for index in (int(i) for i in np.flatnonzero(used)):
            if index not in settled:
                rows.append((one, index, {name: float(values[index]) for name, values in hints.items()}))
                looks.append(None if look is None else look[index])
    if rows and known and all(look is not None for look in looks):
        for row, far in zip(rows, _novelty(np.array(looks), np.array(known)), strict=True):
            row[2]["novelty"] = float(far)
    ranks = {name: _ranks([known_of.get(name) for _, _, known_of in rows]) for name in WEIGHTS}
    places = []
    for number, (one, index, scores) in enumerate(rows):
        mine = {name: float(ranks[name][number]) for name in scores}
        weight = sum(WEIGHTS[name] for name in mine)
        score = sum(WEIGHTS[name] * mine[name] for name in mine) / weight if weight else 0.0
        places.append(Place(one.case, one.along, index, score, scores, _words(scores, mine)))
    return sorted(places, key=lambda p: (-p.score, p.case, p.index))


def _hints(one: Candidate) -> tuple[dict[str, Floats], npt.NDArray[np.bool_]]:
    """Values of each hint by slice, and which slices hold anything at all."""
    ml, rest = float(np.prod(one.spacing)) / 1000.0, tuple(a for a in range(3) if a != one.along)
    used = ((one.labels > 0) & (one.labels != UNKNOWN)).any(axis=rest)
    hints: dict[str, Floats] = {}
    if one.others:
        differ = np.mean([np.count_nonzero(_differ(one.labels, other), axis=rest) for other in one.others], axis=0)
        hints["disagreement"] = differ * ml
        used |= differ > 0
    if one.doubt is not None:
        hints["doubt"] = one.doubt.sum(axis=rest, dtype=np.float64) * ml
    if one.before is not None:
        changed = np.count_nonzero(_differ(one.labels, one.before), axis=rest)
        hints["change"] = changed * ml
        used |= changed > 0
    return hints, used


def _differ(labels: LabelArray, other: LabelArray) -> npt.NDArray[np.bool_]:
    """Where two label maps say different things, and both say something."""
    return np.asarray((labels != other) & (labels != UNKNOWN) & (other != UNKNOWN))


def _looks(one: Candidate) -> Floats | None:
    """How each slice looks around the labels, (slices, features): grey values against the scan's own, texture, and how much of the organ it holds."""
    if one.image is None:
        return None
    image = np.moveaxis(np.nan_to_num(np.asarray(one.image, np.float32), posinf=0, neginf=0), one.along, 0)
    inside = np.moveaxis((one.labels > 0) & (one.labels != UNKNOWN), one.along, 0)
    if not inside.any():
        return None
    window = tuple(slice(max(0, np.flatnonzero(n)[0] - MARGIN), np.flatnonzero(n)[-1] + MARGIN + 1) for n in (inside.any((0, 2)), inside.any((0, 1))))
    part = image[:, *window]
    middle, spread = np.median(part), max(float(np.subtract(*np.percentile(part, [75, 25]))), 1e-6)
    part = (part - middle) / spread
    grey = np.percentile(part, [10, 50, 90], axis=(1, 2))
    texture = np.abs(np.diff(part, axis=2)).mean((1, 2))
    share = inside.sum((1, 2)) / inside.sum((1, 2)).max()
    return np.asarray(np.stack([*grey, texture, 2 * share], axis=1), np.float64)


def _novelty(looks: Floats, known: Floats) -> Floats:
    """Distance of each look to the nearest known one, in standard deviations."""
    scale = np.maximum(looks.std(axis=0), 1e-6)
    return np.asarray(np.sqrt((((looks[:, None] - known[None]) / scale) ** 2).mean(-1)).min(1))


def _ranks(values: Sequence[float | None]) -> Floats:
    """Share of the other values that each is larger than, equals counted half; 0 for what is nothing."""
    there = np.array([v for v in values if v is not None], np.float64)
    found = np.zeros(len(values))
    if there.size:
        ordered = np.sort(there)
        for number, value in enumerate(values):
            if value:
                found[number] = (np.searchsorted(ordered, value, "left") + np.searchsorted(ordered, value, "right")) / (2 * there.size)
    return found


def _near(place: Place, chosen: Sequence[Place], apart: Mapping[str, int]) -> bool:
    return any(p.case == place.case and abs(p.index - place.index) < apart[place.case] for p in chosen)


def _words(hints: Mapping[str, float], ranks: Mapping[str, float]) -> str:
    """The one or two hints that speak loudest."""
    size = {name: _ml(value) for name, value in hints.items()}
    said = {
        "disagreement": f"networks disagree on {size.get('disagreement')} here", "doubt": f"the network is unsure of {size.get('doubt')} here",
        "change": f"{size.get('change')} changed here since the last version", "novelty": "it looks unlike the slices corrected so far",
    }
    loud = sorted((name for name in ranks if ranks[name] > 0), key=lambda name: (-ranks[name] * WEIGHTS[name], name))
    return " and ".join(said[name] for name in loud[:2]) or "nothing speaks for it but that it holds labels"


def _ml(volume: float) -> str:
    return f"{volume:.1f} ml" if volume >= 0.1 else f"{volume * 1000:.0f} mm³"
