"""What is in a file or folder, as its header tells."""

from __future__ import annotations

from dataclasses import dataclass

from napari_medseg.volume import Geometry, Shape, Spacing


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """What is in a file, or in one series of a DICOM folder, told by its header.

    Attributes
    ----------
    shape_zyx : (z, y, x) voxels
    spacing_mm_zyx : (z, y, x) mm
    origin_lps : (x, y, z) mm
    direction : nine floats, row-major
    dtype : str
        NumPy's name.
    modality : str
        "" when the file does not say.
    channels, timepoints : int
    series : str
        DICOM series UID, with which `read` picks it; else "".
    title : str
        What the scanner called it, else the file's name.
    units : str
        Of the values: "HU", "BQML", ... or "" when the file does not say.
    channel_names : tuple of str
        One a channel, or ().
    notes : tuple of str
        What a person should know before opening it: missing slices, a localiser, a tilted gantry.
    readable : bool
        Whether `read` opens it; when not, the last note says why.
    scout : bool
        Whether it is a localiser, which nobody means when they open a folder.
    number : int or None
        DICOM series number, with which `read` picks it too when no other series has it.
    """

    shape_zyx: Shape
    spacing_mm_zyx: Spacing
    origin_lps: tuple[float, float, float]
    direction: tuple[float, ...]
    dtype: str
    modality: str = ""
    channels: int = 1
    timepoints: int = 1
    series: str = ""
    title: str = ""
    units: str = ""
    channel_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    readable: bool = True
    scout: bool = False
    number: int | None = None

    @property
    def geometry(self) -> Geometry:
        """The grid of its voxels."""
        return Geometry(self.shape_zyx, self.spacing_mm_zyx, self.origin_lps, self.direction)
