"""The product without its window: one program, `medseg`, one small file a family of commands."""

from __future__ import annotations

import io
import sys


def main() -> None:
    """Run `medseg` with the arguments of the command line."""
    from napari_medseg.cli.app import app

    _speak_plainly()
    app(prog_name="medseg")


def _speak_plainly() -> None:
    """Into a file or a pipe, Windows writes a code page that knows no "≥" and few names: what it lacks becomes a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
