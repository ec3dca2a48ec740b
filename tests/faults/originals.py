"""One honest file of every kind, made as scanners and other programs make it: what the tests of faults spoil."""

from __future__ import annotations

import json
import re
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import SimpleITK as sitk
import tifffile
from dicom_series import save_series
from PIL import Image
from spoil import Way, any_file, dicom_element, header, json_file, raw, sqlite_rows, unpacked

SHAPE = (5, 40, 36)
GRID = {"spacing": (2.5, 0.7, 0.8), "origin": (-40.0, 20.0, 100.0)}


@dataclass(frozen=True)
class Original:
    """A kind of file.

    Attributes
    ----------
    name : str
        Of the file or folder.
    make : callable
        Writes it, given its path; other files may lie beside it.
    ways : tuple of ways to spoil it
    tell : callable or None
        What size it honestly states, found without the code under test; None when it states none.
    opens : str
        How it is opened: see `fuzz.OPENERS`.
    """

    name: str
    make: Callable[[Path], None]
    ways: tuple[Way, ...]
    tell: Callable[[Path], tuple[int, ...] | None] | None = None
    opens: str = "image"


def scan(shape: tuple[int, ...] = SHAPE, dtype: type = np.int16) -> np.ndarray:
    """A ball in noise."""
    middle = np.array(shape)[:, None, None, None] / 2
    near = (((np.indices(shape) - middle) / middle) ** 2).sum(0) < 0.5
    return (np.random.default_rng(0).integers(0, 60, shape) + 100 * near).astype(dtype)


def labels() -> np.ndarray:
    """Two classes."""
    array = np.zeros(SHAPE, np.uint8)
    array[1:4, 4:12, 3:9], array[2:4, 14:20, 10:18] = 1, 2
    return array


def image(array: np.ndarray) -> sitk.Image:
    """On the grid of this file."""
    made = sitk.GetImageFromArray(array)
    made.SetSpacing(GRID["spacing"][::-1])
    made.SetOrigin(GRID["origin"])
    return made


def by_itk(array: Callable[[], np.ndarray], packed: bool = True) -> Callable[[Path], None]:
    """Written by SimpleITK."""
    return lambda path: sitk.WriteImage(image(array()), str(path), useCompression=packed)


def ours(array: Callable[[], np.ndarray] = labels, grid: dict[str, tuple[float, ...]] | None = None) -> Callable[[Path], None]:
    """Written by the product, as a label map."""

    def make(path: Path) -> None:
        from napari_medseg.annotation import LabelMap, default_classes
        from napari_medseg.io import write
        from napari_medseg.volume import Geometry

        write(LabelMap(array(), Geometry(SHAPE, **(GRID if grid is None else grid)), classes=default_classes(2)), path)

    return make


def tiff(**how: object) -> Callable[[Path], None]:
    """A stack as microscopes and ImageJ write it."""
    return lambda path: tifffile.imwrite(path, scan(dtype=np.uint16), metadata={"axes": "ZYX"}, **how)


def picture(path: Path) -> None:
    """One slice in colours, as Pillow writes it."""
    Image.fromarray(np.moveaxis(scan(dtype=np.uint8)[:3], 0, -1).copy()).save(path)


def series(folder: Path) -> None:
    """A DICOM series, one file a slice."""
    from napari_medseg.volume import Geometry

    save_series(folder, scan(), Geometry(SHAPE, **GRID))


def one_slice(path: Path) -> None:
    """One file of it."""
    with tempfile.TemporaryDirectory() as folder:
        series(Path(folder) / "series")
        shutil.copyfile(Path(folder) / "series" / "IM0000.dcm", path)


def packed_series(kind: str) -> Callable[[Path], None]:
    """A DICOM series whose pixels are packed."""

    def make(folder: Path) -> None:
        series(folder)
        for path in folder.iterdir():
            data = pydicom.dcmread(path)
            data.compress(getattr(pydicom.uid, kind), generate_instance_uid=False)
            data.save_as(path)

    return make


