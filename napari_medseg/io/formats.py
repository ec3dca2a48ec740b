"""Which file is of which family, by its name."""

from __future__ import annotations

from pathlib import Path

NIFTI = (".nii.gz", ".nii")
NRRD = (".nrrd", ".nhdr")
META = (".mha", ".mhd")
DICOM = (".dcm", ".dicom", ".ima")

READABLE = NIFTI + NRRD + META + DICOM
WRITABLE = (".nii.gz", ".nii", ".nrrd", ".mha")  # one file each, so that a write can be whole or not at all

KNOWN = "NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr), MetaImage (.mha, .mhd) or DICOM (a folder or .dcm)"


def suffix_of(path: Path | str) -> str:
    """The suffix that tells the format, lower case: ".nii.gz" as a whole; "" when it is none we know."""
    name = Path(path).name.lower()
    return next((suffix for suffix in READABLE if name.endswith(suffix)), "")


def stem_of(path: Path | str) -> str:
    """A file's name without the suffix that tells its format."""
    path = Path(path)
    suffix = suffix_of(path)
    return path.name[: -len(suffix)] if suffix else path.stem
