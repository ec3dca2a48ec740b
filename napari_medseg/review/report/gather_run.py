"""Facts from a folder that `medseg refine` wrote, and from one that `medseg demo` wrote."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg import io
from napari_medseg.annotation.classes import OKABE_ITO
from napari_medseg.errors import InvalidInputError, MissingFileError, UnreadableFileError
from napari_medseg.io.formats import READABLE, stem_of, suffix_of
from napari_medseg.review.report.facts import CaseFacts, ClassFacts, DataFacts, ReportFacts, RunFacts, Spread, StageFacts
from napari_medseg.review.report.models import models_of, plan_of
from napari_medseg.review.report.naming import numbered
from napari_medseg.review.report.provenance import packages
from napari_medseg.review.report.runs import case_ids, run_facts
from napari_medseg.review.report.sources import CaseLabels, CaseSource, CohortSource, Gathered, Gathering, ReportTick
from napari_medseg.volume import LabelArray, Volume, axis_map

RECORD, SPLITS, RESULT = "rounds.json", "splits.json", "result.json"
GIVEN = "given"


@dataclass(frozen=True, slots=True)
class Beside:
    """What a refinement's folder does not hold: folders with the same file names.

    Attributes
    ----------
    images : Path or None
        The scans; pictures are made of them.
    labels : Path or None
        The labels that the refinement was given.
    truth : Path or None
        True labels, to measure every round by.
    """

    images: Path | None = None
    labels: Path | None = None
    truth: Path | None = None


def gather_run(folder: Path, beside: Beside, made_at: datetime, names: bool = False, title: str = "") -> Gathering:
    """Look at a refinement.

    Raises
    ------
    MissingFileError, UnreadableFileError
        When a folder that was named is not there, or the record is damaged.
    """
    yield ReportTick(0.0, "Reading the record of the refinement")
    record = _json(folder / RECORD)
    run, cohort = _run(folder, record, beside, names, "Run 1")
    data = yield from _data(cohort, _splits(folder))
    count = len(cohort.cases)
    lead = f"{count} scan{'s' if count != 1 else ''}, {max(len(run.rounds) - 1, 0)} rounds with the recipe {run.recipe or 'that was not recorded'}."
    if not run.finished:
        lead += " The run is not finished."
    facts = ReportFacts(
        "refinement", title or "A refinement", lead, data, made_at, _classes(folder), runs=(run,), models=tuple(models_of((run,))), packages=packages(),
        names=names, seconds=sum(one.seconds for one in run.rounds) or None,
    )
    return Gathered(facts, (cohort,) if cohort.cases else ())


def gather_demo(folder: Path, made_at: datetime, names: bool = False, title: str = "") -> Gathering:
    """Look at what the demo wrote: two scans with every stage's mask beside them, and a cohort with the folder of its refinement.

    Raises
    ------
    MissingFileError, UnreadableFileError
        When something of it is missing or damaged.
    """
    yield ReportTick(0.0, "Reading the demo's figures")
    result = _json(folder / RESULT)
    cohort_folder = folder / "cohort"
    beside = Beside(cohort_folder / "scans", cohort_folder / "weak", cohort_folder / "truth")
    run, cohort = _run(cohort_folder, _json(cohort_folder / RECORD), beside, names, "The cohort's rounds")
    data = yield from _data(cohort, _splits(cohort_folder))
    singles = tuple(_single(folder / name) for name in sorted(path.parent.name for path in folder.glob("*/scan.nii.gz")))
    facts = ReportFacts(
        "demo", title or "From unlabelled scans to a trained segmenter",
        "Two real scans from five clicks to a proposal, and a synthetic cohort through three rounds. Nobody clicked: a simulated annotator did. Every figure "
        "was measured in this run.",
        data, made_at, (ClassFacts(1, "organ or tumour", OKABE_ITO[1]),), runs=(run,), models=tuple(models_of((run,))), packages=packages(), names=names,
        seconds=result.get("seconds") if isinstance(result.get("seconds"), (int, float)) else None,
    )
    real = CohortSource("Two real scans, from five clicks to a proposal", _REAL, "the expert's labels", _STAGES, singles, every_picture=True)
    made = replace(cohort, title="A cohort in another modality, three rounds", about=_COHORT)
    return Gathered(facts, (real, made))


_STAGES = (
    StageFacts("limit", "hand-painted limit"), StageFacts("weak", "weak label"), StageFacts("proposal", "network's proposal"), StageFacts("final", "kept"),
)
_REAL = (
    "A simulated non-expert gives five seed points and a rough hand-painted limit. The level set turns them into a weak label; the base model, which has only "
    "ever seen synthetic CT, is fine-tuned on that one weak label and proposes another. With a single scan to learn from, the proposal need not be better, so "
    "the annotator redraws one slice, the one where both versions disagree most: the version that fits it better is kept, with the redrawn slice in it."
)
_PUT_BACK = (
    "The labels of a round hold what a person corrected or verified, put back as it was, and are measured with it: where much was, a round looks better than "
    "its model is. Dice on verified and held-out cases, in the table of rounds, does not have this fault."
)
_COHORT = (
    "Synthetic MR scans with weak labels; the base model saw CT-like scenes with another family of shapes. Each round fine-tunes a fresh copy of it on the "
    "labels of a round before (Salah et al., MIUA 2023). Rounds need not get better each time: every version is kept."
)


def _single(folder: Path) -> CaseSource:
    """One scan of the demo with the masks of its stages."""
    masks = {stage.key: folder / f"{stage.key}.nii.gz" for stage in _STAGES}
    return CaseSource(CaseFacts(folder.name), partial(_stages_of, masks, folder / "expert.nii.gz"), partial(io.read, folder / "scan.nii.gz"))


def _run(folder: Path, record: Mapping[str, Any], beside: Beside, names: bool, title: str) -> tuple[RunFacts, CohortSource]:
    rounds = {f"round{number}": folder / f"round{number}" for number in range(1, 1000) if (folder / f"round{number}").is_dir()}
    by_round = {key: _files(where) for key, where in rounds.items()}
    made = {name for files in by_round.values() for name in files}
    images, given, truths = (_of_cases(where, made) for where in (beside.images, beside.labels, beside.truth))
    ids = sorted(made or images)
    called = numbered(ids, names)
    of_record = {id_: called[match] for id_ in case_ids(record) if (match := _match(id_, called)) is not None}
    extra = case_ids(record) - of_record.keys()
    of_record |= {id_: f"case {len(called) + number}" if not names else id_ for number, id_ in enumerate(sorted(extra), 1)}
    plan = plan_of(folder / "model")
    run = run_facts(title, record, of_record, cases=len(ids), model_sha256=_word(plan.get("sha256")), model_licence=_word(plan.get("licence")))
    stages = (*((StageFacts(GIVEN, "labels given"),) if given else ()), *(StageFacts(key, f"round {key[5:]}") for key in rounds))
    cases = []
    for id_ in ids:
        paths = {GIVEN: given.get(id_), **{key: files.get(id_) for key, files in by_round.items()}}
        read = partial(_stages_of, {key: path for key, path in paths.items() if path is not None}, truths.get(id_))
        image = partial(io.read, images[id_]) if id_ in images else None
        cases.append(CaseSource(CaseFacts(called[id_], called[id_] if names else ""), read, image, scored=id_ in truths, file=images.get(id_)))
    by_hand = any(made.voxels.get(level) for made in run.lineage for level in ("corrected", "verified"))
    about = (_PUT_BACK if by_hand else "") if truths else "No true labels were named with --truth, so nothing is measured case by case."
    shown = f"round{run.best_round}" if run.best_round else GIVEN
    return run, CohortSource("Figures and pictures", about, "the true labels" if truths else "", stages, tuple(cases), shown)


def _match(id_: str, called: Mapping[str, str]) -> str | None:
    """The file that a case of the record belongs to: its id is the file's name, with or without the suffix."""
    return id_ if id_ in called else next((name for name in called if stem_of(Path(name)) == id_), None)


