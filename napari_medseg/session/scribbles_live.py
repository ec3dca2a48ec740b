"""Scribbles that answer while they are drawn: each stroke goes to one solver a scan, which answers for what the stroke can reach.

The solver runs on the session's worker. It has strokes of its own: what was painted is copied box by box on the owner's thread, so that a brush never waits
for a solver, nor a solver for a brush. Whatever a newer stroke cut short is asked for again with it, and what the preview has not shown yet is shown
with the next answer; so the newest may always overtake.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from napari_medseg.errors import MedsegError, NoStrokesError
from napari_medseg.session.history import Box, around, both, count_values
from napari_medseg.session.jobs import PREVIEW
from napari_medseg.session.making import Making
from napari_medseg.session.patches import Patch
from napari_medseg.session.state import Preview, Scan
from napari_medseg.volume import Array, LabelArray, Spacing

if TYPE_CHECKING:
    from napari_medseg.session.session import Session
    from napari_medseg.weaklabel.scribble import Growth, Scribbler
    from napari_medseg.weaklabel.scribble_settings import ScribbleSettings

TITLE = "scribbles"
BETWEEN = 0.1
"""Seconds between two answers while the brush moves."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer(Patch):
    """A patch that the preview says it has shown.

    Attributes
    ----------
    number : int
        Counts the patches of a solver.
    """

    number: int = 0


class Solver:
    """One scan's strokes and what they grew into.

    Parameters
    ----------
    image : (z, y, x)
    spacing : mm per voxel (z, y, x)
    """

    def __init__(self, image: Array, spacing: Spacing) -> None:
        self.image, self._spacing = image, spacing
        self._lock = threading.Lock()
        self._waiting: list[tuple[Box, LabelArray]] = []
        self._strokes = np.zeros(image.shape, np.uint8)
        self._drawn: Box | None = None
        self._unsolved: Box | None = None
        self._reach: Box | None = None
        self._owed: Box | None = None
        self._given = self._shown = 0
        self._scribbler: Scribbler | None = None
        self.settings: ScribbleSettings | None = None
        self._preview: Preview | None = None
        self.method = ""

    def tell(self, box: Box, part: LabelArray) -> None:
        """Strokes are like this in a box now."""
        with self._lock:
            self._waiting.append((box, part.copy()))

    def shown(self, number: int) -> None:
        """The preview holds this patch."""
        self._shown = number

    def show_in(self, preview: Preview) -> None:
        """Answers go into this preview; another one than before holds none of them yet, or old ones."""
        if self._preview is not preview:
            self._preview = preview
            self._owe_all()

    def strokes(self) -> LabelArray:
        """A copy of the strokes that were taken up."""
        copy = np.zeros(self._strokes.shape, np.uint8)
        with self._lock:
            if self._drawn is not None:
                copy[self._drawn] = self._strokes[self._drawn]
        return copy

    def solve(self, settings: ScribbleSettings) -> Iterator[Answer]:
        """Answer for everything that was told; runs on the worker, and may be left at any yield."""
        changed = self._take_up()
        scribbler, fresh = self._scribbler, self.settings != settings
        if scribbler is None or fresh:
            from napari_medseg.weaklabel.scribble import Scribbler

            scribbler = self._scribbler = Scribbler(self.image, self._spacing, settings)
            self.settings = settings
            self._owe_all()  # what was answered before counts no more
        if changed is not None or fresh:
            for growth in scribbler.update(self._strokes, None if fresh else changed):
                yield self._patch(growth, scribbler.labels)
        with self._lock:
            self._unsolved = None
            owed = self._owed
        if owed is not None and self._shown != self._given:
            yield Answer(owed, scribbler.labels[owed].copy(), 1.0, "", number=self._given)

    def _owe_all(self) -> None:
        with self._lock:
            self._owed = self._reach
            self._given += 1

    def _take_up(self) -> Box | None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            for box, part in waiting:
                self._strokes[box] = part
                self._drawn, self._unsolved = both(self._drawn, box), both(self._unsolved, box)
            return self._unsolved

    def _patch(self, growth: Growth, labels: LabelArray) -> Answer:
        with self._lock:
            if self._shown == self._given:
                self._owed = None
            self._owed = box = both(self._owed, growth.box) or growth.box
            self._reach = both(self._reach, box)
            self._given += 1
            self.method = growth.method
            return Answer(box, labels[box].copy(), growth.fraction, growth.message, number=self._given)


