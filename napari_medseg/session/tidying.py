"""Clean-up and interpolation of accepted labels, each shown as a preview that waits for a yes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from napari_medseg.errors import InvalidInputError, MedsegError, NoLabelsError
from napari_medseg.session.history import Box, around, both
from napari_medseg.session.making import Making
from napari_medseg.session.patches import Patch
from napari_medseg.session.state import PointLPS, Preview, Scan
from napari_medseg.session.tidy_choices import MARGIN_VOXELS
from napari_medseg.volume import Array, LabelArray

if TYPE_CHECKING:
    from napari_medseg.session.session import Session
    from napari_medseg.weaklabel.cleanup_steps import CleanupChain, Voxel

TITLE = "clean-up"
NOWHERE: Box = (slice(0, 0), slice(0, 0), slice(0, 0))


class Tidying:
    """The clean-up of a session; every change of its choices shows at once, the newest wins.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._clicked: WeakKeyDictionary[Scan, tuple[PointLPS, ...]] = WeakKeyDictionary()
        self._held: WeakKeyDictionary[Preview, _Held] = WeakKeyDictionary()
        session.edited.connect(self._on_edited)

    @staticmethod
    def owns(preview: Preview) -> bool:
        """Whether a preview is of a clean-up."""
        return preview.title == TITLE

    def clicked(self, scan: Scan) -> tuple[PointLPS, ...]:
        """Where pieces were clicked that shall stay, LPS mm."""
        return self._clicked.get(scan, ())

    def click(self, scan: Scan, point: PointLPS) -> None:
        """Keep the piece there."""
        self._clicked[scan] = (*self.clicked(scan), point)
        self.choose(clicking=True)

    def forget_clicks(self) -> None:
        """Keep no piece for having been clicked."""
        if self._session.current is not None:
            self._clicked.pop(self._session.current, None)
        self.choose(clicking=False)

    def choose(self, **values: object) -> None:
        """Change some of the choices, and show what comes of them."""
        session = self._session
        session.set(cleanup=replace(session.cleanup, **values))  # type: ignore[arg-type]
        self.follow()

    def follow(self) -> None:
        """Show the clean-up as it is chosen now, if that is wanted and no other preview waits for the person."""
        session, scan = self._session, self._session.current
        if scan is None or scan.arriving or not session.cleanup.live or not scan.has_labels or session.tab != "weak" or session.mode != "cleanup":
            return
        if scan.preview is not None and not self.owns(scan.preview):
            return
        try:
            self._start(scan)
        except MedsegError as error:  # half-typed values
            session.trouble = str(error)
            session.changed.emit()

    def start(self) -> None:
        """Show it now.

        Raises
        ------
        NoLabelsError, InvalidInputError
            When there is nothing to clean up.
        """
        scan = self._session.ready()
        if scan.labels is None or not scan.has_labels:
            raise NoLabelsError("there is nothing to clean up", where=scan.name, todo="Accept a preview or paint a label first")
        self._start(scan)

    def _start(self, scan: Scan) -> None:
        session, choices, labels = self._session, self._session.cleanup, scan.labels
        if labels is None:
            return
        clicked = self._voxels(scan)
        chain = choices.chain(session.chosen, clicked)
        values = [session.chosen] if choices.only_chosen or choices.combining else [c.value for c in session.classes if scan.voxels[c.value] > 0]
        parameters = {**chain.recorded(), "values": values}
        preview = scan.preview
        if preview is None or not self.owns(preview):
            preview = Preview(scan.fresh_map(), TITLE, (), keeps_values=True, replaces=True)
            session.show_preview(scan, preview, tool=session.tool)
        preview.classes = tuple(c for c in session.classes if c.value in values)
        preview.made, preview.finished = Making("cleanup", parameters=parameters), False
        held = self._held.setdefault(preview, _Held())
        image = scan.display.array if chain.edit.window is not None else None
        reach = [int(np.ceil(choices.reach_mm / step)) + MARGIN_VOXELS for step in scan.display.geometry.spacing]

        def make() -> Iterator[Patch]:
            return held.cleaned(labels, image, scan.display.geometry.spacing, chain, values, reach)

        def done() -> None:
            preview.finished = True

        session.fill(scan, preview, "Cleaning up", make, done)

    def _voxels(self, scan: Scan) -> list[Voxel]:
        points = self.clicked(scan)
        found = np.rint(scan.display.geometry.voxel(np.array(points, float).reshape(-1, 3))).astype(int)
        return [(int(z), int(y), int(x)) for z, y, x in found]

    def _on_edited(self, scan: Scan, boxes: object) -> None:
        """What was cleaned up has changed, so it is cleaned up anew."""
        if scan is self._session.current and scan.preview is not None and self.owns(scan.preview):
            self._session.jobs.dispatch(self._anew)  # later: some of napari's tools tell before they write

    def _anew(self) -> None:
        scan = self._session.current
        if scan is not None and scan.preview is not None and self.owns(scan.preview):
            self.follow()


