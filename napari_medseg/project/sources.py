"""Where the scans lie and what they are called: one file of the study knows it. It is never exported, and may be taken out before a study is passed on."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg import io
from napari_medseg.errors import InvalidInputError, ProjectError, UnreadableFileError
from napari_medseg.io.formats import DICOM, format_of
from napari_medseg.io.series import SeriesInfo
from napari_medseg.project.durable import read_json, write_json
from napari_medseg.project.layout import case_key

LONGEST = 4096
WHOLE = (".nii", ".nii.gz", ".nrrd", ".mha", ".gipl", ".gipl.gz", ".tif", ".tiff", ".ome.tif", ".ome.tiff", ".png", ".jpg", ".jpeg", ".bmp")
"""Files that hold their voxels themselves: equal bytes are equal scans."""
_UID = re.compile(r"[0-9]+(\.[0-9]+){3,}.*")


@dataclass(frozen=True, slots=True)
class Source:
    """Where one scan lies.

    Attributes
    ----------
    path : Path
    series : str
        Which series of it; "" for the only one.
    name : str
        What people call it.
    beside : str
        The path seen from the study folder, "" on another drive: scans that move with the study are found again.
    """

    path: Path
    series: str = ""
    name: str = ""
    beside: str = ""

    def found(self, folder: Path) -> Path:
        """Where it lies now: as written, else as seen from the study folder."""
        if self.beside and not os.path.exists(self.path):
            moved = Path(os.path.normpath(folder.absolute() / self.beside))
            if os.path.exists(moved):
                return moved
        return self.path

    def is_there(self, folder: Path) -> bool:
        """Whether there is something where it lies now; what may not be looked at is not there."""
        return os.path.exists(self.found(folder))


def source_of(path: Path, series: str, name: str, folder: Path) -> Source:
    """A source as it is written down."""
    full = Path(os.path.abspath(path))
    try:
        beside = os.path.relpath(full, folder.absolute())
    except ValueError:  # another drive
        beside = ""
    return Source(full, series, name, beside)


def read_sources(path: Path) -> dict[str, Source]:
    """Sources by case id; none when the file was taken out.

    Raises
    ------
    ProjectError
        When it is damaged.
    """
    if not path.exists():
        return {}
    told = read_json(path)
    try:
        return {case: _source(case, entry) for case, entry in told["cases"].items()}
    except (KeyError, TypeError, AttributeError, InvalidInputError) as error:
        raise ProjectError("is damaged", where=path, todo="Correct it, or move it away and tell each case its scan again") from error


def write_sources(path: Path, sources: dict[str, Source]) -> None:
    """Replace the file.

    Raises
    ------
    UnwritableFileError
    """
    entries = {c: {"path": str(s.path), "beside": s.beside, "series": s.series, "name": s.name} for c, s in sorted(sources.items())}
    write_json(path, {"about": "Where the scans lie. Take this file out before you pass the study on.", "cases": entries})


def pick(path: Path, series: str) -> SeriesInfo:
    """The one series that is meant, of those a path holds.

    Raises
    ------
    MissingFileError, UnreadableFileError
        As `io.describe`; also when that series cannot be read.
    InvalidInputError
        When several can be meant; lists them.
    """
    found = io.describe(path)
    fits = [one for one in found if series in (one.series, one.title)] if series else [one for one in found if one.readable] or found
    fits = fits or [one for one in found if one.series.startswith(series)]
    if len(fits) != 1:
        what = f"{len(fits)} of its {len(found)} series fit '{series}'" if series else f"holds {len(fits)} series"
        listed = "; ".join(f"{one.title} ({one.modality or '?'}, {one.series})" for one in found)
        raise InvalidInputError(f"{what}: {listed}", where=path, todo="Choose one by its UID")
    return require_readable(fits[0], path)


def require_readable(info: SeriesInfo, path: Path) -> SeriesInfo:
    """The series, where its images make a volume.

    Raises
    ------
    UnreadableFileError
        When they do not.
    """
    if not info.readable:
        raise UnreadableFileError(info.notes[-1] if info.notes else "cannot be read", where=path, todo="Export it again, or choose another series")
    return info


def fingerprint(path: Path, info: SeriesInfo, salt: str) -> str:
    """By what a scan is known again wherever it lies; salted, so that nothing of its header can be guessed from it.

    The series UID for DICOM, else the file's bytes, else the voxels.
    """
    digest = hashlib.sha256(bytes.fromhex(salt))
    digest.update(repr(_rounded(info)).encode())
    if format_of(path) in (DICOM, None) and _UID.fullmatch(info.series):
        digest.update(info.series.encode())
    elif path.is_file() and path.name.lower().endswith(WHOLE):
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    else:
        for row in io.read(path, series=info.series or None).array:
            digest.update(np.ascontiguousarray(row).tobytes())
    return digest.hexdigest()


def named(source: Source, name: str) -> Source:
    """The same source under another name."""
    return replace(source, name=name)


def _rounded(info: SeriesInfo) -> tuple[Any, ...]:
    return info.shape_zyx, *(tuple(round(float(v), 4) + 0.0 for v in part) for part in (info.spacing_mm_zyx, info.origin_lps, info.direction))


def _source(case: str, entry: Any) -> Source:
    case_key(case)
    path, beside, series, name = (entry[key] for key in ("path", "beside", "series", "name"))
    if not all(isinstance(text, str) and len(text) <= LONGEST and "\0" not in text for text in (path, beside, series, name)) or not path:
        raise InvalidInputError("holds an odd path", where=case)
    return Source(Path(path), series, name, beside)
