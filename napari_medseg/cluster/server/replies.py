"""An answer on its way: frames wait for their client, who may go and come back. What was sent long ago is let go of; who asks for that has to ask anew."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from napari_medseg.errors import MissingFileError

WINDOW = 32 << 20
"""Bytes of frames that are kept after they were sent: more than a line holds that breaks."""
AHEAD = 32 << 20
"""Bytes that may wait for a slow client before its question is put aside."""


class GoneError(MissingFileError):
    """A part of an answer that was let go of."""


class Reply:
    """Frames of one answer, numbered.

    Parameters
    ----------
    window : int
        Bytes that are kept after they were sent.
    first : int
        Number of the first frame; those before it were another server's.
    """

    def __init__(self, window: int = WINDOW, first: int = 0) -> None:
        self._window = window
        self._lock = threading.Lock()
        self._frames: deque[bytes] = deque()
        self._base = self._sent = first
        self._behind = self._ahead = 0
        self._wake: list[Callable[[], None]] = []
        self.ended = False

    def put(self, frame: bytes) -> None:
        """Add a frame; from any thread."""
        with self._lock:
            self._frames.append(frame)
            self._ahead += len(frame)
        self._tell()

    def end(self) -> None:
        """No more come."""
        self.ended = True
        self._tell()

    @property
    def next_number(self) -> int:
        """Of the frame that comes next."""
        with self._lock:
            return self._base + len(self._frames)

    @property
    def blocked(self) -> bool:
        """Whether the client is far behind."""
        return self._ahead > AHEAD

    def require(self, number: int) -> None:
        """Make sure that frames from this one on can be given.

        Raises
        ------
        GoneError
            When they were let go of, or are not made yet by far.
        """
        with self._lock:
            if not self._base <= number <= self._base + len(self._frames):
                raise GoneError("was let go of", where="a part of the answer", todo="Ask again")

    def frame(self, number: int) -> bytes | None:
        """A frame, which counts as sent; None while it is not there.

        Raises
        ------
        GoneError
            When it was let go of.
        """
        with self._lock:
            if number < self._base:
                raise GoneError("was let go of", where="a part of the answer", todo="Ask again")
            if number - self._base >= len(self._frames):
                return None
            found = self._frames[number - self._base]
            while self._sent <= number:
                size = len(self._frames[self._sent - self._base])
                self._ahead -= size
                self._behind += size
                self._sent += 1
            while self._behind > self._window and self._base < self._sent - 1:
                self._behind -= len(self._frames.popleft())
                self._base += 1
            return found

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called at every change; gives what ends that."""
        with self._lock:
            self._wake.append(wake)

        def leave() -> None:
            with self._lock:
                self._wake.remove(wake)

        return leave

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return self._ahead + self._behind

    def _tell(self) -> None:
        with self._lock:
            wake = list(self._wake)
        for each in wake:
            each()
