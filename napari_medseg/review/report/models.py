"""Which models and tools the labels came from, and under which licence each may be used."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_medseg import catalogue
from napari_medseg.review.report.facts import ModelFacts, RunFacts
from napari_medseg.segmenters.plan import BASE, KEY, LONGEST_HEADER, model_file, read_plan

UNKNOWN_LICENCE = "not recorded: ask who supplied it"
_ENTRIES = {"levelset": "levelset", "scribble": "scribbles", "cleanup": "clean-up", "interpolate": "interpolate"}
_BY_HAND = ("brush", "import", "restore", "")


def plan_of(folder_or_file: Path) -> Mapping[str, Any]:
    """What a model file says about itself, of whatever family it is; empty without one that can be read."""
    try:
        with model_file(folder_or_file).open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length)) if 0 < length <= LONGEST_HEADER else {}
        plan = json.loads(header["__metadata__"][KEY])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return plan if isinstance(plan, dict) else {}


def tools_used(made: Iterable[tuple[str, str]]) -> list[ModelFacts]:
    """The tools behind label versions, the most used first.

    Parameters
    ----------
    made : (tool, hash of its model) of each version
    """
    counted = Counter((tool, model) for tool, model in made if tool not in _BY_HAND and not tool.startswith("refine"))
    entries = catalogue.load().entries
    found = []
    for (tool, sha256), count in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
        id_ = tool.partition(":")[2] or _ENTRIES.get(tool, tool)
        entry = entries.get(id_)
        title, licence = (entry.title, entry.licence) if entry is not None else (id_, UNKNOWN_LICENCE)
        found.append(ModelFacts(id_, title, licence, sha256, count))
    return found


def models_of(runs: Sequence[RunFacts]) -> list[ModelFacts]:
    """The recipes, base models and trained models of refinements."""
    entries, shipped = catalogue.load().entries, read_plan(BASE)
    found: dict[tuple[str, str], ModelFacts] = {}
    for run in runs:
        recipe = entries.get(run.recipe)
        if run.recipe:
            title, licence = (recipe.title, recipe.licence) if recipe is not None else (run.recipe, UNKNOWN_LICENCE)
            found[run.recipe, ""] = ModelFacts(run.recipe, f"Recipe: {title}", licence)
        for made in run.lineage:
            if made.base:
                licence = shipped.licence if made.base_sha256 == shipped.sha256 else UNKNOWN_LICENCE
                found[made.base, made.base_sha256] = ModelFacts("base", f"Base model: {made.base}", licence, made.base_sha256)
        if run.model_sha256:
            licence = run.model_licence or UNKNOWN_LICENCE
            found[run.title, run.model_sha256] = ModelFacts("trained", f"Trained in {run.title.lower()}", licence, run.model_sha256)
    return list(found.values())