def _stages_of(paths: Mapping[str, Path], truth: Path | None) -> CaseLabels:
    read = {key: io.read_labels(path) for key, path in paths.items()}
    known = None if truth is None else io.read_labels(truth)
    first = known or next(iter(read.values()), None)
    if first is None:
        return CaseLabels((1.0, 1.0, 1.0), {})
    return CaseLabels(first.geometry.spacing, {key: _array(one) for key, one in read.items()}, None if known is None else _array(known))


def _array(labels: Volume) -> LabelArray:
    return np.asarray(labels.channel(), np.uint8)


def _data(cohort: CohortSource, splits: Mapping[str, Any]) -> Generator[ReportTick, None, DataFacts]:
    """What the scans are, from their headers; volumes come when the labels are measured."""
    spacings, shapes, modalities = [], [], Counter[str]()
    for index, case in enumerate(cohort.cases):
        yield ReportTick(index / len(cohort.cases), f"Reading the header of {case.facts.id}")
        if case.file is None:
            continue
        info = io.describe(case.file)[0]
        grid = axis_map(info.geometry).geometry(info.geometry)
        modalities[info.modality or "not said by the file"] += 1
        spacings.append(grid.spacing)
        shapes.append(grid.shape)
    patients = splits.get("patients")
    axes = [tuple(spread for column in zip(*rows, strict=True) if (spread := Spread.of(column))) for rows in (spacings, shapes)]
    return DataFacts(
        len(cohort.cases), len(set(patients.values())) if isinstance(patients, dict) else None, dict(modalities), spacing_mm_zyx=axes[0], shape_zyx=axes[1],
    )


