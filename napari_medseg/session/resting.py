"""One scan alone: a few of its slices are corrected, and the rest is proposed from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from napari_medseg.errors import MedsegError, NoLabelsError
from napari_medseg.refine.trust import Trust
from napari_medseg.session import by_hand
from napari_medseg.session.history import count_values
from napari_medseg.session.jobs import PREVIEW
from napari_medseg.session.making import Making
from napari_medseg.session.state import Preview, Scan
from napari_medseg.volume import Array, LabelArray

if TYPE_CHECKING:
    from napari_medseg.refine.single import Report, SingleTick
    from napari_medseg.session.session import Session

TITLE = "proposal of the rest"
UNKNOWN = 255


class Resting:
    """Proposes the rest of a scan.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reports: WeakKeyDictionary[Scan, Report] = WeakKeyDictionary()
        self._counted: tuple[object, tuple[int, ...]] = (None, ())

    def report(self, scan: Scan) -> Report | None:
        """What the last proposal of a scan told."""
        return self._reports.get(scan)

    def slices(self, scan: Scan) -> tuple[int, ...]:
        """Display slices, along the first axis, that a person painted on or marked as right; they are learnt from as a whole."""
        marked = self._session.verified.of(scan)
        now = (id(scan), id(scan.by_hand), scan.history.last, scan.history.following, marked)
        if now != self._counted[0]:
            painted = () if scan.by_hand is None else tuple(index for index, plane in enumerate(scan.by_hand) if plane.any())
            self._counted = now, tuple(sorted({*painted, *marked}))
        return self._counted[1]

    def start(self) -> None:
        """Propose the rest of the current scan, beside the window.

        Raises
        ------
        InvalidInputError
            When no scan is open.
        NoLabelsError
            When nothing was corrected.
        """
        session, scan = self._session, self._session.ready()
        if scan.labels is None or not self.slices(scan):
            raise NoLabelsError("no slice is corrected or marked as right yet", where=scan.name, todo="Correct about three slices first")
        image, labels = scan.display, np.asarray(scan.labels, np.uint8).copy()
        strokes, base, learnt = by_hand.strokes(scan), session.refine.base, self.slices(scan)
        project, case = session.study.project, scan.case
        last: list[SingleTick] = []
        ready: list[Preview] = []

        def ticks() -> Iterator[SingleTick]:
            from napari_medseg.refine.single import propose_rest

            weak = by_hand.before(labels, strokes) if strokes else None
            if weak is None and project is not None and case:
                weak = _by_tool(project, case, scan)
            for tick in propose_rest(image, labels, self._trust(scan, learnt), weak=weak, base=base, device=session.device):
                if tick.labels is not None and tick.report is not None:
                    ready[:] = [self._preview(learnt, tick.labels, tick.report)]
                yield tick

        def apply(tick: SingleTick) -> None:
            last[:] = [tick]

        def done() -> None:
            if ready and last and last[0].report is not None and scan in session.scans:
                self._reports[scan] = last[0].report
                self._show(scan, ready[0])

        def failed(error: MedsegError) -> None:
            session.report(error)

        session.jobs.start(PREVIEW, f"Proposing the rest of {scan.name}", ticks, apply=apply, done=done, failed=failed)

    def _trust(self, scan: Scan, learnt: tuple[int, ...]) -> Array:
        """How each voxel is believed; worked out beside the window."""
        trust = np.full(scan.display.geometry.shape, Trust.WEAK, np.uint8)
        for index in learnt:
            trust[index] = Trust.CORRECTED
        locked = self._session.verified.locked(scan)
        if locked is not None:
            trust[locked] = Trust.VERIFIED
        return trust

    def _preview(self, learnt: tuple[int, ...], labels: LabelArray, report: Report) -> Preview:
        """What is shown; made beside the window."""
        present = {value for value, count in count_values(labels).items() if count and value not in (0, UNKNOWN)}
        classes = tuple(c for c in self._session.classes if c.value in present) or (self._session.label_class,)
        facts: dict[str, Any] = {"slices": list(learnt), "seconds": round(report.seconds, 1)}
        made = Making("single", "proposal", facts)
        preview = Preview(labels, TITLE, classes, report.words, finished=True, made=made, keeps_settled=True, keeps_values=True, replaces=True)
        preview.look()
        return preview

    def _show(self, scan: Scan, preview: Preview) -> None:
        session = self._session
        if len(preview.classes) == 1 and scan is session.current:
            session.choose_class(preview.classes[0].value)
        session.show_preview(scan, preview)
        session.changed.emit()


def _by_tool(project: Any, case: str, scan: Scan) -> LabelArray | None:
    """What a tool made of a case last, on the display grid; called beside the window."""
    made = [version for version in project.versions(case) if version.kind in ("weak", "proposal", "imported")]
    return np.asarray(scan.axes.apply(project.labels(case, made[-1].number).array), np.uint8) if made else None
