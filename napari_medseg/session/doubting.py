"""Where the segmenter that ran last is not sure: a map, and the way from one doubtful place to the next.

Of a mean of several answers two things can be shown: how unsure the mean is, and how far the answers lie apart. A mean of one half says nothing of whether
all were unsure or each was sure of something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast
from weakref import WeakKeyDictionary

import numpy as np

from napari_medseg.errors import InvalidInputError
from napari_medseg.session.state import Scan
from napari_medseg.volume import Array, Shape, Spacing

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

LANE = "doubt"
SLAB = 1 << 22  # voxels weighed at a time
WIDEST = 2.0  # one over the greatest standard deviation that probabilities can have
Spot = tuple[int, int, int]
Kind = Literal["unsure", "apart"]
"""What is shown: how unsure the answer is, or how far the answers lie apart whose mean it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """A step of the work; the last one holds the map and the places.

    Attributes
    ----------
    fraction : float
    message : str
    map : float16 (z, y, x) or None
    spots : tuple of (z, y, x)
        Worst first.
    """

    fraction: float
    message: str = "Looking for doubtful places"
    map: Array | None = None
    spots: tuple[Spot, ...] = ()


class Doubting:
    """The uncertainty of a session's scans.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    on : bool
        Whether the map is shown and kept up to date.
    kind : Kind
        What is wished for; `shown` is what there is.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._spots: WeakKeyDictionary[Scan, tuple[Spot, ...]] = WeakKeyDictionary()
        self._at: WeakKeyDictionary[Scan, int] = WeakKeyDictionary()
        self.on = False
        self.kind: Kind = "unsure"

    def comparable(self, scan: Scan | None) -> bool:
        """Whether a scan's answer is the mean of several."""
        return scan is not None and any(learned.apart is not None for learned in scan.learned.values())

    def shown(self, scan: Scan) -> Kind:
        """What the map of a scan shows: what is wished for where its answer is the mean of several, else how unsure it is."""
        return self.kind if self.comparable(scan) else "unsure"

    def choose(self, kind: Kind) -> None:
        """Show the one or the other."""
        if kind == self.kind:
            return
        self.kind, scan = kind, self._session.current
        for each in self._session.scans:
            self.forget(each)
        if scan is not None:
            self.follow(scan)
        self._session.changed.emit()

    def spots(self, scan: Scan) -> tuple[Spot, ...]:
        """Doubtful places of a scan, worst first."""
        return self._spots.get(scan, ())

    def at(self, scan: Scan) -> int | None:
        """Which of them was gone to last."""
        return self._at.get(scan)

    def switch(self, on: bool) -> None:
        """Show the map, or put it away."""
        self.on = on
        scan = self._session.current
        if on and scan is not None:
            self.follow(scan)
        self._session.changed.emit()

    def follow(self, scan: Scan) -> None:
        """The segmenter answered anew."""
        if self.on and scan.learned:
            self._start(scan, go=0)
        else:
            self.forget(scan)

    def forget(self, scan: Scan) -> None:
        """What was known holds no more."""
        scan.doubt = None
        self._spots.pop(scan, None)
        self._at.pop(scan, None)

    def go(self, by: int) -> Spot | None:
        """The next doubtful place (1) or the one before (-1), if they are known; else they are looked for, and `session.place` tells when there.

        Raises
        ------
        InvalidInputError
            When no segmenter has run on this scan.
        """
        session, scan = self._session, self._session.ready()
        if not scan.learned:
            raise InvalidInputError("no segmenter has told how sure it is", where=scan.name, todo="Run a segmenter first")
        spots = self.spots(scan)
        if scan not in self._spots:
            self._start(scan, go=by)
            return None
        if not spots:
            session.notice = "It is sure everywhere"
            session.changed.emit()
            return None
        before = self._at.get(scan)
        at = (before + by) % len(spots) if before is not None else 0 if by > 0 else len(spots) - 1
        self._at[scan] = at
        session.notice = f"Doubtful place {at + 1} of {len(spots)}"
        session.place.emit(scan, spots[at])
        session.changed.emit()
        return spots[at]

    def _start(self, scan: Scan, *, go: int) -> None:
        shape, spacing, known = scan.display.geometry.shape, scan.display.geometry.spacing, list(scan.learned.values())
        kind = self.shown(scan)
        maps = [learned.chance for learned in known] if kind == "unsure" else [learned.apart for learned in known if learned.apart is not None]

        def apply(step: Weighed) -> None:
            if step.map is not None and scan in self._session.scans:
                self.forget(scan)
                scan.doubt, self._spots[scan] = step.map, step.spots
                if go:
                    self.go(go)

        def make() -> Iterator[Weighed]:
            return weigh(maps, shape, spacing, kind)

        self._session.jobs.start(LANE, "Looking for doubtful places", make, apply=apply, done=lambda: None, failed=self._session.report, quiet=True)


def weigh(maps: Sequence[Array], shape: Shape, spacing: Spacing, kind: Kind = "unsure") -> Iterator[Weighed]:
    """The uncertainty of probability maps, slab by slab, so that no second set of maps is made; runs beside the window.

    Parameters
    ----------
    maps : float16 (z, y, x) each
        Probabilities, 0-1; of "apart" standard deviations of probabilities, 0-0.5.
    shape : (z, y, x)
    spacing : mm per voxel (z, y, x)
    """
    from napari_medseg.segmenters.uncertainty import entropy, worst_spots

    found = np.zeros(shape, np.float16)
    step = max(1, SLAB // max(1, shape[1] * shape[2]))
    for low in range(0, shape[0], step):
        part = slice(low, low + step)
        slabs = [chance[part] for chance in maps]
        if any(slab.any() for slab in slabs):
            found[part] = entropy(np.stack(slabs)) if kind == "unsure" else WIDEST * np.max(slabs, axis=0)
        yield Weighed(0.9 * min(1.0, (low + step) / shape[0]))
    yield Weighed(1.0, map=found, spots=tuple(worst_spots(cast("Any", found), spacing)))
