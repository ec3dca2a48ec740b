"""One case on a worker: read, worked on, written, told. Nothing a scan holds can end more than its own case."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Literal

from napari_medseg import __version__
from napari_medseg.cluster.cohort.cases import CohortCase
from napari_medseg.cluster.cohort.jobs import Job
from napari_medseg.cluster.cohort.places import digest
from napari_medseg.errors import MedsegError, UnavailableError

log = logging.getLogger(__name__)
State = Literal["done", "kept", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case ended.

    Attributes
    ----------
    case : str
    state : "done", "kept" or "failed"
        "kept": its files were written anew with the same contents, so what was made of them still holds.
    row : dict
        For the ledger; empty when it failed.
    error : dict
        type, what, where and todo of what failed.
    again : bool
        Whether another try may do better.
    """

    case: str
    state: State
    row: dict[str, Any] = field(default_factory=dict)
    error: dict[str, str] = field(default_factory=dict)
    again: bool = False

    @property
    def told(self) -> str:
        """What failed, as a sentence."""
        return " ".join(str(MedsegError(self.error["what"], where=self.error["where"], todo=self.error["todo"])).split()) if self.error else ""


def perform(job: Job, case: CohortCase, known: dict[str, Any] | None, version: str) -> Outcome:
    """Do a job on a case.

    Parameters
    ----------
    job : Job
    case : CohortCase
    known : dict or None
        The ledger's row, where there is one of the same job.
    version : str
        Of the program that asks.
    """
    try:
        require_version(version)
        return _performed(job, case, known)
    except MedsegError as error:
        return failed(case, type(error).__name__, error.what, error.where, error.todo)
    except MemoryError:
        return failed(case, "MemoryError", "this machine has too little memory for it", todo="Start fewer workers, or crop the scan")
    except OSError as error:
        return failed(case, type(error).__name__, error.strerror or "could not be read or written", todo="Check the disk and your rights", again=True)
    except Exception as error:  # the border of a case: whatever it holds, the other cases go on
        log.exception("a case failed")
        return failed(case, type(error).__name__, f"an unforeseen fault ({type(error).__name__}: {' '.join(str(error).split())[:200]})")


def failed(case: CohortCase, kind: str, what: str, where: str = "", todo: str = "", *, again: bool = False) -> Outcome:
    """A case of which nothing came."""
    return Outcome(case.id, "failed", error={"type": kind, "what": what, "where": where, "todo": todo}, again=again)


def require_version(version: str) -> None:
    """Refuse what another version asks.

    Raises
    ------
    UnavailableError
    """
    if version != __version__:
        what = f"runs napari-medseg {__version__}, and {version} asks"
        raise UnavailableError(what, where="the worker", todo=f'Install it there: python -m pip install "napari-medseg[cohort]=={version}"')


def _performed(job: Job, case: CohortCase, known: dict[str, Any] | None) -> Outcome:
    if case.fault is not None:
        raise case.fault
    started = time.monotonic()
    stamps = [place.stamp() for place in case.places]
    with ExitStack() as held:
        files = [held.enter_context(place.fetched()) for place in case.places]
        inputs = [digest(file) for file in files]
        if known is not None and known["inputs"] == inputs and _holds(job, known):
            return Outcome(case.id, "kept", {**known, "stamps": stamps, "left": _left(job, known["output"])})
        done = job.do(case, files)
    row = {
        "case": case.id, "job": job.key, "inputs": inputs, "stamps": stamps, "output": done.output, "sha256": done.sha256, "left": _left(job, done.output),
        "facts": done.facts, "seconds": round(time.monotonic() - started, 3),
    }
    return Outcome(case.id, "done", row)


def _holds(job: Job, known: dict[str, Any]) -> bool:
    """Whether what a row tells of is still there, to the byte."""
    if not known["output"]:
        return True
    place = job.out.under(known["output"])
    if not place.exists():
        return False
    with place.fetched() as path:
        return bool(digest(path) == known["sha256"])


def _left(job: Job, output: str) -> str:
    return job.out.under(output).stamp() if output else ""
