"""Scans on a server: opened once, sent once, held for as long as they are worked with."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass

from napari_medseg.cluster.remote.connection import Connection
from napari_medseg.cluster.wire.arrays import FASTEST, SMALL, squeezed
from napari_medseg.cluster.wire.scans import Told, slab_hashes
from napari_medseg.errors import MedsegError
from napari_medseg.volume import Array, Volume

BEAT_S = 30.0
LINES = 2
"""Slabs on the way at one time: while one is packed another is sent."""
MOST = 4


@dataclass(eq=False, slots=True)
class _Open:
    array: weakref.ref[Array]
    told: Told
    hashes: list[str]
    lease: str = ""


@dataclass(slots=True)
class _Pace:
    """What packing and sending cost, as seconds a byte; decides which level is faster on this line."""

    packing: float = 0.0
    ratio: float = 0.5
    sending: float = 0.0

    @property
    def level(self) -> int:
        packed = self.packing + self.ratio * self.sending
        return SMALL if not self.sending or packed < self.sending + self.packing / 8 else FASTEST

    def saw(self, level: int, raw: int, sent: int, packing: float, sending: float) -> None:
        self.sending = sending / sent
        if level == SMALL:
            self.packing, self.ratio = packing / raw, sent / raw


class Scans:
    """The scans of one connection.

    Parameters
    ----------
    most : int
        How many are held at one time.
    """

    def __init__(self, connection: Connection, most: int = MOST) -> None:
        self._connection, self._most = connection, most
        self._open: list[_Open] = []
        self._lock = threading.Lock()
        self._pace = _Pace()
        self._stop = threading.Event()
        self._beating: threading.Thread | None = None

    def opened(self, volume: Volume) -> Generator[tuple[float, str], None, str]:
        """Make sure that a scan is on the server.

        Yields
        ------
        (fraction, message)

        Returns
        -------
        str
            Its name there.

        Raises
        ------
        LostError, RemoteError, MedsegError
            As `Connection.send`; what was sent already is not sent again the next time.
        """
        mine = self._known(volume)
        if mine is None:
            told = Told.of(volume)
            mine = _Open(weakref.ref(volume.array), told, slab_hashes(told, volume.array))
            self._keep(mine)
        if not mine.lease:
            answer = self._connection.send("POST", "/v1/scans", json={**mine.told.model_dump(), "hashes": mine.hashes})
            missing = [int(number) for number in answer["missing"]]
            if missing:
                yield from self._sent(mine, volume.array, str(answer["scan"]), missing)
            mine.lease = str(answer["scan"])
            self._beat()
        return mine.lease

    def forget(self, volume: Volume) -> None:
        """The server does not know it any more."""
        mine = self._known(volume)
        if mine is not None:
            mine.lease = ""

    def close(self) -> None:
        """Tell the server that all of them are done with."""
        self._stop.set()
        with self._lock:
            gone, self._open = self._open, []
        for each in gone:
            self._let_go(each)

    def _known(self, volume: Volume) -> _Open | None:
        with self._lock:
            found = next((each for each in self._open if each.array() is volume.array), None)
        return found if found is not None and found.told == Told.of(volume) else None

    def _keep(self, mine: _Open) -> None:
        with self._lock:
            gone = [each for each in self._open if each.array() is None]
            self._open = [*(each for each in self._open if each.array() is not None), mine]
            while len(self._open) > self._most:
                gone.append(self._open.pop(0))
        for each in gone:
            self._let_go(each)

    def _let_go(self, each: _Open) -> None:
        if each.lease:
            with suppress(MedsegError):
                self._connection.send("DELETE", f"/v1/scans/{each.lease}")

    def _sent(self, mine: _Open, array: Array, lease: str, missing: list[int]) -> Generator[tuple[float, str], None, None]:
        def send(number: int) -> None:
            slab, level = mine.told.slab(array, number), self._pace.level
            at = time.perf_counter()
            chunk = squeezed(slab.reshape(-1), level)
            packed = time.perf_counter()
            self._connection.put(f"/v1/scans/{lease}/slabs/{number}", chunk)
            self._pace.saw(level, slab.nbytes, len(chunk), packed - at, time.perf_counter() - packed)

        done, size = mine.told.slabs - len(missing), mine.told.nbytes / 1e6
        with ThreadPoolExecutor(LINES) as lines:
            under_way = {lines.submit(send, number) for number in missing[:LINES]}
            left = missing[LINES:]
            try:
                while under_way:
                    ended, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    for each in ended:
                        each.result()
                        done += 1
                        if left:
                            under_way.add(lines.submit(send, left.pop(0)))
                    yield done / mine.told.slabs, f"Sending the scan ({done / mine.told.slabs * size:.0f} of {size:.0f} MB)"
            finally:
                for each in under_way:
                    each.cancel()

    def _beat(self) -> None:
        with self._lock:
            if self._beating is not None and self._beating.is_alive():
                return
            self._stop = threading.Event()
            self._beating = threading.Thread(target=_beats, args=(weakref.ref(self), self._stop), name="medseg-beat", daemon=True)
            self._beating.start()

    def _beat_once(self) -> None:
        with self._lock:
            leases = [each.lease for each in self._open if each.lease and each.array() is not None]
        for lease in leases:
            with suppress(MedsegError):  # the next question will tell
                self._connection.send("POST", f"/v1/scans/{lease}/beat")


def _beats(scans: weakref.ref[Scans], stop: threading.Event) -> None:
    """Say that scans are still wanted, until told to stop or nobody holds them."""
    while not stop.wait(BEAT_S):
        held = scans()
        if held is None:
            return
        held._beat_once()
        del held
