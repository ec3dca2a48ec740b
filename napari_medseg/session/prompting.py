"""Pointing at objects: points, boxes, lassos and strokes of the current scan, and the segmenter that answers them.

Every act of pointing is a step of the scan's one undo log. With *Live* on each one is asked for at once and the newest wins; with it off they wait for
Run. A segmenter answers class by class (`outlining`), so that only what changed is asked again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.errors import InvalidInputError, MedsegError, NoLabelsError
from napari_medseg.session import segmenting, targets
from napari_medseg.session.history import Box, Step, around, change, count_values, moment
from napari_medseg.session.jobs import PREVIEW
from napari_medseg.session.making import Making
from napari_medseg.session.outlining import Answers, outlined
from napari_medseg.session.patches import Patch
from napari_medseg.session.state import Learned, Preview, Scan, Tool
from napari_medseg.session.targets import Board, Mark, Pointed, Target, rounded
from napari_medseg.volume import LabelArray

if TYPE_CHECKING:
    from napari_medseg.session.segmenting import Wanted
    from napari_medseg.session.session import Session

TOOLS: tuple[tuple[Tool, str], ...] = (("point", "points"), ("box", "boxes"), ("scribbles", "scribbles"), ("lasso", "lassos"))
"""Canvas tools and the kind of prompt each makes, in the order the key goes through them."""
SIGNED = ("point", "scribbles")
"""Tools that also say what lies outside."""
NOTHING = "nothing was pointed at"
WARM = "warm"


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


class Prompting:
    """The prompts of a session.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._talks: WeakKeyDictionary[Scan, Talk] = WeakKeyDictionary()
        self._drawn: WeakKeyDictionary[Scan, int] = WeakKeyDictionary()

    # -- what can be done ------------------------------------------------------------------------------------------------------------------------------

    @property
    def interactive(self) -> bool:
        """Whether the chosen segmenter is pointed at things."""
        return segmenting.is_interactive(segmenting.entry_of(self._session))

    @property
    def takes(self) -> frozenset[str]:
        """Kinds of prompts the chosen segmenter takes."""
        return segmenting.takes(segmenting.entry_of(self._session))

    def tools(self) -> tuple[Tool, ...]:
        """Canvas tools the chosen segmenter has a use for."""
        takes = self.takes
        return tuple(tool for tool, kind in TOOLS if kind in takes)

    def first_tool(self) -> Tool:
        """What is in the hand when the person comes to the tab; "" where clicks mean nothing."""
        session, tools = self._session, self.tools()
        ready = session.tab == "segment" and session.current is not None and not session.current.arriving and self.interactive
        return tools[0] if ready and tools and tools[0] == "point" else ""

    def arm(self, tool: Tool) -> None:
        """Take a tool in the hand, or put it down.

        Raises
        ------
        InvalidInputError
            When no scan is open, or the chosen segmenter has no use for it.
        """
        session, scan = self._session, self._session.ready()
        if tool not in self.tools():
            kind = dict(TOOLS)[tool]
            raise InvalidInputError(f"takes no {kind}", where=self._title(), todo="Choose another tool or another segmenter")
        if session.tool == tool:
            session.set(tool="")
            return
        if tool == "scribbles" and scan.strokes is None:
            scan.strokes = np.zeros(scan.display.geometry.shape, np.uint8)
        session.set(tool=tool, background=session.background and tool in SIGNED)

    def next_tool(self) -> None:
        """The next tool the chosen segmenter takes."""
        tools = self.tools()
        if tools:
            place = tools.index(self._session.tool) + 1 if self._session.tool in tools else 0
            self.arm(tools[place % len(tools)])

    def can_flip(self) -> bool:
        """Whether the tool in the hand can also say what lies outside."""
        return self._session.tool in SIGNED

    # -- objects ---------------------------------------------------------------------------------------------------------------------------------------

    def new_object(self, name: str = "") -> None:
        """Begin another object of the chosen class."""
        scan = self._session.ready()
        self._change(scan, scan.board.begun(name.strip() or self._session.label_class.name, self._session.chosen))

    def choose(self, number: int) -> None:
        """The next marks are for this object."""
        scan = self._session.ready()
        target = scan.board.target(number)
        if target is not None:
            scan.board = replace(scan.board, chosen=number)
            self._session.choose_class(target.value)
            self._session.changed.emit()

    def rename(self, number: int, name: str) -> None:
        """Give an object another name; an empty one is refused."""
        scan = self._session.ready()
        target = scan.board.target(number)
        if target is not None and name.strip():
            scan.board = scan.board.put(replace(target, name=name.strip()))
        self._session.changed.emit()

    def remove(self, number: int) -> None:
        """Take an object away with all that was pointed at for it."""
        scan = self._session.ready()
        self._change(scan, scan.board.without(number))
        self.follow(scan)

    def clear(self, scan: Scan | None = None) -> None:
        """Take everything away that was pointed at."""
        scan, at = scan or self._session.ready(), moment()
        gone = Pointed(scan, scan.board, Board())
        if scan.board != Board():
            gone.redo()
            scan.history.push(gone, at)
        self._wipe(scan, at)
        self._told()
        self.follow(scan)

    # -- pointing --------------------------------------------------------------------------------------------------------------------------------------

    def point(self, place: Iterable[float], sign: int = 1) -> None:
        """A click inside the object, or outside it (-1); LPS mm."""
        self._add(Mark("point", (rounded(place),), sign))

    def box(self, corner: Iterable[float], opposite: Iterable[float], *, extend: bool = False) -> None:
        """A box round the object, from corner to corner; LPS mm.

        Parameters
        ----------
        extend : bool
            Make the object's last box large enough to hold this one too: so a box over slices is drawn, a rectangle on its first and on its last.
        """
        target = self._target(self._session.ready())
        last = next(iter(reversed(target.of_kind("box"))), None)
        if extend and last is not None:
            both = np.array([*last.places, rounded(corner), rounded(opposite)], float)
            wider = Mark("box", (rounded(both.min(0)), rounded(both.max(0))))
            place = len(target.marks) - 1 - target.marks[::-1].index(last)
            self._put(replace(target, marks=(*target.marks[:place], *target.marks[place + 1:], wider)))
        else:
            self._add(Mark("box", (rounded(corner), rounded(opposite))))

    def lasso(self, outline: Iterable[Iterable[float]]) -> None:
        """An outline round the object in one plane; LPS mm, at least three places."""
        places = tuple(rounded(place) for place in outline)
        if len(places) >= 3:
            self._add(Mark("lasso", places))

    def start_from_label(self) -> None:
        """The object starts from the accepted label of the chosen class, which the segmenter then corrects.

        Raises
        ------
        NoLabelsError
            When the class holds nothing.
        InvalidInputError
            When the chosen segmenter takes no label.
        """
        session, scan = self._session, self._session.ready()
        name = session.label_class.name
        if "mask" not in self.takes:
            raise InvalidInputError("takes no label to start from", where=self._title(), todo="Choose another segmenter")
        start = targets.start_of(scan.labels, session.chosen) if scan.labels is not None else None
        if start is None:
            raise NoLabelsError(f"{name} holds nothing yet", where=scan.name, todo="Accept a label first, or point at the object")
        self._put(replace(self._target(scan), start=start))

    def stroked(self, scan: Scan) -> None:
        """Strokes were drawn or taken back."""
        self._drawn[scan] = self._drawn.get(scan, 0) + 1
        if self.points_at():
            self.follow(scan)

    # -- answers ---------------------------------------------------------------------------------------------------------------------------------------

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
            try:
                self._start(scan, everything=False)
            except MedsegError as error:
                session.report(error)

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

    def points_at(self) -> bool:
        """Whether the person points at things now, so that strokes and marks are taken back in the order they were made."""
        return self._session.tab == "segment" and self.interactive

    def walk(self, scan: Scan, *, back: bool) -> tuple[Box, ...] | None:
        """Take the last step back, of the labels, the marks or the strokes, or do the next one again.

        Returns
        -------
        tuple of boxes or None
            Where labels changed; None when there was no step. Steps of several logs that were made at one moment go together.
        """
        logs = (scan.history, scan.stroke_log) if self.points_at() else (scan.history,)
        last = max(log.last for log in logs)
        at = last if back else min((log.following for log in logs if log.following > last), default=0)
        if not at:
            return None
        board, shown, redrawn = scan.board, scan.preview, False
        if scan.stroke_log in logs and at == (scan.stroke_log.last if back else scan.stroke_log.following):
            stroke, redrawn = scan.undo_stroke() if back else scan.redo_stroke(), True
            self._redrawn(scan, stroke.boxes if stroke is not None else ())
        step = None
        if at == (scan.history.last if back else scan.history.following):
            step = scan.undo() if back else scan.redo()
        if scan.preview is not shown:
            self._session.preview_changed.emit(scan, None)
        if redrawn or scan.board is not board:
            self.follow(scan)
        return step.boxes if step is not None else ()

    def warm(self) -> None:
        """Make the chosen segmenter ready beside the window, so that the first click is answered as fast as any."""
        session = self._session
        if not self.points_at() or session.jobs.active:
            return
        try:
            wanted = segmenting.wanted(session)
        except MedsegError:  # it will be said when it is asked
            return
        if session.built.holds(wanted):
            return

        def make() -> Iterator[Patch]:
            segmenting.tell_devices(session, session.device)
            session.built.get(wanted, lambda: wanted.build(session.catalogue))
            return iter(())

        session.jobs.start(WARM, "", make, apply=lambda _: None, done=lambda: None, failed=lambda _: None, quiet=True, device=session.device)

    def let_go(self) -> None:
        """Another segmenter was chosen: the network of the one before is let go of when it has ended what it does."""
        session = self._session
        if session.built.peek() is not None:
            def make() -> Iterator[Patch]:
                session.built.release()
                return iter(())

            session.jobs.start("let go", "", make, apply=lambda _: None, done=lambda: None, failed=session.report, quiet=True, device=session.device)

    # -- inside ----------------------------------------------------------------------------------------------------------------------------------------

    def _title(self) -> str:
        entry = segmenting.entry_of(self._session)
        return entry.title if entry is not None else self._session.engine

    def _target(self, scan: Scan) -> Target:
        """The object that a mark is for: the chosen one, if it is of the chosen class, else the last of that class, else a new one."""
        value, target = self._session.chosen, scan.board.target()
        if target is None or target.value != value:
            target = next((t for t in reversed(scan.board.targets) if t.value == value), None)
        if target is None:
            name = scan.board.free_name(self._session.label_class.name, scan.board.targets)
            target = Target(max((t.number for t in scan.board.targets), default=0) + 1, name, value)
        return target

    def _add(self, mark: Mark) -> None:
        target = self._target(self._session.ready())
        self._put(replace(target, marks=(*target.marks, mark)))

    def _put(self, target: Target) -> None:
        scan = self._session.ready()
        board = scan.board if scan.board.target(target.number) is not None else Board((*scan.board.targets, target))
        self._change(scan, board.put(target))
        self.follow(scan)

    def _change(self, scan: Scan, board: Board) -> None:
        if board != scan.board:
            step = Pointed(scan, scan.board, board)
            step.redo()
            scan.history.push(step)
        self._told()

    def _told(self) -> None:
        self._session.act()
        self._session.notice = self._session.trouble = ""
        self._session.changed.emit()

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
                segmenting.tell_devices(session, device)
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
            preview.labels[patch.box] = patch.labels
            preview.detail = patch.message
            session.preview_changed.emit(scan, patch.box)

        session.jobs.start(PREVIEW, f"Asking {title}", make, apply=apply, done=done, failed=failed, urgent=True, device=device)

