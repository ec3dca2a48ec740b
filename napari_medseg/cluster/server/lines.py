"""Connections as uvicorn has them, and two things more: who says nothing is hung up on, and large bodies go straight from the socket to where they are to lie.

HTTP in Python copies a body about five times and wakes the application for every 64 KB of it: a tenth of what loopback carries. So the application may take a
line over for the rest of a body whose length was announced (`scope["extensions"][POUR]`); HTTP goes on with the answer, after which the line is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from uvicorn.protocols.http.h11_impl import H11Protocol

HELLO_S = 15.0
"""Seconds that a client may take for the head of a request."""
AT_ONCE = 1 << 20
"""Bytes read before others have their turn."""
POUR = "medseg.pour"


class Filling:
    """Buffers that are filled one after the other.

    Parameters
    ----------
    into : sequence of memoryview
        Writable, of bytes, none of them empty.
    filled : callable
        Told the number of each buffer that is full.

    Attributes
    ----------
    came : int
        Bytes so far.
    """

    def __init__(self, into: Sequence[memoryview], filled: Callable[[int], None]) -> None:
        self._into, self._filled = into, filled
        self._number = self._at = self.came = 0

    @property
    def whole(self) -> bool:
        """Whether all of them are full."""
        return self._number == len(self._into)

    @property
    def room(self) -> memoryview:
        """What is left of the one that is being filled."""
        return self._into[self._number][self._at :]

    def took(self, count: int) -> None:
        """So many bytes were written into `room`."""
        self._at += count
        self.came += count
        if self._at == len(self._into[self._number]):
            self._number, self._at = self._number + 1, 0
            self._filled(self._number - 1)

    def add(self, data: bytes) -> None:
        """Copy bytes in; there must be room for them."""
        left = memoryview(data)
        while left:
            room = self.room
            count = min(len(room), len(left))
            room[:count] = left[:count]
            self.took(count)
            left = left[count:]


class _Pouring(asyncio.BufferedProtocol):
    """Stands in for the HTTP of a connection until the buffers are full; `ended` then has a result, or why there is none."""

    def __init__(self, http: Line, filling: Filling) -> None:
        self._http, self._filling = http, filling
        self.ended: asyncio.Future[None] = http.loop.create_future()
        http.transport.set_protocol(self)
        http.flow.resume_reading()

    def stop(self) -> None:
        """Write into the buffers no more. Whatever else comes is no HTTP, so nothing is read from here on."""
        self._http.flow.pause_reading()
        self._http.transport.set_protocol(self._http)
        if not self.ended.done():
            self.ended.set_result(None)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._filling.room[:AT_ONCE]

    def buffer_updated(self, nbytes: int) -> None:
        self._filling.took(nbytes)
        if self._filling.whole:
            self.stop()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(error or ConnectionResetError())
        self._http.connection_lost(error)

    def pause_writing(self) -> None:
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._http.resume_writing()


class Line(H11Protocol):  # type: ignore[misc]
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Wait for the first request, for a while."""
        super().connection_made(transport)
        self._hello = self.loop.call_later(HELLO_S, self._hang_up)

    def handle_events(self) -> None:
        """Offer each request that its body be poured."""
        super().handle_events()
        if self.cycle is not None:
            self.cycle.scope.setdefault("extensions", {}).setdefault(POUR, self._pour)

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody is there to hang up on."""
        self._hello.cancel()
        super().connection_lost(error)

    def _pour(self, filling: Filling) -> _Pouring:
        """Read what is left of the body; to be stopped by who asked."""
        self.cycle.keep_alive = False
        return _Pouring(self, filling)

    def _hang_up(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()
