"""npe2 reader: a study's folder, dropped on the window or named on the command line, is opened in the Cases dock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_medseg.session.study import is_study

LayerTuple = tuple[Any, ...]


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerTuple]] | None:
    """A reader for one study; None leaves the path to others."""
    paths = [path] if isinstance(path, str) else list(path)
    return open_study if len(paths) == 1 and is_study(Path(paths[0])) else None


def open_study(path: str | Sequence[str]) -> list[LayerTuple]:
    """Open the study in the viewer that asked; there is no layer to show before a case is chosen."""
    import napari

    from napari_medseg.gui.desk import desk_for
    from napari_medseg.gui.launch import show_cases

    folder = Path(path if isinstance(path, str) else path[0])
    viewer = napari.current_viewer()
    if viewer is not None:
        show_cases(viewer)
        desk_for(viewer).session.study.open(folder)
    return [(None,)]
