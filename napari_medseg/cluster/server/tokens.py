"""Who may work with a server: a token each, 256 random bits, shown once and kept as its SHA-256 only.

A hash made slow is for words that people choose; 256 random bits cannot be guessed however fast the hash is.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from napari_medseg.errors import InvalidInputError, UnreadableFileError
from napari_medseg.io.atomic import replacing

NAME = re.compile(r"[\w.@-]{1,64}")
DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class User:
    """One who may.

    Attributes
    ----------
    name : str
    sha256 : str
        Of the token.
    expires : float
        Seconds since 1970.
    """

    name: str
    sha256: str
    expires: float


def usual_file() -> Path:
    """Where tokens are kept unless another place is named."""
    return platformdirs.user_config_path("napari-medseg", appauthor=False) / "server" / "users.json"


class Tokens:
    """The users in a file, which is read again when it changed.

    Parameters
    ----------
    path : Path
        Only its owner can read what is written here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int] = (0, 0)
        self._users: tuple[User, ...] = ()

    def users(self) -> tuple[User, ...]:
        """Everybody.

        Raises
        ------
        UnreadableFileError
            When the file is damaged.
        """
        try:
            stat = self.path.stat()
        except OSError:
            return ()
        stamp = (stat.st_mtime_ns, stat.st_size)
        if stamp != self._stamp:
            try:
                read = json.loads(self.path.read_text(encoding="utf-8"))
                self._users = tuple(User(str(each["name"]), str(each["sha256"]), float(each["expires"])) for each in read["users"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UnreadableFileError("is no list of users", where=self.path, todo="Move it away and add the users again") from error
            self._stamp = stamp
        return self._users

    def add(self, name: str, days: float = 90.0) -> str:
        """Make a token for a user, whose earlier one ends; it is told once, here.

        Raises
        ------
        InvalidInputError
            When the name or the days make no sense.
        """
        if not NAME.fullmatch(name) or not 0 < days <= 3650:
            raise InvalidInputError("is no name of a user, or no number of days", where=name[:64], todo="Use letters, digits, . @ - _ and 1 to 3650 days")
        token = secrets.token_urlsafe(32)
        user = User(name, _hash(token), time.time() + days * DAY_S)
        self._write((*(each for each in self.users() if each.name != name), user))
        return token

    def remove(self, name: str) -> None:
        """End a user's token.

        Raises
        ------
        InvalidInputError
            When there is no such user.
        """
        left = tuple(each for each in self.users() if each.name != name)
        if len(left) == len(self.users()):
            raise InvalidInputError("is no user of this server", where=name[:64], todo="See `medseg serve --list-users`")
        self._write(left)

    def user(self, token: str) -> User | None:
        """Whose token it is; one that has expired too, which the caller has to look at."""
        given, found = _hash(token), None
        for user in self.users():  # all, so that the time tells nothing
            if hmac.compare_digest(user.sha256, given):
                found = user
        return found

    def _write(self, users: tuple[User, ...]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as temporary:
            temporary.touch(mode=0o600)
            temporary.write_text(json.dumps({"users": [asdict(each) for each in users]}, indent=2), encoding="utf-8")
        self._stamp = (0, 0)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
