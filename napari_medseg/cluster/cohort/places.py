"""Where scans and results lie: a folder that this machine can open, or a store that fsspec knows (s3://, gs://, abfs://, memory://, ...).

Files of a store are fetched before they are read, so that every format is read by the same code and nothing is left half-read. What a store asks for (keys,
addresses) is set as fsspec and its packages say: environment variables or fsspec's own configuration, on every machine that works.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from napari_medseg.catalogue import install_hint
from napari_medseg.errors import InvalidInputError, MissingFileError, UnavailableError, UnreadableFileError, UnwritableFileError
from napari_medseg.io.names import plain_name

_SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]+)://")
HERE = ("file", "local")
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder.

    Attributes
    ----------
    address : str
        A path, or an address with a scheme.
    """

    address: str

    @classmethod
    def of(cls, given: str | Path) -> Place:
        """The place that a person names; file:// is a path."""
        text = str(given)
        found = _SCHEME.match(text)
        if found is None:
            return cls(str(Path(text).absolute()))
        if found[1].lower() in HERE:
            return cls(str(Path(text[found.end() :]).absolute()))
        return cls(text.rstrip("/"))

    @property
    def path(self) -> Path | None:
        """As a path; None on a store."""
        return None if _SCHEME.match(self.address) else Path(self.address)

    @property
    def name(self) -> str:
        """The last part of the address."""
        return PurePosixPath(self.address).name if self.path is None else Path(self.address).name

    def under(self, name: str) -> Place:
        """What lies in it under this name, which may hold slashes."""
        return Place(f"{self.address}/{name}") if self.path is None else Place(str(self.path / name))

    def names(self) -> dict[str, bool]:
        """What lies in it, in order, and whether it is a folder; hidden names are left out.

        Raises
        ------
        MissingFileError
            When there is no such folder.
        """
        if self.path is not None:
            if not self.path.is_dir():
                raise MissingFileError("there is no such folder", where=self.path, todo="Check the path")
            found = {each.name: each.is_dir() for each in self.path.iterdir()}
        else:
            store, root = self._store()
            try:
                found = {PurePosixPath(each["name"].rstrip("/")).name: each["type"] == "directory" for each in store.ls(root, detail=True)}
            except FileNotFoundError as error:
                raise MissingFileError("there is no such folder", where=self.name, todo="Check the address") from error
        return {name: found[name] for name in sorted(found) if not name.startswith(".")}

    def stamp(self) -> str:
        """What changes when it is written anew, without reading it: sizes and times; "" where nothing is there."""
        if self.path is not None:
            try:
                files = [each for each in self.path.rglob("*") if each.is_file()] if self.path.is_dir() else [self.path]
                facts = [(each.name, (told := each.stat()).st_size, told.st_mtime_ns) for each in files]
            except OSError:
                return ""
            return _short(sorted(facts))
        store, root = self._store()
        try:
            found = store.find(root, detail=True).values()
        except FileNotFoundError:
            return ""
        marks = ("ETag", "etag", "md5Hash", "content_md5", "LastModified", "mtime", "created")
        return _short(sorted((each["name"], each.get("size"), *(str(each[m]) for m in marks if m in each)) for each in found)) if found else ""

    @contextmanager
    def fetched(self) -> Iterator[Path]:
        """It as a path that can be opened; what had to be fetched is thrown away on leaving.

        Raises
        ------
        MissingFileError, UnreadableFileError
            When it is not there or could not be fetched.
        """
        if self.path is not None:
            if not self.path.exists():
                raise MissingFileError("there is no such file or folder", where=self.path, todo="Check the path")
            yield self.path
            return
        store, root = self._store()
        with tempfile.TemporaryDirectory(prefix="medseg-", ignore_cleanup_errors=True) as folder:
            target = Path(folder) / plain_name(self.name)
            try:
                store.get(root, str(target), recursive=store.isdir(root))
            except FileNotFoundError as error:
                raise MissingFileError("there is no such file or folder", where=self.name, todo="Check the address") from error
            except OSError as error:
                raise UnreadableFileError(f"could not be fetched ({_told(error)})", where=self.name, todo="Check the store and your rights") from error
            yield target

    @contextmanager
    def replaced(self) -> Iterator[Path]:
        """A path to write to; on leaving, what is there takes this place. A writer that is atomic itself stays so on a disk.

        Raises
        ------
        UnwritableFileError
            When the folder cannot be made, or the store refuses.
        """
        if self.path is not None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UnwritableFileError(f"cannot be made ({_told(error)})", where=self.path.parent, todo="Check the folder's permissions") from error
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="medseg-", ignore_cleanup_errors=True) as folder:
            made = Path(folder) / self.name
            yield made
            store, root = self._store()
            try:
                if made.is_dir():
                    store.put(str(made), root, recursive=True)
                else:
                    store.pipe_file(root, made.read_bytes())  # one object: there whole or not at all
            except OSError as error:
                raise UnwritableFileError(f"could not be stored ({_told(error)})", where=self.name, todo="Check the store and your rights") from error

    def read_bytes(self) -> bytes | None:
        """A small file; None where there is none."""
        try:
            if self.path is not None:
                return self.path.read_bytes()
            store, root = self._store()
            return bytes(store.cat_file(root))
        except FileNotFoundError:
            return None

    def exists(self) -> bool:
        """Whether something is there."""
        if self.path is not None:
            return self.path.exists()
        store, root = self._store()
        return bool(store.exists(root))

    def _store(self) -> tuple[Any, str]:
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise UnavailableError("needs fsspec", where=self.name, todo=install_hint(["napari-medseg[cohort]"])) from error
        try:
            store, root = url_to_fs(self.address)
        except ImportError as error:
            raise UnavailableError(f"needs another package ({error})", where=self.name, todo="Install it on every machine that works") from error
        except ValueError as error:
            todo = "Give a path, or an address such as s3://bucket/scans"
            raise InvalidInputError(f"is on no store that is known ({error})", where=self.name, todo=todo) from error
        store.invalidate_cache()
        return store, root


def digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of all that lies in a folder."""
    found = hashlib.sha256()
    for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if each.is_file():
            if each != path:
                found.update(f"{each.relative_to(path).as_posix()}\0{each.stat().st_size}\0".encode())
            with each.open("rb") as file:
                while part := file.read(CHUNK):
                    found.update(part)
    return found.hexdigest()


def free_of_dots(name: str) -> str:
    """A name that is not hidden and leads nowhere else."""
    return plain_name(name).lstrip(".") or f"scan-{secrets.token_hex(3)}"


def _short(facts: object) -> str:
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def _told(error: OSError) -> str:
    return error.strerror or type(error).__name__
