"""What a project tells about itself: cases, label versions, unsaved work, runs, events, problems."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from napari_medseg.annotation import LabelClass
from napari_medseg.volume import Geometry

Kind = Literal["imported", "weak", "proposal", "corrected", "verified"]
"""What a label version is: read from a file, made by a weak tool, proposed by a network, corrected by a person, or checked and good."""

Status = Literal["new", "weak", "refined", "corrected", "verified"]
"""How far a case is, from its latest version."""

KINDS: tuple[Kind, ...] = get_args(Kind)
STATUSES: tuple[Status, ...] = get_args(Status)

_STATUS: dict[str, Status] = {"imported": "weak", "weak": "weak", "proposal": "refined", "corrected": "corrected", "verified": "verified"}

Box = tuple[slice, slice, slice]


def status_of(latest: str | None) -> Status:
    """Status of a case whose latest version is of this kind; None when it has none."""
    return "new" if latest is None else _STATUS[latest]


@dataclass(frozen=True, slots=True)
class Case:
    """One scan of the study.

    Attributes
    ----------
    id : str
        "case-0001": all that the store, logs and exports know of it.
    name : str
        What the screen may call it, from the sources file; the id where that does not know it.
    status : Status
    modality : str
        "CT", "MR", ... or "".
    geometry : Geometry
        The scan's grid as its file stores it; labels lie on it.
    versions : int
        How many there are.
    latest : int or None
        Number of the latest.
    last_editor : str
        Who made the latest version.
    seconds : float
        Active work on the case: what `worked` was told, or what its versions say, whichever is more.
    added : datetime
        UTC.
    is_there : bool
        Whether the scan is where it was last.
    has_unsaved : bool
        Whether a draft lies beside its versions.
    claimed : str
        Who else works on it, "Ann on ward3"; "" for nobody.
    """

    id: str
    name: str
    status: Status
    modality: str
    geometry: Geometry
    versions: int
    latest: int | None
    last_editor: str
    seconds: float
    added: datetime
    is_there: bool
    has_unsaved: bool
    claimed: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """One state of a case's labels, never changed again.

    Attributes
    ----------
    case : str
    number : int
        From 1, in the order they were saved.
    kind : Kind
    name : str
        What a person called it; usually "".
    author : str
    created : datetime
        UTC, of the work; nothing is said about the scan's.
    tool : str
        "levelset", "scribble", "cleanup", "segment:<id>", "refine", "brush", "import", "restore", ...
    parameters : dict
        The engine's own keyword arguments.
    prompts : dict
        `{"seeds": {"1": [[x, y, z], ...]}, ...}`, LPS mm.
    parent : int or None
        The version it was made from.
    model : str
        Hash of the network that made it; "" for none.
    seconds : float
        Active work that went into it.
    classes : tuple of LabelClass
        The schema as it was then.
    voxels : dict
        Value to count.
    checksum : str
        SHA-256 of values, grid and classes.
    dtype : str
        "uint8" or "uint16".
    """

    case: str
    number: int
    kind: Kind
    name: str
    author: str
    created: datetime
    tool: str
    parameters: dict[str, Any]
    prompts: dict[str, Any]
    parent: int | None
    model: str
    seconds: float
    classes: tuple[LabelClass, ...]
    voxels: dict[int, int]
    checksum: str
    dtype: str = "uint8"


@dataclass(frozen=True, slots=True)
class VerifiedSlice:
    """One slice of a case that a person marked as right.

    Attributes
    ----------
    case : str
    axis, index : int
        In the file's voxel order: 0, 1, 2 for z, y, x, and which slice along it.
    number : int
        The version whose slice was looked at and marked.
    holds : int
        The version whose slice is right now: the marked one, or the last one in which the same person changed this slice by hand.
    before : int or None
        The last version made by a tool before any person changed this slice; what a check is fair to compare with. None when no tool made any.
    author : str
    created : datetime
        UTC.
    """

    case: str
    axis: int
    index: int
    number: int
    holds: int
    before: int | None
    author: str
    created: datetime


@dataclass(frozen=True, slots=True)
class Review:
    """What one person said of a version beside another one, without knowing which was which.

    Attributes
    ----------
    case : str
    number : int
        The version that is judged.
    against : int
        The version it was shown beside.
    author : str
        Who judged.
    created : datetime
        UTC, of the end of the review.
    verdict : str
        "preferred", "tie" or "not preferred".
    seconds : float
        The judgement took.
    details : dict
        `plan` (hash), `question`, `view`, `slice`, `left`, ...
    """

    case: str
    number: int
    against: int
    author: str
    created: datetime
    verdict: str
    seconds: float
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unsaved:
    """Work that was autosaved and never became a version.

    Attributes
    ----------
    case : str
    parent : int or None
        The version it goes on from; None for a case without labels.
    written : datetime
        When it was last autosaved, UTC.
    voxels_changed : int
        Against the parent.
    box : (z, y, x) slices
        Around every changed voxel, on the source grid.
    """

    case: str
    parent: int | None
    written: datetime
    voxels_changed: int
    box: Box


@dataclass(frozen=True, slots=True)
class Run:
    """One run over cases: a refinement, a batch of segmentations.

    Attributes
    ----------
    id : int
    kind : str
    author : str
    created : datetime
        UTC.
    parameters, figures : dict
    model : str
    cases : tuple of str
    """

    id: int
    kind: str
    author: str
    created: datetime
    parameters: dict[str, Any]
    figures: dict[str, Any]
    model: str
    cases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the audit log, which only grows.

    Attributes
    ----------
    id : int
    created : datetime
        UTC.
    author : str
    action : str
        "created", "added", "saved", "restored", "relocated", "classes", "discarded", "exported", "ran", "repaired", "migrated", "settings",
        "marked", "unmarked", "side", "reviewed", "claimed", "released".
    case : str
        "" when it is about the whole study.
    number : int or None
        Of the version it is about.
    details : dict
    """

    id: int
    created: datetime
    author: str
    action: str
    case: str
    number: int | None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claim:
    """A case that somebody works on.

    Attributes
    ----------
    case : str
    author, machine : str
    since, until : datetime
        UTC; it ends by itself unless it is renewed.
    mine : bool
        Whether the study that was asked may write to the case.
    """

    case: str
    author: str
    machine: str
    since: datetime
    until: datetime
    mine: bool

    @property
    def who(self) -> str:
        """For people: "Ann on ward3"."""
        return f"{self.author or 'somebody'} on {self.machine or 'another machine'}"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something `check` found.

    Attributes
    ----------
    what : str
        A sentence.
    where : str
        Part of the study folder, such as "labels/case-0001/0002.ome.zarr".
    todo : str
        What to do, or what was done.
    case : str
        "" when it is about the whole study.
    mended : bool
        Whether `repair` put it right.
    """

    what: str
    where: str
    todo: str
    case: str = ""
    mended: bool = False

    def __str__(self) -> str:
        """One line: where, what, what to do."""
        return f"{self.where}: {self.what}. {self.todo}."
