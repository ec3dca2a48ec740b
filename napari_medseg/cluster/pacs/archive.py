"""What an archive can do, whichever way it is talked to: answer, find, give out, take in."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from napari_medseg.cluster.pacs.address import Server
from napari_medseg.errors import ArchiveError, InvalidInputError, UnavailableError, UnreadableFileError, UnwritableFileError
from napari_medseg.io.atomic import put

if TYPE_CHECKING:
    from pydicom import Dataset

MOST = 500
"""Studies or series that are listed at once."""
MOST_IMAGES = 100_000
MISSING = 'Install it with: python -m pip install "napari-medseg[pacs]"'
_DATES = re.compile(r"(\d{8}|\d{8}-(\d{8})?|-\d{8})?")
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for; "" for all. `*` stands for any letters.

    Attributes
    ----------
    patient_id, patient_name, accession : str
    date : str
        A day, 20260131, or from-to, 20260101-20260131.
    modality : str
        "CT", "MR", ...
    """

    patient_id: str = field(default="", repr=False)
    patient_name: str = field(default="", repr=False)
    accession: str = field(default="", repr=False)
    date: str = ""
    modality: str = ""

    def __post_init__(self) -> None:
        """Refuse what no archive could understand."""
        if not _DATES.fullmatch(self.date):
            raise InvalidInputError(f"'{self.date[:20]}' is no date", where="date", todo="Write 20260131, or 20260101-20260131")
        if any(len(text) > 64 or not text.isprintable() or "\\" in text for text in (self.patient_id, self.patient_name, self.accession, self.modality)):
            raise InvalidInputError("cannot be looked for", where="query", todo="Give up to 64 letters")


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A study; who it is of is for the screen only, and in no log and no error."""

    uid: str = field(repr=False)
    patient_id: str = field(repr=False)
    patient_name: str = field(repr=False)
    date: str = field(repr=False)
    description: str = field(repr=False)
    modalities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundSeries:
    """A series of a study."""

    uid: str = field(repr=False)
    study: str = field(repr=False)
    modality: str
    description: str = field(repr=False)
    number: str
    images: int | None


class Archive(Protocol):
    """An archive that is talked to. Methods raise ArchiveError when it does not answer, refuses or says nonsense; nothing of a patient is in an error."""

    server: Server

    def test(self) -> str:
        """Ask whether it is there; a sentence for people."""

    def studies(self, query: Query) -> list[FoundStudy]:
        """Studies that fit, `MOST` at most."""

    def series(self, study: str) -> list[FoundSeries]:
        """The series of a study."""

    def fetch(self, study: str, series: str) -> Iterator[Dataset]:
        """The images of a series as they come, with their file meta information; closing it ends the transfer."""

    def store(self, images: Sequence[Path]) -> Iterator[int]:
        """Give DICOM files to it; yields how many it has taken."""


def open_archive(server: Server) -> Archive:
    """The archive, by the way its address says.

    Raises
    ------
    UnavailableError
        When what speaks that way is not installed.
    """
    try:
        if server.way == "dicomweb":
            from napari_medseg.cluster.pacs.web import WebArchive

            return WebArchive(server)
        from napari_medseg.cluster.pacs.dimse import DimseArchive

        return DimseArchive(server)
    except ImportError as error:
        raise UnavailableError("talking to an archive needs pynetdicom and dicomweb-client", where=server.words, todo=MISSING) from error


def pull(archive: Archive, study: str, series: str, folder: Path) -> Iterator[int]:
    """Write a series to a folder, a file an image, whole or not at all; yields how many are there.

    Parameters
    ----------
    archive : Archive
    study, series : str
        Their UIDs.
    folder : Path
        Made here; must not hold anything. Files are called by number: nothing an archive says becomes a path.

    Raises
    ------
    ArchiveError
        When the transfer breaks off, an image of another series comes, or none at all.
    InvalidInputError, UnwritableFileError
        When a UID is none; when the folder holds something or the disk refuses.
    """
    from napari_medseg.project.durable import writing

    for uid in (study, series):
        require_uid(uid)
    with writing(folder):
        if folder.exists() and any(folder.iterdir()):
            raise UnwritableFileError("holds something already", where=folder, todo="Choose another folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
    written: list[Path] = []
    try:
        for number, image in enumerate(archive.fetch(study, series), start=1):
            _require_of(image, series, number, archive.server)
            path = part / f"{number:06d}.dcm"
            written.append(path)
            with writing(path):
                image.save_as(path, enforce_file_format=True)
            yield number
        _require_some(written, archive.server)
        with writing(folder):
            if folder.exists():
                folder.rmdir()
            put(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def push(archive: Archive, paths: Sequence[Path]) -> Iterator[int]:
    """Give DICOM files, such as a segmentation, to an archive; yields how many it has taken.

    Raises
    ------
    UnreadableFileError
        When one is no DICOM file; nothing has been sent then.
    ArchiveError
        When the archive refuses one.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    for path in paths:
        try:
            dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"])
        except (OSError, InvalidDicomError, ValueError, TypeError, KeyError, AttributeError, EOFError) as error:
            raise UnreadableFileError("is no DICOM file", where=path, todo="Save the labels as .seg.dcm first") from error
    yield from archive.store(paths)


def _require_of(image: Dataset, series: str, number: int, server: Server) -> None:
    if str(image.get("SeriesInstanceUID", "")) != series or number > MOST_IMAGES:
        raise ArchiveError("gave an image of another series than was asked for", where=server.words, todo="Tell who keeps the archive")


def _require_some(written: list[Path], server: Server) -> None:
    if not written:
        raise ArchiveError("gave no image of this series", where=server.words, todo="It may be stored off line; ask who keeps the archive")


def require_uid(uid: str) -> str:
    """The UID, if it is one.

    Raises
    ------
    InvalidInputError
    """
    if len(uid) > 64 or not _UID.fullmatch(uid):
        raise InvalidInputError("is no UID", where="archive", todo="Take it from what `medseg pacs find` lists")
    return uid


def study_of(found: Any) -> FoundStudy:
    """A study as an archive told it; what it left out is ""."""
    kinds = found.get("ModalitiesInStudy", None) or ()
    return FoundStudy(
        _text(found, "StudyInstanceUID"), _text(found, "PatientID"), _text(found, "PatientName"), _text(found, "StudyDate"), _text(found, "StudyDescription"),
        tuple(str(one) for one in ([kinds] if isinstance(kinds, str) else kinds))[:32],
    )


def series_of(found: Any, study: str) -> FoundSeries:
    """A series as an archive told it."""
    count = _text(found, "NumberOfSeriesRelatedInstances")
    return FoundSeries(
        _text(found, "SeriesInstanceUID"), study, _text(found, "Modality"), _text(found, "SeriesDescription"), _text(found, "SeriesNumber"),
        int(count) if count.isdecimal() else None,
    )


def _text(found: Any, keyword: str) -> str:
    value = found.get(keyword, None)
    return "" if value is None else " ".join(str(value).split())[:200]
