"""Which file is of which family, by its name, and which module of this room reads and writes it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol, cast

from napari_medseg.io.series import SeriesInfo
from napari_medseg.volume import Geometry, Volume


class Family(Protocol):
    """What the module of a family of formats offers; a module that only reads or only writes leaves the rest out."""

    def describe(self, path: Path) -> list[SeriesInfo]:
        """What is in it, without reading voxels."""

    def read(self, path: Path, series: str | None, like: Geometry | None) -> Volume:
        """Read it: a LabelMap when the format says that it is one. `like` is a grid to put labels on, for formats that bring no whole grid of their own."""

    def write(self, volume: Volume, path: Path) -> None:
        """Write to `path`, a temporary name with the right suffix; LabelMap.classes are kept where the format can hold them."""

    def parts(self, volume: Volume, path: Path) -> list[tuple[Path, Volume]]:
        """The files that one volume becomes, where it may become several."""

    def write_for(self, volume: Volume, path: Path, scan: Scan) -> None:
        """Instead of `write`, where a file refers to the scan that the labels were drawn on."""


Kind = Literal["binary", "labelmap"]


@dataclass(frozen=True, slots=True)
class Scan:
    """The scan that labels belong to, for the formats that refer to it.

    Attributes
    ----------
    path : Path
        Where its files are.
    series : str
        Which series of a folder: UID, number or description; "" for the one that the labels lie on.
    anonymise : bool
        Whether patient and study are left out.
    kind : "binary" or "labelmap"
        How DICOM SEG holds the classes: a stack of bits for each, or one stack of their values.
    """

    path: Path
    series: str = ""
    anonymise: bool = False
    kind: Kind = "binary"


@dataclass(frozen=True, slots=True)
class Format:
    """A family of files.

    Attributes
    ----------
    title : str
        What people call it.
    suffixes : tuple of str
        Lower case, with the dot.
    module : str
        In napari_medseg.io.
    reads : bool
    writes : str
        "" for no, "volumes" for scans and label maps, "labels" for label maps only.
    folder : bool
        Whether it is a folder rather than a file.
    refers : bool
        Whether it is written for a scan whose files it refers to.
    parts : bool
        Whether one volume may become several files.
    names : bool
        Whether the names and colours of classes are kept.
    """

    title: str
    suffixes: tuple[str, ...]
    module: str
    reads: bool = True
    writes: Literal["", "volumes", "labels"] = ""
    folder: bool = False
    refers: bool = False
    parts: bool = False
    names: bool = True

    @property
    def family(self) -> Family:
        """The module; imported when first needed."""
        return cast(Family, import_module(f"napari_medseg.io.{self.module}"))


FORMATS = (
    Format("NIfTI", (".nii.gz", ".nii"), "nifti", writes="volumes"),
    Format("NRRD", (".seg.nrrd", ".nrrd"), "nrrd", writes="volumes"),
    Format("NRRD with its data apart", (".nhdr",), "nrrd"),
    Format("MetaImage", (".mha",), "meta", writes="volumes"),
    Format("MetaImage with its data apart", (".mhd",), "meta"),
    Format("GIPL", (".gipl.gz", ".gipl"), "gipl", writes="volumes", names=False),
    Format("Analyze or NIfTI in two files", (".hdr", ".img"), "analyze"),
    Format("TIFF stack", (".tif", ".tiff"), "tiff", writes="volumes", names=False),
    Format("Picture", (".png", ".jpg", ".jpeg", ".bmp"), "pictures"),
    Format("OME-Zarr", (".ome.zarr", ".zarr"), "omezarr", writes="volumes", folder=True),
    Format("STL surfaces", (".stl",), "meshes", reads=False, writes="labels", parts=True, names=False),
    Format("PLY surfaces", (".ply",), "meshes", reads=False, writes="labels", parts=True),
    Format("DICOM segmentation", (".seg.dcm",), "dicomlabels.seg", writes="labels", refers=True),
    Format("DICOM structure set", (".rtstruct.dcm",), "dicomlabels.rtstruct", writes="labels", refers=True),
    Format("DICOM", (".dcm", ".dicom", ".ima"), "dicom"),
)
OME_ZARR = next(f for f in FORMATS if f.module == "omezarr")
ZARR_METADATA = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
DICOM = next(f for f in FORMATS if f.module == "dicom")
ANALYZE = next(f for f in FORMATS if f.module == "analyze")

SEGMENTATION = next(f for f in FORMATS if f.module == "dicomlabels.seg")

READABLE = tuple(suffix for f in FORMATS if f.reads for suffix in f.suffixes)
WRITABLE = tuple(suffix for f in FORMATS if f.writes and f.reads and not f.refers for suffix in f.suffixes)
WRITE_ONLY = tuple(suffix for f in FORMATS if f.writes and not f.reads for suffix in f.suffixes)
REFERRING = tuple(suffix for f in FORMATS if f.writes and f.refers for suffix in f.suffixes)
_BY_SUFFIX = sorted(((suffix, f) for f in FORMATS for suffix in f.suffixes), key=lambda pair: -len(pair[0]))

KNOWN = (
    "NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr, .seg.nrrd), MetaImage (.mha, .mhd), GIPL (.gipl), Analyze (.hdr, .img), TIFF (.tif), a picture (.png, .jpg, "
    ".bmp), OME-Zarr (.ome.zarr) or DICOM (a folder or .dcm)"
)


def format_of(path: Path | str) -> Format | None:
    """The family that a name belongs to; None when it is none we know."""
    name = Path(path).name.lower()
    return next((f for suffix, f in _BY_SUFFIX if name.endswith(suffix)), None)


def is_omezarr(path: Path) -> bool:
    """Whether a folder is one OME-Zarr, by its name or by what lies in it, rather than a folder of files."""
    return path.is_dir() and (format_of(path) is OME_ZARR or any((path / name).is_file() for name in ZARR_METADATA))


def written_as(path: Path | str) -> Format | None:
    """The family that a name is written as; plain .dcm is a DICOM segmentation."""
    found = format_of(path)
    return SEGMENTATION if found is DICOM else found


def suffix_of(path: Path | str) -> str:
    """The suffix that tells the format, lower case: ".nii.gz" as a whole; "" when it is none we know."""
    name = Path(path).name.lower()
    return next((suffix for suffix, _ in _BY_SUFFIX if name.endswith(suffix)), "")


def stem_of(path: Path | str) -> str:
    """A file's name without the suffix that tells its format."""
    path = Path(path)
    suffix = suffix_of(path)
    return path.name[: -len(suffix)] if suffix else path.stem
