"""What the labels of the current scan measure: worked out beside the window, and again after every pause in the editing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from napari_medseg.annotation import LabelClass
from napari_medseg.errors import MedsegError, NoLabelsError
from napari_medseg.metrics.statistics import LabelStatistics, label_statistics
from napari_medseg.metrics.statistics_table import as_text
from napari_medseg.session.state import Scan
from napari_medseg.volume.windows import unit_words

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

LANE = "review statistics"
DEVICE = "review"
"""A worker of their own, so that no network has to end first."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A tick: one label more.

    Attributes
    ----------
    row : LabelStatistics
    fraction : float
    message : str
    """

    row: LabelStatistics
    fraction: float
    message: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What the labels of one scan measured.

    Attributes
    ----------
    rows : tuple of LabelStatistics
    axis : int
        The slices that diameters were taken on lie across it.
    unit : str
        Of the grey values; "" where they have none.
    image : str
        The channel that was measured.
    seconds : float
    """

    rows: tuple[LabelStatistics, ...]
    axis: int
    unit: str
    image: str
    seconds: float

    def row(self, value: int) -> LabelStatistics | None:
        """The row of a label; None where it was not there."""
        return next((row for row in self.rows if row.value == value), None)


class Statistics:
    """The statistics of a session's scans.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    axis : int
        The slices that diameters are taken on lie across it: 0 axial, 1 coronal, 2 sagittal.
    chosen : int
        Value of the label whose diameters are drawn; 0 for none.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._found: WeakKeyDictionary[Scan, Found] = WeakKeyDictionary()
        self._fresh: WeakKeyDictionary[Scan, bool] = WeakKeyDictionary()
        self._measured: Scan | None = None
        self.axis = 0
        self.chosen = 0
        session.edited.connect(self._outdated)
        session.labels_changed.connect(self._outdated)
        session.grid_changed.connect(self._forget)
        session.channel_changed.connect(self._forget)
        session.scan_closed.connect(self._on_closed)

    def of(self, scan: Scan | None) -> Found | None:
        """What was measured last; None before the first time."""
        return None if scan is None else self._found.get(scan)

    def is_stale(self, scan: Scan) -> bool:
        """Whether the labels changed since they were measured, or were never measured."""
        return not self._fresh.get(scan, False)

    @property
    def is_running(self) -> bool:
        """Whether labels are being measured."""
        job = self._session.jobs.of(LANE)
        return job is not None and job.is_active

    @property
    def drawn(self) -> LabelStatistics | None:
        """The label whose diameters are drawn now; none while the person looks at something else."""
        found = self.of(self._session.current)
        if found is None or not self.chosen or not self._session.reviewing.is_on("statistics"):
            return None
        return found.row(self.chosen)

    def look_along(self, axis: int) -> None:
        """Take diameters on the slices across another axis; what was measured along the old one is out of date."""
        if axis != self.axis:
            self.axis = axis
            self._fresh.clear()
            self._session.set(tab="review")

    def choose(self, value: int) -> None:
        """Draw this label's diameters, or none with 0."""
        if value != self.chosen:
            self.chosen = value
            self._session.changed.emit()

    def start(self) -> None:
        """Measure the labels of the current scan; a measurement under way begins anew.

        Raises
        ------
        NoLabelsError, InvalidInputError
        """
        session, scan = self._session, self._session.ready()
        if not scan.has_labels:
            raise NoLabelsError("there is nothing to measure", where=scan.name, todo="Accept a preview or paint a label first")
        rows: list[LabelStatistics] = []
        axis, unit, image = self.axis, unit_words(scan.display.modality, scan.display.units), scan.display.name
        self._fresh[scan], self._measured = True, scan

        def done() -> None:
            self._found[scan] = Found(tuple(rows), axis, unit, image, job.seconds)

        def failed(error: MedsegError) -> None:
            session.report(error)

        job = session.jobs.start(
            LANE, "Measuring the labels", _engine(scan, axis), apply=lambda tick: rows.append(tick.row), done=done, failed=failed, quiet=True, device=DEVICE,
        )

    def text(self, *, delimiter: str = ",") -> str:
        """The current scan's table with a header and units; "" before it was measured."""
        found = self.of(self._session.current)
        return as_text(found.rows, names(self._session.classes), found.unit, delimiter=delimiter) if found is not None else ""

    def save(self, path: Path) -> None:
        """Write the table as CSV; a fault becomes `problem`."""
        from napari_medseg.io.atomic import replacing

        session = self._session
        try:
            with replacing(path) as new:
                new.write_text(self.text(), "utf-8", newline="")
        except MedsegError as error:
            session.report(error)
            return
        session.notice = f"Saved {path.name}"
        session.changed.emit()

    def _outdated(self, scan: Scan, where: object) -> None:
        self._fresh[scan] = False

    def _forget(self, scan: Scan) -> None:
        self._fresh[scan] = False
        self._found.pop(scan, None)
        if self._measured is scan:
            self._session.jobs.stop(LANE)

    def _on_closed(self, scan: Scan) -> None:
        if self._measured is scan:
            self._session.jobs.stop(LANE)
            self._measured = None


def names(classes: list[LabelClass]) -> dict[int, str]:
    """What each value is called."""
    return {c.value: c.name for c in classes}


def _engine(scan: Scan, axis: int) -> Callable[[], Iterator[Measured]]:
    labels, image, spacing = scan.labels, scan.display.channel(), scan.display.geometry.spacing
    wanted = [value for value, count in scan.voxels.items() if value and count > 0]

    def make() -> Iterator[Measured]:
        if labels is not None:
            for number, row in enumerate(label_statistics(labels, image, spacing, wanted=wanted, axis=axis), 1):
                yield Measured(row, number / len(wanted))

    return make
