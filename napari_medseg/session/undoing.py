"""Acts that change no voxel and are taken back all the same, in the order of work: seeds, a label of the table, a slice marked as right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_medseg.annotation import LabelClass
from napari_medseg.session.history import Aside
from napari_medseg.session.state import Scan, Seeds

if TYPE_CHECKING:
    from napari_medseg.session.session import Session


@dataclass(frozen=True, slots=True, eq=False)
class Seeded(Aside):
    """Seeds of a scan were set, moved or removed."""

    session: Session
    scan: Scan
    before: Seeds
    after: Seeds

    def undo(self) -> None:
        """The seeds of before."""
        self.session.put_seeds(self.scan, self.before)

    def redo(self) -> None:
        """The seeds of after."""
        self.session.put_seeds(self.scan, self.after)


@dataclass(frozen=True, slots=True, eq=False)
class ClassChanged(Aside):
    """A label of the table was added, renamed, given another colour or deleted.

    Attributes
    ----------
    before, after : LabelClass or None
        None where it was not in the table.
    row : int
        Where it stood, or stands.
    """

    session: Session
    scan: Scan
    before: LabelClass | None
    after: LabelClass | None
    row: int

    def undo(self) -> None:
        """As it was."""
        self.session.table.put(self.scan, self.after, self.before, self.row)

    def redo(self) -> None:
        """As it became."""
        self.session.table.put(self.scan, self.before, self.after, self.row)


@dataclass(frozen=True, slots=True, eq=False)
class SliceMarked(Aside):
    """A slice was marked as right, or its mark was taken away.

    Attributes
    ----------
    axis, index : int
        Of the display grid.
    on : bool
    """

    session: Session
    scan: Scan
    axis: int
    index: int
    on: bool

    def undo(self) -> None:
        """The mark is as it was."""
        self._set(not self.on)

    def redo(self) -> None:
        """It is as it became."""
        self._set(self.on)

    def _set(self, on: bool) -> None:
        session = self.session
        session.attempt(lambda: session.verified.put(self.scan, self.axis, self.index, on=on))