class _Held:
    """What a preview of a clean-up holds; used on the worker only."""

    def __init__(self) -> None:
        self._shown: Box | None = None

    def cleaned(
        self, labels: Array, image: Array | None, spacing: tuple[float, float, float], chain: CleanupChain, values: Sequence[int], reach: Sequence[int],
    ) -> Iterator[Patch]:
        """Clean up a box around the labels; the last patch covers all that was shown before."""
        from napari_medseg.weaklabel.cleanup import cleaning

        inner = around(labels)
        if inner is None:
            raise InvalidInputError("the labels are empty", where="clean-up", todo="Paint a label first")
        z, y, x = (slice(max(0, side.start - far), min(size, side.stop + far)) for side, far, size in zip(inner, reach, labels.shape, strict=True))
        box = (z, y, x)
        part = np.asarray(labels[box]).copy()
        last, image = None, None if image is None else image[box]
        for last in cleaning(part, spacing, _moved(chain, (z.start, y.start, x.start)), image=image, values=values, finely=True):
            if last.fraction < 1:
                yield Patch(NOWHERE, np.zeros((0, 0, 0), np.uint8), last.fraction, last.message)
        if last is not None:
            whole = both(box, self._shown) or box
            shown = np.zeros([side.stop - side.start for side in whole], np.uint8)
            shown[tuple(slice(i.start - o.start, i.stop - o.start) for i, o in zip(box, whole, strict=True))] = _only(last.labels, values)
            self._shown = whole
            yield Patch(whole, shown, 1.0, _told(part, last.labels, values, last.removed_components, float(np.prod(spacing)) / 1000))


def _moved(chain: CleanupChain, first: tuple[int, int, int]) -> CleanupChain:
    """The chain for a crop that begins at this voxel."""
    from napari_medseg.weaklabel.cleanup_steps import KeepClicked

    steps = tuple(
        replace(step, points=tuple((z - first[0], y - first[1], x - first[2]) for z, y, x in step.points)) if isinstance(step, KeepClicked) else step
        for step in chain.steps
    )
    return replace(chain, steps=steps)


def _only(labels: Array, values: Sequence[int]) -> LabelArray:
    table = np.zeros(max(256, int(labels.max(initial=0)) + 1), np.uint8)
    table[list(values)] = list(values)
    return np.asarray(table[labels], np.uint8)


def _told(before: Array, after: Array, values: Sequence[int], removed: int, voxel_ml: float) -> str:
    """What it came to, for people."""
    old, new = (np.count_nonzero(_only(labels, values)) * voxel_ml for labels in (before, after))
    pieces = f"{removed} piece{'' if removed == 1 else 's'} removed, " if removed else ""
    return f"{pieces}{old:.3g} ml before, {new:.3g} ml after" if not np.isclose(old, new) or removed else f"{new:.3g} ml, as before"
