"""Files that pydicom brings for its own tests, made by other programs."""

from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
import pytest

from napari_medseg.io import read

FILES = Path(pydicom.data.__file__).parent / "test_files"


@pytest.mark.parametrize("name", ["SC_rgb_small_odd_big_endian.dcm", "SC_rgb_small_odd.dcm", "ExplVR_BigEnd.dcm", "MR_small_bigendian.dcm"])
def test_pixels_are_those_that_pydicom_finds(name):
    if not (FILES / name).is_file():
        pytest.skip("this pydicom comes without its test files")
    theirs = pydicom.dcmread(FILES / name).pixel_array
    ours = read(FILES / name).array
    ours = np.moveaxis(ours, 0, -1)[0] if ours.ndim == 4 else ours[0]
    np.testing.assert_array_equal(ours, theirs)
