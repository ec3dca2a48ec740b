"""A segmenter of a server's catalogue, used like one that runs here: the scan goes up once, prompts go up, changed boxes come back."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from napari_medseg.annotation.prompts import Prompts
from napari_medseg.cluster.remote.address import Server, find
from napari_medseg.cluster.remote.connection import Connection, GoneError, LostError, UnknownError, as_error
from napari_medseg.cluster.remote.scans import MOST, Scans
from napari_medseg.cluster.wire.asking import LARGEST_ARRAY, Asked, Can, Spec, prediction_of, read, told_prompts
from napari_medseg.cluster.wire.frames import Frames, frame
from napari_medseg.cluster.wire.models import as_volume
from napari_medseg.errors import MedsegError
from napari_medseg.segmenters.protocol import Box, Capabilities, Focus, Prediction
from napari_medseg.volume import Volume

GIVE_UP_S = 120.0
"""How long a server that went is tried again."""
WAITS = (0.1, 0.25, 0.5, 1.0, 2.0)
FOCUS_S = 0.2
OWN = "own-model"
"""What a model of a person's own is called among a server's; only its name there counts."""
Sent = TypeVar("Sent")
NOWHERE: Box = (slice(0, 0), slice(0, 0), slice(0, 0))


class RemoteSegmenter:
    """A segmenter that runs elsewhere.

    Parameters
    ----------
    server : Server
    spec : Spec
        Which of the server's catalogue, and what a person answered to what it asks.
    own : by number of the spec's member
        Models on this machine in its place: they are sent as scans are.
    give_up_s : float, optional
        How long a server that went is tried again; `GIVE_UP_S` when not given.

    Raises
    ------
    UnavailableError
        When httpx or blosc2 is missing.
    """

    def __init__(self, server: Server, spec: Spec, own: Mapping[int, Volume] | None = None, *, give_up_s: float | None = None) -> None:
        self.server, self.spec, self._own = server, spec, dict(own or {})
        self._give_up_s = GIVE_UP_S if give_up_s is None else give_up_s
        self._connection = Connection(server)
        self._scans = Scans(self._connection, most=MOST + len(self._own))
        self._can: Can | None = None

    @property
    def title(self) -> str:
        """What the window calls it."""
        return self._told().title

    @property
    def capabilities(self) -> Capabilities:
        """As the server tells; asked once."""
        return self._told().capabilities

    def release(self) -> None:
        """Let the server go of the scans; they are sent again, or found there again, when it is asked again."""
        self._scans.close()
        self._connection.close()

    def predict(self, volume: Volume, prompts: Prompts | None = None, *, device: str = "auto", focus: Focus = None) -> Iterator[Prediction]:
        """Segment a volume there; see `protocol.Segmenter`. `device` is the server's own to choose.

        A line that breaks is taken up again where it was; a server that was started anew is told everything again. Until the answer comes, pieces
        without voxels tell what is waited for.

        Raises
        ------
        RemoteError
            When the server refuses, or is gone for good.
        MedsegError
            As the segmenter raises it there.
        """
        told, payload = told_prompts(prompts)
        question = _Question(self, volume, prompts, told, payload, focus)
        try:
            yield from question.answered()
        finally:
            self._later(f"/v1/answers/{question.request}")

    def _told(self) -> Can:
        if self._can is None:
            since = time.monotonic()
            while self._can is None:
                try:
                    spec = outcome(self._there())
                    self._can = read(Can, self._connection.send("POST", "/v1/engines", json=spec.model_dump(mode="json")))
                except (LostError, UnknownError) as error:
                    if isinstance(error, UnknownError):
                        self._forget_own()
                    if time.monotonic() - since > min(self._give_up_s, 10.0):
                        raise
                    time.sleep(WAITS[1])
        return self._can

    def _there(self) -> Generator[tuple[float, str], None, Spec]:
        """What is asked for, with the names that models of one's own have there; sends those that are not there."""
        members = list(self.spec.members)
        for number, model in self._own.items():
            name = yield from self._scans.opened(model)
            members[number] = members[number].model_copy(update={"model": name})
        return self.spec.model_copy(update={"members": tuple(members)})

    def _forget_own(self) -> None:
        """The server does not know the models any more."""
        for model in self._own.values():
            self._scans.forget(model)

    def _later(self, path: str) -> None:
        """Have an answer dropped there, without waiting for it."""
        def drop() -> None:
            with suppress(MedsegError):
                self._connection.send("DELETE", path)

        threading.Thread(target=drop, name="medseg-drop", daemon=True).start()


class _Done(Exception):
    """The answer is whole."""


