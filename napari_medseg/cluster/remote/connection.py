"""One server as its clients see it: requests that say what went wrong in sentences."""

from __future__ import annotations

import json
import secrets
import ssl
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import client as plain
from typing import Any
from urllib.parse import urlsplit

from napari_medseg import errors
from napari_medseg.cluster.remote.address import Server
from napari_medseg.cluster.wire.asking import PROTOCOL
from napari_medseg.errors import MedsegError, RemoteError, SegmenterError, UnavailableError

PATIENCE_S = 10.0
"""For a connection."""
SILENCE_S = 60.0
"""Without a byte, though a server that works speaks twice a second."""
SAME = "Use the same version of napari-medseg on both sides"
PIECE = 1 << 18
"""Bytes written at once: what a socket does not take is copied by httpx."""
UNTRUSTED = "shows a certificate that this machine does not trust"
NOTHING_YET = "Ask whoever runs the server for its certificate and choose it as the one that counts; send nothing until then"
HINT = 'Install it with: python -m pip install "napari-medseg[remote]"'


class LostError(RemoteError):
    """The line broke, or the server was not there; trying again may help."""


class UnknownError(RemoteError):
    """The server does not know the scan or the answer any more; it has to be told again."""


class GoneError(UnknownError):
    """The server has let go of the part of an answer that was asked for."""


@dataclass(frozen=True, slots=True)
class About:
    """What a server says of itself.

    Attributes
    ----------
    latency_ms : float
        Of a small request, the best of several.
    version, device : str
    users, waiting, sessions : int
        Who may, questions that wait now, scans that are open.
    engines : tuple of (id, title)
    """

    latency_ms: float
    version: str
    device: str
    users: int
    waiting: int
    sessions: int
    engines: tuple[tuple[str, str], ...]

    def words(self) -> str:
        """For people."""
        return (
            f"Answers in {self.latency_ms:.0f} ms. Runs on {self.device}, version {self.version}, {len(self.engines)} segmenters, "
            f"{self.users} users, {self.sessions} scans open, {self.waiting} questions waiting."
        )


