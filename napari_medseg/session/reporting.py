"""The report of the open study, or of a refinement's folder: what goes in, where to, and making it beside the window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medseg.errors import MissingFileError

if TYPE_CHECKING:
    from napari_medseg.review.report import Made, MakingTick
    from napari_medseg.session.session import Session

LANE, DEVICE = "review report", "review report"
"""A thread of its own: a report reads every case, and nothing else of the tab has to wait for it."""
PARTS = {
    "data": ("Data", "Scans, patients as a number, spacing, sizes, volumes"),
    "rounds": ("Rounds", "Curves of every refinement, and why a round was taken or not"),
    "figures": ("Figures", "Dice, distances and volumes by class with intervals, against what was verified"),
    "pictures": ("Pictures", "The best, the median and the worst case with outlines on the scan"),
    "blinded": ("Blinded choice", "What raters chose without knowing whose a mask is, and how far annotators agree"),
    "lineage": ("Lineage", "Which labels and model made what, with checksums"),
    "models": ("Licences", "The licence of every model that was used"),
}
"""What may be left out: its title, and what it holds."""


class Reporting:
    """What the report page shows.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    parts : whether each of `PARTS` goes in
    names : bool
        Whether scans and annotators go by their names; off until a person turns it on.
    tables : bool
        Whether JSON and CSV are written beside the page.
    folder : Path or None
        A refinement's folder, where no study is open.
    out : Path or None
        The HTML file; None for `suggested`.
    made : Made or None
        The last report.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.parts = dict.fromkeys(PARTS, True)
        self.names = False
        self.tables = False
        self.folder: Path | None = None
        self.out: Path | None = None
        self.made: Made | None = None

    @property
    def source(self) -> Path | None:
        """What the report is of: the open study, else the folder that was named, else that of the last refinement."""
        study, refine = self._session.study, self._session.refine
        if study.is_open:
            return study.folder
        return self.folder or (refine.out if refine.out is not None and (refine.out / "rounds.json").is_file() else None)

    @property
    def target(self) -> Path | None:
        """The HTML file: as chosen, else beside the source."""
        source = self.source
        return self.out or (None if source is None else source.parent / f"{source.name.removesuffix('.medseg')} report.html")

    @property
    def is_running(self) -> bool:
        """Whether a report is being made."""
        job = self._session.jobs.of(LANE)
        return job is not None and job.is_active

    def change(self, **values: object) -> None:
        """Set what was chosen; a part's name switches that part."""
        for name, value in values.items():
            if name in self.parts:
                self.parts[name] = bool(value)
            else:
                setattr(self, name, value)
        self._session.changed.emit()

    def start(self) -> None:
        """Make the report; one that is being made is stopped."""
        session = self._session
        if self.is_running:
            self.stop()
            return
        source, target = self.source, self.target
        if source is None or target is None:
            session.report(MissingFileError("there is nothing to report on", where="Report", todo="Open a study, or name a folder that a refinement wrote"))
            return
        parts, names, tables = tuple(name for name, on in self.parts.items() if on), self.names, self.tables
        session.study.settle()
        self.made = None

        def make() -> Iterator[MakingTick]:
            from napari_medseg.review.report import ReportRequest
            from napari_medseg.review.report import make as write

            json_out, csv_out = (target.with_suffix(".json"), target.with_suffix(".csv")) if tables else (None, None)
            return write(ReportRequest(source, target, json_out, csv_out, names=names, parts=parts))

        def apply(tick: MakingTick) -> None:
            self.made = tick.made or self.made

        def done() -> None:
            session.notice = f"The report is written: {target.name}"
            session.changed.emit()

        session.jobs.start(LANE, "Making the report", make, apply=apply, done=done, failed=session.report, device=DEVICE)

    def stop(self) -> None:
        """Stop making it; nothing has been written then."""
        self._session.jobs.stop(LANE)
