"""What a clean-up does: steps in the order a person puts them in, all sizes in mm and ml, and what they must leave alone.

A chain is plain data: it goes into a version's parameters with `CleanupChain.recorded` and comes back with `chain_from`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from typing import Any, ClassVar, Literal, get_args

from napari_medseg.errors import InvalidInputError

Voxel = tuple[int, int, int]
Operation = Literal["union", "subtract", "intersect"]
HIGHEST = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a clean-up.

    Attributes
    ----------
    classes : tuple of int, optional
        The classes it is done to, each on its own; None does it to all.
    """

    name: ClassVar[str] = ""
    classes: tuple[int, ...] | None = None

    def words(self) -> str:
        """What it does, for a list of steps."""
        return self.name


@dataclass(frozen=True, slots=True)
class Sized(Step):
    """A step that takes a length in mm."""

    mm: float

    def __post_init__(self) -> None:
        _size(self, self.mm)

    def words(self) -> str:
        """With its size."""
        return f"{self.name.capitalize()} by {self.mm:g} mm"


@dataclass(frozen=True, slots=True)
class RemoveSmall(Step):
    """Pieces smaller than this many millilitres go (1 ml is 1000 mm3)."""

    name: ClassVar[str] = "remove small"
    min_ml: float

    def __post_init__(self) -> None:
        _size(self, self.min_ml)

    def words(self) -> str:
        """With its size."""
        return f"Remove pieces below {self.min_ml:g} ml"


@dataclass(frozen=True, slots=True)
class Close(Sized):
    """Gaps up to twice this many millimetres wide are filled: grown by a ball, then shrunk by it."""

    name: ClassVar[str] = "close"


@dataclass(frozen=True, slots=True)
class Open(Sized):
    """What is thinner than twice this many millimetres goes: shrunk by a ball, then grown by it."""

    name: ClassVar[str] = "open"


@dataclass(frozen=True, slots=True)
class Fill(Step):
    """Holes are filled.

    Attributes
    ----------
    where : str
        "slices": what the class encloses in its slice; "volume": only what it encloses on all sides.
    """

    name: ClassVar[str] = "fill"
    where: Literal["slices", "volume"] = "slices"

    def __post_init__(self) -> None:
        if self.where not in ("slices", "volume"):
            raise InvalidInputError(f"holes cannot be filled in '{self.where}'", where=self.name, todo="Say slices or volume")
        _values(self, self.classes or ())

    def words(self) -> str:
        """With where."""
        return "Fill holes, slice by slice" if self.where == "slices" else "Fill holes"


@dataclass(frozen=True, slots=True)
class KeepLargest(Step):
    """Only the largest pieces of each class stay."""

    name: ClassVar[str] = "keep largest"
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InvalidInputError("at least one piece stays", where=self.name, todo="Give 1 or more")
        _values(self, self.classes or ())

    def words(self) -> str:
        """With how many."""
        return "Keep the largest piece" if self.count == 1 else f"Keep the {self.count} largest pieces"


@dataclass(frozen=True, slots=True)
class KeepClicked(Step):
    """Of each class that was clicked, only the clicked pieces stay; a click beside a piece means the nearest one within `reach_mm`.

    Attributes
    ----------
    points : tuple of voxel indices (z, y, x)
    reach_mm : float
    """

    name: ClassVar[str] = "keep clicked"
    points: tuple[Voxel, ...]
    reach_mm: float = 3.0

    def __post_init__(self) -> None:
        _size(self, self.reach_mm)
        if not self.points:
            raise InvalidInputError("no piece was clicked", where=self.name, todo="Click the pieces that should stay")

    def words(self) -> str:
        """With how many."""
        return f"Keep what was clicked ({len(self.points)} point{'s' if len(self.points) > 1 else ''})"


@dataclass(frozen=True, slots=True)
class Smooth(Sized):
    """Outlines are rounded by a Gaussian of this standard deviation; every class keeps its volume and neighbours keep touching."""

    name: ClassVar[str] = "smooth"


@dataclass(frozen=True, slots=True)
class Grow(Sized):
    """Every voxel within this many millimetres joins, unless it belongs to another class; where two classes grow towards each other they meet midway."""

    name: ClassVar[str] = "grow"


@dataclass(frozen=True, slots=True)
class Shrink(Sized):
    """Every voxel within this many millimetres of the outside goes; the border of the scan is no outside."""

    name: ClassVar[str] = "shrink"


