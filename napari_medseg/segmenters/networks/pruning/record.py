"""What a model's plan says of a pruned network. Loads no torch."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, SerializerFunctionWrapHandler, model_serializer

Side = Annotated[int, Field(ge=0)]

Kept = dict[str, list[Side]]
"""Shape of each tensor that was cut, by its name in one network, with 0 for an axis that is whole; a norm without weights by its module's name."""


class Prunable(BaseModel):
    """A network's plan.

    Attributes
    ----------
    kept : Kept
        Empty for a whole network, and then not written, so that versions that prune nothing read it.
    """

    kept: Kept = Field(default_factory=dict)

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        if not written.get("kept"):
            written.pop("kept", None)
        return written


def again(before: Kept, kept: Kept) -> Kept:
    """The record of a network that was cut, and then cut once more."""
    found = {name: list(shape) for name, shape in before.items()}
    for name, shape in kept.items():
        found[name] = [new or old for new, old in zip(shape, found.get(name, [0] * len(shape)), strict=True)]
    return found
