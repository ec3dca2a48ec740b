"""Refinement over a cohort: rounds on the scans that have labels, as `refine` does them, in one task; then the model's labels for all other scans.

The proposals for labelled scans are part of the rounds (each comes from networks that did not learn from its patient), so these come out as on one machine. The
folder of the run must be one that the worker and this machine both see: rounds are kept there, and a training whose worker died goes on from its checkpoint.
"""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medseg import __version__
from napari_medseg.cluster.cohort.cases import CohortCase, cohort_in
from napari_medseg.cluster.cohort.jobs import SegmentJob, key_of
from napari_medseg.cluster.cohort.ledger import Ledger, opened
from napari_medseg.cluster.cohort.places import Place
from napari_medseg.cluster.cohort.run import CohortTick, Work, told
from napari_medseg.cluster.cohort.work import require_version
from napari_medseg.cluster.cohort.workers import Workers, connected
from napari_medseg.errors import InvalidInputError, MissingFileError, NoLabelsError, TrainingError, UnavailableError
from napari_medseg.io import read
from napari_medseg.refine import Case, RefineRequest, RefineRun, unfinished
from napari_medseg.refine.cases import read_label_map
from napari_medseg.segmenters.named import MODEL, Named

if TYPE_CHECKING:
    from distributed import Client

TRAINING, PROPOSED, TOPIC = "/training", "proposed", "medseg-training"  # no case is named so
TELL_S = 1.0
Facts = dict[str, Any]
HELD_S = 60.0
"""How long a training whose worker died may take to leave its folder."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A scan to learn from and its label map."""

    name: str
    scan: CohortCase
    labels: Place


def refine_cohort(
    source: Place, labels: Place, request: RefineRequest, workers: Workers, found: Callable[[str], None] = lambda _: None,
) -> Iterator[CohortTick]:
    """Refine over a cohort.

    Parameters
    ----------
    source, labels : Place
        Scans; label maps for some or all of them, under the same names.
    request : RefineRequest
        Its `out` is the run's folder; its cases are not looked at.
    workers : Workers
    found : callable
        Told where the dashboard is, if there is one.

    Yields
    ------
    CohortTick
        Of the training, then one a scan that had no label; the last one's `facts` are the rounds'.

    Raises
    ------
    MedsegError
        When source, labels, request, workers or the folder are not what they should be, or the training fails.
    """
    if request.out is None:
        raise InvalidInputError("rounds need a folder to be kept in", where="cohort", todo="Give one that every worker can open")
    taught, others = divided(source, labels)
    yield CohortTick(0.0, f"{len(taught):,} cases to learn from, {len(others):,} others")
    place = Place.of(request.out)
    with opened(place) as ledger, connected(workers) as client:
        if client.dashboard_link and workers.dashboard:
            found(client.dashboard_link)
        facts = yield from _trained(client, ledger, request, taught, workers)
        job = SegmentJob(Named(str(Path(request.out, MODEL))), place.under(PROPOSED), device=request.device)
        work = Work(client, job, ledger, workers.resources)
        yield from told(work.handed_out(others), lambda: len(others), lambda: work.before)
        yield CohortTick(1.0, "Done", before=work.before, facts=facts)


def divided(source: Place, labels: Place) -> tuple[list[Labelled], list[CohortCase]]:
    """Scans with labels, and those without.

    Raises
    ------
    MissingFileError
        When a label map has no scan.
    NoLabelsError
        When there is no label map.
    """
    masks = cohort_in(labels).files
    if not masks:
        raise NoLabelsError("holds no label map", where=labels.name, todo="Make weak labels first, and save them under the names of their scans")
    taught, others = [], []
    for case in cohort_in(source).cases():
        if case.id not in masks:
            others.append(case)
            continue
        if case.fault is not None:
            raise case.fault
        name = case.places[0].name if case.suffix else f"{case.id}.nii.gz"
        taught.append(Labelled(name, case, masks.pop(case.id)))
    if masks:
        what = f"is a label map without its scan in {source.name}"
        raise MissingFileError(what, where=masks[min(masks)].name, todo="Give both the same name")
    return taught, others


