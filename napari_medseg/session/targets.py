"""What a person points at in one scan: objects with names, each with its points, boxes and outlines in the order they were given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_medseg.annotation import ObjectPrompt, Prompts
from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.annotation.prompts import PointLPS
from napari_medseg.session.history import Box, around
from napari_medseg.volume import BoolArray, LabelArray, Volume

if TYPE_CHECKING:
    from napari_medseg.session.state import Scan

MarkKind = Literal["point", "box", "lasso"]
DIGITS = 3  # of a millimetre


@dataclass(frozen=True, slots=True)
class Mark:
    """One act of pointing.

    Attributes
    ----------
    kind : "point", "box" or "lasso"
    places : LPS mm (x, y, z)
        One place; two opposite corners; an outline in one plane.
    sign : +1 inside, -1 outside
        Boxes and outlines are always round the object.
    """

    kind: MarkKind
    places: tuple[PointLPS, ...]
    sign: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A label that an object starts from.

    Attributes
    ----------
    box : (z, y, x) slices
        Around the label, on the display grid.
    mask : bool, the box
    """

    box: Box
    mask: BoolArray


@dataclass(frozen=True, slots=True)
class Target:
    """One object.

    Attributes
    ----------
    number : int
        Its own in its scan, from 1.
    name : str
    value : int
        The class it becomes part of.
    marks : tuple of Mark
        The newest last.
    start : Start or None
    """

    number: int
    name: str
    value: int
    marks: tuple[Mark, ...] = ()
    start: Start | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was pointed at for it."""
        return not self.marks and self.start is None

    def of_kind(self, kind: MarkKind) -> tuple[Mark, ...]:
        """Its marks of one kind."""
        return tuple(mark for mark in self.marks if mark.kind == kind)


@dataclass(frozen=True, slots=True)
class Board:
    """All objects of a scan.

    Attributes
    ----------
    targets : tuple of Target
        In the order they were begun.
    chosen : int
        Number of the one that the next mark is for; 0 for none.
    """

    targets: tuple[Target, ...] = ()
    chosen: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing was pointed at."""
        return all(target.is_empty for target in self.targets)

    def target(self, number: int | None = None) -> Target | None:
        """The object with a number; the chosen one without."""
        wanted = self.chosen if number is None else number
        return next((t for t in self.targets if t.number == wanted), None)

    def values(self) -> tuple[int, ...]:
        """Classes that something was pointed at for, ascending."""
        return tuple(sorted({t.value for t in self.targets if not t.is_empty}))

    def begun(self, name: str, value: int) -> Board:
        """With one object more, chosen; one that nothing was pointed at for yet makes room for it."""
        targets = tuple(t for t in self.targets if not t.is_empty)
        number = max((t.number for t in self.targets), default=0) + 1
        return Board((*targets, Target(number, self.free_name(name, targets), value)), number)

    def put(self, target: Target) -> Board:
        """With an object as it is now, chosen."""
        return Board(tuple(target if t.number == target.number else t for t in self.targets), target.number)

    def without(self, number: int) -> Board:
        """Without an object; the last of the others is chosen where it was."""
        left = tuple(t for t in self.targets if t.number != number)
        return Board(left, self.chosen if self.chosen != number else left[-1].number if left else 0)

    @staticmethod
    def free_name(name: str, targets: Iterable[Target]) -> str:
        """A name that no other object has."""
        taken = {t.name for t in targets}
        return name if name not in taken else next(f"{name} {i}" for i in range(2, 1000) if f"{name} {i}" not in taken)


@dataclass(frozen=True, slots=True, eq=False)
class Pointed:
    """One change of a scan's board, in the same log as its labels."""

    scan: Scan
    before: Board
    after: Board

    nbytes: int = 512
    boxes: tuple[Box, ...] = ()
    gained: Counter[int] = field(default_factory=Counter)

    def undo(self) -> None:
        """The board is as it was."""
        self.scan.board = self.before

    def redo(self) -> None:
        """The board is as it became."""
        self.scan.board = self.after


def start_of(labels: LabelArray, value: int) -> Start | None:
    """A class of a label map, to start from; None where it has no voxel."""
    held: BoolArray = labels == value
    box = around(held)
    return None if box is None else Start(box, held[box].copy())


def rounded(point: Iterable[float]) -> PointLPS:
    """A place to the thousandth of a millimetre, as files hold it."""
    x, y, z = (round(float(v), DIGITS) for v in point)
    return x, y, z


def prompts_of(board: Board, value: int, scan: Volume, strokes: LabelArray | None) -> Prompts:
    """What a segmenter is asked for one class.

    Parameters
    ----------
    board : Board
    value : int
        The class.
    scan : Volume
        On the display grid.
    strokes : uint8 (z, y, x) or None
        Of all classes; those of others are background here.
    """
    targets = [t for t in board.targets if t.value == value and not t.is_empty]
    objects = tuple(
        ObjectPrompt(
            value,
            tuple((*mark.places[0], mark.sign) for mark in t.of_kind("point")),
            tuple((mark.places[0], mark.places[1]) for mark in t.of_kind("box")),
            tuple(mark.places for mark in t.of_kind("lasso")),
        )
        for t in targets
    )
    scribbles, mask = None, None
    if strokes is not None:
        scribbles = scan.like(np.where((strokes != 0) & (strokes != value), np.uint8(BACKGROUND), strokes))
    starts = [t.start for t in targets if t.start is not None]
    if starts:
        base = np.zeros(scan.geometry.shape, np.uint8)
        for start in starts:
            base[start.box][start.mask] = value
        mask = scan.like(base)
    return Prompts(objects, scribbles, mask)


def recorded(board: Board) -> dict[str, Any]:
    """A board as a version keeps it: the objects of a prompts file, and their names."""
    objects = []
    for target in board.targets:
        if target.is_empty:
            continue
        objects.append({
            "label": target.value,
            "name": target.name,
            "points": [[*mark.places[0], mark.sign] for mark in target.of_kind("point")],
            "boxes": [[list(place) for place in mark.places] for mark in target.of_kind("box")],
            "lassos": [[list(place) for place in mark.places] for mark in target.of_kind("lasso")],
            "starts_from_label": target.start is not None,
        })
    return {"objects": objects}


def board_from(record: Mapping[str, Any], starts: LabelArray | None) -> Board:
    """A board from what a version kept of it.

    Parameters
    ----------
    record : mapping
        As `recorded` wrote it.
    starts : uint8 (z, y, x) or None
        The labels that objects started from, on the display grid.

    Raises
    ------
    KeyError, TypeError, ValueError
        When it is no such record.
    """
    board = Board()
    for each in record["objects"]:
        marks = [Mark("point", (rounded(p[:3]),), 1 if p[3] > 0 else -1) for p in each["points"]]
        marks += [Mark("box", (rounded(a), rounded(b))) for a, b in each["boxes"]]
        marks += [Mark("lasso", tuple(rounded(p) for p in outline)) for outline in each["lassos"]]
        board = board.begun(str(each["name"]), int(each["label"]))
        target = board.target()
        start = start_of(starts, int(each["label"])) if starts is not None and each["starts_from_label"] else None
        if target is not None:
            board = board.put(replace(target, marks=tuple(marks), start=start))
    return board


def starts_in(board: Board, shape: tuple[int, int, int]) -> LabelArray | None:
    """The labels that objects started from, as one map; None for none."""
    found = [(t.value, t.start) for t in board.targets if t.start is not None]
    if not found:
        return None
    base = np.zeros(shape, np.uint8)
    for value, start in found:
        base[start.box][start.mask] = value
    return base
