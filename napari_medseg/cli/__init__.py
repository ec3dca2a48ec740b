"""The product without its window: one program, `medseg`, one small file a family of commands."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence


def main() -> None:
    """Run `medseg` with the arguments of the command line; where they ask for the window, no other command is loaded, so that it opens sooner."""
    _speak_plainly()
    if asks_for_the_window(sys.argv[1:]):
        from napari_medseg.cli.bare import app
    else:
        from napari_medseg.cli.app import app
    app(prog_name="medseg")


def asks_for_the_window(words: Sequence[str]) -> bool:
    """Whether these arguments name no other command, nor want all of them listed."""
    left = list(words)
    while left and left[0].partition("=")[0] == "--sample":
        del left[: 1 if "=" in left[0] else 2]
    return not left or left[0] in ("window", "--version")


def _speak_plainly() -> None:
    """Into a file or a pipe, Windows writes a code page that knows no "≥" and few names: what it lacks becomes a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
