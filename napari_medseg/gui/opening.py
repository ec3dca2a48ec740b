"""Opening scans beside the window: headers, voxels and pictures are read in a thread, layers appear when they are ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from qtpy.QtCore import QObject

from napari_medseg.errors import InvalidInputError, MedsegError, UnreadableFileError
from napari_medseg.gui.chooser import SeriesChooser
from napari_medseg.gui.large import full_detail
from napari_medseg.gui.layers import LayerTuple, image_layers, volume_layers
from napari_medseg.gui.pictures import Pictures
from napari_medseg.io.formats import format_of
from napari_medseg.session.choosing import Row, folder_name, only_one, require_several, rows_of
from napari_medseg.session.session import Session
from napari_medseg.session.state import LARGE_BYTES
from napari_medseg.volume import Geometry, Volume, axis_map
from napari_medseg.volume.fusion import split
from napari_medseg.volume.windows import presets

LABELS = ("SEG", "RTSTRUCT")
REDRAW_S = 0.2
LARGE_FILE = 32 << 20
"""Files from this size on are read beside the window."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A tick of the work.

    Attributes
    ----------
    layers : tuple of layer data
        To show already; their voxels go on coming.
    """

    fraction: float | None
    message: str
    layers: tuple[LayerTuple, ...] = ()


class Opener(QObject):
    """Opens files and folders into one viewer.

    Parameters
    ----------
    session : Session
        Its jobs do the reading, its report tells what went wrong.
    viewer : napari viewer
    pictures : Pictures
        Told of scans whose voxels still come.
    """

    def __init__(self, session: Session, viewer: Any, pictures: Pictures, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._viewer, self._pictures = session, viewer, pictures
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

    def begin(self) -> None:
        """A person opens something: what went wrong before is over."""
        self._session.trouble = ""
        self._session.changed.emit()

    def failed(self, error: MedsegError) -> None:
        """Tell why something was not opened."""
        self._session.report(error)

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

    def grids(self) -> list[Geometry]:
        """Of the scans that are open, the current one's first."""
        return [scan.geometry for scan in (self._session.current, *self._session.scans) if scan is not None]

    def close(self) -> None:
        """The window goes."""
        for chooser in list(self.choosers):
            chooser.close()

    def rethemed(self, theme: str) -> None:
        """The viewer's theme changed."""
        for chooser in self.choosers:
            chooser.rethemed(theme)

    # -- inside --------------------------------------------------------------------------------------------------------------------------------------------

    def _choose(self, path: Path, rows: tuple[Row, ...]) -> None:
        chooser = SeriesChooser(path, rows, _window(), str(self._viewer.theme))
        chooser.chosen.connect(lambda keys: self._read(path, list(keys)))
        chooser.chosen_together.connect(lambda keys: self.open_channels(path, list(keys)))
        chooser.finished.connect(lambda _: self.choosers.remove(chooser))
        self.choosers.append(chooser)
        chooser.show()

    def _read(self, path: Path, keys: Sequence[str | None], *, together: bool = False) -> None:
        made: list[LayerTuple] = []
        arriving = _Arriving(self._viewer, self._pictures)
        grids = self.grids()

        def work() -> Iterator[Opening]:
            _warm_up()
            volumes = []
            for index, key in enumerate(keys):
                yield Opening(index / len(keys) if len(keys) > 1 else None, f"Reading {path.name}")
                if len(keys) == 1 and is_series(path):
                    volumes.append((yield from _streamed(path, key)))
                else:
                    volumes.append(read_onto(path, key, grids))
            if together:
                yield Opening(None, "Sampling onto one grid")
                made.extend(_together(volumes))
            else:
                made.extend(layer for volume in volumes for layer in layers_of(path, volume))

        self._start(f"Opening {folder_name(path)}", work, lambda: arriving.finish(made), arriving.tick)

    def _start(self, title: str, work: Callable[[], Iterator[Opening]], done: Callable[[], None], apply: Callable[[Opening], None] | None = None) -> None:
        key = f"open {next(self._numbers)}"
        self.begin()
        self._session.jobs.start(key, title, work, apply=apply or (lambda tick: None), done=done, failed=self._session.report, own_thread=True)

    def _add(self, made: Sequence[LayerTuple]) -> None:
        _Arriving(self._viewer, self._pictures).finish(made)


