"""What the labels of the current scan hold, measured beside the window and again after every pause in the editing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from napari_medseg.errors import MedsegError, NoLabelsError
from napari_medseg.metrics.statistics import LabelStatistics, label_statistics
from napari_medseg.session.state import Scan

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


class Statistics:
    """The statistics of a session's scans.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows: WeakKeyDictionary[Scan, tuple[LabelStatistics, ...]] = WeakKeyDictionary()
        self._stale: WeakKeyDictionary[Scan, bool] = WeakKeyDictionary()
        session.edited.connect(self._on_edited)

    def of(self, scan: Scan) -> tuple[LabelStatistics, ...] | None:
        """What was measured last; None before the first time."""
        return self._rows.get(scan)

    def is_stale(self, scan: Scan) -> bool:
        """Whether the labels changed since they were measured, or were never measured."""
        return self._stale.get(scan, True)

    @property
    def is_running(self) -> bool:
        """Whether labels are being measured."""
        job = self._session.jobs.of(LANE)
        return job is not None and job.is_active

    def start(self) -> None:
        """Measure the labels of the current scan.

        Raises
        ------
        NoLabelsError, InvalidInputError
        """
        session, scan = self._session, self._session.ready()
        if not scan.has_labels:
            raise NoLabelsError("there is nothing to measure", where=scan.name, todo="Accept a preview or paint a label first")
        found: list[LabelStatistics] = []
        self._stale[scan] = False

        def done() -> None:
            self._rows[scan] = tuple(found)

        def failed(error: MedsegError) -> None:
            self._stale[scan] = True
            session.report(error)

        session.jobs.start(
            LANE, "Measuring the labels", _engine(scan), apply=lambda tick: found.append(tick.row), done=done, failed=failed, quiet=True, device=DEVICE,
        )

    def _on_edited(self, scan: Scan, boxes: object) -> None:
        self._stale[scan] = True


def _engine(scan: Scan) -> Callable[[], Iterator[Measured]]:
    labels, image, spacing = scan.labels, scan.display.array, scan.display.geometry.spacing
    wanted = [value for value, count in scan.voxels.items() if value and count > 0]

    def make() -> Iterator[Measured]:
        if labels is None:
            return
        for number, row in enumerate(label_statistics(labels, image, spacing, wanted), 1):
            yield Measured(row, number / len(wanted))

    return make
