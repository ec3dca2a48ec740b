"""What one rater answered: a file that only grows, so that nothing is lost however the program ends.

The first line names the plan and the rater; every answer is a line, on the disk before the next question is shown. A later answer to the same question
replaces an earlier one. Each line holds a check over itself and the line before, so that an edit by hand is noticed and its line can be named.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self, get_args

from filelock import FileLock, Timeout

from napari_medseg.errors import InvalidInputError, UnreadableFileError, UnwritableFileError
from napari_medseg.io.atomic import advice, flush_folder
from napari_medseg.review.blinded.checking import FaultyFactsError, built, parsed
from napari_medseg.review.blinded.plan import Plan

FORMAT = "medseg-blinded-answers"
VERSION = 1
SUFFIX = ".answers.jsonl"
LONGEST_NOTE = 2000
MOST_FAULTS = 5

Choice = Literal["left", "tie", "right"]
CHOICES: tuple[Choice, ...] = get_args(Choice)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. It says left or right only; what lay there stands in the plan.

    Attributes
    ----------
    question : int
    choice : str
        "left", "tie" or "right".
    seconds : float
        From when the pictures were shown, without the time the window was not in front.
    at : str
        ISO time, UTC.
    unusable : bool
        Whether neither mask is good enough.
    note : str
    """

    question: int
    choice: Choice
    seconds: float
    at: str
    unusable: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """The first line of a rater file."""

    format: str
    version: int
    plan: str
    rater: str
    created: str


@dataclass(frozen=True, slots=True)
class Answers:
    """What a rater file holds.

    Attributes
    ----------
    rater : str
    plan : str
        Hash of the plan.
    by_question : dict
        The last answer to each question.
    lines : int
        Answers written, those that were replaced among them.
    """

    rater: str
    plan: str
    by_question: dict[int, Answer]
    lines: int


class RaterFile:
    """A rater's answers, open for more. One window at a time.

    Parameters
    ----------
    plan : Plan
    folder : Path
        Where plan and answers lie.
    rater : str

    Attributes
    ----------
    path : Path
    answers : dict
        The last answer by question.

    Raises
    ------
    InvalidInputError
        When the rater has no name.
    UnreadableFileError
        When the file was damaged or edited, or belongs to another plan.
    UnwritableFileError
        When the disk refuses, or the rater is answering in another window.
    """

    def __init__(self, plan: Plan, folder: Path, rater: str) -> None:
        self.plan, self.rater = plan, " ".join(rater.split())
        if not self.rater:
            raise InvalidInputError("nobody is named", where="rater", todo="Say who answers; initials are enough")
        self.path = folder / file_name(self.rater)
        self._lock = FileLock(self.path.with_name(f".{self.path.name}.lock"))
        self._check = ""
        self._hold()
        try:
            self.answers = self._begin()
        except BaseException:
            self.close()
            raise

    def put(self, answer: Answer) -> None:
        """Add an answer; it is on the disk when this returns.

        Raises
        ------
        UnwritableFileError
            The file then holds what it held before.
        """
        whole = replace(answer, seconds=round(float(answer.seconds), 3), note=answer.note.strip()[:LONGEST_NOTE])
        self._check = self._append(asdict(whole), self._check)
        self.answers[answer.question] = whole

    def close(self) -> None:
        """Let another window answer; may be called twice."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hold(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise UnwritableFileError(f"{self.rater} is answering in another window", where=self.path, todo="Go on there, or close it first") from error
        except OSError as error:
            raise UnwritableFileError(f"could not be written ({error.strerror or error})", where=self.path, todo=advice(error)) from error

    def _begin(self) -> dict[int, Answer]:
        """Go on where the file ends, or begin it; a line that was cut off while it was written goes."""
        if self.path.exists():
            found, whole, self._check = _read(self.path)
            if found is not None:
                _require_plan(found, self.plan, self.path)
                if found.rater.casefold() != self.rater.casefold():
                    raise UnreadableFileError(f"holds the answers of {found.rater}", where=self.path, todo="Choose another name")
                self.rater = found.rater
                _cut(self.path, whole)
                return dict(found.by_question)
            _cut(self.path, 0)
        head = Head(FORMAT, VERSION, self.plan.sha256, self.rater, _now())
        self._check = self._append(asdict(head), "")
        flush_folder(self.path.parent)
        return {}

    def _append(self, facts: dict[str, Any], before: str) -> str:
        check = _check(facts, before)
        line = json.dumps({**facts, "check": check}, ensure_ascii=False) + "\n"
        size = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("ab") as file:
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if self.path.exists():
                _cut(self.path, size)
            raise UnwritableFileError(f"the answer could not be written ({error.strerror or error})", where=self.path, todo=advice(error)) from error
        return check


def file_name(rater: str) -> str:
    """The name of a rater's file: readable, and the same whatever the case of the letters."""
    plain = re.sub(r"[^a-z0-9]+", "-", rater.casefold()).strip("-")[:40]
    if plain != rater.casefold():
        plain = f"{plain or 'rater'}-{hashlib.sha256(rater.casefold().encode()).hexdigest()[:6]}"
    return f"{plain}{SUFFIX}"


