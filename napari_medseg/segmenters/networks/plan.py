"""What a model file says about a network of the catalogue: its name and numbers, never where its code lies. Loads no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator

from napari_medseg.segmenters.networks.pruning.record import Prunable

KIND = "architecture"
RESERVED = frozenset({"name", "in_channels", "classes", "dims", "seed"})
DEEPEST = 4  # lists within lists that a parameter may be
LONGEST = 64  # items of a list, letters of a word
LARGEST = 65_536

Side = Annotated[int, Field(ge=1, le=1024)]


class ArchitecturePlan(Prunable):
    """The arguments of `building.build`, and how many such networks answer together.

    Attributes
    ----------
    name : str
        Id of an entry of the kind `network`; what builds it is the catalogue's to say.
    dims : 2 or 3
        A network of 2 dimensions sees single slices.
    axis : int
        Along which the slices of a network of 2 dimensions lie, (z, y, x) of the display order.
    step : (z, y, x) voxels
        What the sides of a window are multiples of.
    parameters : dict
        Of the architecture, where they differ from the entry's: numbers, words, lists of them.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["architecture"] = "architecture"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=LONGEST)
    dims: Literal[2, 3] = 3
    axis: int = Field(default=0, ge=0, le=2)
    in_channels: int = Field(ge=1)
    classes: int = Field(ge=1, le=254)
    step: tuple[Side, Side, Side] = (1, 1, 1)
    parameters: dict[str, Any] = Field(default_factory=dict)
    members: int = Field(default=1, ge=1, le=100)

    @field_validator("parameters")
    @classmethod
    def _only_numbers_and_words(cls, given: dict[str, Any]) -> dict[str, Any]:
        check_parameters(given)
        return {name: _listed(value) for name, value in given.items()}


def check_parameters(given: dict[str, Any]) -> None:
    """Refuse parameters of an architecture that are anything but numbers, words and lists of them.

    Raises
    ------
    ValueError
    """
    for name, value in given.items():
        if not name.isidentifier() or name in RESERVED:
            raise ValueError(f"no network has a parameter '{name}'")
        if not _plain(value, DEEPEST):
            raise ValueError(f"{name} is neither a number up to {LARGEST}, a word nor a list of them")


def _listed(value: Any) -> Any:
    """As JSON has it, so that what was given and what was read are alike."""
    return [_listed(one) for one in value] if isinstance(value, (list, tuple)) else value


def _plain(value: Any, depth: int) -> bool:
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, (int, float)):
        return -LARGEST <= value <= LARGEST
    if isinstance(value, str):
        return len(value) <= LONGEST
    return isinstance(value, (list, tuple)) and depth > 0 and len(value) <= LONGEST and all(_plain(one, depth - 1) for one in value)
