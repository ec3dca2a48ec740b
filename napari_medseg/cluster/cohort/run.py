"""A cohort from its first case to its last: a few cases a worker are under way at any time, so neither the scheduler nor this process grows with the cohort.

A worker that dies takes nothing with it: its cases are given to others. What is finished stands in the ledger, so a run that was cut off goes on where it was,
and a case that was worked on twice, since its worker died between writing and telling, has the same bytes and one row.
"""

from __future__ import annotations

import time
from asyncio import CancelledError as AsyncCancelledError
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_medseg import __version__
from napari_medseg.cluster.cohort.cases import CohortCase
from napari_medseg.cluster.cohort.jobs import Job
from napari_medseg.cluster.cohort.ledger import Ledger, Row
from napari_medseg.cluster.cohort.work import Outcome, failed, perform
from napari_medseg.errors import UnavailableError

if TYPE_CHECKING:
    from distributed import Client, Future

AHEAD = 2
"""Cases a thread of the workers has waiting, so that none is idle while an answer travels."""
TRIES, LOST = 3, 20
LOOK_S = 2.0


@dataclass(frozen=True, slots=True)
class CohortTick:
    """How far a cohort is.

    Attributes
    ----------
    fraction : float or None
    message : str
    outcome : Outcome or None
        Of the case that has just ended.
    before : int
        Of the last tick: cases that were finished by an earlier start.
    rows : tuple of dict
        Of the last tick, where they are wanted: the ledger's rows of all cases that are finished.
    facts : dict
        Of the last tick: what there is to say beside the cases, for JSON.
    """

    fraction: float | None
    message: str
    outcome: Outcome | None = None
    before: int = 0
    rows: tuple[Row, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Running:
    case: CohortCase
    known: Row | None
    tries: int = 1
    lost: int = 0


@dataclass(slots=True)
class Work:
    """Cases on their way through the workers; `handed_out` does it, `before` counts those that were finished before.

    Parameters
    ----------
    client : Client
    job : Job
    ledger : Ledger
    resources : dict
        That a task asks for, {"GPU": 1}.
    keep : bool
        Whether `rows` gets the row of every case that is finished, now or before; else nothing here grows with the cohort.
    """

    client: Client
    job: Job
    ledger: Ledger
    resources: dict[str, float] = field(default_factory=dict)
    keep: bool = False
    before: int = 0
    rows: dict[str, Row] = field(default_factory=dict)
    _threads: tuple[float, int] = (-LOOK_S, 1)

    def handed_out(self, cases: Iterable[CohortCase]) -> Iterator[Outcome]:
        """Every case that is not finished yet, as it ends; its row is in the ledger then.

        Raises
        ------
        UnavailableError
            When the scheduler is gone.
        """
        from distributed import as_completed

        waiting = self._unfinished(cases)
        running: dict[Future[Outcome], _Running] = {}
        ended: Any = as_completed(loop=self.client.loop)  # a scheduler of others is nobody's default client
        number = 0

        def more() -> None:
            nonlocal number
            while len(running) < AHEAD * self._room() and (one := next(waiting, None)) is not None:
                number += 1
                self._submit(one, number, running, ended)

        more()
        for future in ended:
            one = running.pop(future)
            outcome = self._outcome(future, one)
            future.release()
            if outcome is None or (outcome.again and one.tries < TRIES):
                number += 1
                self._submit(_Running(one.case, one.known, one.tries + (outcome is not None), one.lost + (outcome is None)), number, running, ended)
                continue
            if outcome.row:
                self.ledger.add(outcome.row)
                if self.keep:
                    self.rows[one.case.id] = outcome.row
            more()
            yield outcome

    def _unfinished(self, cases: Iterable[CohortCase]) -> Iterator[_Running]:
        key = self.job.key
        for case in cases:
            row = self.ledger.rows.pop(case.id, None)
            known = row if row is not None and row.get("job") == key else None
            if known is not None and known["stamps"] == [place.stamp() for place in case.places] and self._is_there(known):
                self.before += 1
                if self.keep:
                    self.rows[case.id] = known
                continue
            yield _Running(case, known)

    def _is_there(self, row: Row) -> bool:
        return not row["output"] or self.job.out.under(row["output"]).stamp() == row["left"]

    def _submit(self, one: _Running, number: int, running: dict[Future[Outcome], _Running], ended: Any) -> None:
        future = self.client.submit(
            perform, self.job, one.case, one.known, __version__, key=f"medseg-{id(self)}-{number}", pure=False, resources=self.resources or None,
        )
        running[future] = one
        ended.add(future)

    def _outcome(self, future: Future[Outcome], one: _Running) -> Outcome | None:
        """How a case ended; None where a worker died with the answer in its hands, which is no fault of the case."""
        from distributed import KilledWorker

        error: BaseException | None = None
        with suppress(CancelledError, AsyncCancelledError):
            if future.status == "finished":
                outcome: Outcome = future.result()
                return outcome
            error = future.exception() if future.status == "error" else None
        if error is None:
            if self.client.status == "running" and one.lost < LOST:
                return None
            todo = "Start the command again: what is finished is not done twice"
            raise UnavailableError("the scheduler is gone, or gave up its tasks", where="cohort", todo=todo)
        if isinstance(error, KilledWorker):
            todo = "Give each worker more memory (--memory), start fewer, or look at this scan alone"
            return failed(one.case, "KilledWorker", "its worker died again and again, perhaps because the memory was full", todo=todo, again=True)
        what = f"the worker could not do it ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        return failed(one.case, type(error).__name__, what, todo="Install the same version everywhere, and see the worker's log")

    def _room(self) -> int:
        """Threads of all workers; asked for now and then, since they come and go."""
        when, found = self._threads
        if time.monotonic() - when > LOOK_S:
            found = max(1, sum(self.client.nthreads().values()))
            self._threads = (time.monotonic(), found)
        return found


def told(outcomes: Iterable[Outcome], total: Callable[[], int], before: Callable[[], int]) -> Iterator[CohortTick]:
    """Outcomes as ticks, with how many there are and were finished before."""
    ended = bad = 0
    for outcome in outcomes:
        ended += 1
        bad += outcome.state == "failed"
        there, done = max(total(), ended + before()), ended + before()
        yield CohortTick(done / there if there else None, f"{done:,} of {there:,} cases" + (f", {bad:,} failed" if bad else ""), outcome)
