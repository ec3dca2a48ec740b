"""Every command under its name; what they do is in the files of their families."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_medseg import __version__
from napari_medseg.cli import (
    about,
    comparing,
    exporting,
    files,
    learning,
    learning_sets,
    measuring,
    project,
    proposing,
    reporting,
    reviewing,
    segmenting,
    statistics,
    weak,
    weak_tidy,
    window,
)

app = typer.Typer(
    name="medseg",
    help="From unlabelled CT and MR scans to a trained segmenter. `medseg` alone opens the window; `medseg COMMAND --help` shows an example of each.",
    rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=False, add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
project_app = typer.Typer(help="A study on disk: its cases, their label versions and their history.", rich_markup_mode=None, no_args_is_help=True)
weak_app = typer.Typer(help="Weak labels from seeds, scribbles or a few annotated slices, and their clean-up.", rich_markup_mode=None, no_args_is_help=True)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"napari-medseg {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _bare(
    context: typer.Context,
    sample: Annotated[str | None, typer.Option(help="Open the window with this sample scan: brain1, lung2 or breast1.")] = None,
    _shown: Annotated[bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)] = False,
) -> None:
    if context.invoked_subcommand is None:
        window.window(paths=None, sample=sample)


app.command()(window.window)
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
project_app.command("list")(project.list_)
app.command()(segmenting.segment)
app.command()(learning.refine)
app.command()(learning_sets.refine_sets)
app.command()(proposing.propose)
app.command()(exporting.export_model)
app.command()(measuring.measure)
app.command()(comparing.compare)
app.command()(statistics.statistics)
app.command()(reporting.report)
app.command()(reviewing.review)
app.command()(about.catalogue)
app.command()(about.doctor)
