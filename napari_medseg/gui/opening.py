"""Opening scans beside the window: headers, voxels and pictures are read in a thread, layers appear when they are ready."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QObject

from napari_medseg.errors import InvalidInputError
from napari_medseg.gui.chooser import SeriesChooser
from napari_medseg.gui.layers import LayerTuple, image_layers, volume_layers
from napari_medseg.session.choosing import Row, folder_name, only_one, require_several, rows_of
from napari_medseg.session.session import Session
from napari_medseg.volume import Volume

LARGE_FILE = 32 << 20
"""Files from this size on are read beside the window."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A tick of the work."""

    fraction: float | None
    message: str


class Opener(QObject):
    """Opens files and folders into one viewer.

    Parameters
    ----------
    session : Session
        Its jobs do the reading, its report tells what went wrong.
    viewer : napari viewer
    """

    def __init__(self, session: Session, viewer: Any, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._viewer = session, viewer
        self._numbers = count(1)
        self.choosers: list[SeriesChooser] = []

    def open(self, path: Path, series: str | None = None) -> None:
        """Open a file, or a folder: its only series straight away, several through the chooser."""
        if series is not None or not path.is_dir():
            self._read(path, [series])
            return
        found: list[tuple[Row, ...]] = []

        def look() -> Iterator[Opening]:
            from napari_medseg import io

            yield Opening(None, "Reading headers")
            found.append(rows_of(io.describe(path)))

        def done() -> None:
            single = only_one(found[0])
            if single is not None or len(found[0]) == 1:  # one that cannot be read says why when it is opened
                self._read(path, [None])
            else:
                self._choose(path, found[0])

        self._start(f"Looking through {folder_name(path)}", look, done)

    def open_channels(self, path: Path, keys: Sequence[str]) -> None:
        """Open several series of a folder as the channels of one scan."""
        try:
            require_several(keys)
        except InvalidInputError as error:
            self._session.report(error)
            return
        self._read(path, list(keys), together=True)

    def combine(self, volumes: Sequence[Volume]) -> None:
        """Show scans that are open as the channels of one more scan, on the grid of the finest."""
        made: list[LayerTuple] = []

        def work() -> Iterator[Opening]:
            yield Opening(None, "Sampling onto one grid")
            require_several([v.name for v in volumes])
            made.extend(_together(volumes))

        self._start("Putting scans together", work, lambda: self._add(made))

    def close(self) -> None:
        """The window goes."""
        for chooser in list(self.choosers):
            chooser.close()

    # -- inside --------------------------------------------------------------------------------------------------------------------------------------------

    def _choose(self, path: Path, rows: tuple[Row, ...]) -> None:
        chooser = SeriesChooser(path, rows, _window())
        chooser.chosen.connect(lambda keys: self._read(path, list(keys)))
        chooser.chosen_together.connect(lambda keys: self.open_channels(path, list(keys)))
        chooser.finished.connect(lambda _: self.choosers.remove(chooser))
        self.choosers.append(chooser)
        chooser.show()

    def _read(self, path: Path, keys: Sequence[str | None], *, together: bool = False) -> None:
        made: list[LayerTuple] = []

        def work() -> Iterator[Opening]:
            from napari_medseg import io

            volumes = []
            for index, key in enumerate(keys):
                yield Opening(index / len(keys) if len(keys) > 1 else None, f"Reading {path.name}")
                volumes.append(io.read(path, series=key))
            if together:
                yield Opening(None, "Sampling onto one grid")
                made.extend(_together(volumes))
            else:
                made.extend(layer for volume in volumes for layer in volume_layers(volume))

        self._start(f"Opening {folder_name(path)}", work, lambda: self._add(made))

    def _start(self, title: str, work: Callable[[], Iterator[Opening]], done: Callable[[], None]) -> None:
        key = f"open {next(self._numbers)}"
        self._session.jobs.start(key, title, work, apply=lambda tick: None, done=done, failed=self._session.report, own_thread=True)

    def _add(self, made: Sequence[LayerTuple]) -> None:
        for data, keywords, kind in made:
            self._viewer.add_layer(Layer.create(data, keywords, kind))


def _together(volumes: Sequence[Volume]) -> list[LayerTuple]:
    from napari_medseg.volume.fusion import combine

    return image_layers(combine(volumes), " + ".join(v.name for v in volumes))


def _window() -> Any:
    from qtpy.QtWidgets import QApplication

    return QApplication.activeWindow()
