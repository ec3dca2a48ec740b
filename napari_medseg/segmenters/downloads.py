"""Weights from elsewhere: fetched when a person asks for them and never otherwise, checked, and there whole or not at all.

Size, licence, source and checksum are known, and shown, before the first byte. A download that is cancelled or cut off goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from typing import cast
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from napari_medseg.errors import InvalidInputError, UnavailableError, UnreadableFileError, UnwritableFileError
from napari_medseg.io.atomic import FULL, advice, flush, put

CHUNK = 1 << 18
PATIENCE = 30.0  # seconds without a byte
TRIES = 3
SPARE = 64 << 20
HOMES = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Download:
    """A file somewhere else.

    Attributes
    ----------
    url : str
        https, or http on this machine.
    title : str
        What it is.
    licence : str
        SPDX name, or words.
    size : int or None
        Bytes; None when the publisher does not say before.
    sha256 : str
        Of the file; "" when the publisher gives none.
    """

    url: str
    title: str
    licence: str
    size: int | None = None
    sha256: str = ""

    def words(self) -> str:
        """What a person should know before agreeing."""
        size = "size not stated" if self.size is None else megabytes(self.size)
        check = f"SHA-256 {self.sha256[:12]}..." if self.sha256 else "the publisher gives no checksum"
        return f"{self.title}: {size}, licence {self.licence}, from {urlsplit(self.url).hostname}, {check}"


@dataclass(frozen=True)
class Progress:
    """How far it is.

    Attributes
    ----------
    done : int
        Bytes.
    total : int or None
    message : str
    """

    done: int
    total: int | None
    message: str

    @property
    def fraction(self) -> float | None:
        """0-1; None when the whole is not known."""
        return min(1.0, self.done / self.total) if self.total else None


def fetch(download: Download, target: Path) -> Iterator[Progress]:
    """Fetch a file to `target`; nothing is fetched where it is already.

    Parameters
    ----------
    download : Download
    target : Path
        Its folder is made. What has come so far lies beside it as NAME.part.

    Yields
    ------
    Progress
        Every quarter megabyte: a place to cancel (close the generator); the next call goes on there.

    Raises
    ------
    InvalidInputError
        When the address is neither https nor on this machine.
    UnavailableError
        When the source cannot be reached, refuses, or breaks off again and again.
    UnwritableFileError
        When the disk refuses or is too full; on a full disk nothing is left behind.
    UnreadableFileError
        When what came is not what was announced; it is removed.
    """
    _check_address(download.url, download)
    if target.exists():
        return
    part = target.with_name(target.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(TRIES):
            whole = yield from _stream(download, part)
            if whole:
                break
            if attempt == TRIES - 1:
                what = f"the connection broke {TRIES} times, after {megabytes(_length(part))}"
                raise UnavailableError(what, where=download.title, todo="Try again: it goes on where it stopped")
        yield Progress(_length(part), _length(part), f"Checking {download.title}")
        _check(download, part)
        flush(part)
        put(part, target)
        _mark(part).unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error, UnavailableError | UnreadableFileError | UnwritableFileError):
            raise
        if error.errno in FULL:
            _forget(part)
        raise UnwritableFileError(f"could not be written ({error.strerror or error})", where=target, todo=advice(error)) from error


def unpack(archive: Path, folder: Path, largest: int) -> Iterator[Progress]:
    """Unpack a zip into a folder that appears whole or not at all.

    Parameters
    ----------
    archive : Path
    folder : Path
        Takes the archive's one top folder's name and content: `folder.name` must be that name.
    largest : int
        Bytes it may unpack to.

    Yields
    ------
    Progress
        A place to cancel; nothing is left behind then.

    Raises
    ------
    UnreadableFileError
        When it is no zip, damaged, larger than allowed, or would write elsewhere.
    UnwritableFileError
        When the disk refuses.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as packed:
            parts = [one for one in packed.infolist() if not one.is_dir()]
            total = sum(one.file_size for one in parts)
            if total > largest:
                raise UnreadableFileError(f"would unpack to {megabytes(total)}", where=archive, todo="Get it from the publisher again")
            _check_space(total, folder.parent, archive.name)
            done = 0
            for one in parts:
                for count in _unpacked(packed, one, part / _inside(one, folder.name, archive)):
                    done += count
                    yield Progress(done, total, f"Unpacking {archive.name}")
        put(part, folder)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise UnreadableFileError("is no zip, or damaged", where=archive, todo="Fetch it again") from error
    except OSError as error:
        if isinstance(error, UnreadableFileError | UnwritableFileError):
            raise
        raise UnwritableFileError(f"could not be unpacked ({error.strerror or error})", where=folder, todo=advice(error)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def megabytes(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


def _stream(download: Download, part: Path) -> Generator[Progress, None, bool]:
    """Append what is missing to `part`; returns whether all came."""
    start, mark = _length(part), _mark(part)
    if start and start == download.size:
        return True
    headers = {"User-Agent": "napari-medseg", "Accept-Encoding": "identity"}
    kept = mark.read_text(encoding="utf-8").strip() if mark.is_file() else ""
    if start and (kept or download.sha256):
        headers["Range"] = f"bytes={start}-"
        if kept:
            headers["If-Range"] = kept
    with _opened(download, Request(download.url, headers=headers), part) as answer:
        if answer.status != 206:
            start = 0
        elif not str(answer.headers.get("Content-Range", "")).startswith(f"bytes {start}-"):
            _forget(part)
            return False
        coming = answer.headers.get("Content-Length", "")
        total = start + int(coming) if coming.isdecimal() else download.size
        if download.size is not None and total is not None and total != download.size:
            _forget(part)
            what = f"is {megabytes(total)} there, not {megabytes(download.size)} as announced"
            raise UnreadableFileError(what, where=download.title, todo="Ask whoever publishes it; nothing was kept")
        if total is not None:
            _check_space(total - start, part.parent, download.title)
        tag = answer.headers.get("ETag", "")
        mark.write_text("" if tag.startswith("W/") else tag, encoding="utf-8")  # a weak mark does not promise the same bytes
        done = start
        yield Progress(done, total, f"Fetching {download.title}")
        with part.open("ab" if start else "wb") as file:
            while block := _block(answer):
                file.write(block)
                done += len(block)
                told = f" of {megabytes(total)}" if total else ""
                yield Progress(done, total, f"Fetching {download.title}: {megabytes(done)}{told}")
    return total is None or done >= total


def _block(answer: HTTPResponse) -> bytes:
    """The next bytes; none at the end, or where the connection breaks."""
    try:
        return answer.read(CHUNK)
    except (HTTPException, ConnectionError, TimeoutError):
        return b""


def _opened(download: Download, request: Request, part: Path) -> HTTPResponse:
    try:
        answer = cast("HTTPResponse", urlopen(request, timeout=PATIENCE))
    except HTTPError as error:
        if error.code == 416:  # what lies here is longer than what is there
            _forget(part)
        what = f"the source refuses ({error.code} {error.reason})"
        raise UnavailableError(what, where=download.title, todo="Try again later, or fetch it by hand") from error
    except (URLError, OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        todo = "Check the connection and try again, or fetch it by hand on another machine"
        raise UnavailableError(f"the source cannot be reached ({reason})", where=download.title, todo=todo) from error
    try:
        _check_address(answer.url, download)
    except InvalidInputError:
        answer.close()
        raise
    return answer


def _check_address(url: str, download: Download) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in HOMES):
        raise InvalidInputError(f"is not fetched from {parts.scheme}://{parts.hostname}", where=download.title, todo="Only https addresses are used")


def _check(download: Download, part: Path) -> None:
    if not download.sha256:
        return
    digest = hashlib.sha256()
    with part.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != download.sha256.lower():
        _forget(part)
        what = "is not what was announced: its checksum differs"
        raise UnreadableFileError(what, where=download.title, todo="It was removed; try again, and tell its publisher")


def _check_space(needed: int, folder: Path, title: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed + SPARE > free:
        what = f"needs {megabytes(needed)}, and the disk has {megabytes(free)} left"
        raise UnwritableFileError(what, where=title, todo="Make space on the disk, or choose another place")


def _unpacked(packed: zipfile.ZipFile, one: zipfile.ZipInfo, file: Path) -> Iterator[int]:
    file.parent.mkdir(parents=True, exist_ok=True)
    with packed.open(one) as source, file.open("wb") as target:
        while block := source.read(CHUNK):
            target.write(block)
            yield len(block)


def _inside(one: zipfile.ZipInfo, top: str, archive: Path) -> Path:
    """Where a part of the archive goes, below the folder; refused where it would go elsewhere, or is a link."""
    path = PurePosixPath(one.filename.replace("\\", "/"))
    link = (one.external_attr >> 16) & 0o170000 == 0o120000
    if link or path.is_absolute() or ".." in path.parts or ":" in one.filename or len(path.parts) < 2 or path.parts[0] != top:
        raise UnreadableFileError(f"holds '{one.filename}', which does not belong into {top}", where=archive, todo="Get it from the publisher again")
    return Path(*path.parts[1:])


def _length(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _mark(part: Path) -> Path:
    """Beside what came so far: the source's own mark (ETag) of the version it is part of."""
    return part.with_name(part.name + ".etag")


def _forget(part: Path) -> None:
    with suppress(OSError):
        part.unlink(missing_ok=True)
        _mark(part).unlink(missing_ok=True)
