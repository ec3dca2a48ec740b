"""An archive over DICOMweb (DICOM PS3.18: QIDO-RS, WADO-RS, STOW-RS)."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medseg.cluster.pacs.address import Server
from napari_medseg.cluster.pacs.archive import MOST, FoundSeries, FoundStudy, Query, require_uid, series_of, study_of
from napari_medseg.errors import ArchiveError

if TYPE_CHECKING:
    import requests
    from pydicom import Dataset

CONNECT, READ = 10.0, 60.0  # seconds
STUDY_FIELDS = ["StudyDescription", "ModalitiesInStudy"]
SERIES_FIELDS = ["SeriesDescription", "NumberOfSeriesRelatedInstances"]
_ESCAPED = re.compile(r"[^A-Za-z0-9.*_-]")
"""Letters of a name that addresses escape, and some archives leave so: any letter is asked for, and what comes is looked through here."""
ANY = (("application/dicom", "*"),)
"""Images in whatever coding the archive has them."""


class WebArchive:
    """See `Archive`.

    Parameters
    ----------
    server : Server
        With an address that begins with https://; http:// on this machine only.
    """

    def __init__(self, server: Server) -> None:
        from dicomweb_client.api import DICOMwebClient

        self.server = server
        for name in ("dicomweb_client", "urllib3.connectionpool"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # they write UIDs and addresses of images into the log
        self._client: Any = DICOMwebClient(server.address, session=_session(server), timeout=(CONNECT, READ))
        self._client.set_http_retry_params(retry=False)  # its tries take half a minute, and who asked can ask again

    def test(self) -> str:
        """Ask for one study."""
        with self._translated():
            self._client.search_for_studies(limit=1)
        return f"{self.server.words} answers over DICOMweb"

    def studies(self, query: Query) -> list[FoundStudy]:
        """Studies that fit, `MOST` at most."""
        asked = {
            "PatientID": query.patient_id, "PatientName": _ESCAPED.sub("*", query.patient_name), "AccessionNumber": query.accession, "StudyDate": query.date,
            "ModalitiesInStudy": query.modality,
        }
        with self._translated():
            found = self._client.search_for_studies(search_filters={key: value for key, value in asked.items() if value}, limit=MOST, fields=STUDY_FIELDS)
            told = [study_of(_dataset(one)) for one in found[:MOST]]
        return [one for one in told if not query.patient_name or fnmatchcase(one.patient_name.casefold(), query.patient_name.casefold())]

    def series(self, study: str) -> list[FoundSeries]:
        """The series of a study."""
        with self._translated():
            found = self._client.search_for_series(require_uid(study), limit=MOST, fields=SERIES_FIELDS)
            return [series_of(_dataset(one), study) for one in found[:MOST]]

    def fetch(self, study: str, series: str) -> Iterator[Dataset]:
        """The images of a series as they come."""
        with self._translated():
            yield from self._client.iter_series(study, series, media_types=ANY)

    def store(self, images: Sequence[Path]) -> Iterator[int]:
        """Give files to it, one after the other."""
        from pydicom import dcmread

        for count, path in enumerate(images, start=1):
            with self._translated():
                answer = self._client.store_instances([dcmread(path)])
                failed = answer.get("FailedSOPSequence") if answer is not None else None
            if failed:
                raise ArchiveError(f"did not take image {count} of {len(images)}", where=self.server.words, todo="Ask who keeps it what it takes")
            yield count

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Faults of the network and of the archive as errors for people; their own words hold UIDs and addresses and are left out."""
        import requests

        where = self.server.words
        try:
            yield
        except requests.exceptions.SSLError:
            todo = "Check the address; give the certificate that counts with --authority"
            raise ArchiveError("is not who it should be: its certificate is not trusted", where=where, todo=todo) from None
        except requests.exceptions.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if status in (401, 403):
                todo = "Check user, token or password, and whether you may do this"
                raise ArchiveError("lets nobody in with this token or password", where=where, todo=todo) from None
            raise ArchiveError(f"answered with the error {status}", where=where, todo="Check the path in the address, or ask who keeps the archive") from None
        except requests.exceptions.Timeout:
            raise ArchiveError("did not answer in time", where=where, todo="Try again, or ask who keeps the archive") from None
        except requests.exceptions.TooManyRedirects:
            raise ArchiveError("sends on to another address", where=where, todo="Give the address that it sends to, if you trust it") from None
        except (requests.exceptions.RequestException, OSError) as error:
            if isinstance(error, ArchiveError):
                raise
            raise ArchiveError("does not answer", where=where, todo="Check address and network") from None
        except (ValueError, TypeError, KeyError, AttributeError, EOFError, NotImplementedError, RecursionError):
            raise ArchiveError("gave an answer that makes no sense", where=where, todo="Check that the address is that of DICOMweb") from None


def _session(server: Server) -> requests.Session:
    import requests

    session, secret = requests.Session(), server.password()

    def signed(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.url = (request.url or "").replace("%2A", "*")  # the same by RFC 3986, but not to every archive
        if secret:
            basic = requests.auth.HTTPBasicAuth(server.user, secret) if server.user else None
            if basic is not None:
                return basic(request)
            request.headers["Authorization"] = f"Bearer {secret}"
        return request

    session.auth = signed
    session.max_redirects = 0
    session.trust_env = False  # else ~/.netrc is asked, and REQUESTS_CA_BUNDLE counts before the certificate that was given
    session.proxies = requests.utils.get_environ_proxies(server.address)
    session.verify = server.authority or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    session.cert = server.certificate or None
    return session


def _dataset(found: Any) -> Dataset:
    from pydicom import Dataset

    return Dataset.from_json(found)
