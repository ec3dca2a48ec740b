"""An archive over DICOM's own network protocol (DICOM PS3.7 and PS3.4: C-ECHO, C-FIND, C-GET, C-STORE).

Images are fetched with C-GET, which comes back through the connection that asked: nothing needs to be opened on this machine.
"""

from __future__ import annotations

import logging
import ssl
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medseg.cluster.pacs.address import Server
from napari_medseg.cluster.pacs.archive import MOST, FoundSeries, FoundStudy, Query, require_uid, series_of, study_of
from napari_medseg.errors import ArchiveError, InvalidInputError

if TYPE_CHECKING:
    from pydicom import Dataset
    from pynetdicom.presentation import PresentationContext

CONNECT, ANSWER = 10.0, 60.0  # seconds
CODINGS = (
    "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91",
)
"""Transfer syntaxes that can be read here: uncompressed, run lengths, JPEG and its lossless kin, JPEG 2000."""
MOST_CLASSES = 12
"""Kinds of images in one series: an association has room for 128 contexts."""
PENDING, WARNINGS = (0xFF00, 0xFF01), (0xB000, 0xB006, 0xB007)


class DimseArchive:
    """See `Archive`.

    Parameters
    ----------
    server : Server
        With an address that begins with dicom:// or, for TLS, dicoms://.
    """

    def __init__(self, server: Server) -> None:
        import pynetdicom

        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # it writes what it is asked and answered
        self.server, self._net = server, pynetdicom

    def test(self) -> str:
        """C-ECHO."""
        from pynetdicom.sop_class import Verification

        with self._associated([self._net.build_context(Verification)]) as link:
            self._require(link.send_c_echo(), "did not answer the test")
        return f"{self.server.words} answers as {self.server.called}"

    def studies(self, query: Query) -> list[FoundStudy]:
        """Studies that fit, `MOST` at most."""
        asked = {
            "StudyInstanceUID": "", "StudyDescription": "", "PatientID": query.patient_id, "PatientName": query.patient_name,
            "AccessionNumber": query.accession, "StudyDate": query.date, "ModalitiesInStudy": query.modality,
        }
        return [study_of(one) for one in self._find("STUDY", asked)]

    def series(self, study: str) -> list[FoundSeries]:
        """The series of a study."""
        asked = {
            "StudyInstanceUID": require_uid(study), "SeriesInstanceUID": "", "Modality": "", "SeriesDescription": "", "SeriesNumber": "",
            "NumberOfSeriesRelatedInstances": "",
        }
        return [series_of(one, study) for one in self._find("SERIES", asked)]

    def fetch(self, study: str, series: str) -> Iterator[Dataset]:
        """The images of a series as they come."""
        from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as Get

        place = {"StudyInstanceUID": require_uid(study), "SeriesInstanceUID": require_uid(series)}
        images = self._find("IMAGE", {**place, "SOPInstanceUID": "", "SOPClassUID": ""}, most=100_000)
        kinds = sorted({str(one.get("SOPClassUID", "")) for one in images} - {""})
        if not kinds or len(kinds) > MOST_CLASSES:
            raise ArchiveError(f"has {len(kinds)} kinds of images in this series", where=self.server.words, todo="Fetch it by another way")
        contexts = [self._net.build_context(Get), *(self._net.build_context(kind, coding) for kind in kinds for coding in CODINGS)]
        come: deque[Dataset] = deque()

        def stored(event: Any) -> int:
            image = event.dataset
            image.file_meta = event.file_meta
            come.append(image)
            return 0x0000

        roles = [self._net.build_role(kind, scp_role=True) for kind in kinds]
        with self._associated(contexts, ext_neg=roles, evt_handlers=[(self._net.evt.EVT_C_STORE, stored)]) as link:
            last = None
            for status, _ in link.send_c_get(_dataset("SERIES", place), Get):
                last = status
                while come:
                    yield come.popleft()
            self._require(last, "broke the transfer off", *PENDING)

    def store(self, images: Sequence[Path]) -> Iterator[int]:
        """C-STORE, one after the other."""
        from pydicom import dcmread

        heads = [dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"]) for path in images]
        wanted = dict.fromkeys((str(head.SOPClassUID), str(head.file_meta.TransferSyntaxUID)) for head in heads)
        if len(wanted) > 128:
            raise InvalidInputError("are more kinds of files than go at once", where=images[0], todo="Give them in parts")
        with self._associated([self._net.build_context(kind, coding) for kind, coding in wanted]) as link:
            for count, path in enumerate(images, start=1):
                try:
                    status = link.send_c_store(dcmread(path))
                except ValueError:  # no context for it was accepted
                    status = None
                self._require(status, f"did not take image {count} of {len(images)}", *WARNINGS)
                yield count

    def _find(self, level: str, asked: dict[str, str], most: int = MOST) -> list[Dataset]:
        from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find

        found: list[Dataset] = []
        with self._associated([self._net.build_context(Find)]) as link:
            status = None
            for status, one in link.send_c_find(_dataset(level, asked), Find):
                if status and status.Status in PENDING and one is not None:
                    found.append(one)
                if len(found) == most:
                    link.abort()
                    return found
            self._require(status, "could not search")
        return found

    @contextmanager
    def _associated(self, contexts: list[PresentationContext], **options: Any) -> Iterator[Any]:
        """A connection; given back orderly, or cut off when something went wrong."""
        server = self.server
        entity = self._net.AE(ae_title=server.title)
        entity.acse_timeout, entity.connection_timeout, entity.dimse_timeout, entity.network_timeout = ANSWER, CONNECT, ANSWER, ANSWER
        link = entity.associate(server.host, server.port, contexts=contexts, ae_title=server.called, tls_args=self._tls(), **options)
        if not link.is_established:
            if link.is_rejected:
                todo = f"Have it told the title {server.title} and this machine's address, or give the titles it knows"
                raise ArchiveError("refuses to talk to this program", where=server.words, todo=todo)
            raise ArchiveError("does not answer, or not in DICOM", where=server.words, todo="Check address, port and TLS")
        try:
            yield link
        except ValueError:  # pynetdicom finds no accepted context for what is sent
            link.abort()
            raise ArchiveError("offers nothing of what is needed", where=server.words, todo="Ask who keeps it to allow C-FIND, C-GET and C-STORE") from None
        except BaseException:
            link.abort()
            raise
        if link.is_established:
            link.release()

    def _tls(self) -> tuple[ssl.SSLContext, str] | None:
        server = self.server
        if not server.encrypted:
            return None
        try:
            context = ssl.create_default_context(cafile=server.authority or None)
            if server.certificate:
                context.load_cert_chain(server.certificate)
        except (OSError, ssl.SSLError) as error:
            raise InvalidInputError("is no certificate that can be used", where=server.authority or server.certificate, todo="Give a PEM file") from error
        return context, server.host

    def _require(self, status: Any, otherwise: str, *good: int) -> None:
        """An error unless the archive says that all went well."""
        code = getattr(status, "Status", None)
        if code is None:
            raise ArchiveError(f"{otherwise}: the connection was lost", where=self.server.words, todo="Try again, or ask who keeps the archive")
        if code != 0x0000 and code not in good:
            raise ArchiveError(f"{otherwise} (status {code:04X})", where=self.server.words, todo="Ask who keeps the archive")


def _dataset(level: str, asked: dict[str, str]) -> Dataset:
    from pydicom import Dataset

    found = Dataset()
    found.QueryRetrieveLevel = level
    for keyword, value in asked.items():
        setattr(found, keyword, value)
    return found
