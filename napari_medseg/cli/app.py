"""Every command under its name; what they do is in the files of their families."""

from __future__ import annotations

import typer

from napari_medseg.cli import (
    about,
    cohort,
    comparing,
    exchanging,
    exporting,
    files,
    learning,
    learning_sets,
    measuring,
    pacs,
    pretraining,
    project,
    proposing,
    pruning,
    reporting,
    reviewing,
    segmenting,
    serving,
    statistics,
    team,
    weak,
    weak_tidy,
)
from napari_medseg.cli.bare import app

__all__ = ["app"]

project_app = typer.Typer(help="A study on disk: its cases, their label versions and their history.", rich_markup_mode=None, no_args_is_help=True)
exchange_app = typer.Typer(help="Weights travel instead of scans: sites train one base and share what changed.", rich_markup_mode=None, no_args_is_help=True)
cohort_app = typer.Typer(help="One piece of work over very many scans, on several processes or a Dask cluster.", rich_markup_mode=None, no_args_is_help=True)
pacs_app = typer.Typer(help="A hospital's archive: look for scans, pull a series, give a segmentation back.", rich_markup_mode=None, no_args_is_help=True)
weak_app = typer.Typer(help="Weak labels from seeds, scribbles or a few annotated slices, and their clean-up.", rich_markup_mode=None, no_args_is_help=True)

app.command()(about.demo)
app.command()(files.info)
app.command()(files.convert)
app.add_typer(weak_app, name="weak")
weak_app.command()(weak.levelset)
weak_app.command()(weak.scribble)
weak_app.command()(weak_tidy.interpolate)
weak_app.command()(weak_tidy.cleanup)
app.add_typer(project_app, name="project")
for one in (project.init, project.add, project.history, project.restore, project.export, project.check, project.recover, project.replay):
    project_app.command()(one)
for shared in (team.claim, team.release, team.who):
    project_app.command()(shared)
project_app.command("list")(project.list_)
app.command()(segmenting.segment)
app.command()(learning.refine)
app.command()(learning_sets.refine_sets)
app.command()(pretraining.pretrain)
app.command()(proposing.propose)
app.command()(pruning.prune)
app.command()(exporting.export_model)
app.add_typer(exchange_app, name="exchange")
for each in (exchanging.export, exchanging.merge, exchanging.apply):
    exchange_app.command()(each)
app.add_typer(cohort_app, name="cohort")
for many in (cohort.segment, cohort.refine, cohort.measure):
    cohort_app.command()(many)
app.add_typer(pacs_app, name="pacs")
pacs_app.command("test")(pacs.ask)
for to_archive in (pacs.find, pacs.pull, pacs.push):
    pacs_app.command()(to_archive)
app.command()(measuring.measure)
app.command()(comparing.compare)
app.command()(statistics.statistics)
app.command()(reporting.report)
app.command()(reviewing.review)
app.command()(serving.serve)
app.command()(about.catalogue)
app.command()(about.doctor)