def read_answers(path: Path, plan: Plan | None = None) -> Answers:
    """A rater file, every line of it looked at. A last line that was cut off while it was written is passed over.

    Parameters
    ----------
    plan : Plan, optional
        The one it must belong to.

    Raises
    ------
    UnreadableFileError
        When it is empty, a line is damaged or was edited (names line and field), or it belongs to another plan.
    """
    found, _, _ = _read(path)
    if found is None:
        raise UnreadableFileError("holds no answers, not even whose they are", where=path, todo="Remove it; the rater begins anew")
    if plan is not None:
        _require_plan(found, plan, path)
    return found


def _read(path: Path) -> tuple[Answers | None, int, str]:
    """Answers, bytes of whole lines, and the last line's check; no answers where the first line was cut off."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableFileError(f"could not be read ({error.strerror or error})", where=path, todo="Check its permissions") from error
    whole = data.rfind(b"\n") + 1
    head: Head | None = None
    answers: dict[int, Answer] = {}
    faults: list[str] = []
    before, count = "", 0
    for number, raw in enumerate(data[:whole].splitlines(), 1):
        try:
            facts, before = _line(raw, before)
            if number == 1:
                head = _head(facts)
            else:
                answer = _answer(facts)
                answers[answer.question] = answer
                count += 1
        except FaultyFactsError as error:
            faults.append(f"line {number}: {error}")
            before = _stored_check(raw, before)
            if number == 1:
                break
    if faults:
        more = f" (and {len(faults) - MOST_FAULTS} more)" if len(faults) > MOST_FAULTS else ""
        todo = "Answers are never edited by hand: put the file back as it was, or set it aside and let the rater answer anew"
        raise UnreadableFileError("; ".join(faults[:MOST_FAULTS]) + more, where=path, todo=todo)
    return (None if head is None else Answers(head.rater, head.plan, answers, count)), whole, before


def _line(raw: bytes, before: str) -> tuple[dict[str, Any], str]:
    """A line's facts and its check, which fits."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise FaultyFactsError(("", "is no text")) from error
    facts = parsed(text)
    check = facts.pop("check", None)
    kind = Head if "format" in facts else Answer
    built(kind, facts)
    if check is None:
        raise FaultyFactsError(("check", "is missing"))
    if check != _check(facts, before):
        raise FaultyFactsError(("check", "does not fit: this line was changed, or a line before it was changed or taken out"))
    return facts, check


def _stored_check(raw: bytes, before: str) -> str:
    """What a faulty line says its check is, so that the lines after it are judged by themselves."""
    try:
        check = parsed(raw.decode()).get("check")
    except (FaultyFactsError, UnicodeDecodeError):
        return before
    return check if isinstance(check, str) else before


def _head(facts: dict[str, Any]) -> Head:
    head = built(Head, facts)
    if head.format != FORMAT:
        raise FaultyFactsError(("format", f"is '{head.format[:40]}', not '{FORMAT}'"))
    if head.version != VERSION:
        raise FaultyFactsError(("version", f"is {head.version}; this program knows {VERSION}"))
    if not head.rater.strip():
        raise FaultyFactsError(("rater", "is empty"))
    return head


def _answer(facts: dict[str, Any]) -> Answer:
    answer = built(Answer, facts)
    if not math.isfinite(answer.seconds) or answer.seconds < 0:
        raise FaultyFactsError(("seconds", f"is {answer.seconds}, no length of time"))
    try:
        datetime.fromisoformat(answer.at)
    except ValueError as error:
        raise FaultyFactsError(("at", f"is '{answer.at[:40]}', no time")) from error
    return answer


def _require_plan(found: Answers, plan: Plan, path: Path) -> None:
    if found.plan != plan.sha256:
        todo = "Put it beside the plan it was made for, or set it aside"
        raise UnreadableFileError(f"belongs to another plan ({found.plan[:8]}, not {plan.sha256[:8]})", where=path, todo=todo)
    strange = sorted(set(found.by_question) - {question.number for question in plan.questions})
    if strange:
        raise UnreadableFileError(f"'question' {strange[0]} is none of the plan's {len(plan.questions)}", where=path, todo="Put the file back as it was")


def _check(facts: dict[str, Any], before: str) -> str:
    text = before + json.dumps(facts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _cut(path: Path, size: int) -> None:
    if path.stat().st_size > size:
        os.truncate(path, size)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def rater_files(folder: Path) -> Iterator[Path]:
    """The rater files of a folder, by name."""
    yield from sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIX) and not path.name.startswith(".") and path.is_file())