class LiveScribbles:
    """The scribbles of a session.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._solvers: WeakKeyDictionary[Scan, Solver] = WeakKeyDictionary()
        self._again = False
        self._started = 0.0

    def method(self, scan: Scan) -> str:
        """What solved this scan's strokes last, in words; "" before."""
        solver = self._solvers.get(scan)
        return solver.method.replace(" with a classifier", ", with learned tissue") if solver is not None else ""

    @staticmethod
    def owns(preview: Preview) -> bool:
        """Whether a preview is made of strokes."""
        return preview.title == TITLE

    def drawn(self, scan: Scan, boxes: tuple[Box, ...] | None) -> None:
        """Strokes ended there, or were taken back; None tells that the strokes are others altogether."""
        if boxes is None:
            scan.stroked = count_values(scan.strokes) if scan.strokes is not None else Counter()
            self._solvers.pop(scan, None)
        else:
            self._tell(scan, boxes)
        if scan.strokes is not None:
            self._follow(scan, ended=True)

    def drawing(self, scan: Scan, box: Box) -> None:
        """The brush moves; it is here now."""
        if scan.strokes is not None:
            self._tell(scan, (box,))
            self._follow(scan, ended=False)

    def chosen(self) -> None:
        """The person chose another solver, or turned the live answer on."""
        scan = self._session.current
        if scan is not None and scan.strokes is not None:
            self._follow(scan, ended=True)

    def start(self) -> None:
        """Answer now.

        Raises
        ------
        InvalidInputError, NoStrokesError
            When there is nothing to grow, or no scan to grow it on.
        """
        scan = self._session.ready()
        if not scan.drawn[0] and scan.strokes is not None:  # what a script writes into the array tells nobody
            scan.stroked = count_values(scan.strokes)
        if not scan.drawn[0]:
            raise NoStrokesError("nothing is scribbled", where=scan.name, todo="Draw a stroke inside the organ; one on the background makes it surer")
        self._start(scan, quietly=False)

    def settle(self, scan: Scan) -> None:
        """Write into the scan's preview, if it is made of strokes, which ones and how: it is accepted."""
        preview, solver = scan.preview, self._solvers.get(scan)
        if preview is not None and self.owns(preview) and solver is not None and solver.settings is not None:
            parameters: dict[str, Any] = {**asdict(solver.settings), "solved_by": solver.method}
            preview.made = Making("scribble", parameters=parameters, arrays={"strokes": solver.strokes()})

    def _tell(self, scan: Scan, boxes: tuple[Box, ...]) -> None:
        solver, strokes = self._solvers.get(scan), scan.strokes
        if solver is None or strokes is None:
            return
        for box in boxes:
            solver.tell(box, strokes[box])

    def _follow(self, scan: Scan, *, ended: bool) -> None:
        """Answer by itself, if that is wanted and nothing else waits for the person."""
        session = self._session
        if not self._wanted(scan):
            return
        if not scan.drawn[0] and (ended or session.background):
            if ended and scan.preview is not None:
                session.jobs.stop(PREVIEW)
                scan.preview = None
                session.preview_changed.emit(scan, None)
            return
        job = session.jobs.of(PREVIEW)
        if not ended:
            if job is not None and job.is_active:
                self._again = True
                return
            if time.monotonic() - self._started < BETWEEN:
                return
        self._start(scan, quietly=True)

    def _wanted(self, scan: Scan) -> bool:
        """Whether strokes of this scan are answered by themselves now, and no other preview waits for the person."""
        session = self._session
        if not session.scribble.live or session.tab != "weak" or session.mode != "scribbles" or scan is not session.current or scan.arriving:
            return False
        return scan.preview is None or self.owns(scan.preview)

    def _start(self, scan: Scan, *, quietly: bool) -> None:
        session, solver = self._session, self._solver(scan)
        preview = scan.preview
        if preview is None or not self.owns(preview):
            preview = Preview(scan.fresh_map(), TITLE, (), keeps_values=True)
            session.show_preview(scan, preview, tool=session.tool)
        solver.show_in(preview)
        preview.classes = tuple(c for c in session.classes if scan.stroked[c.value] > 0) or (session.label_class,)
        preview.finished, self._again, self._started = False, False, time.monotonic()

        def apply(answer: Answer) -> None:
            preview.put(answer.box, answer.labels)
            preview.detail = answer.message or preview.detail
            solver.shown(answer.number)
            session.preview_changed.emit(scan, answer.box)

        def done() -> None:
            preview.finished = True
            if self._again and scan.preview is preview and self._wanted(scan):  # the brush has moved on meanwhile
                self._start(scan, quietly=True)

        def failed(error: MedsegError) -> None:
            self._solvers.pop(scan, None)
            if not quietly:
                session.report(error)
            elif not isinstance(error, NoStrokesError):  # erased to the last voxel
                session.trouble = str(error)

        session.jobs.start(PREVIEW, "Growing strokes", partial(solver.solve, session.scribble.settings()), apply=apply, done=done, failed=failed)

    def _solver(self, scan: Scan) -> Solver:
        """The scan's solver; another channel begins anew."""
        solver = self._solvers.get(scan)
        if solver is None or solver.image is not scan.display.array:
            solver = self._solvers[scan] = Solver(scan.display.array, scan.display.geometry.spacing)
            box = around(scan.strokes) if scan.strokes is not None else None
            if box is not None and scan.strokes is not None:
                solver.tell(box, scan.strokes[box])
        return solver