class _Arriving:
    """Layers of one scan whose voxels still come: shown with the first slice, drawn again as more are there."""

    def __init__(self, viewer: Any, pictures: Pictures) -> None:
        self._viewer, self._pictures = viewer, pictures
        self._shown: list[Layer] = []
        self._drawn = 0.0

    def tick(self, tick: Opening) -> None:
        """More has come."""
        if tick.layers and not self._shown:
            self._shown = [self._show(layer) for layer in tick.layers]
            self._pictures.coming(self._shown[0])
        elif self._shown and time.monotonic() - self._drawn > REDRAW_S:
            for layer in self._shown:
                layer.refresh(extent=False, thumbnail=False, highlight=False)
            self._drawn = time.monotonic()

    def finish(self, made: Sequence[LayerTuple]) -> None:
        """All is there: the layers as they stay."""
        for index, (data, keywords, kind) in enumerate(made):
            if index >= len(self._shown):
                self._show((data, keywords, kind))
            elif self._shown[index] in self._viewer.layers:
                layer = self._shown[index]
                layer.data, layer.metadata = data, keywords["metadata"]
                if index:
                    layer.contrast_limits = keywords["contrast_limits"]
        if self._shown:
            self._pictures.arrived(self._shown[0])

    def _show(self, layer: LayerTuple) -> Layer:
        data, keywords, kind = layer
        return self._viewer.add_layer(Layer.create(data, keywords, kind))


def is_series(path: Path) -> bool:
    """Whether a folder is read slice by slice: one of DICOM files."""
    found = format_of(path)
    return path.is_dir() and not (found is not None and found.folder)


def read_onto(path: Path, series: str | None, grids: Sequence[Geometry]) -> Volume:
    """Read a file; labels that were drawn on a scan come onto one of these grids where they fit it.

    Raises
    ------
    MedsegError
        As `io.read`.
    """
    from napari_medseg import io

    if path.is_file() and grids and io.describe(path)[0].modality in LABELS:
        for grid in grids:
            with suppress(MedsegError):
                return io.read_labels(path, like=grid)
    return io.read(path, series=series)


def layers_of(path: Path, volume: Volume) -> list[LayerTuple]:
    """The layers of what was read, with all its detail where it was too large to read whole."""
    whole = full_detail(path, volume)
    return [*volume_layers(volume), *([whole] if whole is not None else [])]


def _streamed(path: Path, series: str | None) -> Generator[Opening, None, Volume]:
    """Read a series, handing out its layers with the middle slice where they share the memory that is filled."""
    from napari_medseg.io.dicom import stream

    volume: Volume | None = None
    for step in stream(path, series):
        first = volume is None
        volume = step.volume
        if first and volume.array.nbytes >= LARGE_BYTES and axis_map(volume.geometry).order == (0, 1, 2):
            middle = step.slices[0]
            limits = {i: presets(volume.modality, volume.units)[0].of(c.array[middle:middle + 1]).limits for i, c in enumerate(split(volume))}
            yield Opening(step.fraction, f"Reading {path.name}", tuple(image_layers(split(volume), volume.name, limits)))
        else:
            yield Opening(step.fraction, f"Reading {path.name}")
    if volume is None:
        raise UnreadableFileError("holds no DICOM image", where=path, todo="Choose the folder with the scan's DICOM files")
    return volume


def _warm_up() -> None:
    """The first layer of a program makes napari load its table of units, for over a second: here, beside the window, nobody waits for that."""
    Image(np.zeros((1, 1, 1), np.uint8))


def _together(volumes: Sequence[Volume]) -> list[LayerTuple]:
    from napari_medseg.volume.fusion import combine

    return image_layers(combine(volumes), " + ".join(v.name for v in volumes))


def _window() -> Any:
    from qtpy.QtWidgets import QApplication

    return QApplication.activeWindow()
