"""Which labels, base, recipe and seed made which model and labels, so that any result can be traced back to what a person did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np

from napari_medseg.refine.checksums import array_sha256
from napari_medseg.refine.method import AnyRecipe, Example, Model
from napari_medseg.refine.request import RefineRequest
from napari_medseg.refine.trust import Trust
from napari_medseg.volume import LabelArray


def learnt_from(request: RefineRequest, examples: Sequence[Example], parent: int) -> dict[str, Any]:
    """What a round is made from.

    Parameters
    ----------
    parent : int
        The round whose labels it learns from; 0 is those given.
    """
    return {
        "labels_of_round": parent, "start": request.start, "freeze": request.freeze, "seed": request.seed, "recipe": settings(request.recipe),
        "labels": {one.id: {"sha256": array_sha256(one.labels), "patient": one.patient, "voxels": trust_summary(one)} for one in examples},
    }


def made(answers: Mapping[str, LabelArray], model: Model) -> dict[str, Any]:
    """What a round made: its labels, uint8 (z, y, x) by case, as checksums, and the base of its model."""
    training = model.plan.get("training", {})
    return {"proposals": {name: array_sha256(labels) for name, labels in answers.items()}, "base": training.get("base")}


def nameless(record: Mapping[str, Any]) -> dict[str, Any]:
    """A round's lineage for the model's own plan, which may be passed on: checksums and counts, no name of a case, a patient or a file it began from."""
    learnt, proposals = record["labels"].values(), sorted(record["proposals"].values())
    voxels: Counter[str] = Counter()
    for one in learnt:
        voxels.update(one["voxels"])
    rest = {key: value for key, value in record.items() if key not in ("labels", "proposals")}
    recipe = rest.get("recipe", {})
    if recipe.get("start"):
        rest["recipe"] = {**recipe, "start": "a pre-trained encoder"}
    return {
        **rest, "patients": len({one["patient"] for one in learnt}), "voxels": dict(voxels), "labels_sha256": sorted(one["sha256"] for one in learnt),
        "proposals_sha256": proposals,
    }


def trust_summary(one: Example) -> dict[str, int]:
    """Voxels of an example at each level of trust that occurs."""
    counts = np.bincount(one.trust.ravel(), minlength=len(Trust))
    return {level.name.lower(): int(counts[level]) for level in Trust if counts[level]}


def settings(recipe: AnyRecipe) -> dict[str, Any]:
    """A recipe's name and every setting of it that JSON can hold."""
    values: dict[str, Any] = asdict(recipe) if is_dataclass(recipe) else {}
    return {"name": recipe.name, **{name: value for name, value in values.items() if isinstance(value, (str, int, float, bool, list, tuple, type(None)))}}
