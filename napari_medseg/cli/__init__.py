"""The product without its window: one program, `medseg`, one small file a family of commands."""

from __future__ import annotations


def main() -> None:
    """Run `medseg` with the arguments of the command line."""
    from napari_medseg.cli.app import app

    app(prog_name="medseg")
