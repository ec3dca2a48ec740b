"""Pointing at objects: points, boxes, lassos and strokes of the current scan.

Every act of pointing is a step of the scan's one undo log, and is answered at once or waits for Run (`answering`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.errors import InvalidInputError, MedsegError, NoLabelsError
from napari_medseg.session import segmenting, targets
from napari_medseg.session.answering import Answering
from napari_medseg.session.history import Box, History, moment
from napari_medseg.session.state import Scan, Tool
from napari_medseg.session.targets import Board, Mark, Pointed, Target, rounded

if TYPE_CHECKING:
    from napari_medseg.session.patches import Patch

TOOLS: tuple[tuple[Tool, str], ...] = (("point", "points"), ("box", "boxes"), ("scribbles", "scribbles"), ("lasso", "lassos"))
"""Canvas tools and the kind of prompt each makes, in the order the key goes through them."""
SIGNED = ("point", "scribbles")
"""Tools that also say what lies outside."""
WARM = "warm"


class Prompting(Answering):
    """The prompts of a session.

    Parameters
    ----------
    session : Session
    """

    # -- what can be done -----------------------------------------------------------------------------------------------------------------------------

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

    # -- objects --------------------------------------------------------------------------------------------------------------------------------------

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
            self._change(scan, scan.board.put(replace(target, name=name.strip())))

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

    # -- pointing -------------------------------------------------------------------------------------------------------------------------------------

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

    def last(self, scan: Scan) -> int:
        """The moment of what would be taken back; 0 for nothing."""
        return max(log.last for log in self._logs(scan))

    def walk(self, scan: Scan, *, back: bool) -> tuple[Box, ...] | None:
        """Take the last step back, of the labels, the marks or the strokes, or do the next one again.

        Returns
        -------
        tuple of boxes or None
            Where labels changed; None when there was no step. Steps of several logs that were made at one moment go together.
        """
        logs, last = self._logs(scan), self.last(scan)
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

    # -- the segmenter --------------------------------------------------------------------------------------------------------------------------------

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
            segmenting.tell_devices(session, session.device, self._title())
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

    # -- inside ---------------------------------------------------------------------------------------------------------------------------------------

    def _target(self, scan: Scan) -> Target:
        """The object that a mark is for: the chosen one, if it is of the chosen class, else the last of that class, else a new one."""
        value, target = self._session.chosen, scan.board.target()
        if target is None or target.value != value:
            target = next((t for t in reversed(scan.board.targets) if t.value == value), None)
        if target is None:
            name = scan.board.free_name(self._session.label_class.name, scan.board.targets)
            target = Target(max((t.number for t in scan.board.targets), default=0) + 1, name, value)
        return target

    def _logs(self, scan: Scan) -> tuple[History, ...]:
        return (scan.history, scan.stroke_log) if self.points_at() else (scan.history,)

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
