"""A review on disk: the plan and the raters' answers beside it."""

from __future__ import annotations

import json
from pathlib import Path

from napari_medseg.errors import MissingFileError, UnreadableFileError, UnwritableFileError
from napari_medseg.io import replacing
from napari_medseg.review.blinded.answers import Answers, rater_files, read_answers
from napari_medseg.review.blinded.checking import FaultyFactsError, built, parsed
from napari_medseg.review.blinded.plan import FORMAT, VERSION, Plan
from napari_medseg.review.blinded.summarising import summarise
from napari_medseg.review.blinded.summary import Summary

NAME = "plan.json"
LARGEST = 64 << 20  # bytes of a plan that is still read


def write_plan(plan: Plan, folder: Path) -> Path:
    """Write a plan into a folder that holds none yet; the folder is made when it is missing.

    Raises
    ------
    UnwritableFileError
        When there is a plan already, or the disk refuses.
    """
    path = folder / NAME
    if path.exists():
        raise UnwritableFileError("there is a plan already, and answers may belong to it", where=path, todo="Give a new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnwritableFileError(f"could not be made ({error.strerror or error})", where=folder, todo="Choose another place") from error
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(plan.as_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def require_free(folder: Path) -> None:
    """Refuse a folder that holds a plan.

    Raises
    ------
    UnwritableFileError
    """
    if folder.is_dir() and find_plans(folder):
        raise UnwritableFileError("there is a plan already, and answers may belong to it", where=folder, todo="Give a new folder")


def read_plan(path: Path) -> Plan:
    """A plan as it was made.

    Raises
    ------
    MissingFileError, UnreadableFileError
        When there is none, a field is not what it should be, or it was changed after it was made.
    """
    if path.is_dir():
        path = path / NAME
    if not path.is_file():
        raise MissingFileError("there is no plan of a blinded review", where=path, todo="Make one: medseg review DIR --new IMAGES A B")
    todo = "Put the plan back as it was made; its answers hold for that one only"
    try:
        return _plan(path)
    except FaultyFactsError as error:
        raise UnreadableFileError(str(error), where=path, todo=todo) from error
    except UnicodeDecodeError as error:
        raise UnreadableFileError("is no text", where=path, todo=todo) from error
    except OSError as error:
        raise UnreadableFileError(f"could not be read ({error.strerror or error})", where=path, todo="Check its permissions") from error


def is_plan(path: Path) -> bool:
    """Whether a file says that it is a plan."""
    try:
        with path.open(encoding="utf-8") as file:
            return FORMAT in file.read(200)
    except (OSError, UnicodeDecodeError):
        return False


def find_plans(folder: Path) -> list[Path]:
    """The plans in a folder and in the folders directly in it, by path.

    Raises
    ------
    MissingFileError
        When there is no such folder.
    """
    if not folder.is_dir():
        raise MissingFileError("there is no such folder", where=folder, todo="Check the path")
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [path for home in (folder, *inner) for path in sorted(home.glob("*.json")) if is_plan(path)]


def read_all_answers(plan: Plan, folder: Path) -> list[Answers]:
    """The raters' answers to a plan, by rater.

    Raises
    ------
    UnreadableFileError
        When a file is damaged, belongs to another plan, or two are of one rater.
    """
    found: dict[str, Answers] = {}
    for path in rater_files(folder):
        answers = read_answers(path, plan)
        if answers.rater.casefold() in found:
            raise UnreadableFileError(f"there are two files of {answers.rater}", where=path, todo="Keep the right one and set the other aside")
        found[answers.rater.casefold()] = answers
    return [found[name] for name in sorted(found)]


def summary_of(path: Path) -> Summary:
    """The result of the plan in a folder, or of a plan file.

    Raises
    ------
    MissingFileError, UnreadableFileError
        When plan or answers are missing or damaged.
    """
    path = path / NAME if path.is_dir() else path
    plan = read_plan(path)
    return summarise(plan, read_all_answers(plan, path.parent))


def summaries(folder: Path) -> list[Summary]:
    """The results of every plan in a folder and in the folders directly in it.

    Raises
    ------
    MissingFileError, UnreadableFileError
        When there is no such folder, or plan or answers are damaged.
    """
    return [summary_of(path) for path in find_plans(folder)]


def _plan(path: Path) -> Plan:
    """The plan in a file, if all of it makes sense and it is as it was made."""
    if path.stat().st_size > LARGEST:
        raise FaultyFactsError(("", "is far too large for a plan"))
    facts = parsed(path.read_text(encoding="utf-8"))
    told = {name: facts.pop(name, None) for name in ("format", "version", "sha256")}
    if told["format"] != FORMAT:
        raise FaultyFactsError(("format", f"is not '{FORMAT}'"))
    if told["version"] != VERSION:
        raise FaultyFactsError(("version", f"is {told['version']!r}; this program knows {VERSION}"))
    plan = built(Plan, facts)
    _require_sense(plan)
    if plan.sha256 != told["sha256"]:
        raise FaultyFactsError(("sha256", "does not fit: the plan was changed after it was made"))
    return plan


def _require_sense(plan: Plan) -> None:
    """Refuse a plan whose parts do not fit each other."""
    cases = {case.case for case in plan.cases}
    numbers = [question.number for question in plan.questions]
    if numbers != list(range(1, len(numbers) + 1)):
        raise FaultyFactsError(("questions", "are not numbered from 1 on"))
    for question in plan.questions:
        where = f"questions.{question.number - 1}"
        if question.case not in cases:
            raise FaultyFactsError((f"{where}.case", f"'{question.case[:40]}' is none of the plan's cases"))
        if (question.slice is None) != (plan.kind == "volumes") or (question.slice is not None and question.slice < 0):
            raise FaultyFactsError((f"{where}.slice", f"is {question.slice}"))
        if question.repeats is not None and not 1 <= question.repeats < question.number:
            raise FaultyFactsError((f"{where}.repeats", f"is {question.repeats}, no earlier question"))