def enhanced(path: Path) -> None:
    """An enhanced multi-frame CT: all slices in one file, positions in functional groups."""
    with tempfile.TemporaryDirectory() as folder:
        series(Path(folder) / "series")
        slices = [pydicom.dcmread(p) for p in sorted((Path(folder) / "series").iterdir())]
    data = slices[0]
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = pydicom.uid.EnhancedCTImageStorage
    data.NumberOfFrames, data.PixelData = len(slices), b"".join(s.PixelData for s in slices)
    shared = pydicom.Dataset()
    shared.PixelMeasuresSequence = [_item(PixelSpacing=data.PixelSpacing, SliceThickness=data.SliceThickness)]
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=data.ImageOrientationPatient)]
    shared.PixelValueTransformationSequence = [_item(RescaleIntercept=-1024, RescaleSlope=1, RescaleType="HU")]
    data.SharedFunctionalGroupsSequence = [shared]
    data.PerFrameFunctionalGroupsSequence = [
        _item(
            PlanePositionSequence=[_item(ImagePositionPatient=s.ImagePositionPatient)],
            FrameContentSequence=[_item(DimensionIndexValues=[k + 1], StackID="1", InStackPositionNumber=k + 1)],
        ) for k, s in enumerate(slices)
    ]
    for name in ("PixelSpacing", "SliceThickness", "ImagePositionPatient", "ImageOrientationPatient", "RescaleIntercept", "RescaleSlope", "RescaleType"):
        delattr(data, name)
    data.save_as(path)


def _item(**facts: object) -> pydicom.Dataset:
    made = pydicom.Dataset()
    for name, value in facts.items():
        setattr(made, name, value)
    return made


def referring(path: Path) -> None:
    """Labels that refer to a series, which lies beside them."""
    from napari_medseg.annotation import LabelMap, default_classes
    from napari_medseg.io import read, write

    folder = path.parent / "series"
    series(folder)
    write(LabelMap(labels(), read(folder).geometry, source=folder, classes=default_classes(2)), path, source=folder)


# What a header states, read in the plainest way -----------------------------------------------------------------------------------------------------------

def nifti_size(path: Path) -> tuple[int, ...] | None:
    """Of NIfTI-1 and -2 and Analyze."""
    import gzip

    data = path.read_bytes()
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    for order in "<>":
        kind = struct.unpack_from(order + "i", data)[0]
        if kind in (348, 540):
            rank, *sizes = struct.unpack_from(order + ("8h" if kind == 348 else "8q"), data, 40 if kind == 348 else 16)
            return tuple(sizes[:rank]) if 1 <= rank <= 7 else None
    return None


def text_size(*keys: str) -> Callable[[Path], tuple[int, ...] | None]:
    """Of a header of lines."""

    def tell(path: Path) -> tuple[int, ...] | None:
        found: list[int] = []
        for key in keys:
            line = re.findall(rf"^{key}\s*[:=]\s*([\d ]+)\r?$", path.read_bytes()[:65536].decode("latin-1"), re.MULTILINE)
            found += [int(n) for n in line[-1].split()] if line else []
        return tuple(found) or None

    return tell


def gipl_size(path: Path) -> tuple[int, ...] | None:
    """Of a GIPL header: four big-endian shorts first, of which the last may be 0 where there is no time."""
    *size, times = struct.unpack_from(">4H", path.read_bytes())
    return (*size, times or 1)


def in_the_other(suffix: str) -> Way:
    """Spoil the file beside it, with another suffix."""
    return lambda path, rng: raw(64)(path.with_suffix(suffix), rng)


ORIGINALS: dict[str, Original] = {}


def _add(kind: str, original: Original) -> None:
    ORIGINALS[kind] = original


def _nibabel(kind: type) -> Callable[[Path], None]:
    return lambda path: nibabel.save(kind(scan().T, np.diag([-0.8, -0.7, 2.5, 1.0])), path)


