"""cohort: one piece of work over very many scans, on this machine's processes or a Dask cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from napari_medseg import catalogue
from napari_medseg.cli.answer import Answer, answering, shown
from napari_medseg.cli.arguments import device_of, named_values
from napari_medseg.cli.learning import BASE_HELP, NETWORK_HELP, base_of, settings_of
from napari_medseg.cli.measuring import summed, tables_at, write_tables
from napari_medseg.cli.pairs import Measured
from napari_medseg.cluster.cohort.engines import measure_cohort, segment_cohort
from napari_medseg.cluster.cohort.jobs import MeasureJob, SegmentJob
from napari_medseg.cluster.cohort.places import Place
from napari_medseg.cluster.cohort.run import CohortTick
from napari_medseg.cluster.cohort.workers import Workers
from napari_medseg.errors import InvalidInputError, MissingFileError
from napari_medseg.metrics.surface import TOLERANCE_MM
from napari_medseg.segmenters.named import Named

FEW = 20
"""Failed cases that are written out; `--json` has all."""

Source = Annotated[str, typer.Argument(help="Folder of scans, tree of DICOM folders, or an address such as s3://bucket/scans.", show_default=False)]
Target = Annotated[str, typer.Argument(help="Folder or address for what comes out, with the list of what is done (cohort.jsonl).", show_default=False)]
Scheduler = Annotated[str, typer.Option(help="Address of a Dask scheduler; else workers are started here.", show_default=False)]
Count = Annotated[int, typer.Option(min=0, help="Processes to start here.", show_default="one a core, at most 4")]
Memory = Annotated[str, typer.Option(help="What each process started here may take, such as 4GB.")]
Gpu = Annotated[bool, typer.Option("--gpu", help="Ask only workers that were started with --resources GPU=1, one case at a time each.")]
Ca = Annotated[Path | None, typer.Option("--tls-ca", help="Certificate (PEM) that the scheduler's is signed by.", show_default=False)]
Cert = Annotated[Path | None, typer.Option("--tls-cert", help="Our certificate (PEM).", show_default=False)]
Key = Annotated[Path | None, typer.Option("--tls-key", help="Its key (PEM).", show_default=False)]
Dashboard = Annotated[bool, typer.Option("--dashboard/--no-dashboard", help="Whether processes started here show what they do on a page.")]
Device = Annotated[str, typer.Option(help="Of the workers: auto, cpu, cuda, cuda:1 or mps.")]


@answering
def segment(
    src: Source, dst: Target,
    with_: Annotated[str, typer.Option("--with", help="A segmenter's id from `medseg catalogue`, or what `medseg refine` wrote.", show_default=False)],
    answers: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="What the segmenter asks for, see `medseg catalogue`.")] = None,
    also: Annotated[list[str] | None, typer.Option(help="Another segmenter or model, averaged with the first; may be given several times.")] = None,
    mirror: Annotated[list[str] | None, typer.Option(help="Average over mirror images too: left-right, front-back, head-feet; several are allowed.")] = None,
    suffix: Annotated[str, typer.Option(help="Ending of the masks, such as .nii.gz or .seg.dcm.", show_default="that of the scan, else .nii.gz")] = "",
    device: Device = "auto",
    scheduler: Scheduler = "", workers: Count = 0, memory: Memory = "auto", gpu: Gpu = False, tls_ca: Ca = None, tls_cert: Cert = None, tls_key: Key = None,
    dashboard: Dashboard = True,
) -> Answer:
    """Segment every scan of a folder, a DICOM tree or a store. A second start does only what is missing; a scan that cannot be segmented is told.

    Example: medseg cohort segment scans masks --with study/model --workers 4

    Example: medseg cohort segment s3://bucket/scans s3://bucket/masks --with unet --gpu --scheduler tcp://farm:8786
    """
    named = Named(_placed(with_), tuple(named_values(answers or [], "folder=my_model").items()), tuple(map(_placed, also or ())), tuple(mirror or ()))
    job = SegmentJob(named, Place.of(dst), suffix, device_of(device) if not scheduler else device)
    ticks = segment_cohort(Place.of(src), job, Workers(scheduler, workers, memory, gpu, tls_ca, tls_cert, tls_key, dashboard), _told_dashboard)
    return answer_of(*followed(ticks), dst)


@answering
def measure(
    src: Annotated[str, typer.Argument(help="Folder or address of the masks to judge.", show_default=False)],
    truth: Annotated[str, typer.Argument(help="Folder or address of the true masks, under the same names.", show_default=False)],
    dst: Target,
    tolerance: Annotated[float, typer.Option(min=0, help="Surface Dice at this many mm too.")] = TOLERANCE_MM,
    csv: Annotated[Path | None, typer.Option(help="Write a row a case and class, and NAME-summary.csv too.", show_default=False)] = None,
    scheduler: Scheduler = "", workers: Count = 0, memory: Memory = "auto", tls_ca: Ca = None, tls_cert: Cert = None, tls_key: Key = None,
    dashboard: Dashboard = True,
) -> Answer:
    """Compare every mask of a folder or store with its truth, and sum the figures up as `medseg measure` does.

    Example: medseg cohort measure masks truths figures --csv figures.csv
    """
    ticks = measure_cohort(
        Place.of(src), Place.of(truth), MeasureJob(Place.of(dst), tolerance), Workers(scheduler, workers, memory, False, tls_ca, tls_cert, tls_key, dashboard),
        _told_dashboard,
    )
    tables = tables_at(csv, True)
    final, failures, done, seconds = followed(ticks)
    cases = [Measured(1.0, "", row["case"], row["facts"]["classes"], row["facts"]["confusion"]) for row in sorted(final.rows, key=lambda row: str(row["case"]))]
    facts, means, summary = summed(cases)
    if tables:
        write_tables(tables, facts["cases"], summary)
        facts["csv"] = tables
    told = answer_of(final, failures, done, seconds, dst)
    facts |= {"figures": facts.pop("cases"), "tolerance_mm": tolerance}
    return Answer({**told.facts, **facts}, f"{told.text}\n{means}", told.code)


@answering
def refine(
    src: Source,
    labels: Annotated[str, typer.Argument(help="Label maps for some or all of the scans, under the same names; 255 is unknown.", show_default=False)],
    dst: Annotated[Path, typer.Argument(help="Folder that every worker can open: rounds, final labels, the model and proposed/.", show_default=False)],
    rounds: Annotated[int | None, typer.Option(min=1, help="How often to train and predict; else as the recipe says.")] = None,
    base: Annotated[str | None, typer.Option(help=BASE_HELP, show_default=False)] = None,
    recipe: Annotated[str, typer.Option(help="A recipe's id from `medseg catalogue`.")] = "medseg",
    network: Annotated[str | None, typer.Option(metavar="ID", help=NETWORK_HELP, show_default=False)] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the recipe, for example batch=1.")] = None,
    corrected: Annotated[Path | None, typer.Option(help="Folder of corrected labels: taught from; 255 is unknown.")] = None,
    verified: Annotated[Path | None, typer.Option(help="Folder of verified labels: only checked against, never trained on.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed on the same machine gives the same labels.")] = 0,
    device: Device = "auto",
    processes: Annotated[int, typer.Option(min=1, help="That learn together on the worker's machine.")] = 1,
    scheduler: Scheduler = "", workers: Count = 0, memory: Memory = "auto", gpu: Gpu = False, tls_ca: Ca = None, tls_cert: Cert = None, tls_key: Key = None,
    dashboard: Dashboard = True,
) -> Answer:
    """Refine the labels of some scans on one worker, as `medseg refine` does, and let all workers propose labels for the others with the model.

    Example: medseg cohort refine scans weak_labels study --verified verified --workers 4
    """
    from napari_medseg.cluster.cohort.refining import refine_cohort
    from napari_medseg.refine import RefineRequest
    from napari_medseg.refine.spread import require_shareable

    for folder in filter(None, (corrected, verified)):
        if not folder.is_dir():
            raise MissingFileError("there is no such folder", where=folder, todo="Check the path")
    if Place.of(dst) in (Place.of(src), Place.of(labels)):
        raise InvalidInputError("would be written into", where=dst, todo="Give another folder")
    chosen = catalogue.load().find(recipe, "recipe").build(**settings_of(settings or [], rounds=rounds, network=network))
    require_shareable(chosen, processes)
    request = RefineRequest(
        (), chosen, None if base is None else base_of(base).absolute(), dst.absolute(), corrected and corrected.absolute(), verified and verified.absolute(),
        seed=seed, device=device_of(device) if not scheduler else device, processes=processes,
    )
    who = Workers(scheduler, workers, memory, gpu, tls_ca, tls_cert, tls_key, dashboard)
    ticks = refine_cohort(Place.of(src), Place.of(labels), request, who, _told_dashboard)
    final, failures, done, seconds = followed(ticks)
    told = answer_of(final, failures, done, seconds, str(dst))
    text = f"adopted: round {final.facts['best_round']}; labels in {dst / 'final'}, those of the other scans in {dst / 'proposed'}\n{told.text}"
    return Answer({**told.facts, "training": final.facts}, text, told.code)


def followed(ticks: Iterator[CohortTick]) -> tuple[CohortTick, list[dict[str, str]], int, float]:
    """The last tick, what failed, how many cases were done now, and in how many seconds."""
    failures: list[dict[str, str]] = []
    done, final, started = 0, CohortTick(1.0, "Done"), time.monotonic()
    for tick in shown(ticks):
        final = tick
        if tick.outcome is not None and tick.outcome.state == "failed":
            failures.append({"case": tick.outcome.case, **tick.outcome.error})
        elif tick.outcome is not None:
            done += 1
    return final, failures, done, time.monotonic() - started


def answer_of(final: CohortTick, failures: Sequence[dict[str, str]], done: int, seconds: float, dst: str) -> Answer:
    """What came of a cohort: a table for a person, exit code 1 where a case failed."""
    facts = {"cases": done + final.before + len(failures), "done": done, "before": final.before, "failed": failures, "seconds": round(seconds, 2), "out": dst}
    lines = [f"{'done':<18}{done:>9,}   {seconds:.1f} s, {done / seconds:.2f} cases a second" if done else f"{'done':<18}{done:>9,}"]
    lines += [f"{'finished before':<18}{final.before:>9,}", f"{'failed':<18}{len(failures):>9,}"]
    lines += [f"  {one['case']}: {one['what']}. {one['todo']}" for one in failures[:FEW]]
    lines += [f"  and {len(failures) - FEW:,} more, see --json"] if len(failures) > FEW else []
    return Answer(facts, "\n".join([*lines, f"results in {dst}"]), 1 if failures else 0)


def _placed(name: str) -> str:
    """A model's path as every process understands it; an id stays as it is."""
    return str(Path(name).absolute()) if Path(name).exists() and name not in catalogue.load().entries else name


def _told_dashboard(link: str) -> None:
    typer.echo(f"Dashboard: {link}", err=True)
