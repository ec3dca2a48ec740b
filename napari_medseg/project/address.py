"""Where a team's study has its database: a small file in the study's folder says it, and never holds a password."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args
from urllib.parse import parse_qs, unquote, urlsplit

from napari_medseg.errors import InvalidInputError, ProjectError
from napari_medseg.project.durable import read_json, write_json

Secrecy = Literal["", "disable", "prefer", "require", "verify-ca", "verify-full"]
EXAMPLE = "Give it as postgresql://HOST/DATABASE"
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Address:
    """A schema of a PostgreSQL database. Password, and user where none is told, come from where every PostgreSQL program looks: PGPASSFILE, ~/.pgpass, PGUSER.

    Attributes
    ----------
    host : str
        A name, an address, or the folder of a Unix socket.
    port : int
    database : str
    schema : str
        The study's own.
    user : str
        The role that the team shares; "" where each has one.
    sslmode : str
        As PostgreSQL names it; "" for "require" on other machines, "prefer" on this one, or what PGSSLMODE says.
    """

    host: str
    port: int
    database: str
    schema: str
    user: str = ""
    sslmode: Secrecy = ""

    def __post_init__(self) -> None:
        """Refuse what could be taken for another option of the connection."""
        texts = (self.host, self.database, self.schema, self.user, self.sslmode)
        if not all(isinstance(text, str) and len(text) < 256 and text.isprintable() and not set(text) & set("'\\,=") for text in texts) or not self.database:
            raise InvalidInputError("is no address of a database", where="database", todo=EXAMPLE)
        if not _SCHEMA.fullmatch(self.schema) or self.schema.startswith("pg_"):
            raise InvalidInputError(f"'{self.schema[:63]}' is no name of a schema", where="database", todo="Use small letters, digits and _")
        if type(self.port) is not int or not 0 < self.port < 65536 or self.sslmode not in get_args(Secrecy):
            raise InvalidInputError("has an odd port or sslmode", where="database", todo=EXAMPLE)

    @property
    def is_here(self) -> bool:
        """Whether the server is this machine."""
        try:
            return not self.host or self.host.startswith("/") or self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def secrecy(self) -> str:
        """The sslmode that counts."""
        return self.sslmode or os.environ.get("PGSSLMODE", "") or ("prefer" if self.is_here else "require")


def parse(url: str, schema: str) -> Address:
    """The address that a person gave.

    Parameters
    ----------
    url : str
        `postgresql://[user@]host[:port]/database[?sslmode=...][&schema=...][&host=/socket/folder]`
    schema : str
        Taken where the address names none.

    Raises
    ------
    InvalidInputError
        When it is none, or holds a password.
    """
    try:
        parts = urlsplit(url)
        asked, port = parse_qs(parts.query, strict_parsing=bool(parts.query)), parts.port
    except ValueError as error:
        raise InvalidInputError("is no address of a database", where="database", todo=EXAMPLE) from error
    if parts.password is not None or "password" in asked:
        what, todo = "holds a password, which would be kept in the study's folder", "Put it into ~/.pgpass, or name a file in PGPASSFILE"
        raise InvalidInputError(what, where="database", todo=todo)
    if parts.scheme not in ("postgresql", "postgres") or not set(asked) <= {"sslmode", "schema", "host"} or parts.fragment:
        raise InvalidInputError("is no address of a database", where="database", todo=EXAMPLE)
    said = {name: values[0] for name, values in asked.items()}
    host = said.get("host") or unquote(parts.hostname or "")
    mode = cast(Secrecy, said.get("sslmode", ""))
    return Address(host, port or 5432, unquote(parts.path.strip("/")), said.get("schema", schema), unquote(parts.username or ""), mode)


def read_address(path: Path) -> Address | None:
    """The address that a study's folder tells; None for a study whose database lies in the folder.

    Raises
    ------
    ProjectError
        When the file is damaged.
    """
    if not path.exists():
        return None
    told: Any = read_json(path)
    try:
        return Address(**told["postgresql"])
    except (KeyError, TypeError, InvalidInputError) as error:
        raise ProjectError("does not say where the study's database is", where=path, todo="Restore it from a backup, or ask who keeps the server") from error


def write_address(path: Path, address: Address) -> None:
    """Say in the study's folder where its database is.

    Raises
    ------
    UnwritableFileError
    """
    write_json(path, {"about": "The database of this study. No password belongs here.", "postgresql": asdict(address)})