_nrrd, _meta = text_size("sizes"), text_size("DimSize", "ElementNumberOfChannels")
_add("nifti", Original("scan.nii", by_itk(scan), (raw(352), raw(352), raw(352)), nifti_size))
_add("nifti packed", Original("scan.nii.gz", by_itk(scan), (raw(64), unpacked(352), unpacked(352)), nifti_size))
_add("nifti 2", Original("scan.nii.gz", _nibabel(nibabel.Nifti2Image), (raw(64), unpacked(544), unpacked(544)), nifti_size))
_add("nrrd", Original("scan.nrrd", by_itk(scan), (raw(400), header(b"\n\n"), header(b"\n\n")), _nrrd))
_add("nrrd in two files", Original("scan.nhdr", by_itk(scan, packed=False), (raw(400), header(None), header(None)), _nrrd))
_add("metaimage", Original("scan.mha", by_itk(scan), (raw(300), header(b"LOCAL"), header(b"LOCAL")), _meta))
_add("metaimage in two files", Original("scan.mhd", by_itk(scan, packed=False), (raw(300), header(None), header(None)), _meta))
_add("dicom series", Original("series", series, (any_file({".dcm": raw(1400)}), any_file({".dcm": dicom_element}), any_file({".dcm": dicom_element}))))
_add("dicom slice", Original("slice.dcm", one_slice, (raw(1400), dicom_element, dicom_element)))


def ome_zarr(version: int) -> Callable[[Path], None]:
    """A label map as other programs write it: OME-Zarr 0.4 in Zarr 2, or 0.5 in Zarr 3 with shards."""

    def make(path: Path) -> None:
        import zarr

        x, y, z = GRID["origin"]
        multiscale = {
            "name": "labels", "axes": [{"name": axis, "type": "space", "unit": "millimeter"} for axis in "zyx"],
            "datasets": [{"path": "0", "coordinateTransformations": [
                {"type": "scale", "scale": list(GRID["spacing"])}, {"type": "translation", "translation": [z, y, x]},
            ]}],
        }
        multiscale |= {"version": "0.4"} if version == 2 else {}
        told = {"multiscales": [multiscale], "image-label": {"colors": [{"label-value": 1, "rgba": [255, 0, 0, 255]}]}}
        group = zarr.open_group(path, mode="w", zarr_format=version)
        shards = {"shards": (6, 48, 40)} if version == 3 else {}
        array = group.create_array("0", shape=SHAPE, dtype="uint8", chunks=(2, 12, 10) if version == 3 else (3, 40, 36), **shards)
        array[...] = labels()
        group.attrs.update(told if version == 2 else {"ome": {"version": "0.5", **told}})

    return make


def zarr_size(path: Path) -> tuple[int, ...] | None:
    """Of the first level."""
    for name in ("zarr.json", ".zarray"):
        if (path / "0" / name).is_file():
            return tuple(json.loads((path / "0" / name).read_text(encoding="utf-8"))["shape"])
    return None


def study(path: Path) -> None:
    """A study of two cases: three versions, strokes, a run, unsaved work. What its versions hold stands beside it."""
    from napari_medseg.annotation import LabelMap, default_classes
    from napari_medseg.io import write
    from napari_medseg.project import Project
    from napari_medseg.volume import Geometry, Volume

    grid, honest = Geometry(SHAPE, **GRID), {}
    with Project.create(path, title="Study", classes=default_classes(2), user="maker") as project:
        for number, name in enumerate("ab"):
            write(Volume(scan() + number, grid), path.parent / f"{name}.nii.gz")
            case = project.add(path.parent / f"{name}.nii.gz")
            for turn in range(2 - number):
                array = np.roll(labels(), turn, axis=2)
                made = project.save(
                    case.id, LabelMap(array, grid, classes=default_classes(2)), kind="corrected", tool="brush", parameters={"radius": 3.5},
                    prompts={"points": [[1.0, 2.0, 3.0]]}, arrays={"strokes": array} if turn else {}, parent=turn or None, seconds=2.0,
                )
                honest[f"{case.id} {made.number}"] = zlib.crc32(array.data)
        made = project.restore("case-0001", 1)
        honest[f"case-0001 {made.number}"] = zlib.crc32(labels().data)
        project.record_run("segment", parameters={"batch": 4}, figures={"dice": 0.9}, cases=["case-0001"])
        work = labels()
        work[0, :3, :3] = 2
        draft = project.draft("case-0002", 1)
        draft.write(work)
        draft.close()
    (path.parent / "honest.json").write_text(json.dumps(honest), encoding="utf-8")


