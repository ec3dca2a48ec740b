"""The two jobs that need nothing but a cohort: labels for every scan, figures for every mask. Both are engines: iterate for ticks, close to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from napari_medseg.cluster.cohort.cases import CohortCase, cohort_in, pairs_in
from napari_medseg.cluster.cohort.jobs import Job, MeasureJob, SegmentJob
from napari_medseg.cluster.cohort.ledger import opened
from napari_medseg.cluster.cohort.places import Place
from napari_medseg.cluster.cohort.run import CohortTick, Work, told
from napari_medseg.cluster.cohort.workers import Workers, connected
from napari_medseg.errors import InvalidInputError


def segment_cohort(source: Place, job: SegmentJob, workers: Workers, found: Callable[[str], None] = lambda _: None) -> Iterator[CohortTick]:
    """Segment every scan of a place.

    Parameters
    ----------
    source : Place
        A folder of scans, a tree of DICOM folders, or a store with either.
    job : SegmentJob
    workers : Workers
    found : callable
        Told where the dashboard is, if there is one.

    Yields
    ------
    CohortTick
        One a case; cases that were finished before are only counted.

    Raises
    ------
    MedsegError
        When the source, the segmenter, the workers or the place of the results are not what they should be.
    """
    if source == job.out:
        raise InvalidInputError("would be written into", where=source.name, todo="Give another folder")
    job.check()
    cohort = cohort_in(source)
    yield CohortTick(0.0, f"{len(cohort):,} cases")
    yield from each(cohort.cases(), len(cohort), job, workers, found)


def measure_cohort(pred: Place, truth: Place, job: MeasureJob, workers: Workers, found: Callable[[str], None] = lambda _: None) -> Iterator[CohortTick]:
    """Compare every mask of a place with its truth in another, under the same name; arguments as `segment_cohort`.

    Raises
    ------
    MedsegError
        As `segment_cohort`; also when a mask has no truth.
    """
    pairs = list(pairs_in(pred, truth))
    yield CohortTick(0.0, f"{len(pairs):,} cases")
    yield from each(pairs, len(pairs), job, workers, found)


def each(cases: Iterable[CohortCase], total: int, job: Job, workers: Workers, found: Callable[[str], None]) -> Iterator[CohortTick]:
    """A job on cases, with a ledger beside its results."""
    with opened(job.out) as ledger, connected(workers) as client:
        if client.dashboard_link and workers.dashboard:
            found(client.dashboard_link)
        work = Work(client, job, ledger, workers.resources, keep=isinstance(job, MeasureJob))
        yield from told(work.handed_out(cases), lambda: total, lambda: work.before)
        yield CohortTick(1.0, "Done", before=work.before, rows=tuple(work.rows.values()))