def _classes(folder: Path) -> tuple[ClassFacts, ...]:
    plan = plan_of(folder / "model")
    named, training = plan.get("classes"), plan.get("training")
    values = training.get("label_values") if isinstance(training, dict) else None
    if not isinstance(named, list):
        return ()
    numbers = values if isinstance(values, list) and len(values) == len(named) else range(1, len(named) + 1)
    return tuple(ClassFacts(int(value), str(name), OKABE_ITO[index % len(OKABE_ITO)]) for index, (value, name) in enumerate(zip(numbers, named, strict=True)))


def _splits(folder: Path) -> Mapping[str, Any]:
    return _json(folder / SPLITS) if (folder / SPLITS).is_file() else {}


def _of_cases(folder: Path | None, cases: Collection[str]) -> dict[str, Path]:
    """The files of a folder that belong to cases; all where no case is known yet.

    Raises
    ------
    MissingFileError
        When the folder is not there.
    InvalidInputError
        When none of its files has a case's name.
    """
    found = _files(folder)
    kept = {name: path for name, path in found.items() if name in cases} if cases else found
    if folder is not None and not kept:
        raise InvalidInputError("holds no file that is named like a case of the refinement", where=folder, todo="Give the folder whose file names it had")
    return kept


def _files(folder: Path | None) -> dict[str, Path]:
    if folder is None:
        return {}
    if not folder.is_dir():
        raise MissingFileError("there is no such folder", where=folder, todo="Check the path")
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".") and suffix_of(path) in READABLE}


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingFileError("is missing", where=path, todo="Give a study, or a folder that `medseg refine` or `medseg demo` wrote") from error
    except (OSError, ValueError) as error:
        raise UnreadableFileError("is cut short or damaged", where=path, todo="Run the work again, or copy the folder again from its source") from error
    if not isinstance(found, dict):
        raise UnreadableFileError("is not what a refinement writes", where=path, todo="Run the work again, or copy the folder again from its source")
    return found


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""
