"""Where an archive is and who asks: one text a person can type, `https://pacs/dicom-web` or `dicom://TITLE@pacs:104`, and files for what is secret.

Passwords and tokens are read when they are needed, from a file or the environment; nothing here keeps, shows or logs them.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import platformdirs

from napari_medseg.errors import InvalidInputError, MissingFileError
from napari_medseg.io.atomic import replacing

FILE, TOKEN, PASSWORD = "MEDSEG_ARCHIVES", "MEDSEG_PACS_TOKEN", "MEDSEG_PACS_PASSWORD"
HERE = ("127.0.0.1", "localhost", "::1")
SECRET_BYTES = 1 << 16
EXAMPLE = "Write https://HOST/dicom-web for DICOMweb, or dicom://TITLE@HOST:PORT for DICOM (dicoms:// with TLS)"
_TITLE = re.compile(r"[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?")
Way = Literal["dicomweb", "dimse"]


@dataclass(frozen=True, slots=True)
class Server:
    """An archive as a person names it.

    Attributes
    ----------
    address : str
        "https://pacs.example.org/dicom-web" or "dicom://TITLE@pacs.example.org:104"; "dicoms://" is TLS.
    name : str
        What the person calls it.
    title : str
        This program's own AE title, which archives ask for before they let anybody in.
    user : str
        For a password; "" for a token or nothing.
    secret : str
        File with the token or password; "" for MEDSEG_PACS_TOKEN or MEDSEG_PACS_PASSWORD, where they are set.
    authority : str
        PEM file of the certificate that counts, in place of the system's.
    certificate : str
        PEM file with this program's own certificate and key, for archives that ask for one.
    """

    address: str
    name: str = ""
    title: str = "MEDSEG"
    user: str = ""
    secret: str = ""
    authority: str = ""
    certificate: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no address, and scans that would travel readable."""
        for title in (self.title, self.called) if self.way == "dimse" else (self.title,):
            if not _TITLE.fullmatch(title):
                raise InvalidInputError(f"'{title[:20]}' is no AE title", where="archive", todo="Up to 16 letters, as the archive has it")

    @property
    def way(self) -> Way:
        """How it is talked to."""
        return "dicomweb" if self.address.startswith(("https://", "http://")) else "dimse"

    @property
    def host(self) -> str:
        """Its machine."""
        return urlsplit(self.address).hostname or ""

    @property
    def port(self) -> int:
        """Of DICOM's protocol; 104 where none is given, 2762 with TLS."""
        return urlsplit(self.address).port or (2762 if self.encrypted else 104)

    @property
    def called(self) -> str:
        """The archive's AE title."""
        return urlsplit(self.address).username or ""

    @property
    def encrypted(self) -> bool:
        """Whether nobody on the way can read along."""
        return self.address.startswith(("https://", "dicoms://"))

    @property
    def words(self) -> str:
        """What it is called, for people."""
        return self.name or self.host

    def password(self) -> str:
        """The token or password; "" for none.

        Raises
        ------
        MissingFileError, InvalidInputError
            When the file is not there, or holds no secret.
        """
        if not self.secret:
            return os.environ.get(PASSWORD if self.user else TOKEN, "")
        path = Path(self.secret)
        if not path.is_file():
            raise MissingFileError("the file with the token or password is not there", where=path, todo="Check the path")
        text = path.read_bytes()[:SECRET_BYTES].decode("utf-8", "replace").strip()
        if not text or not text.isascii() or not text.isprintable():
            raise InvalidInputError("holds no token or password", where=path, todo="Write it into the file, on one line")
        return text


def parse(text: str, **others: str) -> Server:
    """The archive that a person means: one that is remembered under this name, else an address.

    Raises
    ------
    InvalidInputError
        When it is neither, or patients' data would travel unencrypted over the web.
    """
    named = next((one for one in known() if one.name and one.name.casefold() == text.strip().casefold()), None)
    if named is not None:
        return replace(named, **{key: value for key, value in others.items() if value})
    try:
        parts = urlsplit(text.strip())
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("https", "http", "dicom", "dicoms") or not parts.hostname or parts.password or parts.query or parts.fragment:
        raise InvalidInputError(f"'{text.partition('@')[2][:80] or text[:80]}' is no archive", where="archive", todo=EXAMPLE)
    if parts.scheme in ("http", "https") and parts.username:
        raise InvalidInputError("holds a name before the @", where="archive", todo="Give the user apart, with --user")
    if parts.scheme == "http" and parts.hostname not in HERE:
        raise InvalidInputError("would send patients' data readable for everybody", where=parts.hostname, todo="Write https://")
    if parts.scheme.startswith("dicom") and (not parts.username or parts.path.strip("/")):
        raise InvalidInputError(f"'{text[:80]}' names no AE title", where="archive", todo=EXAMPLE)
    return Server(text.strip().rstrip("/"), **{key: value for key, value in others.items() if value})


def known() -> tuple[Server, ...]:
    """Archives that are remembered; what cannot be read counts as none."""
    try:
        path = _path()
        read = json.loads(path.read_text(encoding="utf-8")) if path is not None else {}
        return tuple(Server(**{key: str(value) for key, value in each.items()}) for each in read["archives"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()


def remember(servers: tuple[Server, ...]) -> None:
    """Keep these archives in the place of those before; where that fails they hold for this session only.

    Raises
    ------
    UnwritableFileError
    """
    path = _path()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps({"archives": [asdict(one) for one in servers]}, indent=1), encoding="utf-8")


def _path() -> Path | None:
    named = os.environ.get(FILE)
    if named is not None:
        return Path(named) if named else None
    return platformdirs.user_config_path("napari-medseg", appauthor=False) / "archives.json"