class Connection:
    """Requests to one server; any thread may use it.

    Parameters
    ----------
    server : Server

    Raises
    ------
    UnavailableError
        When httpx is missing.
    RemoteError
        When the certificate that counts cannot be read.
    """

    def __init__(self, server: Server) -> None:
        try:
            import httpx
        except ImportError as error:
            raise UnavailableError("needs httpx", where="Working with a server", todo=HINT) from error
        self.server, self._httpx = server, httpx
        try:
            trust = ssl.create_default_context(cafile=server.authority or None)
        except (OSError, ssl.SSLError) as error:
            raise RemoteError("is no certificate file", where=server.authority, todo="Choose the PEM file that the server's owner gave you") from error
        trust.minimum_version = ssl.TLSVersion.TLSv1_2
        self._trust = trust
        limits = httpx.Limits(max_connections=16, max_keepalive_connections=8, keepalive_expiry=50)
        self._settings: dict[str, Any] = {
            "base_url": server.address, "verify": trust, "timeout": httpx.Timeout(SILENCE_S, connect=PATIENCE_S), "limits": limits, "trust_env": False,
            "headers": {"Authorization": f"Bearer {server.token}", "Accept-Encoding": "identity"},
        }
        self._lock = threading.Lock()
        self._made: Any = None

    def put(self, path: str, content: bytes) -> None:
        """Send much at once.

        Raises
        ------
        As `send`.
        """
        pieces = (content[at : at + PIECE] for at in range(0, len(content), PIECE))
        with self._told():
            answer = self._client.put(path, content=pieces, headers={**_once(), "Content-Length": str(len(content))})
        self._require(answer.status_code, answer.content)

    def pour(self, path: str, length: int, pieces: Iterable[memoryview]) -> Iterator[int]:
        """Send very much at once on a line of its own: Python's own HTTP hands the pieces to the socket as they lie in memory.

        Yields
        ------
        int
            Bytes of each piece that the socket took; closed before the end, it hangs up.

        Raises
        ------
        As `send`.
        """
        at = urlsplit(self.server.address)
        where = at.hostname or "", at.port
        secure = at.scheme == "https"
        line = plain.HTTPSConnection(*where, timeout=PATIENCE_S, context=self._trust) if secure else plain.HTTPConnection(*where, timeout=PATIENCE_S)
        headers = {"Authorization": f"Bearer {self.server.token}", "Content-Length": str(length), "Connection": "close", **_once()}
        try:
            with self._told():
                line.connect()
                line.sock.settimeout(SILENCE_S)
                line.putrequest("PUT", path, skip_accept_encoding=True)
                for name, value in headers.items():
                    line.putheader(name, value)
                line.endheaders()
            for piece in pieces:
                with self._told():
                    line.send(piece)
                yield len(piece)
            with self._told():
                answer = line.getresponse()
                told = answer.read()
            self._require(answer.status, told)
        finally:
            line.close()

    def get(self, path: str) -> Any:
        """A JSON answer."""
        return self._sent("GET", path).json()

    def send(self, method: str, path: str, *, json: Any = None, content: bytes | None = None) -> Any:
        """A JSON answer, None for an empty one.

        Raises
        ------
        LostError, UnknownError, RemoteError
        MedsegError
            As the server told.
        """
        answer = self._sent(method, path, json=json, content=content)
        return answer.json() if answer.content else None

    def fetch(self, path: str) -> bytes:
        """A file.

        Raises
        ------
        As `send`.
        """
        found: bytes = self._sent("GET", path).content
        return found

    @contextmanager
    def stream(self, path: str, content: bytes) -> Iterator[Iterator[bytes]]:
        """An answer that comes piece by piece.

        Raises
        ------
        As `send`.
        """
        with self._told():
            with self._client.stream("POST", path, content=content, headers=_once()) as answer:
                if answer.status_code >= 400:
                    self._require(answer.status_code, answer.read())
                yield self._pieces(answer)

    def about(self) -> About:
        """Ask the server who it is, a few times."""
        told, took = self.get("/v1/about"), []
        for _ in range(4):
            began = time.perf_counter()
            self._sent("GET", "/v1/ping")
            took.append((time.perf_counter() - began) * 1000)
        if told.get("protocol") != PROTOCOL:
            raise RemoteError(f"speaks another language (version {told.get('version')})", where=self.server.address, todo=SAME)
        engines = tuple((str(row["id"]), str(row["title"])) for row in told["engines"])
        return About(min(took), told["version"], told["device"], told["users"], told["waiting"], told["sessions"], engines)

    def close(self) -> None:
        """Hang up; the next request calls again."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.close()

    @property
    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._httpx.Client(**self._settings)
                weakref.finalize(self, self._made.close)
            return self._made

    def _sent(self, method: str, path: str, **given: Any) -> Any:
        with self._told():
            answer = self._client.request(method, path, headers=_once(), **given)
        self._require(answer.status_code, answer.content)
        return answer

    def _pieces(self, answer: Any) -> Iterator[bytes]:
        with self._told():
            yield from answer.iter_raw()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What httpx and sockets raise, as sentences."""
        httpx, where = self._httpx, self.server.address
        try:
            yield
        except MedsegError:
            raise
        except httpx.ConnectError as error:
            text = str(error)
            if "CERTIFICATE_VERIFY_FAILED" in text or "certificate" in text.lower():
                raise RemoteError(UNTRUSTED, where=where, todo=NOTHING_YET) from error
            raise LostError("cannot be reached", where=where, todo="Check the address, and whether the server runs") from error
        except ssl.SSLCertVerificationError as error:
            raise RemoteError(UNTRUSTED, where=where, todo=NOTHING_YET) from error
        except (httpx.TransportError, OSError, plain.HTTPException) as error:
            raise LostError("does not answer any more", where=where, todo="Check the network") from error
        except RuntimeError as error:
            if not self._hung_up(error):
                raise
            raise LostError("was hung up on", where=where, todo="Ask again") from error
        except httpx.InvalidURL as error:
            raise RemoteError("is no address", where=where, todo="Write https://host:port") from error

    @staticmethod
    def _hung_up(error: RuntimeError) -> bool:
        """Whether another thread closed the line meanwhile."""
        return "client has been closed" in str(error)

    def _require(self, status: int, content: bytes) -> None:
        if status < 400:
            return
        try:
            told = json.loads(content)["error"]
            kind, what, where, todo = (str(told[name]) for name in ("type", "what", "where", "todo"))
        except (ValueError, KeyError, TypeError):
            kind, what, where, todo = "RemoteError", f"answered with {status}", self.server.address, SAME
        if status in (408, 429, 502, 503, 504):
            raise LostError(what, where=where, todo=todo)
        if status == 410:
            raise GoneError(what, where=where, todo=todo)
        if status == 404:
            raise UnknownError(what, where=where, todo=todo)
        raise as_error(kind, what, where, todo)


def as_error(kind: str, what: str, where: str, todo: str) -> MedsegError:
    """A server's failure as one of ours; only names of `errors` count."""
    found = getattr(errors, kind, None)
    if not (isinstance(found, type) and issubclass(found, MedsegError)):
        found = SegmenterError
    return found(what[:500], where=where[:200], todo=todo[:500])


def _once() -> dict[str, str]:
    """When a request was made and a number that comes once, so that it cannot be sent again by others."""
    return {"Medseg-Once": f"{time.time():.3f}.{secrets.token_hex(12)}"}
