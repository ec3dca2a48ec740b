"""All that a run is given, read and checked before anything starts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.cases import UNKNOWN, Case, channels_of, checked, class_values, load_cases, load_labels
from napari_medseg.refine.examples import Word, persons_word
from napari_medseg.refine.request import Folders, LabelMaps, RefineRequest
from napari_medseg.refine.splits import held_back
from napari_medseg.volume import LabelArray, Volume, require_same_grid

Labels = Mapping[str, LabelArray]
REPLAYED = "replayed"
"""The set of a replay's patients that are only watched."""


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What a run works with; label maps are uint8 (z, y, x) by case id.

    Attributes
    ----------
    cases : tuple of Case
        With the labels given.
    words : Word by case id
        What a person settled.
    given : label maps
        The labels given, with what teaches laid over them.
    check : label maps
        Verified labels that only check, 255 elsewhere.
    truth : label maps
    heldout : tuple of Case
    replay : tuple of Case
        May be learnt again.
    watch : tuple of Case by name of their set
        Only scored, beside the held-out cases.
    values : label values of the classes
    patients : by case id, of all cases
    splits : dict
        Patients and their sides, for `splits.json`.
    """

    cases: tuple[Case, ...]
    words: Mapping[str, Word]
    given: Labels
    check: Labels
    truth: Labels
    heldout: tuple[Case, ...]
    replay: tuple[Case, ...]
    watch: Mapping[str, tuple[Case, ...]]
    values: tuple[int, ...]
    patients: Mapping[str, str]
    splits: Mapping[str, Any]

    @property
    def voxel_ml(self) -> dict[str, float]:
        """Volume of a voxel by case id."""
        return {case.id: case.image.geometry.voxel_ml for case in self.cases}

    def written(self, answers: Labels) -> dict[str, LabelArray]:
        """Answers with all that a person settled in them, (z, y, x) under the case's id."""
        return {case.id: self.words[case.id].over(answers[case.id]) for case in self.cases}


def gather(request: RefineRequest, splits: Mapping[str, Any] | None = None) -> Inputs:
    """Read and check what a request names.

    Parameters
    ----------
    splits : as `Inputs.splits`
        Drawn by an earlier run in the same folder; kept.

    Raises
    ------
    NoLabelsError
        When there is nothing to learn from.
    InvalidInputError, GridMismatchError, MissingFileError, UnreadableFileError
        When a case or label is not what it should be.
    """
    raw = _cases(request.cases, with_foreground=request.corrected is None and request.verified is None)
    corrected, verified, truth = (_label_maps(maps, raw) for maps in (request.corrected, request.verified, request.truth))
    sides = request.sides or {}
    words = {c.id: persons_word(c, corrected.get(c.id), verified.get(c.id), teach=sides.get(c.id) == "teach") for c in raw}
    given = {c.id: np.where(words[c.id].teaches, words[c.id].labels, c.labels.channel()).astype(np.uint8) for c in raw}
    values = class_values(checked([Case(c.id, c.image, c.labels.like(given[c.id])) for c in raw]))
    heldout = _cases(request.heldout) if request.heldout else ()
    named = request.patients or {}
    replay, back = _replay(request, named, (splits or {}).get("replay", {}))
    watch = {name: _cases(found) for name, found in request.watch.items()}
    if any(back.values()):
        watch[REPLAYED] = tuple(c for c in replay if back[named.get(c.id, c.id)])
        replay = tuple(c for c in replay if not back[named.get(c.id, c.id)])
    others = (*heldout, *replay, *(c for found in watch.values() for c in found))
    _of_one_kind(raw[0], others)
    check = {name: labels for name, labels in verified.items() if sides.get(name) != "teach"}
    for name, labels in (*check.items(), *truth.items(), *((c.id, c.labels.channel()) for c in others)):
        _known_classes(name, labels, values)
    patients = {c.id: named.get(c.id, c.id) for c in raw}
    _no_patient_on_both_sides({patients[c.id] for c in raw}, heldout, named)
    return Inputs(raw, words, given, check, truth, heldout, replay, watch, values, patients, {"patients": patients, "sides": dict(sides), "replay": back})


def _replay(request: RefineRequest, named: Mapping[str, str], before: Mapping[str, bool]) -> tuple[tuple[Case, ...], dict[str, bool]]:
    if request.replay is None:
        return (), {}
    cases = _cases(request.replay.cases)
    return cases, held_back((named.get(c.id, c.id) for c in cases), request.replay.watched, request.seed, before)


def _cases(cases: tuple[Case, ...] | Folders, *, with_foreground: bool = True) -> tuple[Case, ...]:
    if isinstance(cases, Folders):
        return load_cases(cases.images, cases.labels, with_foreground=with_foreground)
    return checked(cases, with_foreground=with_foreground)


def _label_maps(maps: LabelMaps | None, cases: Sequence[Case]) -> dict[str, LabelArray]:
    if maps is None:
        return {}
    if not isinstance(maps, Mapping):
        return {name: labels.channel() for name, labels in load_labels(maps, cases).items()}
    known = {case.id: case for case in cases}
    return {name: _fitting(name, labels, known) for name, labels in maps.items()}


def _fitting(name: str, labels: Volume, known: Mapping[str, Case]) -> LabelArray:
    if name not in known:
        raise InvalidInputError("there is a label map for a case that is not refined", where=name, todo="Give labels of the refined cases only")
    require_same_grid(known[name].image.geometry, labels.geometry, name)
    return checked([Case(name, known[name].image, labels)], with_foreground=False)[0].labels.channel()


def _of_one_kind(first: Case, others: Sequence[Case]) -> None:
    for case in others:
        if case.image.channels != first.image.channels:
            what = f"has {channels_of(case)}, but {first.id} has {channels_of(first)}"
            raise InvalidInputError(what, where=case.id, todo="Give scans of one kind")


def _known_classes(name: str, labels: LabelArray, values: Sequence[int]) -> None:
    strange = sorted({int(v) for v in np.unique(labels)} - {0, UNKNOWN, *values})
    if strange:
        what = f"holds class {', '.join(map(str, strange))}, which no label to learn from holds"
        raise InvalidInputError(what, where=name, todo=f"Use the classes of the labels that are refined ({', '.join(map(str, values))}), or take this one out")


def _no_patient_on_both_sides(learnt: Collection[str], heldout: Sequence[Case], named: Mapping[str, str]) -> None:
    for case in heldout:
        if named.get(case.id) in learnt:
            what = f"is held out, but its patient ({named[case.id]}) is among those that are learnt from"
            raise InvalidInputError(what, where=case.id, todo="Hold out other patients")
