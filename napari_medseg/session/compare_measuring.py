"""Every case of every model measured against its truth, and the figures of one class weighed; beside the window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medseg.errors import InvalidInputError, UnreadableFileError
from napari_medseg.io.formats import stem_of
from napari_medseg.metrics.measure import measure
from napari_medseg.session.compare_rounds import Read, RoundModel
from napari_medseg.volume import BoolArray, LabelArray, Spacing, require_same_grid

if TYPE_CHECKING:
    from napari_medseg.project import Project
    from napari_medseg.review.calibration import Calibration
    from napari_medseg.review.comparing import Comparison
    from napari_medseg.review.folders import Groups
    from napari_medseg.review.volumes import BlandAltman, VolumeFit

Figures = Mapping[str, Mapping[str, float | None]]
OVERLAP = ("dice", "iou", "precision", "recall")


@dataclass(frozen=True, slots=True)
class Choices:
    """What is compared.

    Attributes
    ----------
    models : tuple of Path or RoundModel
        Folders of label maps and rounds of the study, the earlier one first.
    truth : Path or None
        The folder of true ones; None for the verified labels of the open study.
    groups : Path or None
        CSV with a column `case` and one a grouping.
    probabilities : Path or None
        Folder of probability maps of the same names, one channel a class.
    """

    models: tuple[Path | RoundModel, ...] = ()
    truth: Path | None = None
    groups: Path | None = None
    probabilities: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Figures of every case.

    Attributes
    ----------
    cases : by model, case and class
        What `measure` found.
    groups : by grouping and case
    calibration : Calibration or None
    left_out : tuple of str
        Sentences: what could not be compared.
    """

    cases: Mapping[str, Mapping[str, Mapping[str, Any]]]
    groups: Groups
    calibration: Calibration | None
    left_out: tuple[str, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """Every class that occurs."""
        return tuple(sorted({value for cases in self.cases.values() for classes in cases.values() for value in classes}, key=int))


@dataclass(frozen=True, slots=True, eq=False)
class Tick:
    """A step of the work; the last one holds the result."""

    fraction: float
    message: str
    found: Measured | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """One figure of one class, compared; as a tick it is the whole work."""

    comparison: Comparison
    volumes: tuple[BlandAltman, VolumeFit]
    fraction: float = 1.0
    message: str = ""


def weighed(found: Measured, figure: str, value: str | None) -> Iterator[Weighed]:
    """Pair one figure of one class by case, and its volumes."""
    from napari_medseg.review.comparing import compare, size_groups
    from napari_medseg.review.volumes import bland_altman, volume_fit

    true, last = _true_ml(found, value), _ml(found.cases[list(found.cases)[-1]], value, "volume_ml_pred")
    size = size_groups(true)
    comparison = compare(found.cases, figure, value, groups={**found.groups, **({"size": size} if size else {})})
    yield Weighed(comparison, (bland_altman(true, last), volume_fit(true, last)))


def measured(choices: Choices, project: Project | None, verified: Mapping[str, str]) -> Iterator[Tick]:
    """Measure every case of every model.

    Parameters
    ----------
    project : Project or None
        The open study; None when the truth is a folder.
    verified : names of its verified cases by id

    Raises
    ------
    InvalidInputError, GridMismatchError, UnreadableFileError, MissingFileError
        When nothing can be compared, or a file is not what it should be.
    """
    from napari_medseg.io import read
    from napari_medseg.io.folders import files_in
    from napari_medseg.review.calibration import CalibrationCounter
    from napari_medseg.review.folders import groups_of

    truths = _truths(choices.truth, project, verified)
    models = _models(choices)
    groups = groups_of(choices.groups) if choices.groups is not None else {}
    rounds = [model for model in choices.models if isinstance(model, RoundModel)]
    maps = files_in(choices.probabilities) if choices.probabilities is not None else {}
    left_out = [f"{name} lacks {', '.join(sorted(truths.keys() - held.keys()))}" for name, held in models.items() if truths.keys() - held.keys()]
    titles = {model.title for model in rounds}
    strange = sorted({case for name, held in models.items() if name not in titles for case in held} - truths.keys())
    if strange:
        left_out.append(f"without a truth: {', '.join(strange)}")
    cases = [case for case in sorted(truths) if any(case in held for held in models.values())]
    if not cases:
        raise UnreadableFileError("no label map has the name of a true one", where="Compare", todo="Give the files of one case one name in every folder")
    if choices.probabilities is not None and not maps.keys() & set(cases):
        left_out.append("no probability map has the name of a case")
    found: dict[str, dict[str, Any]] = {name: {} for name in models}
    counter: CalibrationCounter | None = None
    taught: list[str] = []
    partly: list[str] = []
    for done, case in enumerate(cases):
        yield Tick(done / len(cases), f"{case} ({done + 1} of {len(cases)})")
        truth = truths[case]()
        settled = next((model.settled[case]() for model in rounds if case in model.settled), None)
        if settled is not None and settled.all():
            taught.append(case)
            continue
        partly.extend([case] if settled is not None else [])
        for name, held in models.items():
            if case in held:
                pred = held[case]()
                require_same_grid(truth.geometry, pred.geometry, f"{case} of {name}")
                found[name][case] = _figures(pred.channel(), truth.channel(), truth.geometry.spacing, settled)
        if case in maps:
            chances = read(maps[case])
            require_same_grid(truth.geometry, chances.geometry, maps[case].name)
            counter = counter or CalibrationCounter(range(1, chances.channels + 1))
            for _ in counter.adding(case, chances.array, truth.channel(), truth.geometry.spacing):
                yield Tick((done + 0.5) / len(cases), f"{case}: probabilities")
    if taught:
        left_out.append(f"taught as a whole before the rounds were made: {', '.join(taught)}")
    if partly:
        left_out.append(f"what a person had settled before the rounds were made, of {', '.join(partly)}; of these only overlap is told")
    if not any(found.values()):
        raise InvalidInputError("every verified case was taught to these rounds", where="Compare", todo="Verify cases that they did not learn from")
    yield Tick(1.0, "Done", Measured(found, groups, counter.result() if counter is not None else None, tuple(left_out)))


def _truths(folder: Path | None, project: Project | None, verified: Mapping[str, str]) -> dict[str, Read]:
    from napari_medseg.io import read_labels
    from napari_medseg.io.folders import masks_in

    if folder is not None:
        return {name: (lambda path=path: read_labels(path)) for name, path in masks_in(folder).items()}  # type: ignore[misc]
    if project is None:
        raise InvalidInputError("there are no true labels", where="Compare", todo="Choose the folder of true label maps")
    return {stem_of(name): (lambda case=case: project.labels(case)) for case, name in verified.items()}  # type: ignore[misc]


def _models(choices: Choices) -> dict[str, dict[str, Read]]:
    """What reads the label maps of every model, by its name and by case."""
    from napari_medseg.io import read_labels
    from napari_medseg.io.folders import masks_in
    from napari_medseg.review.folders import told_apart

    paths = [model for model in choices.models if isinstance(model, Path)]
    titles = {model.title for model in choices.models if isinstance(model, RoundModel)}
    names = {path: f"folder {name}" if name in titles else name for name, path in (told_apart(paths) if paths else {}).items()}
    found: dict[str, dict[str, Read]] = {}
    for model in choices.models:
        if isinstance(model, RoundModel):
            found[model.title] = dict(model.labels)
        else:
            found[names[model.resolve()]] = {case: partial(read_labels, path) for case, path in masks_in(model).items()}
    return found


def _figures(pred: LabelArray, truth: LabelArray, spacing: Spacing, settled: BoolArray | None) -> Figures:
    """As `measure`; where a person had settled some voxels, the overlap of the others only, since distances to what is not counted say nothing."""
    if settled is None:
        return measure(pred, truth, spacing)
    known = measure(np.where(settled, 0, pred), np.where(settled, 0, truth), spacing)
    ml, voxels = float(np.prod(spacing)) / 1000, np.bincount(truth.ravel(), minlength=256)
    return {value: {**{name: row[name] for name in OVERLAP}, "volume_ml_truth": ml * int(voxels[int(value)])} for value, row in known.items()}


def _ml(cases: Mapping[str, Mapping[str, Any]], value: str | None, name: str) -> dict[str, float | None]:
    """Volume by case; None where it was not measured."""
    rows = {case: [row for key, row in classes.items() if value in (None, key)] for case, classes in cases.items()}
    return {case: sum(row[name] or 0.0 for row in of) if all(name in row for row in of) else None for case, of in rows.items()}


def _true_ml(found: Measured, value: str | None) -> dict[str, float | None]:
    return {case: ml for cases in found.cases.values() for case, ml in _ml(cases, value, "volume_ml_truth").items()}
