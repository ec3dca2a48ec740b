"""What every command shares: one answer on stdout, progress on stderr, one line and an exit code when it fails.

A command is a function that returns an `Answer` or raises a MedsegError; `answering` turns it into what typer runs and gives it `--json`.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Annotated, Any, ParamSpec, Protocol, TypeVar

import numpy as np
import typer

from napari_medseg.errors import MedsegError

P = ParamSpec("P")
QUIET_SECONDS = 2.0  # between progress lines where stderr is a file

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout; progress goes to stderr.")]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command found out.

    Attributes
    ----------
    facts : dict
        The JSON object; may hold NumPy numbers, paths and dataclasses, and NaN, which becomes null.
    text : str
        The same for a person, one or more lines.
    code : int
        With which the program ends; 1 when what was found out is a fault.
    """

    facts: dict[str, Any]
    text: str
    code: int = 0


class Tick(Protocol):
    """A piece of work done, as every engine yields it."""

    @property
    def fraction(self) -> float | None:
        """Share of the work done, 0-1, if known."""

    @property
    def message(self) -> str:
        """What is being done, for people."""


T = TypeVar("T", bound=Tick)


def answering(work: Callable[P, Answer]) -> Callable[P, None]:
    """The command of a function: adds `--json`, prints the answer, turns errors into exit code 1."""

    @functools.wraps(work)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        as_json = bool(kwargs.pop("as_json", False))
        try:
            with _stdout_kept():
                answer = work(*args, **kwargs)
        except (typer.BadParameter, typer.Exit):  # wrong usage is typer's to tell
            raise
        except MedsegError as error:
            raise _failed(as_json, type(error).__name__, error.what, error.where, error.todo) from error
        except KeyboardInterrupt as error:
            raise _failed(as_json, "Interrupted", "stopped before it was done", todo="Nothing was left half-written; run it again to start anew") from error
        except MemoryError as error:
            raise _failed(as_json, "MemoryError", "this machine has too little memory for it", todo="Crop the scan, or use a larger machine") from error
        except OSError as error:
            where = Path(error.filename).name if isinstance(error.filename, str) else ""
            raise _failed(as_json, type(error).__name__, error.strerror or str(error), where, "Check the path and its permissions") from error
        except Exception as error:  # the last fence: a caller still gets one line, one object and exit 1
            if os.environ.get("MEDSEG_TRACEBACK"):
                raise
            what = f"an unforeseen fault ({type(error).__name__}: {' '.join(str(error).split())})"
            raise _failed(as_json, type(error).__name__, what, todo="Set MEDSEG_TRACEBACK=1, run it again and report what it prints") from error
        typer.echo(json.dumps(plain(answer.facts), allow_nan=False) if as_json else answer.text)
        if answer.code:
            raise typer.Exit(answer.code)

    shape = inspect.signature(work, eval_str=True)
    option = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json)
    shape = shape.replace(parameters=[*shape.parameters.values(), option], return_annotation=None)
    command.__signature__ = shape  # type: ignore[attr-defined]
    command.__annotations__ = {name: parameter.annotation for name, parameter in shape.parameters.items()}
    del command.__wrapped__  # else the signature of `work` would be taken for this one's
    return command


def shown(ticks: Iterable[T]) -> Generator[T, None, None]:
    """Pass ticks through and tell on stderr how far they are; closes the engine when it is stopped."""
    live = sys.stderr.isatty()
    said, when = "", -math.inf
    try:
        for tick in ticks:
            line = _line(tick)
            now = time.monotonic()
            if line != said and (live or now - when >= QUIET_SECONDS):
                typer.echo(f"\r\033[K{line}" if live else line, err=True, nl=not live)
                said, when = line, now
            yield tick
    finally:
        if live and said:
            typer.echo("\r\033[K", err=True, nl=False)
        close = getattr(ticks, "close", None)
        if close is not None:
            close()


def last(ticks: Iterable[T]) -> T:
    """The last tick of an engine: its result.

    Raises
    ------
    MedsegError
        When it yields nothing.
    """
    final = deque(shown(ticks), maxlen=1)
    if not final:
        raise MedsegError("the work gave no result")
    return final[0]


def plain(value: Any) -> Any:
    """The value as JSON knows it: no NumPy, no path, no NaN."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def _line(tick: Tick) -> str:
    message = " ".join(tick.message.split())
    return message if tick.fraction is None else f"{tick.fraction:4.0%}  {message}"


def _failed(as_json: bool, kind: str, what: str, where: str = "", todo: str = "") -> typer.Exit:
    typer.echo(f"Error: {' '.join(str(MedsegError(what, where=where, todo=todo)).split())}", err=True)
    if as_json:
        typer.echo(json.dumps({"error": {"type": kind, "what": what, "where": where, "todo": todo}}))
    return typer.Exit(1)


@contextlib.contextmanager
def _stdout_kept() -> Iterator[None]:
    """Send what libraries print to stderr, so that stdout holds the answer alone, whoever writes: Python, C code or a child process."""
    with contextlib.redirect_stdout(sys.stderr):
        try:
            kept = os.dup(1)
        except OSError:  # stdout is closed
            yield
            return
        try:
            os.dup2(2, 1)
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)