_FILES = (any_file({".dcm": raw(1400)}), any_file({".dcm": dicom_element}), any_file({".dcm": dicom_element}))
_add("dicom series packed by RLE", Original("series", packed_series("RLELossless"), _FILES))
_add("dicom series packed by JPEG-LS", Original("series", packed_series("JPEGLSLossless"), _FILES))
_add("dicom series packed by JPEG 2000", Original("series", packed_series("JPEG2000Lossless"), _FILES))
_add("dicom enhanced", Original("scan.dcm", enhanced, (raw(2400), dicom_element, dicom_element)))
_add("dicom segmentation", Original("labels.seg.dcm", referring, (raw(4000), dicom_element, dicom_element)))
_add("dicom structure set", Original("labels.rtstruct.dcm", referring, (raw(4000), dicom_element, dicom_element)))
_add("segmentation nrrd", Original("labels.seg.nrrd", ours(), (raw(600), header(b"\n\n"), header(b"\n\n"))))
_add("gipl", Original("scan.gipl", by_itk(scan, packed=False), (raw(256),), gipl_size))
_add("gipl packed", Original("scan.gipl.gz", ours(), (raw(64), unpacked(256), unpacked(256))))
_TIFF = (raw(400), raw(400), raw(20_000))
_add("tiff", Original("scan.tif", tiff(), _TIFF))
_add("tiff packed in tiles", Original("scan.tiff", tiff(compression="zlib", tile=(16, 16)), _TIFF))
_add("tiff of imagej", Original("scan.tif", tiff(imagej=True), _TIFF))
_add("tiff as we write it", Original("labels.tif", ours(grid={"spacing": GRID["spacing"]}), _TIFF))
for _suffix in ("png", "jpg", "bmp"):
    _add(_suffix, Original(f"picture.{_suffix}", picture, (raw(200),)))
_add("analyze", Original("scan.hdr", _nibabel(nibabel.AnalyzeImage), (raw(348), raw(348), in_the_other(".img")), nifti_size))
_add("nifti in two files", Original("scan.hdr", _nibabel(nibabel.Nifti1Pair), (raw(348), raw(348), in_the_other(".img")), nifti_size))
_CHUNKS = any_file({"zarr.json": json_file, ".zattrs": json_file, ".zarray": json_file, ".zgroup": json_file, "": raw(64)})
_JSON = any_file({"zarr.json": json_file, ".zattrs": json_file, ".zarray": json_file})
_add("ome-zarr 0.4", Original("labels.ome.zarr", ome_zarr(2), (_CHUNKS, _JSON, _JSON), zarr_size))
_add("ome-zarr 0.5", Original("labels.ome.zarr", ome_zarr(3), (_CHUNKS, _JSON, _JSON), zarr_size))
_add("ome-zarr as we write it", Original("labels.ome.zarr", ours(), (_CHUNKS, _JSON, _JSON), zarr_size))
_add("study", Original(
    "study.medseg", study,
    (
        *2 * (any_file({"project.db": sqlite_rows}),), any_file({"project.db": raw(8192)}), any_file({"project.json": json_file}),
        any_file({"sources.json": json_file}), any_file({".journal": raw(400)}), any_file({"zarr.json": json_file}),
        any_file({"project.json": json_file, "sources.json": json_file, "zarr.json": json_file, "": raw(256)}),
    ),
    opens="study",
))


def _join_the_table() -> None:
    """Every other format that the product writes and reads, as it writes it."""
    from napari_medseg.io.formats import FORMATS

    known = {original.name.partition(".")[2] for original in ORIGINALS.values()}
    for kind in FORMATS:
        for suffix in kind.suffixes:
            if kind.reads and kind.writes and not kind.folder and suffix[1:] not in known and not kind.refers:
                _add(suffix, Original(f"labels{suffix}", ours(), (raw(600),)))


_join_the_table()
