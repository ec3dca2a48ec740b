"""A refinement as its record tells it (`rounds.json`, or a run of a study): read as data, since a record may come from elsewhere or from an older version."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from napari_medseg.review.report.facts import LineageFacts, RoundFacts, RunFacts
from napari_medseg.review.report.naming import without

_WHOLE = {"round", "updates", "verified_slices", "verified_patients"}
_WORDS = {"reason", "pieces"}
_SETTINGS_LEFT_OUT = {"name"}


def run_facts(
    title: str, record: Mapping[str, Any], called: Mapping[str, str], *, created: datetime | None = None, recipe: str = "", cases: int = 0,
    model_sha256: str = "", model_licence: str = "",
) -> RunFacts:
    """The facts of a run; what is missing or makes no sense is left out.

    Parameters
    ----------
    record : as `RefineResult.as_dict`
    called : what each case is called in the report, by its id in the record
    """
    made = tuple(_lineage(one, called) for one in _dicts(record.get("lineage")))
    first = next(iter(_dicts(record.get("lineage"))), {})
    asked = _dict(first.get("recipe"))
    settings = {str(key): value for key, value in asked.items() if key not in _SETTINGS_LEFT_OUT and (isinstance(value, (int, float)) or _text(value))}
    return RunFacts(
        title, created, str(asked.get("name") or recipe), settings, tuple(_round(one, called) for one in _dicts(record.get("rounds"))),
        int(_number(record.get("best_round")) or 0), {key: _number(value) for key, value in _dict(record.get("zero_shot")).items()}, made,
        model_sha256, model_licence, cases or max((one.cases for one in made), default=0), record.get("finished") is not False,
    )


def case_ids(record: Mapping[str, Any]) -> set[str]:
    """Every id a record names."""
    found: set[str] = set()
    for one in _dicts(record.get("lineage")):
        found |= {str(id_) for key in ("labels", "proposals") for id_ in _dict(one.get(key))}
    return found


def _round(told: Mapping[str, Any], called: Mapping[str, str]) -> RoundFacts:
    found: dict[str, Any] = {}
    for name in (field.name for field in fields(RoundFacts)):
        value = told.get(name)
        if name in _WORDS:
            found[name] = without(value, called) if isinstance(value, str) else ""
        elif name == "adopted":
            found[name] = value is True
        elif name in _WHOLE:
            found[name] = int(_number(value) or 0)
        else:
            found[name] = _number(value) or 0.0 if name == "seconds" else _number(value)
    return RoundFacts(**found)


def _lineage(told: Mapping[str, Any], called: Mapping[str, str]) -> LineageFacts:
    labels, base = _dict(told.get("labels")), _dict(told.get("base"))
    voxels: dict[str, int] = {}
    for one in labels.values():
        for level, count in _dict(_dict(one).get("voxels")).items():
            voxels[str(level)] = voxels.get(str(level), 0) + int(_number(count) or 0)
    seed = _number(told.get("seed"))
    return LineageFacts(
        int(_number(told.get("round")) or 0), int(_number(told.get("labels_of_round")) or 0), _text(base.get("title")), _text(base.get("sha256")),
        _text(told.get("start")), _text(told.get("freeze")), None if seed is None else int(seed), _text(_dict(told.get("recipe")).get("name")), len(labels),
        len({str(_dict(one).get("patient", id_)) for id_, one in labels.items()}), voxels,
        {called.get(id_, "a case"): _text(_dict(one).get("sha256")) for id_, one in labels.items()},
        {called.get(id_, "a case"): _text(sha) for id_, sha in _dict(told.get("proposals")).items()},
    )


def _text(value: Any) -> str:
    """A short text of a record; anything that looks like a path is none."""
    return value if isinstance(value, str) and not {"/", "\\"} & set(value) else ""


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) else None


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, Sequence) and not isinstance(value, str) else []
