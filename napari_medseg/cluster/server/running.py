"""A server that runs: where it listens, TLS, and clients that connect and say nothing."""

from __future__ import annotations

import ipaddress
import logging
import logging.handlers
import secrets
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from napari_medseg.cluster.server.tokens import Tokens, usual_file
from napari_medseg.errors import InvalidInputError, MissingFileError, UnavailableError, UnreadableFileError

PORT = 8433
MOST_CONNECTIONS = 256
HINT = 'Install it with: python -m pip install "napari-medseg[server]"'


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server runs.

    Attributes
    ----------
    host, port : str, int
        Port 0 takes a free one.
    cert, key : Path or None
        For TLS, PEM.
    insecure : bool
        Whether it may listen to other machines without TLS.
    users : Path
        Tokens.
    log : Path or None
        Audit log; None for the usual place.
    device : str
    memory : int
        Bytes that scans may take.
    networks : int
        Segmenters that stay built.
    rate : float
        Requests a second of one user.
    runs : Path
        Where refinements lie while they run.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    cert: Path | None = None
    key: Path | None = None
    insecure: bool = False
    users: Path = field(default_factory=usual_file)
    log: Path | None = None
    device: str = "auto"
    memory: int = 8 << 30
    networks: int = 4
    rate: float = 200.0
    runs: Path = field(default_factory=lambda: usual_runs())


class Running:
    """One server in this process.

    Parameters
    ----------
    settings : Settings

    Raises
    ------
    UnavailableError
        When a package is missing.
    InvalidInputError
        When it would listen to other machines without TLS, or the address cannot be had.
    MissingFileError, UnreadableFileError
        When certificate or key are not there or are none.
    """

    def __init__(self, settings: Settings) -> None:
        try:
            import blake3  # noqa: F401
            import blosc2  # noqa: F401
            import fastapi  # noqa: F401
            import uvicorn
        except ImportError as error:
            raise UnavailableError(f"needs {error.name}", where="The server", todo=HINT) from error
        from napari_medseg.cluster.server.answers import Answers
        from napari_medseg.cluster.server.app import make
        from napari_medseg.cluster.server.lines import Line
        from napari_medseg.cluster.server.own_models import OwnModels
        from napari_medseg.cluster.server.room import Room
        from napari_medseg.cluster.server.runs import Runs
        from napari_medseg.cluster.server.store import Store

        _require_safe(settings)
        self._socket = _listening(settings)
        store = Store(settings.memory)
        own = OwnModels(store)
        answers = Answers(settings.device, own, settings.networks)
        runs = Runs(lambda: answers.device, settings.runs)
        self.room = Room(store, own, answers, runs, Tokens(settings.users), _audit_log(settings.log))
        config = uvicorn.Config(
            make(self.room, rate=settings.rate), http=Line, ws="none", lifespan="on", log_config=None, access_log=False, server_header=False,
            proxy_headers=False, timeout_keep_alive=60, timeout_graceful_shutdown=2, limit_concurrency=MOST_CONNECTIONS,
            ssl_certfile=settings.cert, ssl_keyfile=settings.key,
        )
        try:
            config.load()
        except (ssl.SSLError, OSError) as error:
            self._socket.close()
            todo = "Give --tls-cert and --tls-key as PEM files that belong together"
            raise UnreadableFileError("is no certificate, or does not fit its key", where=settings.cert or "", todo=todo) from error
        if config.ssl is not None:
            config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
        self._server = uvicorn.Server(config)
        self._secure = settings.cert is not None

    @property
    def address(self) -> str:
        """Where it listens, as clients write it."""
        host, port = self._socket.getsockname()[:2]
        return f"{'https' if self._secure else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"

    def run(self) -> None:
        """Serve until the process is told to stop, or `stop` is called."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            for lines in self.room.audit.handlers:
                lines.close()

    def start(self) -> Callable[[], None]:
        """Serve on a thread of its own; gives what ends it at once, whoever is in the middle of something."""
        thread = threading.Thread(target=self.run, name="medseg-server", daemon=True)
        thread.start()

        def stop() -> None:
            self._server.config.timeout_graceful_shutdown = 0
            self._server.should_exit = True
            thread.join(10)
            self._socket.close()

        return stop


def usual_runs() -> Path:
    """Where refinements lie unless another place is named: there a server that is started again finds them."""
    return platformdirs.user_data_path("napari-medseg", appauthor=False) / "server-runs"


def usual_log() -> Path:
    """Where the audit log is kept unless another place is named."""
    return platformdirs.user_log_path("napari-medseg", appauthor=False) / "server-audit.log"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _require_safe(settings: Settings) -> None:
    if (settings.cert is None) != (settings.key is None):
        raise InvalidInputError("needs both --tls-cert and --tls-key", where="TLS", todo="Give both, or neither")
    for path in (settings.cert, settings.key):
        if path is not None and not path.is_file():
            raise MissingFileError("is not there", where=path, todo="Check the path")
    if settings.cert is None and not is_loopback(settings.host) and not settings.insecure:
        todo = "Give --tls-cert and --tls-key; --insecure sends scans and tokens readable for everybody on the way"
        raise InvalidInputError("would listen to other machines without TLS", where=settings.host, todo=todo)


def _listening(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, or asyncio lets small answers wait 40 ms for an acknowledgement (Nagle)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows, where others could take the address over
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((settings.host, settings.port))
    except (OSError, OverflowError) as error:
        taken.close()
        todo = "Choose another --port, or end what listens there"
        raise InvalidInputError(f"cannot be listened on ({error})", where=f"{settings.host}:{settings.port}", todo=todo) from error
    return taken


def _audit_log(path: Path | None) -> logging.Logger:
    """A log of this server alone, in files of 16 MB."""
    path = path or usual_log()
    path.parent.mkdir(parents=True, exist_ok=True)
    log = logging.getLogger(f"{__name__}.audit.{secrets.token_hex(4)}")
    log.setLevel(logging.INFO)
    log.propagate = False
    lines = logging.handlers.RotatingFileHandler(path, maxBytes=16 << 20, backupCount=8, encoding="utf-8", delay=True)
    lines.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(lines)
    return log
