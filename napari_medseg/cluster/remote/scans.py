"""Scans on a server: opened once, sent once, held for as long as they are worked with.

On a fast line slabs go as they are, many in one request, since packing would be slower than sending; on a slow one each is packed, beside the sending of
another. Which it is follows from how fast the last ones went.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from napari_medseg.cluster.remote.connection import Connection
from napari_medseg.cluster.wire.arrays import squeezed
from napari_medseg.cluster.wire.scans import Told, bytes_of, slab_hashes
from napari_medseg.errors import MedsegError
from napari_medseg.volume import Array, Volume

BEAT_S = 30.0
LINES = 2
"""Packed slabs on the way at one time: while one is packed another is sent."""
FIRST, MOST_BYTES = 4, 1 << 28
"""Slabs sent to learn how fast the line is, and bytes of one request."""
PACKED = 32
"""Packed slabs after which it is asked again whether packing pays."""
MOST = 4


@dataclass(eq=False, slots=True)
class _Open:
    array: weakref.ref[Array]
    told: Told
    hashes: list[str]
    lease: str = ""


@dataclass(slots=True)
class _Pace:
    """What packing and sending cost, in seconds a byte, and what packing leaves of a byte; first as usual, then as seen."""

    packing: float = 1e-9
    ratio: float = 0.6
    sending: float | None = None

    @property
    def packs(self) -> bool:
        """Whether a packed slab is there sooner."""
        return self.sending is not None and self.packing + self.ratio * self.sending < 0.9 * self.sending

    def saw(self, seconds: float, sent: int) -> None:
        self.sending = seconds / sent


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
        told, size = mine.told, mine.told.nbytes / 1e6
        path, left = f"/v1/scans/{lease}/slabs", missing
        while left:
            count = min(PACKED, len(left)) if self._pace.packs else self._together(told, left)
            sending = (self._packed if self._pace.packs else self._poured)(told, array, path, left[:count])
            for done, _ in enumerate(sending, told.slabs - len(left) + 1):
                yield done / told.slabs, f"Sending the scan ({done / told.slabs * size:.0f} of {size:.0f} MB)"
            left = left[count:]

    def _together(self, told: Told, left: list[int]) -> int:
        """How many of the next slabs follow one another and go in one request."""
        most = FIRST if self._pace.sending is None else max(1, MOST_BYTES // told.bytes_of(0, 0))
        return next((at for at in range(1, min(most, len(left))) if left[at] != left[0] + at), min(most, len(left)))

    def _poured(self, told: Told, array: Array, path: str, numbers: list[int]) -> Iterator[object]:
        """Slabs as they are, in one request."""
        length, began = told.bytes_of(numbers[0], numbers[-1]), time.perf_counter()
        yield from self._connection.pour(f"{path}/{numbers[0]}/{numbers[-1]}", length, (bytes_of(told.slab(array, number)) for number in numbers))
        self._pace.saw(time.perf_counter() - began, length)

    def _packed(self, told: Told, array: Array, path: str, numbers: list[int]) -> Iterator[object]:
        """Slabs packed, each in a request of its own."""
        def send(number: int) -> tuple[float, int, int]:
            slab, at = told.slab(array, number), time.perf_counter()
            chunk = squeezed(slab.reshape(-1))
            took = time.perf_counter() - at
            self._connection.put(f"{path}/{number}", chunk)
            return took, slab.nbytes, len(chunk)

        began, packing, raw, sent = time.perf_counter(), 0.0, 0, 0
        with ThreadPoolExecutor(LINES) as lines:
            under_way = [lines.submit(send, number) for number in numbers]
            try:
                for each in under_way:
                    took, held, went = each.result()
                    packing, raw, sent = packing + took, raw + held, sent + went
                    yield None
            finally:
                for each in under_way:
                    each.cancel()
        self._pace.saw(time.perf_counter() - began, sent)
        self._pace.packing, self._pace.ratio = packing / raw, sent / raw

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
