"""Refinements on the wire: what is ordered, and the ticks that come back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_medseg.cluster.wire.arrays import Packed, pack, unpack
from napari_medseg.cluster.wire.frames import frame
from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.figures import RoundFigures
from napari_medseg.refine.forgetting import Forgetting
from napari_medseg.refine.result import RefineResult, Tick, ZeroShot
from napari_medseg.volume import Array

LARGEST_LABELS = 1 << 31
PLAIN = ("fraction", "message", "round", "loss", "updates", "eta_s", "rate", "paused", "warning")
Name = Field(pattern=r"^[0-9a-f]{32}$")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CaseTold(_Strict):
    """One case: names of scans that were sent. What it is called at home stays there.

    Attributes
    ----------
    image, labels : str
    corrected, verified : str or None
    patient : int
        Cases of one number are of one patient.
    side : "teach" or "check"
    """

    image: str = Name
    labels: str = Name
    corrected: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    verified: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    patient: int = Field(ge=0)
    side: Literal["teach", "check"] = "check"


class Ordered(_Strict):
    """A refinement that is wanted; see `refine.RefineRequest`."""

    recipe: str = Field(max_length=100)
    settings: dict[str, Any] = Field(default_factory=dict, max_length=60)
    cases: tuple[CaseTold, ...] = Field(min_length=1, max_length=500)
    heldout: tuple[CaseTold, ...] = Field(default=(), max_length=500)
    class_names: dict[int, str] = Field(default_factory=dict, max_length=254)
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    start: Literal["base", "continue"] = "base"
    freeze: Literal["none", "encoder", "all but last"] = "none"
    every_round: bool = True
    base: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")


def case_name(number: int) -> str:
    """What a server calls a case."""
    return f"case-{number:04d}.nii.gz"


def tick_frame(number: int, tick: Tick) -> bytes:
    """A tick, with the round's labels and where they are uncertain."""
    head: dict[str, Any] = {"n": number, "tick": {name: getattr(tick, name) for name in PLAIN}, "figures": None, "result": None}
    if tick.figures is not None:
        head["figures"] = tick.figures.as_dict()
    payload: list[bytes] = []
    given = {"labels": tick.labels, "doubt": tick.doubt, "final": tick.result.labels if tick.result is not None else None}
    for name, arrays in given.items():
        head[name] = None
        if arrays is not None:
            packed = {case: pack(np.asarray(array)) for case, array in arrays.items()}
            head[name] = {case: told.model_dump() for case, (told, _) in packed.items()}
            payload += [chunk for _, chunks in packed.values() for chunk in chunks]
    if tick.result is not None:
        head["result"] = {**tick.result.as_dict(), "model": tick.result.model is not None, "models": sorted(tick.result.models)}
    return frame(json.loads(json.dumps(head, default=float)), *payload)


def tick_of(head: Mapping[str, Any], payload: memoryview, names: Mapping[str, str]) -> tuple[Tick, tuple[int, ...]]:
    """The tick again, and the rounds whose models can be fetched once it brings the result.

    Parameters
    ----------
    names : what cases are called at home, by what the server calls them

    Raises
    ------
    InvalidInputError
        When it does not hold together.
    """
    try:
        at, arrays = 0, {}
        for name in ("labels", "doubt", "final"):
            arrays[name], at = _arrays(head[name], payload, at, names)
        figures = None if head["figures"] is None else RoundFigures(**head["figures"])
        result: RefineResult | None = None
        rounds: tuple[int, ...] = ()
        if head["result"] is not None:
            result, rounds = _result(head["result"], arrays["final"] or {}, names), tuple(int(each) for each in head["result"]["models"])
        told = {name: head["tick"][name] for name in PLAIN}
        return Tick(**told, figures=figures, labels=arrays["labels"], doubt=arrays["doubt"], result=result), rounds
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InvalidInputError):
            raise
        todo = "Use the same version of napari-medseg on both sides"
        raise InvalidInputError("is no tick of a refinement", where="the answer", todo=todo) from error


def settings_of(recipe: Any) -> dict[str, Any]:
    """What of a recipe differs from its usual settings, as JSON."""
    usual = type(recipe)()
    return {each.name: getattr(recipe, each.name) for each in fields(recipe) if each.name != "name" and getattr(recipe, each.name) != getattr(usual, each.name)}


def _arrays(told: Mapping[str, Any] | None, payload: memoryview, at: int, names: Mapping[str, str]) -> tuple[dict[str, Array] | None, int]:
    if told is None:
        return None, at
    found = {}
    for case, each in told.items():
        packed = Packed(**each)
        length = sum(packed.parts)
        found[names[case]] = unpack(packed, payload[at : at + length], LARGEST_LABELS)
        at += length
    return found, at


def _result(told: Mapping[str, Any], labels: Mapping[str, Array], names: Mapping[str, str]) -> RefineResult:
    return RefineResult(
        tuple(RoundFigures(**each) for each in told["rounds"]), int(told["best_round"]), labels, None, ZeroShot(**told["zero_shot"]), int(told["updates"]), {},
        tuple(_renamed(each, names) for each in told["lineage"]), Forgetting.from_dict(told["forgetting"]), int(told["model_round"]),
    )


def _renamed(told: Any, names: Mapping[str, str]) -> Any:
    """The same with the cases' names at home."""
    if isinstance(told, dict):
        return {names.get(key, key): _renamed(value, names) for key, value in told.items()}
    if isinstance(told, list):
        return [_renamed(each, names) for each in told]
    return names.get(told, told) if isinstance(told, str) else told


def recipe_settings(recipe: Any) -> dict[str, Any]:
    """A recipe's settings as JSON has them.

    Raises
    ------
    InvalidInputError
        When one is no plain value.
    """
    try:
        plain: dict[str, Any] = json.loads(json.dumps({name: asdict(recipe)[name] for name in settings_of(recipe)}, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidInputError("has settings that cannot be sent", where="the recipe", todo="Refine on this machine") from error
    return plain
