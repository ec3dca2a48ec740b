"""The window, started as a process of its own: this room knows no Qt."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Annotated

import typer

from napari_medseg.catalogue import install_hint
from napari_medseg.cli.answer import Answer, answering
from napari_medseg.errors import InvalidInputError, MedsegError, MissingFileError, UnavailableError

BINDINGS = ("PyQt6", "PyQt5", "PySide6")
SAMPLES = ("brain1", "lung2", "breast1")


@answering
def window(
    paths: Annotated[list[Path] | None, typer.Argument(help="Scans to open: files or DICOM folders.", show_default=False)] = None,
    series: Annotated[str | None, typer.Option(help="Which series of a DICOM folder: its UID, number or description. Without it the window asks.")] = None,
    sample: Annotated[str | None, typer.Option(help=f"Open a sample scan: {', '.join(SAMPLES)}.")] = None,
) -> Answer:
    """Open the window; `medseg` alone does the same.

    Example: medseg window scan.nii.gz
    """
    opened = list(paths or [])
    if sample is not None and sample not in SAMPLES:
        raise InvalidInputError(f"there is no sample '{sample}'", where="--sample", todo=f"Choose one of: {', '.join(SAMPLES)}")
    for path in opened:
        if not path.exists():
            raise MissingFileError("there is no such file or folder", where=path, todo="Check the path")
    chosen = [] if sample is None else ["--sample", sample]
    chosen += [] if series is None else ["--series", series]
    run_window([*chosen, "--", *map(str, opened)])
    return Answer({"opened": opened}, "")


def run_window(arguments: Sequence[str]) -> None:
    """Run the window as a process of its own, until it is closed.

    Raises
    ------
    UnavailableError
        When there is no Qt binding or no display.
    MedsegError
        When it ended with an error.
    """
    if not any(_installed(name) for name in BINDINGS):
        raise UnavailableError("no Qt binding is installed", where="window", todo=install_hint(["napari-medseg[pyqt6]"]))
    if not has_display():
        raise UnavailableError("there is no display", where="window", todo="Run `medseg demo --out medseg-demo`, or any other command: none needs a window")
    command = [sys.executable, "-m", "napari_medseg.gui", "--starter", str(os.getpid()), *arguments]
    code = subprocess.run(command, env={**_preferred_binding(), **os.environ}, check=False).returncode
    if code:
        raise MedsegError(f"the window ended with code {code}", where="window", todo="See the lines above, and `medseg doctor`")


def has_display() -> bool:
    """Whether a window can be shown here: X11 or Wayland on Linux; elsewhere there always is one."""
    if sys.platform != "linux":
        return True
    without = os.environ.get("QT_QPA_PLATFORM", "").partition(":")[0] in ("offscreen", "minimal", "vnc", "eglfs", "linuxfb")
    return without or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _preferred_binding() -> dict[str, str]:
    """The first installed binding for qtpy, which by itself would take PyQt5, deprecated in napari, where several are installed."""
    return next(({"QT_API": name.lower()} for name in BINDINGS if _installed(name)), {})


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
