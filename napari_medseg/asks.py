"""What a part asks of a person before it can work: a model folder, a file, a choice. Catalogue entries list them; windows and commands put them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_medseg.errors import InvalidInputError, MissingFileError

AskKind = Literal["folder", "file", "text", "number", "choice", "consent"]
YES, NO = frozenset({"yes", "true", "on", "1"}), frozenset({"no", "false", "off", "0"})


class Ask(BaseModel):
    """One question.

    Attributes
    ----------
    name : str
        The factory's keyword, and NAME in `--set NAME=VALUE`.
    kind : str
        "folder" or "file" (must be there), "text", "number", "choice" (one of `choices`), or "consent" (yes or no, asked each time a person
        must agree to something; never yes by default).
    title : str
        What the window writes beside the field.
    suffixes : tuple of str
        Endings a file may have, such as ".pt"; empty for any.
    choices : tuple of str
    default : str, number or None
        What counts when nothing is answered.
    required : bool
        Whether the part cannot be built without an answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    kind: AskKind
    title: str = Field(min_length=1)
    suffixes: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    default: str | float | None = None
    required: bool = True

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Ask:
        if (self.kind == "choice") != bool(self.choices):
            raise ValueError("choices belong to the kind choice, and it needs some")
        if self.suffixes and self.kind != "file":
            raise ValueError("suffixes belong to the kind file")
        if self.kind == "consent" and self.default is not None:
            raise ValueError("a consent has no default")
        if self.default is not None:
            if self.kind in ("folder", "file"):
                raise ValueError("a file or folder has no default")
            self.value(self.default)
        return self

    def value(self, answer: object) -> Any:
        """An answer as the factory takes it.

        Parameters
        ----------
        answer : str, Path, number or bool
            As typed on a command line, or as a window's field holds it.

        Returns
        -------
        Path (folder, file), str (text, choice), float (number) or bool (consent)

        Raises
        ------
        MissingFileError
            When the file or folder is not there.
        InvalidInputError
            When the answer is of another kind; names the question.
        """
        text = str(answer).strip()
        if not text:
            raise self._refused("is empty", "Give a value")
        if self.kind in ("folder", "file"):
            return self._path(Path(text).expanduser())
        if self.kind == "number":
            return self._number(text)
        if self.kind == "choice" and text not in self.choices:
            raise self._refused(f"'{text}' is not one of them", f"Choose one of: {', '.join(self.choices)}")
        if self.kind == "consent":
            if text.lower() not in YES | NO:
                raise self._refused(f"'{text}' is neither yes nor no", "Answer yes or no")
            return text.lower() in YES
        return text

    def _path(self, path: Path) -> Path:
        if not path.exists():
            raise MissingFileError(f"there is no {self.kind} '{path.name}'", where=self._where, todo="Check the path")
        if path.is_dir() != (self.kind == "folder"):
            raise self._refused(f"'{path.name}' is a {'folder' if path.is_dir() else 'file'}", f"Choose a {self.kind}")
        if self.suffixes and not path.name.lower().endswith(self.suffixes):
            raise self._refused(f"'{path.name}' has another ending", f"Choose a file that ends in {' or '.join(self.suffixes)}")
        return path

    def _number(self, text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self._refused(f"'{text}' is no number", "Give a number, such as 1.5")
        return number

    def _refused(self, what: str, todo: str) -> InvalidInputError:
        return InvalidInputError(what, where=self._where, todo=todo)

    @property
    def _where(self) -> str:
        return f"{self.title} ({self.name})"


def answered(asks: tuple[Ask, ...], given: Mapping[str, object], title: str) -> dict[str, Any]:
    """Every question with its answer or its default, as keywords for the factory.

    Parameters
    ----------
    asks : tuple of Ask
    given : mapping of name to answer
        None counts as not answered.
    title : str
        Of the part, for errors.

    Raises
    ------
    InvalidInputError
        When a required one is missing, or one does not fit.
    MissingFileError
        When a file or folder is not there.
    """
    answers: dict[str, Any] = {}
    for ask in asks:
        answer = given.get(ask.name)
        answer = ask.default if answer is None else answer
        if answer is not None:
            answers[ask.name] = ask.value(answer)
        elif ask.required:
            raise InvalidInputError(f"needs an answer: {ask.title}", where=title, todo=f"Fill it in, or give it with --set {ask.name}=VALUE")
    return answers
