"""What a segmenter that is pointed at was asked about each scan, what it said, and what becomes of that.

A segmenter answers class by class (`outlining`), so that only what changed is asked again. With *Live* on it is asked by itself and the newest wins; with it
off what was pointed at waits for Run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.errors import InvalidInputError, MedsegError
from napari_medseg.session import segmenting, targets
from napari_medseg.session.history import Box, Step, around, change, count_values, moment
from napari_medseg.session.jobs import PREVIEW
from napari_medseg.session.making import Making
from napari_medseg.session.outlining import Answers, outlined
from napari_medseg.session.patches import Patch
from napari_medseg.session.state import Learned, Preview, Scan
from napari_medseg.session.targets import Board, Pointed
from napari_medseg.volume import LabelArray

if TYPE_CHECKING:
    from napari_medseg.session.segmenting import Wanted
    from napari_medseg.session.session import Session

NOTHING = "nothing was pointed at"


@dataclass(eq=False)
class Talk:
    """What a segmenter was asked about one scan, and what it said.

    Attributes
    ----------
    wanted : Wanted
        The segmenter.
    answers : Answers
        Written beside the window only.
    answered : class value to what was asked when its answer came
    preview : Preview or None
    strokes : uint8 (z, y, x) or None
        The strokes that were asked with last.
    """

    wanted: Wanted
    answers: Answers = field(default_factory=Answers)
    answered: dict[int, object] = field(default_factory=dict)
    preview: Preview | None = None
    strokes: LabelArray | None = None
    board: Board = field(default_factory=Board)
    model: str = ""


@dataclass(eq=False)
class Dropped:
    """An answer that was discarded with all that was pointed at for it: a step of the scan's log."""

    scan: Scan
    talks: WeakKeyDictionary[Scan, Talk]
    talk: Talk
    preview: Preview
    pointed: Pointed
    boxes: tuple[Box, ...] = ()
    gained: Counter[int] = field(default_factory=Counter)

    @property
    def nbytes(self) -> int:
        """Memory of what the answer has reached, with its probabilities."""
        reach = self.talk.answers.reach
        voxels = int(np.prod([side.stop - side.start for side in reach])) if reach is not None else 0
        return voxels * (1 + 2 * max(1, len(self.talk.answers.outlines)))

    def undo(self) -> None:
        """Prompts and answer are back."""
        self.pointed.undo()
        self.talks[self.scan], self.scan.preview = self.talk, self.preview

    def redo(self) -> None:
        """They are gone again."""
        self.pointed.redo()
        self.talks.pop(self.scan, None)
        self.scan.preview = None


