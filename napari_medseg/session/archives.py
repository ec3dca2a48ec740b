"""A hospital's archive in the window: which are known, what one holds, a series fetched and opened, labels given back. Nothing it tells is kept or logged."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import platformdirs
from psygnal import Signal

from napari_medseg.annotation import LabelMap
from napari_medseg.cluster.pacs import Archive, FoundSeries, FoundStudy, Query, Server, open_archive, parse, pull, push
from napari_medseg.cluster.pacs import address as book
from napari_medseg.errors import InvalidInputError, MedsegError
from napari_medseg.session.jobs import Looked
from napari_medseg.session.state import labels_in_file

if TYPE_CHECKING:
    from napari_medseg.session.session import Session

LANE = "archive"
Doing = Literal["", "asking", "looking", "fetching", "sending"]


class Archives:
    """The archives a person works with, and what the chosen one said last.

    Attributes
    ----------
    known : tuple of Server
    chosen : Server or None
    studies : list of FoundStudy
    series : list of FoundSeries
        Of the study that was looked into.
    told : str
        What came of the last thing asked, in a sentence.
    doing : str
        What is under way; "" for nothing.
    fetched : signal of Path
        A series is there, in this folder.
    """

    fetched = Signal(Path)

    def __init__(self, session: Session) -> None:
        self._session = session
        self.known = book.known()
        self.chosen: Server | None = self.known[0] if self.known else None
        self.studies: list[FoundStudy] = []
        self.series: list[FoundSeries] = []
        self.told = ""
        self.doing: Doing = ""

    def choose(self, index: int) -> None:
        """Ask this one from now on."""
        self.stop()
        self.chosen = self.known[index] if 0 <= index < len(self.known) else None
        self.studies, self.series, self.told = [], [], ""
        self._session.changed.emit()

    def add(self, address: str, **others: str) -> None:
        """Ask an archive; once it has answered it is remembered and chosen.

        Parameters
        ----------
        address : str
            `https://HOST/dicom-web`, or `dicom://TITLE@HOST:PORT`.
        others : str
            As `Server`: name, title, user, secret, authority, certificate.

        Raises
        ------
        InvalidInputError
            When it is no address.
        """
        server = replace(parse(address), **{key: value for key, value in others.items() if value})

        def answered(told: str) -> None:
            self.known = (server, *(one for one in self.known if one.address != server.address))
            book.remember(self.known)
            self.choose(0)
            self._tell(told)

        self._start("asking", server, lambda archive: iter([archive.test()]), answered)

    def forget(self) -> None:
        """Remember the chosen one no longer."""
        self.known = tuple(one for one in self.known if one is not self.chosen)
        book.remember(self.known)
        self.choose(0)

    def test(self) -> None:
        """Ask the chosen one whether it is there."""
        self._start("asking", self.chosen, lambda archive: iter([archive.test()]), self._tell)

    def find(self, query: Query) -> None:
        """Look for studies."""
        self.studies, self.series = [], []

        def found(studies: list[FoundStudy]) -> None:
            self.studies = sorted(studies, key=lambda one: one.date, reverse=True)
            count = len(studies)
            self._tell("Nothing fits" if not count else f"{count} {'study' if count == 1 else 'studies'}" + (", perhaps more" if count >= 500 else ""))

        self._start("looking", self.chosen, lambda archive: iter([archive.studies(query)]), found)

    def look_into(self, study: str) -> None:
        """List the series of a study."""
        self.series = []

        def found(series: list[FoundSeries]) -> None:
            self.series = series
            self._tell("")

        self._start("looking", self.chosen, lambda archive: iter([archive.series(study)]), found)

    def fetch(self, series: FoundSeries) -> None:
        """Fetch a series and open it; one that is here already opens at once."""
        folder = kept(series.uid)
        if folder.is_dir():
            self._here(folder)
            return

        def work(archive: Archive) -> Iterator[Any]:
            for count in pull(archive, series.study, series.uid, folder):
                yield Looked(count / series.images if series.images else None, f"{count} images")
            yield folder

        self._start("fetching", self.chosen, work, self._here)

    def send(self) -> None:
        """Give the current scan's labels to the archive, as a DICOM SEG that refers to the scan."""
        scan = self._session.current
        if scan is None or scan.labels is None or not scan.display.series or scan.display.source is None:
            self._tell("Open a DICOM scan and make a label first")
            return
        frozen, labels, classes = copy(scan), scan.labels.copy(), tuple(self._session.classes)
        source, series = scan.display.source, scan.display.series

        def work(archive: Archive) -> Iterator[Any]:
            from napari_medseg import io

            yield Looked(None, "Writing the segmentation")
            with tempfile.TemporaryDirectory(prefix="medseg-", ignore_cleanup_errors=True) as folder:
                path = Path(folder, "labels.seg.dcm")
                io.write(LabelMap(labels_in_file(frozen, labels), frozen.geometry, name=frozen.name, classes=classes), path, source=source, series=series)
                yield Looked(None, "Sending")
                yield sum(1 for _ in push(archive, [path]))

        self._start("sending", self.chosen, work, lambda _: self._tell("The labels are in the archive, as a series of the same study"))

    def stop(self) -> None:
        """Ask no more; what was fetched in part goes."""
        self._session.jobs.stop(LANE)
        if self.doing:
            self.doing = ""
            self._tell("Stopped")

    def _here(self, folder: Path) -> None:
        self._tell("")
        self.fetched.emit(folder)

    def _start(self, doing: Doing, server: Server | None, work: Callable[[Archive], Iterator[Any]], done: Callable[[Any], None]) -> None:
        if server is None:
            self._tell("Add an archive first")
            return
        answers: list[Any] = []

        def make() -> Iterator[Looked]:
            yield Looked(None, "Asking")
            for step in work(open_archive(server)):
                if isinstance(step, Looked):
                    yield step
                else:
                    answers.append(step)

        def ended() -> None:
            self.doing = ""
            done(answers[-1])

        def failed(error: MedsegError) -> None:
            self.doing = ""
            self._tell(str(error))

        self.doing, self.told = doing, f"Asking {server.words}…"
        self._session.jobs.start(LANE, f"Asking {server.words}", make, apply=self._step, done=ended, failed=failed, own_thread=True, quiet=True)

    def _step(self, step: Looked) -> None:
        if step.message:
            self._tell(step.message)

    def _tell(self, words: str) -> None:
        self.told = words
        self._session.changed.emit()


def kept(series: str) -> Path:
    """Where a series that was fetched lies; the folder's name says nothing of it."""
    return platformdirs.user_data_path("napari-medseg", appauthor=False) / "pulled" / hashlib.sha256(series.encode()).hexdigest()[:24]


def query_of(patient_id: str, name: str, since: str, until: str, modality: str) -> Query:
    """What a person typed, as archives want it; dates with dots or dashes too.

    Raises
    ------
    InvalidInputError
        When a date is none.
    """
    days = ["".join(sign for sign in text if sign.isdecimal()) for text in (since, until)]
    if any(text.strip() and len(day) != 8 for text, day in zip((since, until), days, strict=True)):
        raise InvalidInputError("is no date", where="date", todo="Write year, month, day: 2026-01-31")
    date = f"{days[0]}-{days[1]}" if any(days) else ""
    return Query(patient_id.strip(), name.strip(), "", date, modality.strip())
