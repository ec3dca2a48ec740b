"""Questions of clients and their answers: each has a name, so that a client who comes back finds its answer instead of having it worked out twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from napari_medseg.annotation.prompts import Prompts
from napari_medseg.cluster.server.networks import Networks, Offer
from napari_medseg.cluster.server.own_models import OwnModels
from napari_medseg.cluster.server.replies import Reply
from napari_medseg.cluster.server.turns import Turn, Turns
from napari_medseg.cluster.wire.asking import Asked, Can, Spec, piece_frame
from napari_medseg.cluster.wire.frames import frame
from napari_medseg.errors import MedsegError, NoRoomError
from napari_medseg.volume import Volume

LINGER_S = 60.0
"""How long an answer waits for a client who went."""
MOST_OPEN = 16


@dataclass(eq=False, slots=True)
class Answer:
    """A question and what is there of its answer."""

    user: str
    turn: Turn
    reply: Reply
    focus: int | None = None
    listeners: int = 0
    left: float = field(default_factory=time.monotonic)


class Answers:
    """What is asked of one device.

    Parameters
    ----------
    device : str
        "auto", "cpu", "cuda:1", ...
    own : OwnModels
        Models that users sent.
    networks : int
        Segmenters that stay built.
    """

    def __init__(self, device: str, own: OwnModels, networks: int = 4) -> None:
        self.device, self.turns = device, Turns()
        self._own = own
        self.offer = Offer(own)
        self._networks = Networks(self.offer, networks)
        self._answers: dict[tuple[str, str], Answer] = {}
        self._can: dict[str, Can] = {}
        self._lock = threading.Lock()

    def ask(self, user: str, asked: Asked, scan: Volume, name: str, prompts: Prompts | None, level: int) -> Answer:
        """Take a question in, or find the one of the same name.

        Parameters
        ----------
        name : str
            Of the scan.
        level : int
            How much answers are compressed.

        Raises
        ------
        CatalogueError, InvalidInputError, MissingFileError, SegmenterError
            When that may not be asked, or a model of the user's own is not there or none.
        NoRoomError
            When this user has too many questions open.
        """
        key = (user, asked.request)
        with self._lock:
            found = self._answers.get(key)
        if found is not None:
            return found
        self.offer.check(asked.spec)
        spec, held = self._own.settled(user, asked.spec)
        reply = Reply()

        def make(_: object = held) -> Iterator[bytes]:
            number = 0
            with self._networks.taken(spec, f"{user} {name}") as segmenter:
                self._can[spec.key] = Can.of(segmenter.title, segmenter.capabilities)
                for piece in segmenter.predict(scan, prompts, device=self.device, focus=lambda: answer.focus):
                    yield piece_frame(number, piece, level)
                    number += 1
            yield frame({"n": number, "end": True})

        turn = Turn(user, make, lambda error: error_frame(error, reply.next_number), reply, urgent=prompts is not None)
        answer = Answer(user, turn, reply, asked.focus)
        with self._lock:
            if key in self._answers:
                return self._answers[key]
            if sum(each.user == user for each in self._answers.values()) >= MOST_OPEN:
                raise NoRoomError(f"has {MOST_OPEN} questions open already", where=user, todo="Wait for an answer")
            self._answers[key] = answer
        self.turns.submit(turn)
        return answer

    def can(self, user: str, spec: Spec) -> Callable[[], Can | None]:
        """What a segmenter says of itself; the callable gives it, or None while it is being built, and raises what building it does.

        Raises
        ------
        CatalogueError, InvalidInputError, MissingFileError, SegmenterError
            As `ask`.
        """
        self.offer.check(spec)
        spec, held = self._own.settled(user, spec)
        key = spec.key
        failed: list[MedsegError] = []
        reply = Reply()

        def make(_: object = held) -> Iterator[bytes]:
            if key not in self._can:
                with self._networks.taken(spec, "") as segmenter:
                    self._can[key] = Can.of(segmenter.title, segmenter.capabilities)
            yield b""

        def fail(error: MedsegError) -> bytes:
            failed.append(error)
            return b""

        if key not in self._can:
            self.turns.submit(Turn(user, make, fail, reply, urgent=True))

        def told() -> Can | None:
            if failed:
                raise failed[0]
            return self._can.get(key)

        return told

    def find(self, user: str, request: str) -> Answer | None:
        """An open question by its name."""
        with self._lock:
            return self._answers.get((user, request))

    def drop(self, user: str, request: str) -> None:
        """The client wants no more of it."""
        with self._lock:
            answer = self._answers.pop((user, request), None)
        if answer is not None:
            self.turns.cancel(answer.turn)

    def sweep(self) -> None:
        """Let go of answers whose clients did not come back."""
        now = time.monotonic()
        with self._lock:
            gone = [key for key, each in self._answers.items() if not each.listeners and now - each.left > LINGER_S]
        for user, request in gone:
            self.drop(user, request)

    @property
    def nbytes(self) -> int:
        """Memory that answers take."""
        with self._lock:
            return sum(each.reply.nbytes for each in self._answers.values())

    def close(self) -> None:
        """Stop everything."""
        self.turns.close()


def error_frame(error: MedsegError, number: int) -> bytes:
    """A failure as a frame."""
    return frame({"n": number, "error": told_error(error)})


def told_error(error: MedsegError) -> dict[str, str]:
    """A failure as JSON."""
    return {"type": type(error).__name__, "what": error.what, "where": error.where, "todo": error.todo}
