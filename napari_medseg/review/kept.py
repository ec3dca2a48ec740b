"""Comparisons and calibrations that a study keeps: what is written of them as a run of the study, and how it is read again.

What is kept names nobody: models are rounds, the labels given, or folders by number; groups of a person's own table are numbered in the order of their names.
What is read is checked field by field, since a record may have been written by anybody: a text that we would not have written is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, get_args

from napari_medseg.metrics.summary import Summary
from napari_medseg.project import Run
from napari_medseg.review.calibration import Calibration, ReliabilityBin
from napari_medseg.review.comparing import Comparison, GroupTable, Verdict

COMPARISON, CALIBRATION = "comparison", "calibration"
SIZE = "size"
"""The grouping that we make ourselves."""
_TITLE = re.compile(r"labels given|round \d{1,4}|folder \d{1,4}")
_GROUP = re.compile(r"size [123] (small|middle|large) \((below |from )?[\d.e+-]{1,9}( to [\d.e+-]{1,9})? ml\)|group \d{1,4} of table column \d{1,4}")
_FIGURE = re.compile(r"dice|iou|precision|recall|surface_dice_[\d.]{1,6}mm|hd95_mm|assd_mm|volume_error(_ml)?")


@dataclass(frozen=True, slots=True)
class KeptGroup:
    """A group that lost what others gained: how many cases, its mean change, and whether its interval leaves no doubt."""

    group: str
    n: int
    change: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class KeptPair:
    """The second of two models against the first; as `PairedTest`, of the figure's own unit."""

    first: str
    second: str
    n: int
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    verdict: Verdict
    worse: tuple[KeptGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptComparison:
    """Models over the same cases.

    Attributes
    ----------
    figure : str
        As `measure` names it.
    value : str or None
        The class; None for the mean over classes.
    verified : bool
        Whether the study's verified labels were the truth, not a folder.
    models : Summary by title, over the cases that every model has
    pairs : tuple of KeptPair
        `p` is Holm's, corrected over them.
    created : datetime or None
        UTC.
    """

    figure: str
    value: str | None
    verified: bool
    models: Mapping[str, Summary]
    pairs: tuple[KeptPair, ...]
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeptReliability:
    """One class's probabilities against the truth, and the threshold chosen for it with what it gives; None where none was chosen."""

    value: int
    bins: tuple[ReliabilityBin, ...]
    ece: float | None
    ece_in_doubt: float | None
    threshold: float | None = None
    dice: float | None = None
    false_positive_ml: float | None = None
    dice_at_half: float | None = None
    false_positive_ml_at_half: float | None = None


@dataclass(frozen=True, slots=True)
class KeptCalibration:
    """Probability maps over so many cases, class by class."""

    cases: int
    classes: tuple[KeptReliability, ...]
    created: datetime | None = None


Kept = KeptComparison | KeptCalibration


def comparison_record(found: Comparison, titles: Sequence[str], *, verified: bool) -> dict[str, Any]:
    """What a study keeps of a comparison, as plain JSON.

    Parameters
    ----------
    titles : str a model, in order
        "round 2", "labels given" or "folder 1".
    verified : bool
        Whether the study's verified labels were the truth.
    """
    named = dict(zip(found.models, titles, strict=True))
    pairs = [
        KeptPair(
            named[pair.test.first], named[pair.test.second], pair.test.n, pair.test.difference, pair.test.difference_low, pair.test.difference_high,
            pair.test.p_holm, pair.verdict, tuple(_worse(pair.groups)),
        )
        for pair in found.pairs
    ]
    return {
        "figure": found.figure, "class": found.value, "verified": verified,
        "models": [{"title": named[model], **found.summaries[model].as_dict()} for model in found.models], "pairs": [asdict(pair) for pair in pairs],
    }


def calibration_record(found: Calibration, thresholds: Mapping[int, float]) -> dict[str, Any]:
    """What a study keeps of a calibration, as plain JSON.

    Parameters
    ----------
    thresholds : by class
        What was chosen, 0.01 to 0.99 in steps of 0.01.
    """
    classes = []
    for one in found.classes:
        kept = KeptReliability(one.value, one.bins, one.ece, one.ece_in_doubt)
        if one.value in thresholds:
            chosen, half = (one.curve[round(100 * at) - 1] for at in (thresholds[one.value], 0.5))
            kept = replace(
                kept, threshold=chosen.threshold, dice=chosen.dice, false_positive_ml=chosen.false_positive_ml, dice_at_half=half.dice,
                false_positive_ml_at_half=half.false_positive_ml,
            )
        classes.append(asdict(kept))
    return {"cases": len(found.cases), "classes": classes}


def kept(runs: Sequence[Run]) -> tuple[Kept, ...]:
    """The comparisons and calibrations among a study's runs, oldest first; a record that makes no sense is left out."""
    readers: dict[str, Callable[[Mapping[str, Any]], Kept]] = {COMPARISON: _comparison, CALIBRATION: _calibration}
    found: list[Kept] = []
    for run in runs:
        try:
            found += [replace(readers[run.kind](run.figures), created=run.created)] if run.kind in readers else []
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
    return tuple(found)


def _worse(tables: Sequence[GroupTable]) -> list[KeptGroup]:
    """The groups that got worse, under names that name nobody."""
    found, column = [], 0
    for table in tables:
        column += table.grouping != SIZE
        for at, row in enumerate(table.rows, 1):
            if row.gain is not None and row.gain < 0:
                name = f"size {row.group}" if table.grouping == SIZE else f"group {at} of table column {column}"
                found.append(KeptGroup(name, row.test.n, row.test.mean_difference, row.verdict))
    return found


def _comparison(record: Mapping[str, Any]) -> KeptComparison:
    figure, value = _known(_FIGURE, record["figure"]), record["class"]
    titles = [_known(_TITLE, each["title"]) for each in record["models"]]
    models = {title: _summary(each) for title, each in zip(titles, record["models"], strict=True)}
    pairs = tuple(_pair(each) for each in record["pairs"])
    return KeptComparison(figure, None if value is None else str(int(value)), record["verified"] is True, models, pairs)


def _pair(record: Mapping[str, Any]) -> KeptPair:
    worse = tuple(
        KeptGroup(_known(_GROUP, each["group"]), int(each["n"]), _number(each["change"]), _verdict(each["verdict"])) for each in record["worse"]
    )
    difference, low, high, p = (_number(record[name]) for name in ("difference", "low", "high", "p"))
    first, second = (_known(_TITLE, record[name]) for name in ("first", "second"))
    return KeptPair(first, second, int(record["n"]), difference, low, high, p, _verdict(record["verdict"]), worse)


def _calibration(record: Mapping[str, Any]) -> KeptCalibration:
    return KeptCalibration(int(record["cases"]), tuple(_reliability(each) for each in record["classes"]))


def _reliability(record: Mapping[str, Any]) -> KeptReliability:
    bins = tuple(
        ReliabilityBin(float(b["low"]), float(b["high"]), int(b["voxels"]), _number(b["predicted"]), _number(b["observed"])) for b in record["bins"]
    )
    names = ("ece", "ece_in_doubt", "threshold", "dice", "false_positive_ml", "dice_at_half", "false_positive_ml_at_half")
    return KeptReliability(int(record["value"]), bins, *(_number(record[name]) for name in names))


def _summary(record: Mapping[str, Any]) -> Summary:
    mean, low, high = (_number(record[name]) for name in ("mean", "low", "high"))
    return Summary(int(record["n"]), int(record["undefined"]), mean=mean, low=low, high=high)


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not math.isfinite(float(value)):
        raise ValueError("no number")
    return float(value)


def _verdict(value: Any) -> Verdict:
    if value not in get_args(Verdict):
        raise ValueError("no verdict")
    found: Verdict = value
    return found


def _known(form: re.Pattern[str], value: Any) -> str:
    if not form.fullmatch(str(value)):
        raise ValueError("a text that we would not have written")
    return str(value)
