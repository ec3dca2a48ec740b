"""`medseg` without a command, and `medseg window`: all that is loaded before the window's own process starts."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_medseg import __version__, notice
from napari_medseg.cli import window

app = typer.Typer(
    name="medseg",
    help="From unlabelled CT and MR scans to a trained segmenter. `medseg` alone opens the window; `medseg COMMAND --help` shows an example of each.",
    epilog=f"{notice.RESEARCH}.",
    rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=False, add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