class _Question:
    """One question until it is answered."""

    def __init__(self, segmenter: RemoteSegmenter, volume: Volume, prompts: Prompts | None, told: Any, payload: list[bytes], focus: Focus) -> None:
        self._segmenter, self._volume, self._prompts, self._told, self._payload, self._focus = segmenter, volume, prompts, told, payload, focus
        self._connection, self._scans = segmenter._connection, segmenter._scans
        self.request, self._after = secrets.token_hex(16), 0
        self._maps: int | None = None
        self._looked, self._looks = focus() if callable(focus) else focus, 0.0
        self._lost: float | None = None

    def answered(self) -> Iterator[Prediction]:
        tries = 0
        while True:
            try:
                yield from self._once()
            except _Done:
                return
            except GoneError:
                self.request, self._after = secrets.token_hex(16), 0
            except UnknownError:
                self._scans.forget(self._volume)
                self._segmenter._forget_own()
                self._lost = self._lost or time.monotonic()
                if time.monotonic() - self._lost > self._segmenter._give_up_s:
                    raise
            except LostError as error:
                tries = 0 if self._lost is None else tries + 1
                self._lost = self._lost or time.monotonic()
                if time.monotonic() - self._lost > self._segmenter._give_up_s:
                    raise
                until = time.monotonic() + WAITS[min(tries, len(WAITS) - 1)]
                while time.monotonic() < until:
                    yield self._nothing(None, f"The server {error.what}; trying again")
                    time.sleep(0.05)

    def _once(self) -> Iterator[Prediction]:
        """Ask, from where the answer was left; ends by raising."""
        spec = yield from self._told_of(self._segmenter._there())
        scan = yield from self._told_of(self._scans.opened(self._volume))
        asked = Asked(request=self.request, after=self._after, spec=spec, prompts=self._told, focus=self._looked)
        frames, done = Frames(LARGEST_ARRAY), False
        with self._connection.stream(f"/v1/scans/{scan}/answers", frame(asked.model_dump(mode="json"), *self._payload)) as pieces:
            for data in pieces:
                self._lost = None
                for head, payload in frames.feed(data):
                    if "wait" in head:
                        ahead = int(head["wait"])
                        yield self._nothing(None, f"Waiting for the server: {ahead} before yours" if ahead else "The server works")
                    else:
                        if head.get("n") != self._after:
                            raise GoneError("came in another order", where="the answer", todo="Ask again")
                        self._after += 1
                        if "error" in head:
                            told = head["error"]
                            raise as_error(*(str(told[name]) for name in ("type", "what", "where", "todo")))
                        if "end" in head:
                            done = True
                            continue
                        yield prediction_of(head["piece"], payload)
                    self._look()
        if done:  # the stream was read to its end, so that the line can be used again
            raise _Done
        raise LostError("does not answer any more", where=self._segmenter.server.address, todo="Check the network")

    def _told_of(self, sending: Generator[tuple[float, str], None, Sent]) -> Generator[Prediction, None, Sent]:
        """What is sent, while it is."""
        while True:
            try:
                _, message = next(sending)
            except StopIteration as stop:
                sent: Sent = stop.value
                return sent
            yield self._nothing(None, message)

    def _look(self) -> None:
        """Tell the server where the person looks now."""
        if not callable(self._focus) or time.monotonic() - self._looks < FOCUS_S:
            return
        now, self._looks = self._focus(), time.monotonic()
        if now is not None and now != self._looked:
            self._looked = now
            with suppress(MedsegError):
                self._connection.send("PUT", f"/v1/answers/{self.request}/focus/{now}")

    def _nothing(self, fraction: float | None, message: str) -> Prediction:
        """A piece without voxels."""
        if self._maps is None:
            can = self._segmenter._can
            pointed = can is not None and not can.classes and self._prompts is not None
            self._maps = len(self._prompts.labels) if pointed and self._prompts is not None else len(can.classes) if can is not None else 1
        return Prediction(NOWHERE, np.zeros((self._maps, 0, 0, 0), np.float32), fraction, message)


def outcome(sending: Generator[object, None, Sent]) -> Sent:
    """What is sent in the end, waited for."""
    while True:
        try:
            next(sending)
        except StopIteration as stop:
            sent: Sent = stop.value
            return sent


def remote_segmenter(address: str, members: Sequence[tuple[str | Path, Mapping[str, Any]]], mirror: tuple[str, ...] = ()) -> RemoteSegmenter:
    """A segmenter on a server that is known, or whose token is in MEDSEG_TOKEN.

    Parameters
    ----------
    address : str
        "https://host:port".
    members : list of (id, answers)
        The mean of several, when there are several. A path in the place of an id is a model on this machine, which is sent.
    mirror : of "left-right", "front-back", "head-feet"

    Raises
    ------
    InvalidInputError, RemoteError, UnavailableError
        When the address is none, no token is known, or a package is missing.
    MissingFileError, SegmenterError
        When a model on this machine is none.
    """
    own = {number: as_volume(name) for number, (name, _) in enumerate(members) if isinstance(name, Path)}
    told = [{"id": OWN if isinstance(name, Path) else name, "answers": dict(answers)} for name, answers in members]
    return RemoteSegmenter(find(address), read(Spec, {"members": told, "mirror": list(mirror)}), own)
