"""The report's facts as JSON and as a table: every case, stage and class, without the page's limits."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from io import StringIO
from typing import Any

from napari_medseg.review.report.facts import ReportFacts

HEAD = ("cohort", "case", "name", "modality", "status", "side", "stage", "class", "class_name", "known")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_json(facts: ReportFacts) -> dict[str, Any]:
    """Plain facts: null for what is not known, dates in ISO 8601, UTC."""
    found: dict[str, Any] = _plain(facts)
    return found


def json_text(facts: ReportFacts) -> str:
    """As a file holds it."""
    return json.dumps(as_json(facts), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def csv_text(facts: ReportFacts) -> str:
    """A row a case, stage and class; empty where a figure is not known. Names have a column only when they were asked for."""
    named = {str(one.value): one.name for one in facts.classes}
    rows = [
        (cohort.title, case, score, value, of)
        for cohort in facts.cohorts for case in cohort.cases for score in case.scores for value, of in score.classes.items()
    ]
    figures = list(dict.fromkeys(name for *_, of in rows for name in of))
    left_out = () if facts.names else ("name",)
    head = [name for name in HEAD if name not in left_out]
    text = StringIO()
    writer = csv.DictWriter(text, [*head, *figures], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for cohort, case, score, value, of in rows:
        said = {
            "cohort": cohort, "case": case.id, "name": case.name, "modality": case.modality, "status": case.status, "side": case.side, "stage": score.stage,
            "class": value, "class_name": named.get(value, ""), "known": score.known,
        }
        known = {name: "" if number is None else repr(float(number)) for name, number in of.items()}
        writer.writerow({**{name: _text(words) for name, words in said.items()}, **known})
    return text.getvalue()


def _text(words: str) -> str:
    """A text that no table program takes for a formula."""
    return f"'{words}" if words.startswith(_FORMULA) else words


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