@dataclass(frozen=True, slots=True)
class Combine(Step):
    """A class and another region: both, one without the other, or what they share.

    Attributes
    ----------
    operation : str
        "union", "subtract" or "intersect".
    other : int
        The class that makes the region: of the second label map where one is given (another layer, an earlier version), else of the same map.
    margin_mm : float
        The region is grown by this first. In one map classes never overlap, so subtract and intersect need it: "without what lies within 3 mm
        of class 2".
    """

    name: ClassVar[str] = "combine"
    operation: Operation
    other: int
    margin_mm: float = 0.0

    def __post_init__(self) -> None:
        _size(self, self.margin_mm)
        if self.operation not in get_args(Operation):
            raise InvalidInputError(f"'{self.operation}' is no way to combine", where=self.name, todo="Say union, subtract or intersect")
        _values(self, (self.other,))

    def words(self) -> str:
        """With the other class."""
        near = f" and {self.margin_mm:g} mm around it" if self.margin_mm else ""
        return {"union": "Add", "subtract": "Take away", "intersect": "Keep only"}[self.operation] + f" class {self.other}{near}"


@dataclass(frozen=True, slots=True)
class EditMask:
    """What every step must leave alone.

    Attributes
    ----------
    inside : int, optional
        Only within this class: of the second label map where one is given; else of the same map, where the other classes then lie on it as on a
        ground: they grow into it, and what they lose becomes it.
    window : (low, high), optional
        Only voxels whose grey value lies in this range, ends included, change.
    keep : tuple of int
        Classes that no step changes or overwrites.
    """

    inside: int | None = None
    window: tuple[float, float] | None = None
    keep: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.window is not None and not (len(self.window) == 2 and all(map(isfinite, self.window)) and self.window[0] <= self.window[1]):
            raise InvalidInputError(f"{self.window} is no range of grey values", where="edit mask", todo="Give a lower and an upper value")
        _values(self, self.keep if self.inside is None else (*self.keep, self.inside))


STEPS: dict[str, type[Step]] = {
    step.name: step for step in (RemoveSmall, Close, Open, Fill, KeepLargest, KeepClicked, Smooth, Grow, Shrink, Combine)
}


@dataclass(frozen=True, slots=True)
class CleanupChain:
    """Steps in the order they are done, and what all of them leave alone."""

    steps: tuple[Step, ...] = ()
    edit: EditMask = field(default_factory=EditMask)

    def recorded(self) -> dict[str, Any]:
        """As plain data, for a version's parameters and JSON files."""
        return {"steps": [{"step": step.name, **asdict(step)} for step in self.steps], "edit": asdict(self.edit)}


def chain_from(recorded: Mapping[str, Any]) -> CleanupChain:
    """What `CleanupChain.recorded` gave, as read from JSON.

    Raises
    ------
    InvalidInputError
        When a step or one of its fields is unknown, or a value cannot be.
    """
    if set(recorded) - {"steps", "edit"} or not isinstance(recorded.get("steps", []), (list, tuple)):
        raise _unclear("it is not a list of steps")
    steps = []
    for given in recorded.get("steps", []):
        kind = STEPS.get(given.get("step", "")) if isinstance(given, Mapping) else None
        if kind is None:
            raise _unclear(f"there is no step {given.get('step', '') if isinstance(given, Mapping) else given!r}")
        steps.append(_made(kind, {key: value for key, value in given.items() if key != "step"}))
    return CleanupChain(tuple(steps), _made(EditMask, recorded.get("edit") or {}))


def _made(kind: type[Any], given: Mapping[str, Any]) -> Any:
    known = {each.name for each in fields(kind)}
    if set(given) - known:
        raise _unclear(f"{kind.__name__} has no {', '.join(sorted(set(given) - known))}")
    try:
        return kind(**{key: _tuples(value) for key, value in given.items()})
    except TypeError as error:
        raise _unclear(f"{kind.__name__} does not take {dict(given)}") from error


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, (list, tuple)) else value


def _unclear(what: str) -> InvalidInputError:
    return InvalidInputError(what, where="clean-up", todo="Correct the recorded steps")


def _size(step: Step, value: float) -> None:
    if not (isinstance(value, (int, float)) and 0 <= value < float("inf")):
        raise InvalidInputError("sizes are zero or more", where=step.name, todo="Give millimetres and millilitres, zero or more")
    _values(step, step.classes or ())


def _values(where: Step | EditMask, values: tuple[int, ...]) -> None:
    if any(not 1 <= value <= HIGHEST for value in values):
        name = where.name if isinstance(where, Step) else "edit mask"
        raise InvalidInputError(f"{values} are no classes", where=name, todo=f"Give class values from 1 to {HIGHEST}")