def _trained(client: Client, ledger: Ledger, request: RefineRequest, taught: list[Labelled], workers: Workers) -> Generator[CohortTick, None, Facts]:
    """The rounds' facts; from the ledger where this very training is done."""
    settings: Facts = asdict(request.recipe) if is_dataclass(request.recipe) else {}
    stamps = [[one.scan.places[0].stamp(), one.scan.series, one.labels.stamp()] for one in taught]
    extras = [Place.of(maps).stamp() for maps in (request.corrected, request.verified) if isinstance(maps, Path)]
    key = key_of("refine", request.recipe.name, settings, request.base, request.seed, request.start, request.freeze, request.every_round, stamps, extras)
    row = ledger.rows.get(TRAINING, {})
    if row.get("job") == key and row.get("facts") and Path(str(request.out), MODEL).is_dir():
        yield CohortTick(None, "The rounds were done before")
        done: Facts = row["facts"]
        return done
    heard: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    client.subscribe_topic(TOPIC, lambda event: heard.put(event[1]))
    future = client.submit(
        train, request, taught, key, __version__, key=f"medseg-training-{key[:12]}-{time.time_ns()}", pure=False, resources=workers.resources or None,
    )
    while not future.done():
        with suppress(queue.Empty):
            said = heard.get(timeout=TELL_S)
            yield CohortTick(said["fraction"], said["message"])
    client.unsubscribe_topic(TOPIC)
    if future.status != "finished":
        raise _of(future)
    facts: Facts = future.result()
    ledger.add({"case": TRAINING, "job": key, "facts": facts})
    return facts


def _of(future: Any) -> Exception:
    error = future.exception() if future.status == "error" else None
    if isinstance(error, (TrainingError, InvalidInputError, MissingFileError, NoLabelsError)) or (error is not None and hasattr(error, "todo")):
        return error
    if error is None:
        return UnavailableError("the scheduler is gone, or gave up its tasks", where="cohort", todo="Start the command again: finished rounds are kept")
    return TrainingError(
        f"the worker that trains ended again and again ({type(error).__name__})", where="cohort",
        todo="Give it more memory, or see its log, and start the command again: finished rounds are kept",
    )


def train(request: RefineRequest, taught: list[Labelled], key: str, version: str) -> dict[str, Any]:
    """The rounds, on a worker, in a process of their own as everywhere; their facts for JSON.

    Parameters
    ----------
    key : str
        By which a training that was cut off in the folder is known as this very one.
    """
    from distributed import get_worker

    require_version(version)
    worker, said = get_worker(), 0.0
    out = Path(str(request.out))
    began = out / f".{TOPIC}"
    run = _goes_on(out) if began.is_file() and began.read_text(encoding="utf-8") == key else None
    if run is None:
        out.mkdir(parents=True, exist_ok=True)
        began.write_text(key, encoding="utf-8")
        run = RefineRun(replace(request, cases=tuple(_read(one) for one in taught)), threads=_threads())
    result = None
    for tick in run:
        result = tick.result or result
        if time.monotonic() - said > TELL_S:
            worker.log_event(TOPIC, {"fraction": tick.fraction, "message": tick.message})
            said = time.monotonic()
    began.unlink(missing_ok=True)
    if result is None:
        raise TrainingError("ended without a result", where=request.recipe.name, todo="Try another recipe")
    return {name: value for name, value in result.as_dict().items() if name != "lineage"}


def _goes_on(out: Path) -> RefineRun | None:
    """The run that was cut off here, once nobody holds it any more; None where there is none."""
    until = time.monotonic() + HELD_S
    while (out / ".run").is_dir():
        if unfinished(out):
            return RefineRun.resume(out, _threads())
        if time.monotonic() > until:
            return None
        time.sleep(TELL_S)
    return None


def _read(one: Labelled) -> Case:
    with one.scan.places[0].fetched() as path:
        image = read(path, series=one.scan.series or None)
        with one.labels.fetched() as labels:
            return Case(one.name, image, read_label_map(labels, image))


def _threads() -> int:
    """As a refinement takes that is asked for on one machine; a worker is given one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if cores <= 2 else cores - 1
