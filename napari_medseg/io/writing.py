"""One way out: a Volume to a file, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from napari_medseg.errors import UnreadableFileError, UnwritableFileError
from napari_medseg.io.atomic import replacing
from napari_medseg.io.formats import WRITABLE, suffix_of
from napari_medseg.io.headers import check
from napari_medseg.io.images import quiet_itk
from napari_medseg.volume import Volume
from napari_medseg.volume.resample import to_sitk

FAST = 1  # zlib level: half the time of the default for a tenth more bytes


def write(volume: Volume, path: Path | str) -> None:
    """Write a scan or a label map on its own grid.

    Parameters
    ----------
    volume : Volume
        bool is written as uint8, float16 as float32; channels as a vector image.
    path : Path
        Ends in .nii.gz, .nii, .nrrd or .mha, which chooses the format.

    Raises
    ------
    UnwritableFileError
        Another suffix, no such folder, no permission, no space. What was at `path` is unchanged then.
    """
    path = Path(path)
    require_writable(path)
    image = _image(volume)
    with replacing(path) as temporary:
        try:
            with quiet_itk():
                sitk.WriteImage(image, str(temporary), useCompression=suffix_of(path) != ".nii", compressionLevel=FAST)
            check(temporary)  # ITK does not notice a full disk in every format
        except (RuntimeError, UnreadableFileError) as error:
            raise UnwritableFileError("could not be written whole", where=path, todo="Check space and permissions, or choose another place") from error


def require_writable(path: Path) -> None:
    """Refuse a name that no writer takes, before any work is done.

    Raises
    ------
    UnwritableFileError
        When the suffix is not one of .nii.gz, .nii, .nrrd, .mha, or the folder does not exist.
    """
    if suffix_of(path) not in WRITABLE:
        raise UnwritableFileError("names no format that can be written", where=path, todo=f"End it in {', '.join(WRITABLE)}")
    if path.is_dir():
        raise UnwritableFileError("is a folder", where=path, todo="Give the name of a file")
    if not path.absolute().parent.is_dir():
        raise UnwritableFileError(f"the folder {path.parent} does not exist", where=path, todo="Create it, or choose another place")


def _image(volume: Volume) -> sitk.Image:
    array = volume.array
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.ndim == 3:
        return to_sitk(array, volume.geometry)
    return sitk.Compose([to_sitk(channel, volume.geometry) for channel in array])
