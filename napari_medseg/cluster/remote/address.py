"""Servers a person works with: address, token, and whose certificate counts. Kept in a file of its own that only its owner can read."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs

from napari_medseg.errors import InvalidInputError, RemoteError
from napari_medseg.io.atomic import replacing

FILE, TOKEN, AUTHORITY = "MEDSEG_SERVERS", "MEDSEG_TOKEN", "MEDSEG_CA"
HERE = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Server:
    """A server.

    Attributes
    ----------
    address : str
        "https://host:port".
    token : str
    authority : str
        PEM file of the certificate that counts, in place of the system's; "" for those.
    """

    address: str
    token: str = ""
    authority: str = ""

    def __repr__(self) -> str:
        """Without the token."""
        return f"Server({self.address!r})"


def is_address(device: str) -> bool:
    """Whether a device is a server."""
    return device.startswith(("https://", "http://"))


def checked(address: str) -> str:
    """The address as it is kept.

    Raises
    ------
    InvalidInputError
        When it is none, or would send scans readable for everybody to another machine.
    """
    try:
        parts = urlsplit(address.strip())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.path.strip("/") or parts.query or parts.fragment:
        raise InvalidInputError(f"'{address[:80]}' is no address of a server", where="device", todo="Write https://host:port")
    if parts.scheme == "http" and parts.hostname not in HERE:
        todo = "Write https://, or reach it through a tunnel to this machine"
        raise InvalidInputError("would be sent scans without encryption", where=parts.hostname, todo=todo)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port or 8433}"


def known() -> tuple[Server, ...]:
    """Servers that are remembered; what cannot be read counts as none."""
    try:
        read = json.loads(_path().read_text(encoding="utf-8"))
        return tuple(Server(str(each["address"]), str(each["token"]), str(each.get("authority", ""))) for each in read["servers"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def remember(server: Server) -> None:
    """Keep a server, in place of what was known of it; only this user can read the file."""
    _write((*(each for each in known() if each.address != server.address), server))


def forget(address: str) -> None:
    """Keep nothing of a server."""
    _write(tuple(each for each in known() if each.address != address))


def find(address: str) -> Server:
    """A server with its token: from MEDSEG_TOKEN, else as remembered; the certificate from MEDSEG_CA, else as remembered.

    Raises
    ------
    InvalidInputError
        When the address is none.
    RemoteError
        When no token is known.
    """
    address = checked(address)
    kept = next((each for each in known() if each.address == address), Server(address))
    token, authority = os.environ.get(TOKEN, kept.token).strip(), os.environ.get(AUTHORITY, kept.authority)
    if not token:
        raise RemoteError("wants a token", where=address, todo=f"Set {TOKEN}, or add the server in the window (Segment, Runs on, Server)")
    return Server(address, token, authority)


def _write(servers: tuple[Server, ...]) -> None:
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {"servers": [asdict(each) for each in servers]}
    with replacing(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(told, indent=2), encoding="utf-8")


def _path() -> Path:
    named = os.environ.get(FILE)
    return Path(named) if named else platformdirs.user_config_path("napari-medseg", appauthor=False) / "servers.json"
