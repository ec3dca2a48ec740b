"""Open napari with the Medseg dock, a scan in it, and the Guide saying what to do first."""

from __future__ import annotations

import gc
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PLUGIN = "napari-medseg"
DOCK = "Medseg"
CASES = "Cases"
SMALL_SCREEN = 1600
MEDICAL = ("*.nii", "*.nii.gz", "*.nrrd", "*.nhdr", "*.mha", "*.mhd", "*.gipl", "*.gipl.gz", "*.dcm", "*.dicom", "*.ima")
"""Files that are scans or their labels whatever else napari could read them with."""


def open_window(
    sample: str | None = None, paths: Sequence[str | Path] = (), series: str | None = None, *, show: bool = True, review: str | None = None, rater: str = "",
) -> Any:
    """A napari viewer with our dock.

    Parameters
    ----------
    sample : str, optional
        "brain1", "lung2" or "breast1".
    paths : files, DICOM folders or a study to open
        Folders and large files appear when they are read.
    series : str, optional
        Which series of the folders: UID, number or description; else a folder of several asks.
    show : bool
        Whether to show the window at once.
    review : str, optional
        Folder of a blinded review to be answered at once, by `rater`.
    """
    import napari

    from napari_medseg.gui.desk import desk_for, on_quit
    from napari_medseg.gui.style import dock_width

    viewer = napari.Viewer(title="Medseg", show=show, show_welcome_screen=False)
    if show:
        _fill_screen(viewer.window._qt_window)  # before the docks, which take seconds on a slow machine: napari's own size may lie beyond the screen's edge
    dock, _ = viewer.window.add_plugin_dock_widget(PLUGIN, DOCK)
    desk = desk_for(viewer)
    show_cases(viewer)
    on_quit(desk.shut)
    if sample is not None:
        desk.open_sample(sample)
    for path in paths:
        desk.open_path(Path(path), series)
    if review is not None:
        desk.session.reviewing.blinded.start_when_ready(Path(review), rater)
    if show:
        _lay_out(viewer, dock, dock_width())
    return viewer


def prefer_our_reader() -> None:
    """Have napari open medical files with our reader without asking which one, in this process alone: what it takes from the environment it does not save."""
    os.environ["NAPARI_PLUGINS_EXTENSION2READER"] = json.dumps(dict.fromkeys(MEDICAL, PLUGIN))


def leave_modules_out() -> None:
    """Modules stay as long as the program: searched through again and again for what may go, they held the window up by 0.2 s at a time."""
    from napari_medseg.gui import cases_dock, window  # noqa: F401  # what the docks would load

    gc.freeze()


def show_cases(viewer: Any) -> None:
    """Open the Cases dock, unless it is open."""
    window = getattr(viewer, "window", None)
    if window is not None:
        window.add_plugin_dock_widget(PLUGIN, CASES)


def main(
    sample: str | None = None, paths: Sequence[str | Path] = (), series: str | None = None, review: str | None = None, rater: str = "",
    starter: int | None = None,
) -> int:
    """Run the window until it is closed, or until the process `starter` is gone."""
    prefer_our_reader()
    import napari

    from napari_medseg.gui.resting import RestingSearch

    leave_modules_out()
    logging.getLogger("napari_medseg").setLevel(logging.INFO)
    viewer = open_window(sample, paths, series, review=review, rater=rater)
    RestingSearch(viewer.window._qt_window)
    if starter is not None:
        from napari_medseg.gui.starter import Starter

        Starter(starter, viewer.window._qt_window)
    napari.run()
    return 0


def _fill_screen(window: Any) -> None:
    """Fill a small screen, at the first launch any."""
    from napari.settings import get_settings

    small = window.screen() is not None and window.screen().availableGeometry().width() <= SMALL_SCREEN
    if small or get_settings().application.window_size is None:  # napari has no size from before; its own leaves a scan 380 pixels
        window.showMaximized()


def _lay_out(viewer: Any, dock: Any, width: int) -> None:
    """Put the docks where they were left or give ours its width; show the whole scan on the canvas."""
    from qtpy.QtCore import Qt, QTimer

    from napari_medseg.gui.dock_layout import DockLayout
    from napari_medseg.gui.first_fit import FirstFit
    from napari_medseg.gui.ortho_frame import find_canvas

    window = dock.window()
    layout = DockLayout(window)

    def settle() -> None:
        if not layout.restore():
            window.resizeDocks([dock], [width], Qt.Orientation.Horizontal)
        canvas = find_canvas(window)
        if canvas is not None:
            FirstFit(canvas, viewer.reset_view)

    QTimer.singleShot(300, settle)
