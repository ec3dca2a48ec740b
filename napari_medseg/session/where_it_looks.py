"""Where the segmenter that ran last looks, for networks that can tell: maps that come window by window, asked for when a person wants to see them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary

import numpy as np

from napari_medseg.session.state import Scan
from napari_medseg.volume import Array

if TYPE_CHECKING:
    from napari_medseg.segmenters.looking import Look, Looker
    from napari_medseg.session.segmenting import Wanted
    from napari_medseg.session.session import Session

LANE = "where it looks"
LARGEST = 1 << 29  # bytes of maps that are kept of a scan: as many of them, the first ones, as go in; one always


class WhereItLooks:
    """The maps of a session's scans.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    on : bool
        Whether a map is shown, and asked for again after each segmentation.
    name : str
        Of the map that is wished for; `chosen` is the one there is.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._by: WeakKeyDictionary[Scan, Wanted] = WeakKeyDictionary()
        self._maps: WeakKeyDictionary[Scan, dict[str, Array]] = WeakKeyDictionary()
        self._drawn: WeakKeyDictionary[Scan, int] = WeakKeyDictionary()
        self.on = False
        self.name = ""

    def can(self, scan: Scan | None) -> bool:
        """Whether the segmenter that ran last on a scan can tell."""
        return scan is not None and scan in self._by

    def names(self, scan: Scan | None) -> tuple[str, ...]:
        """The maps of a scan, finest first; none before it was asked."""
        return tuple(self._maps.get(scan, {})) if scan is not None else ()

    def chosen(self, scan: Scan) -> str:
        """The map of a scan that is shown: what is wished for where there is one of that name, else the first."""
        names = self.names(scan)
        return self.name if self.name in names or not names else names[0]

    def shown(self, scan: Scan) -> Array | None:
        """What is to be seen over a scan, float16 (z, y, x) on the display grid, 0-1; filled while it comes."""
        return self._maps.get(scan, {}).get(self.chosen(scan)) if self.on else None

    def drawn(self, scan: Scan) -> int:
        """How many pieces have come; a view draws anew when it has changed."""
        return self._drawn.get(scan, 0)

    def offer(self, scan: Scan, parts: Wanted | None) -> None:
        """What runs on a scan can tell, or, with None, cannot; maps of before go."""
        self.forget(scan)
        if parts is not None:
            self._by[scan] = parts

    def forget(self, scan: Scan) -> None:
        """What was known holds no more."""
        if self._by.pop(scan, None) is not None or scan in self._maps:
            self._session.jobs.stop(LANE)
        self._maps.pop(scan, None)

    def choose(self, name: str) -> None:
        """Show another map."""
        self.name = name
        self._session.changed.emit()

    def switch(self, on: bool) -> None:
        """Show the map, asking for it where it is not there yet; or put it away."""
        self.on, scan = on, self._session.current
        if not on:
            self._session.jobs.stop(LANE)
        elif scan is not None:
            self.follow(scan)
        self._session.changed.emit()

    def follow(self, scan: Scan) -> None:
        """The segmenter has answered: ask where it looked, if somebody wants to see it."""
        job = self._session.jobs.of(LANE)
        if self.on and scan in self._by and (scan not in self._maps or (job is not None and job.state in ("stopped", "failed"))):
            self._ask(scan, self._by[scan])

    def _ask(self, scan: Scan, parts: Wanted) -> None:
        session, display, device, name = self._session, scan.display, self._session.device, scan.name
        focus = session.looking_at if session.segment.live else session.in_view
        self._maps.pop(scan, None)

        def make() -> Iterator[Look]:
            looker = cast("Looker", session.built.get(parts, lambda: parts.build(session.catalogue)))
            return looker.look(display, device=device, focus=focus)

        def apply(look: Look) -> None:
            if self._by.get(scan) is not parts or scan.display is not display:
                return
            maps = self._maps.get(scan)
            if maps is None:
                most = max(1, LARGEST // (2 * display.array.size))
                maps = self._maps[scan] = {each: np.zeros(display.geometry.shape, np.float16) for each in look.names[:most]}
            for each, part in zip(look.names, look.maps, strict=True):
                if each in maps:
                    maps[each][look.box] = part
            self._drawn[scan] = self.drawn(scan) + 1

        title = f"Asking where the network looks on {name}"
        session.jobs.start(LANE, title, make, apply=apply, done=lambda: None, failed=session.report, device=device)
