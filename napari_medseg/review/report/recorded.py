"""What other parts recorded as runs of a study, kept to figures whose names we know: a record may hold people's names, as keys or as texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from napari_medseg.metrics.summary import Summary
from napari_medseg.project import Run
from napari_medseg.review.agreement import Agreement, ClassAgreement
from napari_medseg.review.calibration import Calibration, ClassCalibration
from napari_medseg.review.comparing import Comparison
from napari_medseg.review.paired import PairedTest
from napari_medseg.review.report.facts import Recorded
from napari_medseg.review.volumes import BlandAltman, VolumeFit

TOLD_ELSEWHERE = ("refine", "blinded")
_KINDS = (Agreement, ClassAgreement, BlandAltman, VolumeFit, Calibration, ClassCalibration, Comparison, PairedTest, Summary)
_KNOWN = frozenset(field.name for kind in _KINDS for field in fields(kind))


def recorded(runs: Sequence[Run]) -> tuple[Recorded, ...]:
    """Every run that no other part of the report tells, with its known figures; one without any is left out."""
    kept = ((run, figures(run.figures)) for run in runs if run.kind not in TOLD_ELSEWHERE)
    return tuple(Recorded(run.kind, run.created, found, len(run.cases)) for run, found in kept if found)


def figures(told: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers under names we know, to any depth."""
    found: dict[str, Any] = {}
    for key, value in told.items():
        if key not in _KNOWN:
            continue
        if isinstance(value, Mapping):
            inner = figures(value)
            if inner:
                found[key] = inner
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found[key] = value
    return found