class Answering:
    """Questions and answers of a session.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._talks: WeakKeyDictionary[Scan, Talk] = WeakKeyDictionary()
        self._drawn: WeakKeyDictionary[Scan, int] = WeakKeyDictionary()

    @property
    def interactive(self) -> bool:
        """Whether the chosen segmenter is pointed at things."""
        return segmenting.is_interactive(segmenting.entry_of(self._session))

    @property
    def takes(self) -> frozenset[str]:
        """Kinds of prompts the chosen segmenter takes."""
        return segmenting.takes(segmenting.entry_of(self._session))

    def points_at(self) -> bool:
        """Whether the person points at things now, so that strokes and marks are taken back in the order they were made."""
        return self._session.tab == "segment" and self.interactive

    def owns(self, preview: Preview | None) -> bool:
        """Whether a preview is an answer to what was pointed at."""
        return preview is not None and any(talk.preview is preview for talk in self._talks.values())

    def waiting(self, scan: Scan) -> int:
        """Classes that something was pointed at for and that were not asked for yet."""
        talk = self._talks.get(scan)
        return sum(talk is None or talk.answered.get(value) != self._asked_as(scan, value) for value in self._values(scan))

    def follow(self, scan: Scan) -> None:
        """Ask by itself, if that is wanted and no other preview waits for the person."""
        session = self._session
        if session.tab != "segment" or scan is not session.current or scan.arriving or not self.interactive:
            return
        if scan.preview is not None and not self.owns(scan.preview):
            return
        if not self._values(scan):
            if scan.preview is not None:
                session.jobs.stop(PREVIEW)
                scan.preview = None
                self._talks.pop(scan, None)
                session.preview_changed.emit(scan, None)
            return
        if session.segment.live:
            session.attempt(lambda: self._start(scan, everything=False))

    def start(self) -> None:
        """Ask now.

        Raises
        ------
        MedsegError
            When nothing was pointed at, there is no scan, or the segmenter cannot be built.
        """
        scan = self._session.ready()
        if scan.strokes is not None and not any(scan.drawn):  # what a script writes into the array tells nobody
            scan.stroked = count_values(scan.strokes)
        if not self._values(scan):
            raise InvalidInputError(NOTHING, where=scan.name, todo="Click inside the object, or draw a box round it")
        self._start(scan, everything=not self.waiting(scan))

    def settle(self, scan: Scan) -> None:
        """Write into the scan's preview, if it is an answer, what was pointed at: it is accepted."""
        talk = self._talks.get(scan)
        if talk is None or scan.preview is None or scan.preview is not talk.preview:
            return
        arrays: dict[str, LabelArray] = {}
        if talk.strokes is not None:
            arrays["strokes"] = talk.strokes
        starts = targets.starts_in(talk.board, scan.display.geometry.shape)
        if starts is not None:
            arrays["starts"] = starts
        parameters = {"device": self._session.device, **talk.wanted.recorded()}
        made = Making(f"segment:{talk.wanted.engines[0][0]}", "weak", parameters, targets.recorded(talk.board), arrays, talk.model)
        scan.preview.made = made

    def accepted(self, scan: Scan, at: int) -> Step | None:
        """The answer became a label at a moment: what was pointed at for it goes; the step, for the log. None where there was nothing."""
        if self._talks.pop(scan, None) is None:
            return None
        self._wipe(scan, at)
        gone = Pointed(scan, scan.board, Board())
        gone.redo()
        return gone

    def discard(self, scan: Scan) -> bool:
        """Drop the answer with all that was pointed at for it, in one step; False where the preview is no answer."""
        talk, preview, at = self._talks.get(scan), scan.preview, moment()
        if talk is None or preview is None or talk.preview is not preview:
            return False
        step = Dropped(scan, self._talks, talk, preview, Pointed(scan, scan.board, Board()))
        step.redo()
        scan.history.push(step, at)
        self._wipe(scan, at)
        return True

    # -- inside ---------------------------------------------------------------------------------------------------------------------------------------

    def _title(self) -> str:
        entry = segmenting.entry_of(self._session)
        return entry.title if entry is not None else self._session.engine

    def _values(self, scan: Scan) -> tuple[int, ...]:
        """Classes that something was pointed at for."""
        found = set(scan.board.values())
        if "scribbles" in self.takes:
            found |= {value for value, count in scan.stroked.items() if count > 0 and 0 < value < BACKGROUND}
        return tuple(sorted(found))

    def _asked_as(self, scan: Scan, value: int) -> object:
        """Equal for what would be answered alike."""
        board = tuple((t.marks, id(t.start) if t.start is not None else 0) for t in scan.board.targets if t.value == value and not t.is_empty)
        return board, self._drawn.get(scan, 0) if any(scan.drawn) else 0

    def _talk(self, scan: Scan, wanted: Wanted) -> Talk:
        """What was said about this scan; another segmenter begins anew."""
        talk = self._talks.get(scan)
        if talk is None or talk.wanted != wanted:
            before, talk = talk, Talk(wanted)
            if before is not None:
                talk.preview, talk.answers.reach = before.preview, before.answers.reach
            self._talks[scan] = talk
        return talk

    def _start(self, scan: Scan, *, everything: bool) -> None:
        session, wanted = self._session, segmenting.wanted(self._session)
        talk, values = self._talk(scan, wanted), self._values(scan)
        talk.board = scan.board
        ways = {value: self._asked_as(scan, value) for value in values}
        for gone in [value for value in talk.answered if value not in values]:
            del talk.answered[gone]
        stale = [value for value in values if everything or talk.answered.get(value) != ways[value]]
        preview, title = scan.preview, self._title()
        if preview is None or preview is not talk.preview:
            preview = talk.preview = Preview(scan.fresh_map(), title, (), keeps_values=True)
            session.show_preview(scan, preview, tool=session.tool)
        preview.classes = tuple(c for c in session.classes if c.value in values)
        preview.title, preview.finished = title, False
        drawn = scan.strokes if "scribbles" in self.takes and any(scan.drawn) else None
        board, device = scan.board, session.device

        def make() -> Iterator[Patch]:
            if not session.built.holds(wanted):
                segmenting.tell_devices(session, device, title)
            segmenter = session.built.get(wanted, lambda: wanted.build(session.catalogue))
            talk.model = segmenting.model_hash(getattr(segmenter, "model", None))
            strokes = talk.strokes = drawn.copy() if drawn is not None else None
            asked = {value: targets.prompts_of(board, value, scan.display, strokes) for value in stale}
            noted = talk.answered

            def answered(value: int) -> None:
                noted[value] = ways[value]

            yield from outlined(
                segmenter, scan.display, asked, talk.answers, wanted=values, device=device, focus=session.looking_at, answered=answered,
            )

        def done() -> None:
            preview.finished = True
            preview.detail = "" if preview.is_empty else f"{np.count_nonzero(preview.labels) * scan.display.geometry.voxel_ml:.3g} ml"
            if scan.preview is preview:
                scan.learn({value: Learned(title, outline.chance, outline.apart) for value, outline in talk.answers.outlines.items()})
                session.doubt.follow(scan)

        def failed(error: MedsegError) -> None:
            if scan.preview is preview and preview.is_empty:
                scan.preview = None
                session.preview_changed.emit(scan, None)
            session.report(error)

        def apply(patch: Patch) -> None:
            preview.put(patch.box, patch.labels)
            preview.detail = patch.message
            session.preview_changed.emit(scan, patch.box)

        session.jobs.start(PREVIEW, f"Asking {title}", make, apply=apply, done=done, failed=failed, urgent=True, device=device)

    def _wipe(self, scan: Scan, at: int) -> None:
        """Take the strokes away, as part of what happened at a moment."""
        box = around(scan.strokes) if scan.strokes is not None and any(scan.drawn) else None
        if scan.strokes is None or box is None:
            return
        wiped = change(scan.strokes, box, np.zeros([side.stop - side.start for side in box], np.uint8))
        if wiped is not None:
            scan.keep_stroke(wiped, at)
            self._redrawn(scan, wiped.boxes)

    def _redrawn(self, scan: Scan, boxes: tuple[Box, ...]) -> None:
        """Strokes changed there, and not by the brush."""
        self._drawn[scan] = self._drawn.get(scan, 0) + 1
        self._session.live.drawn(scan, boxes)
        self._session.painted_over.emit(scan, "strokes")
