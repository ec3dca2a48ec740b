"""Which scans are one patient's: known by a salted hash of the patient's number, never by the number itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from napari_medseg.io.formats import DICOM, format_of


def patient_key(case: str, path: Path | None, series: str, salt: str) -> str:
    """The patient of a case, in a form that says nothing of who it is.

    Parameters
    ----------
    case : str
        The answer where no patient is named: such a scan is a patient of its own.
    path : Path or None
        The scan; None when nobody knows where it lies.
    series : str
        UID of the series, for a folder with several.
    """
    number = _number(path, series) if path is not None and format_of(path) in (DICOM, None) else ""
    return hashlib.sha256(bytes.fromhex(salt) + f"patient {number}".encode()).hexdigest()[:32] if number else case


def _number(path: Path, series: str) -> str:
    """DICOM's PatientID, with who issued it; "" when there is none. The first file of the series is believed."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    for file in _files(path):
        with suppress(OSError, InvalidDicomError, ValueError, AttributeError, TypeError, KeyError, NotImplementedError):
            header = dcmread(file, specific_tags=["PatientID", "IssuerOfPatientID", "SeriesInstanceUID"], stop_before_pixels=True)
            uid = str(header.get("SeriesInstanceUID") or "")
            if uid and (path.is_file() or series.startswith(uid) or not series):
                number, issuer = (str(header.get(tag) or "").strip() for tag in ("PatientID", "IssuerOfPatientID"))
                return f"{number}|{issuer}" if number else ""
    return ""


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from (file for file in sorted(path.rglob("*")) if file.is_file() and not file.name.startswith("."))
