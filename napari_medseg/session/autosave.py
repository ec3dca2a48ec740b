"""Work on its way to the disk while it is made: which parts of a scan's labels changed, and their draft.

The owner's thread only notes boxes. The store thread writes them, as a view of the live array in the file's order, never as a copy of all of it; a
voxel that is painted while it is written is noted again and written next time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from napari_medseg.errors import MedsegError, UnwritableFileError
from napari_medseg.project import Draft, Project, Version
from napari_medseg.session.history import Box
from napari_medseg.session.state import Scan, labels_in_file
from napari_medseg.session.store_thread import StoreThread
from napari_medseg.volume import Array, AxisMap

DELAY = 1.2
"""Seconds from a change to its write: with the write itself, well under two."""
HELD = 10.0
"""Seconds after which a stroke that is still being drawn is written as far as it is."""
AGAIN = 15.0
"""Seconds after which a write that failed is tried again."""
MOST_BOXES = 400


@dataclass(slots=True, eq=False)
class _Changed:
    scan: Scan
    boxes: list[Box] = field(default_factory=list)
    anywhere: bool = False
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    why: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Unwritten:
    """Work of a case that is in memory only.

    Attributes
    ----------
    case : str
    scan : Scan
        With the labels of now.
    since : datetime
        Of the first change that is on no disk, UTC.
    why : str
        What the disk said; "" when it was not asked yet.
    """

    case: str
    scan: Scan
    since: datetime
    why: str


class Autosave:
    """The drafts of one open project.

    Parameters
    ----------
    project : Project
    store : StoreThread
        Where everything but `touch` runs.
    written : callable
        Told on the store thread of a case whose draft was written.
    failed : callable
        Told on the store thread of a case whose draft could not be written, and why; it is tried again by itself.
    delay : callable
        Seconds from a change to its write, asked for with each change.
    """

    def __init__(
        self, project: Project, store: StoreThread, written: Callable[[str], None], failed: Callable[[str, MedsegError], None],
        delay: Callable[[], float] = lambda: DELAY,
    ) -> None:
        self._project, self._store, self._written, self._failed, self._delay = project, store, written, failed, delay
        self._lock = threading.Lock()
        self._changed: dict[str, _Changed] = {}
        self._under_way: dict[str, _Changed] = {}
        self._drafts: dict[str, Draft] = {}
        self._parents: dict[str, int | None] = {}

    # -- on the owner's thread ---------------------------------------------------------------------------------------------------------------------------

    def touch(self, scan: Scan, boxes: Sequence[Box] | None) -> None:
        """Accepted labels changed in these boxes; None means anywhere, none that a stroke is being drawn."""
        case = scan.case
        drawing = boxes is not None and not boxes
        with self._lock:
            if not drawing:
                changed = self._changed.setdefault(case, _Changed(scan))
                changed.scan = scan
                changed.boxes.extend(boxes or ())
                changed.anywhere = changed.anywhere or boxes is None or len(changed.boxes) > MOST_BOXES
        if drawing:
            self._store.later(f"stroke {case}", HELD, lambda: self._write_stroke(scan))
        else:
            self._store.later(case, self._delay(), lambda: self.write(case))

    # -- on the store thread -----------------------------------------------------------------------------------------------------------------------------

    def begin(self, case: str, parent: int | None, *, unsaved: bool = False) -> None:
        """A case is worked on from this version, or goes on with unsaved work on top of it."""
        self._parents[case] = parent
        if unsaved:
            self._draft(case)

    def saved(self, case: str, version: Version) -> None:
        """A version of the case is on disk: its draft goes on from there, with what changed meanwhile."""
        self.write(case)  # the draft must not be older than the version
        self._parents[case] = version.number
        draft = self._drafts.get(case)
        if draft is None:
            return
        if case in self._changed:  # it could not be written just now
            draft.discard()
            del self._drafts[case]
        else:
            self._project.rebase(draft, version)

    def leave(self, case: str) -> None:
        """The case is closed."""
        draft = self._drafts.pop(case, None)
        if draft is not None:
            draft.close()

    def write(self, case: str) -> None:
        """Write what changed."""
        with self._lock:
            changed = self._changed.pop(case, None)
            if changed is None or changed.scan.labels is None:
                return
            self._under_way[case] = changed
        try:
            self._draft(case).write(*_in_file(changed.scan, None if changed.anywhere else changed.boxes))
        except Exception as error:
            with self._lock:
                newer = self._changed.setdefault(case, changed)
                newer.boxes = [*changed.boxes, *(newer.boxes if newer is not changed else ())]
                newer.anywhere = newer.anywhere or changed.anywhere
                newer.since, newer.why = changed.since, str(error)
            self._store.later(case, AGAIN, lambda: self.write(case))
            if not isinstance(error, MedsegError):
                raise
            self._failed(case, error)
        else:
            self._written(case)
        finally:
            with self._lock:
                self._under_way.pop(case, None)

    def flush(self, case: str) -> None:
        """Write what changed in a case before it is read again.

        Raises
        ------
        UnwritableFileError
            When it still cannot be written; it is in memory only.
        """
        self.write(case)
        if case in self._changed:
            what, todo = "holds work that could not be saved yet and is in memory only", "Make space on the disk of the study, then open it again"
            raise UnwritableFileError(what, where=case, todo=todo)

    def write_all(self) -> tuple[Unwritten, ...]:
        """Write what changed in every case, as before closing; what could not be written is told."""
        for case in list(self._changed):
            self.write(case)
        return self.unwritten()

    def unwritten(self) -> tuple[Unwritten, ...]:
        """What is in memory only; asked from any thread."""
        with self._lock:
            changed = tuple((self._changed | self._under_way).items())
        return tuple(Unwritten(case, one.scan, one.since, one.why) for case, one in changed if one.scan.labels is not None)

    def close(self) -> None:
        """Let go of the drafts; they stay on disk."""
        for case in list(self._drafts):
            self.leave(case)

    def _write_stroke(self, scan: Scan) -> None:
        with self._lock:
            changed = self._changed.setdefault(scan.case, _Changed(scan))
            changed.anywhere = True
        self.write(scan.case)

    def _draft(self, case: str) -> Draft:
        if case not in self._drafts:
            self._drafts[case] = self._project.draft(case, self._parents.get(case))
        return self._drafts[case]


def _in_file(scan: Scan, boxes: Sequence[Box] | None) -> tuple[Array, Sequence[Box] | None]:
    """The live labels in the file's voxel order, and the boxes there; a view wherever the display only turns and flips."""
    frozen = copy(scan)
    labels = frozen.labels if frozen.labels is not None else np.zeros(frozen.display.geometry.shape, np.uint8)
    if not isinstance(frozen.axes, AxisMap):
        return labels_in_file(frozen, labels), None
    back = [int(axis) for axis in np.argsort(frozen.axes.order)]
    straight = np.flip(labels, tuple(i for i, flip in enumerate(frozen.axes.flipped) if flip))
    return straight.transpose(back), None if boxes is None else [_turned(box, labels.shape, frozen.axes, back) for box in boxes]


def _turned(box: Box, shape: tuple[int, ...], axes: AxisMap, back: Sequence[int]) -> Box:
    sides = [slice(size - part.stop, size - part.start) if flip else part for part, size, flip in zip(box, shape, axes.flipped, strict=True)]
    z, y, x = (sides[axis] for axis in back)
    return z, y, x
