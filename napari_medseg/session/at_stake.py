"""What would be lost if the window closed now: labels that no disk took, or that no study and no file holds. And putting them elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medseg.annotation import LabelMap
from napari_medseg.errors import UnwritableFileError
from napari_medseg.io.names import plain_name
from napari_medseg.session.state import Scan, source_labels

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

SUFFIX = ".nii.gz"
BACK = "How to bring the labels back.txt"


@dataclass(frozen=True, slots=True, eq=False)
class AtStake:
    """Labels of one scan that are in memory only.

    Attributes
    ----------
    scan : Scan
    voxels : int
        That no disk holds: against the latest version or draft of its case; all that are labelled where neither can be read.
    since : datetime or None
        Of the first change that is on no disk, UTC; None where that is not known.
    study : Path or None
        Folder of the study that could not take them; None for a scan of no study.
    why : str
        What its disk said; "" for a scan of no study.
    """

    scan: Scan
    voxels: int
    since: datetime | None = None
    study: Path | None = None
    why: str = ""

    @property
    def words(self) -> str:
        """Name, how much, and since when, in the person's own time."""
        ml = self.voxels * self.scan.display.geometry.voxel_ml
        since = f", since {self.since.astimezone():%H:%M}" if self.since is not None else ""
        return f"{self.scan.name}: {self.voxels:,} voxel{'s' if self.voxels != 1 else ''} ({ml:.3g} ml){since}"


def labelled(scan: Scan) -> int:
    """Voxels of a scan that have any label."""
    return sum(count for value, count in scan.voxels.items() if value and count > 0)


def in_no_study(session: Session) -> tuple[AtStake, ...]:
    """Open scans of no study whose labels were changed since they were saved."""
    return tuple(AtStake(scan, labelled(scan)) for scan in session.scans if not scan.case and scan.has_labels and not scan.is_saved)


def put_elsewhere(session: Session, stakes: Sequence[AtStake], folder: Path) -> tuple[Path, ...]:
    """Write labels as NIfTI on the grids of their files, with names and colours, and beside them how they come back.

    Returns
    -------
    tuple of Path
        The label files, in the order of `stakes`; none takes another's place.

    Raises
    ------
    UnwritableFileError
        Where that folder takes them no more than the first.
    """
    from napari_medseg import io

    written: list[Path] = []
    for stake in stakes:
        scan = stake.scan
        labels = source_labels(scan)
        path = _free(folder, f"{plain_name(scan.name)}_labels", SUFFIX)
        named = LabelMap(labels.array, labels.geometry, labels.name, classes=tuple(session.classes))
        io.write(named, path, source=scan.display.source, series=scan.display.series)
        written.append(path)
    told = "\n\n".join(f"{path.name}\n{way_back(stake, path)}" for stake, path in zip(stakes, written, strict=True))
    try:
        _free(folder, BACK.removesuffix(".txt"), ".txt").write_text(f"{told}\n", encoding="utf-8")
    except OSError as error:
        todo = "Choose another folder"
        raise UnwritableFileError(f"could not be written ({error.strerror or error})", where=folder, todo=todo) from error
    for stake in stakes:
        if stake.study is None:
            stake.scan.is_saved = True
    return tuple(written)


def way_back(stake: AtStake, path: Path) -> str:
    """What a person does to have labels back that were put elsewhere."""
    if stake.study is None:
        return "Open the scan, then drop this file on the window."
    source = stake.scan.display.source
    series = f' --series "{stake.scan.display.series}"' if stake.scan.display.series else ""
    command = f'medseg project add "{stake.study}" "{source}"{series} --labels "{path}" --kind corrected'
    return f"They become the newest version of their case, with the study closed, by\n{command}"


def _free(folder: Path, stem: str, suffix: str) -> Path:
    names = (f"{stem}{number}{suffix}" for number in ("", *(f" {n}" for n in range(2, 10_000))))
    return next(folder / name for name in names if not (folder / name).exists())
