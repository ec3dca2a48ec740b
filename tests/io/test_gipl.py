"""GIPL: what SimpleITK writes and reads, and a refusal with advice for grids it cannot hold."""

import numpy as np
import pytest
import SimpleITK as sitk

from napari_medseg.errors import UnreadableFileError, UnwritableFileError
from napari_medseg.io import describe, read, write
from napari_medseg.volume import Geometry, Volume

DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]
GRID = Geometry((4, 5, 6), (2.0, 0.75, 0.5), (-10.25, 20.5, 30.0))


def scan(dtype="int16", grid=GRID) -> Volume:
    return Volume(np.arange(np.prod(grid.shape)).reshape(grid.shape).astype(dtype), grid)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("suffix", [".gipl", ".gipl.gz"])
def test_every_dtype_comes_back_on_its_grid(tmp_path, dtype, suffix):
    write(scan(dtype), tmp_path / f"a{suffix}")
    back = read(tmp_path / f"a{suffix}")
    assert back.array.dtype == dtype
    assert describe(tmp_path / f"a{suffix}")[0].dtype == dtype
    np.testing.assert_array_equal(back.array, scan(dtype).array)
    assert back.geometry.matches(GRID, 1e-4)
    assert "keeps no direction" in back.notes[0]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_simpleitk_reads_ours_and_we_read_its(tmp_path, dtype):
    write(scan(dtype), tmp_path / "ours.gipl")
    image = sitk.ReadImage(str(tmp_path / "ours.gipl"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), scan(dtype).array)
    np.testing.assert_allclose(image.TransformIndexToPhysicalPoint((5, 4, 3)), GRID.corners()[-1], atol=1e-3)
    sitk.WriteImage(image, str(tmp_path / "its.gipl"))
    back = read(tmp_path / "its.gipl")
    np.testing.assert_array_equal(back.array, scan(dtype).array)
    assert back.geometry.matches(GRID, 1e-4)


@pytest.mark.parametrize(("volume", "said"), [
    (scan(grid=Geometry((4, 5, 6), direction=(-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))), "turned or mirrored"),
    (scan(grid=Geometry((4, 5, 6), direction=(0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0))), "turned or mirrored"),
    (Volume(np.zeros((2, 4, 5, 6), np.uint8), GRID), "one channel"),
    (scan("int64"), "no int64 values"),
    (scan("uint8", Geometry((1, 1, 70_000))), "65535 voxels"),
])
def test_what_it_cannot_hold_is_refused_with_advice_and_nothing_is_left(tmp_path, volume, said):
    with pytest.raises(UnwritableFileError, match=rf"a.gipl: .*{said}.*Save it as .nii.gz"):
        write(volume, tmp_path / "a.gipl")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".gipl", ".gipl.gz"])
def test_a_file_cut_short_and_another_file_are_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write(scan(), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnreadableFileError, match="cut short"):
        read(path)
    path.write_bytes(b"notes" * 100)
    with pytest.raises(UnreadableFileError, match="is not a GIPL file"):
        describe(path)
