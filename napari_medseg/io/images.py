"""Images in one file (NIfTI, NRRD, MetaImage, one DICOM file), read through SimpleITK after their headers are checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from napari_medseg.errors import InvalidInputError, UnreadableFileError, UnwritableFileError
from napari_medseg.io.formats import stem_of, suffix_of
from napari_medseg.io.headers import check
from napari_medseg.io.series import SeriesInfo
from napari_medseg.io.values import finite_values as finite_values
from napari_medseg.volume import Array, Geometry, Shape, Volume
from napari_medseg.volume.resample import to_sitk

MODALITY = "0008|0060"
FAST = 1  # zlib level: half the time of the default for a tenth more bytes
_DTYPES = {
    sitk.sitkUInt8: "uint8", sitk.sitkInt8: "int8", sitk.sitkUInt16: "uint16", sitk.sitkInt16: "int16", sitk.sitkUInt32: "uint32", sitk.sitkInt32: "int32",
    sitk.sitkUInt64: "uint64", sitk.sitkInt64: "int64", sitk.sitkFloat32: "float32", sitk.sitkFloat64: "float64",
    sitk.sitkVectorUInt8: "uint8", sitk.sitkVectorInt8: "int8", sitk.sitkVectorUInt16: "uint16", sitk.sitkVectorInt16: "int16",
    sitk.sitkVectorUInt32: "uint32", sitk.sitkVectorInt32: "int32", sitk.sitkVectorUInt64: "uint64", sitk.sitkVectorInt64: "int64",
    sitk.sitkVectorFloat32: "float32", sitk.sitkVectorFloat64: "float64",
}


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Keep ITK's own warnings off stderr; what matters of them is raised or noted here."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


def describe(path: Path) -> list[SeriesInfo]:
    """What a file's header says, as the one series it holds."""
    return [describe_image(path)]


def read(path: Path, series: str | None, like: Geometry | None) -> Volume:
    """Read one image file; see `read_image`."""
    return read_image(path)


def write(volume: Volume, path: Path) -> None:
    """Write through ITK, which chooses the format by the suffix, and look whether all of it arrived.

    Raises
    ------
    UnwritableFileError
        When not all of it arrived.
    """
    array = volume.array.astype(np.float32) if volume.array.dtype == np.float16 else volume.array
    image = to_sitk(array, volume.geometry) if array.ndim == 3 else sitk.Compose([to_sitk(channel, volume.geometry) for channel in array])
    try:
        with quiet_itk():
            sitk.WriteImage(image, str(path), useCompression=suffix_of(path) != ".nii", compressionLevel=FAST)
        check(path)  # ITK does not notice a full disk in every format
    except (RuntimeError, UnreadableFileError) as error:
        raise UnwritableFileError("could not be written whole", where=path, todo="Check space and permissions, or choose another place") from error


def describe_image(path: Path) -> SeriesInfo:
    """What a file's header says; voxels are not read.

    Raises
    ------
    UnreadableFileError, MissingFileError
        As `read_image`.
    """
    check(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        with quiet_itk():
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise _refusal(error, path) from error
    size = reader.GetSize()
    spatial = min(len(size), 3)
    geometry = grid(size[:spatial], reader.GetSpacing()[:spatial], reader.GetOrigin()[:spatial], _spatial(reader.GetDirection(), spatial), path)
    dtype = _DTYPES.get(reader.GetPixelID())
    if dtype is None:
        raise UnreadableFileError(f"holds {sitk.GetPixelIDValueAsString(reader.GetPixelID())} values", where=path, todo="Convert it to real numbers first")
    return SeriesInfo(
        geometry.shape, geometry.spacing, geometry.origin, geometry.direction, dtype,
        modality=reader.GetMetaData(MODALITY).strip() if reader.HasMetaDataKey(MODALITY) else "",
        channels=reader.GetNumberOfComponents(),
        timepoints=int(np.prod(size[3:], dtype=int)),
        title=stem_of(path),
    )


def read_image(path: Path) -> Volume:
    """Read one image file.

    Returns
    -------
    Volume
        In the file's own orientation, (z, y, x) or (c, z, y, x); a 2D image is one slice. Values that are not finite are replaced and noted.

    Raises
    ------
    UnreadableFileError
        Not an image, cut short, several timepoints, sheared axes, or no finite value at all.
    MissingFileError
        When the header names a data file that is not there.
    """
    info = describe_image(path)
    if info.timepoints > 1:
        raise UnreadableFileError(
            f"holds {info.timepoints} timepoints", where=path, todo="Save the one you need as a file of its own (channels belong in a vector image)"
        )
    try:
        with quiet_itk():
            array = channels_first(sitk.ReadImage(str(path)), info.shape_zyx)
    except RuntimeError as error:
        raise _refusal(error, path) from error
    finite, notes = finite_values(array, path)
    return Volume(finite, info.geometry, name=info.title, modality=info.modality, source=path, notes=notes)


def channels_first(image: sitk.Image, shape: Shape) -> Array:
    """ITK's voxels as (z, y, x), or (c, z, y, x) when they have several values."""
    channels = image.GetNumberOfComponentsPerPixel()
    array = sitk.GetArrayFromImage(image).reshape((*shape, channels))
    return np.ascontiguousarray(np.moveaxis(array, -1, 0)) if channels > 1 else array[..., 0]


def grid(size: tuple[int, ...], spacing: tuple[float, ...], origin: tuple[float, ...], direction: tuple[float, ...], path: Path) -> Geometry:
    """ITK's x, y, z of a 2D or 3D image as a Geometry; names the file when it cannot be one."""
    flat = len(size) == 2
    matrix = np.eye(3)
    matrix[: len(size), : len(size)] = np.reshape(direction, (len(size), len(size)))
    if flat and np.linalg.det(matrix) < 0:
        matrix[2, 2] = -1.0
    size, spacing, origin = ((*size, 1), (*spacing, 1.0), (*origin, 0.0)) if flat else (size, spacing, origin)
    x, y, z = origin
    try:
        return Geometry(tuple(size[::-1]), tuple(spacing[::-1]), (x, y, z), tuple(float(v) + 0.0 for v in matrix.ravel()))  # type: ignore[arg-type]
    except InvalidInputError as error:
        raise UnreadableFileError(error.what, where=path, todo=error.todo) from error


def _spatial(direction: tuple[float, ...], spatial: int) -> tuple[float, ...]:
    size = round(len(direction) ** 0.5)
    return tuple(np.reshape(direction, (size, size))[:spatial, :spatial].ravel())


def _refusal(error: RuntimeError, path: Path) -> UnreadableFileError:
    told = str(error)
    if "orthonormal" in told:
        return UnreadableFileError("the axes are sheared, not at right angles", where=path, todo="Resample the scan to a straight grid first")
    lines = [line.split("ERROR: ")[-1].strip() for line in told.splitlines() if line.strip()]
    reason = lines[-1].rstrip(".") if lines else "no reason given"
    return UnreadableFileError(f"cannot be read as an image ({reason})", where=path, todo="Check the file, or export it again")
