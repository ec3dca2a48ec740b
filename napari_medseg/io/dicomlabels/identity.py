"""Whose scan a DICOM file of labels belongs to: patient and study as its images name them, or nothing of them.

An anonymised file is built from what is listed here, not by striking out what is known to be delicate (compare PS3.15, annex E, basic profile). Of the
scan's header only Modality, SOPClassUID, Rows, Columns, PixelSpacing, SliceThickness, SpacingBetweenSlices and the position and orientation of the images
are taken over. So these are gone: all of the patient (name, ID, other IDs, birth date, sex, age, size, weight, history, comments), of the study
(accession number, study ID, date, time, description, referring and reading physicians), of the visit and the trial, institution, station, operator,
descriptions, protocol, private attributes, and every date and time. The name and the ID become "ANON-" and eight digits of the new study UID; sex and
dates are empty, and the date that must be there (ContentDate) is 1 January 1900. Every UID is replaced by a one-way hash of the old: the same UID becomes
the same new one, so the files of one study still belong together, and who has the original series can find that out again. The names of the classes are
the user's to choose. PatientIdentityRemoved, DeidentificationMethod and LongitudinalTemporalInformationModified say what was done.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pydicom
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from napari_medseg.io.dicomplanes import TAGS, Header, Plane, frame_of_reference, group

NAME = "napari-medseg"
NO_DATE, NO_TIME = "19000101", "000000"
KEPT = (
    "SOPClassUID", "Modality", "Rows", "Columns", "NumberOfFrames", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "ImagePositionPatient",
    "ImageOrientationPatient",
)
UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
REQUIRED = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName", "Modality",
)
PATIENT_AND_STUDY = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientBirthTime", "PatientSex", "OtherPatientIDsSequence",
    "PatientAge", "PatientSize", "PatientWeight", "EthnicGroup", "PatientComments", "PatientIdentityRemoved", "DeidentificationMethod",
    "DeidentificationMethodCodeSequence", "StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
    "StudyDescription", "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialSubjectID", "ClinicalTrialTimePointID",
)


def version() -> str:
    """Of this package, as it is installed."""
    from napari_medseg import __version__

    return __version__


def remade(uid: str) -> str:
    """The UID that takes the place of another in an anonymised file."""
    return str(generate_uid(entropy_srcs=[NAME, "anonymised", uid]))


def sources(planes: list[Plane], anonymise: bool) -> list[Header]:
    """The headers of the images' files as a file that refers to them shall know them.

    Parameters
    ----------
    planes : list of Plane
        Of one series.
    anonymise : bool
        Whether to leave out patient and study.

    Returns
    -------
    list of Dataset
        One a file, in the order of the planes, without pixels; the first has patient and study in full.
    """
    files = list({plane.uid: plane.header for plane in planes}.values())
    headers = [_reduced(header) for header in files]
    first = pydicom.dcmread(files[0].filename, stop_before_pixels=True)
    if not anonymise:
        first.decode()  # so that the texts can be written in another character set
        headers[0].update({tag: first[tag] for tag in first.keys() if not tag.is_private and keyword_for_tag(tag) not in TAGS})
    for header in headers:
        for name in REQUIRED:
            if name not in header:
                setattr(header, name, first.get(name, "") if not anonymise else "")
        if anonymise:
            _anonymise(header)
    return headers


def anonymous(data: Header) -> None:
    """Take out the dates that a writer puts in, and say that the patient's identity was removed; in place."""
    data.walk(_undated)
    for name, value in (("ContentDate", NO_DATE), ("ContentTime", NO_TIME)):
        if name in data:
            setattr(data, name, value)
    data.PatientIdentityRemoved = "YES"
    data.DeidentificationMethod = [f"{NAME} {version()}", "patient, study and dates left out, UIDs remade"]
    data.LongitudinalTemporalInformationModified = "REMOVED"


def _undated(data: Header, element: Any) -> None:
    if element.VR in ("DA", "DT", "TM"):
        element.value = ""


def _reduced(header: Header) -> Header:
    """What a referring file needs of a header; a multi-frame's planes share what they can."""
    small = Dataset()
    for name in (*KEPT, *UIDS):
        if name in header:
            setattr(small, name, deepcopy(header[name].value))
    small.FrameOfReferenceUID = frame_of_reference(header)
    if "PerFrameFunctionalGroupsSequence" in header:
        shared, frames = Dataset(), []
        for name in ("PlaneOrientation", "PixelMeasures"):
            setattr(shared, f"{name}Sequence", Sequence([deepcopy(group(header, header.PerFrameFunctionalGroupsSequence[0], f"{name}Sequence"))]))
        for item in header.PerFrameFunctionalGroupsSequence:
            frame = Dataset()
            frame.PlanePositionSequence = Sequence([deepcopy(group(header, item, "PlanePositionSequence"))])
            frames.append(frame)
        small.SharedFunctionalGroupsSequence, small.PerFrameFunctionalGroupsSequence = Sequence([shared]), Sequence(frames)
    return small


def _anonymise(header: Header) -> None:
    for name in UIDS:
        if name in header:
            setattr(header, name, remade(str(header[name].value)))
    header.PatientName = header.PatientID = f"ANON-{header.StudyInstanceUID[-8:]}"
