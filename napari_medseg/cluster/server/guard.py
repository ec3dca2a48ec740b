"""Between the net and the server: who it is, how often, how much, how slowly; and a line for each in the audit log."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import HTTPException

from napari_medseg.cluster.server.lines import POUR, Filling
from napari_medseg.cluster.server.tokens import Tokens
from napari_medseg.errors import UnreadableFileError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CLOCKS_APART_S = 300.0
SILENCE_S = 20.0
"""Seconds without a byte after which a body is given up, and at which a client that does not read is."""
SLOWEST = 16 << 10
"""Bytes a second of a body, after the first seconds."""
LARGEST: tuple[tuple[str, int], ...] = (("/slabs/", (1 << 29) + 4096), ("/answers", 64 << 20))
LARGEST_ORDER = 4 << 20
"""Bytes of a body: of slabs, of questions, and of all else, which is JSON and is read whole."""
FAILURES = 10
"""Wrong tokens a minute from one address."""


@dataclass(slots=True)
class Bucket:
    """A rate: so many a second, so many at once (token bucket)."""

    rate: float
    most: float
    left: float = field(init=False)
    at: float = field(init=False)

    def __post_init__(self) -> None:
        self.left, self.at = self.most, time.monotonic()

    def take(self) -> bool:
        """Whether one more is allowed."""
        now = time.monotonic()
        self.left, self.at = min(self.most, self.left + (now - self.at) * self.rate), now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Guard:
    """The app behind it sees known users only, as `scope["state"]["user"]`.

    Parameters
    ----------
    app : ASGI application
    tokens : Tokens
    audit : Logger
        Gets a line of JSON for each request: who, what, when, how much; never a name of a scan, nor a path.
    rate : float
        Requests a second that one user may send.
    """

    def __init__(self, app: App, tokens: Tokens, audit: logging.Logger, rate: float = 200.0) -> None:
        self._app, self._tokens, self._audit, self._rate = app, tokens, audit, rate
        self._users: dict[str, Bucket] = {}
        self._strangers: OrderedDict[str, Bucket] = OrderedDict()
        self._nonces: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        began, line = time.monotonic(), _Line(scope, receive, send)
        user, refused = self._known(scope, line)
        try:
            if refused is not None:
                await _answer(line.send, *refused)
            else:
                scope.setdefault("state", {})["user"] = user
                scope.setdefault("extensions", {})[POUR] = line.pour
                await self._app(scope, line.receive, line.send)
        except TimeoutError:  # who does not read
            line.status = line.status or 408
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            told = {"user": user or "", "act": f"{scope['method']} {route}", "status": line.status, "in": line.came, "out": line.went}
            told |= {"ms": round((time.monotonic() - began) * 1000)} | ({} if user else {"from": line.address})
            self._audit.info(json.dumps(told))

    def _known(self, scope: Scope, line: _Line) -> tuple[str | None, tuple[int, str, str] | None]:
        """Whose request it is, and what to answer at once."""
        given = line.headers.get(b"authorization", b"").decode("latin-1")
        try:
            user = self._tokens.user(given.removeprefix("Bearer ")) if given.startswith("Bearer ") else None
        except UnreadableFileError:
            return None, (503, "cannot read its list of users", "Tell whoever runs the server")
        if user is None:
            with self._lock:
                allowed = self._strangers.setdefault(line.address, Bucket(FAILURES / 60, FAILURES)).take()
                self._strangers.move_to_end(line.address)
                while len(self._strangers) > 4096:
                    self._strangers.popitem(last=False)
            if not allowed:
                return None, (429, "got too many wrong tokens from this address", "Wait a minute")
            return None, (401, "does not know this token" if given else "wants a token", "Ask whoever runs the server for one (medseg serve --add-user NAME)")
        if user.expires < time.time():
            return None, (401, "says that this token has expired", "Ask whoever runs the server for a new one")
        with self._lock:
            if not self._users.setdefault(user.name, Bucket(self._rate, self._rate * 4)).take():
                return user.name, (429, "is asked too often", "Wait a moment")
            if scope["method"] != "GET":
                fault = self._replayed(user.name, line.headers.get(b"medseg-once", b"").decode("latin-1"))
                if fault is not None:
                    return user.name, fault
        if line.announced > line.most:
            return user.name, (413, "takes no body of that size", "Send less")
        return user.name, None

    def _replayed(self, user: str, once: str) -> tuple[int, str, str] | None:
        """What to answer to a request that was seen before, or is old; call with the lock held."""
        stamp, _, rest = once.partition(".")
        try:
            sent = float(stamp)
        except ValueError:
            sent = 0.0
        now = time.time()
        if not 16 <= len(rest) <= 64 or not abs(now - sent) <= CLOCKS_APART_S:
            return 409, "got an old request, or one without its time", "Set the clocks of both machines right"
        if (user, once) in self._nonces:
            return 409, "got the same request twice", "Try again"
        self._nonces[user, once] = now
        while self._nonces and next(iter(self._nonces.values())) < now - 2 * CLOCKS_APART_S:
            self._nonces.popitem(last=False)
        return None


class TooLargeError(HTTPException):
    """A body that is larger than allowed."""

    def __init__(self) -> None:
        super().__init__(413, "is too large")


class TooSlowError(HTTPException):
    """A body that does not come."""

    def __init__(self) -> None:
        super().__init__(408, "came too slowly")


class BrokenError(HTTPException):
    """A body whose line broke; nobody hears this answer, but the log does."""

    def __init__(self) -> None:
        super().__init__(400, "broke off")


class _Line:
    """One request's two directions: counted, and given up when they stand still."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send, self._pour = receive, send, scope.get("extensions", {}).get(POUR)
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.address: str = (scope.get("client") or ("unknown",))[0]
        self.most = next((most for part, most in LARGEST if part in scope["path"]), LARGEST_ORDER)
        self.came = self.went = self.status = 0
        self.started = False
        self._whole = False
        self._began = time.monotonic()
        length = self.headers.get(b"content-length", b"0")
        self.announced = int(length) if length.isdigit() else 0

    async def receive(self) -> Message:
        if self._whole:  # the end of the line is all that can come, and that may take as long as it likes
            return await self._receive()
        try:
            async with asyncio.timeout(SILENCE_S):
                message = await self._receive()
        except TimeoutError as error:
            raise TooSlowError from error
        self.came += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        took = time.monotonic() - self._began
        if not self._whole and took > SILENCE_S and self.came / took < SLOWEST:
            raise TooSlowError
        if self.came > self.most:
            raise TooLargeError
        return message

    async def pour(self, filling: Filling) -> None:
        """Have the rest of a body read into its place."""
        before, pouring = filling.came, self._pour(filling)
        try:
            while not pouring.ended.done():
                had = filling.came
                await asyncio.wait({pouring.ended}, timeout=SILENCE_S)
                took = time.monotonic() - self._began
                if not pouring.ended.done() and (filling.came == had or (took > SILENCE_S and filling.came / took < SLOWEST)):
                    raise TooSlowError
            pouring.ended.result()
        except OSError as error:
            raise BrokenError from error
        finally:
            pouring.stop()
            self.came += filling.came - before

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
        self.went += len(message.get("body", b""))
        async with asyncio.timeout(SILENCE_S * 3):
            await self._send(message)


async def _answer(send: Send, status: int, what: str, todo: str) -> None:
    body = json.dumps({"error": {"type": "RemoteError", "what": what, "where": "the server", "todo": todo}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
