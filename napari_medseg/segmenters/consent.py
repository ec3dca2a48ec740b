"""A person's word that a model may run code of its own; asked for each model once, remembered for exactly what it then was.

Consent belongs to content: the SHA-256 of a file, or of a folder's names and contents. Change one byte and it is asked for again. It is kept in the
configuration folder as JSON, which may be read, edited or deleted.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import platformdirs

from napari_medseg.errors import MissingFileError, SegmenterError, UnreadableFileError, UnwritableFileError
from napari_medseg.io.atomic import replacing

CHUNK = 1 << 20


def consents_file() -> Path:
    """Where consents are kept."""
    return platformdirs.user_config_path("napari-medseg", appauthor=False) / "consents.json"


def fingerprint(path: str | Path) -> str:
    """SHA-256 of a file's content, or of every name and content in a folder.

    Raises
    ------
    MissingFileError, UnreadableFileError
        When nothing is there, or a part of it cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError("is not there", where=path, todo="Check the path")
    try:
        if path.is_file():
            return _of_file(path).hexdigest()
        whole = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            whole.update(f"{file.relative_to(path).as_posix()}\0{_of_file(file).hexdigest()}\n".encode())
        return whole.hexdigest()
    except OSError as error:
        raise UnreadableFileError(f"cannot be read ({error.strerror})", where=path, todo="Check its permissions") from error


def is_given(path: str | Path) -> bool:
    """Whether a person agreed to exactly this content."""
    return fingerprint(path) in _all()


def give(path: str | Path, reason: str) -> None:
    """Remember that a person agreed.

    Parameters
    ----------
    reason : str
        What they agreed to, kept for them to read.

    Raises
    ------
    UnwritableFileError
        When it cannot be remembered.
    """
    given = {"name": Path(path).name, "reason": reason, "given": datetime.now().astimezone().isoformat(timespec="seconds")}
    _write({**_all(), fingerprint(path): given})


def withdraw(path: str | Path) -> None:
    """Forget the consent to this content; nothing happens where none was given."""
    kept, mark = _all(), fingerprint(path)
    if kept.pop(mark, None) is not None:
        _write(kept)


def require(path: str | Path, reason: str, agreed: bool | None) -> None:
    """Go on only with a consent, given now or remembered.

    Parameters
    ----------
    path : file or folder that would run code
    reason : str
        What it would run, as a clause: "its configuration runs Python: ...".
    agreed : bool or None
        What a person answered now: yes is remembered, no withdraws; None: not asked.

    Raises
    ------
    SegmenterError
        Without consent; gives the reason.
    """
    if agreed:
        if not is_given(path):
            give(path, reason)
        return
    if agreed is False:
        withdraw(path)
    if agreed is False or not is_given(path):
        raise _refused(path, reason)


def read(path: str | Path, reason: str) -> bytes:
    """A file's content, of which it is certain that a person agreed to it: read once, so that nobody can exchange it between the look and the use.

    Raises
    ------
    MissingFileError, UnreadableFileError
        When it is not there, or cannot be read.
    SegmenterError
        Without consent; gives the reason.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise MissingFileError("is not there", where=path, todo="Check the path") from error
    except OSError as error:
        raise UnreadableFileError(f"cannot be read ({error.strerror})", where=path, todo="Check its permissions") from error
    if hashlib.sha256(content).hexdigest() not in _all():
        raise _refused(path, reason)
    return content


def _refused(path: str | Path, reason: str) -> SegmenterError:
    todo = "If you trust whoever made it, agree that it may run its own code (in the window, or --set trust=yes); it is asked for once"
    return SegmenterError(f"is refused: {reason}", where=Path(path), todo=todo)


def _of_file(file: Path) -> hashlib._Hash:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while part := stream.read(CHUNK):
            digest.update(part)
    return digest


def _all() -> dict[str, Any]:
    """Every consent; none where the file is missing or damaged, so that a damaged file never consents."""
    try:
        kept = json.loads(consents_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write(consents: dict[str, Any]) -> None:
    file = consents_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnwritableFileError(f"cannot be written ({error.strerror})", where=file, todo="Check the permissions of your configuration folder") from error
    with replacing(file) as part:
        part.write_text(json.dumps(consents, indent=2), encoding="utf-8")
