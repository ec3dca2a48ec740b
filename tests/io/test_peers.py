"""Other programs read what we write: for every format in the table at least one, and they find our voxels at our millimetres."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile

from napari_medseg.annotation import LabelMap, default_classes
from napari_medseg.io import write
from napari_medseg.io.formats import FORMATS
from napari_medseg.volume import Geometry

GRID = Geometry((6, 20, 16), (2.5, 0.7, 0.8), (-40.25, 20.5, 100.0))
Found = tuple[np.ndarray, np.ndarray | None]  # voxels (z, y, x), and LPS mm of the far corner where the format knows it


def label_map(grid: Geometry = GRID) -> LabelMap:
    array = np.zeros(GRID.shape, np.uint8)
    array[1:4, 3:9, 2:12], array[3:5, 11:18, 4:7] = 1, 2
    return LabelMap(array, grid, classes=default_classes(["Liver", "Tumour"]))


def simpleitk(path: Path) -> Found:
    image = sitk.ReadImage(str(path))
    return sitk.GetArrayFromImage(image), np.array(image.TransformIndexToPhysicalPoint([n - 1 for n in image.GetSize()]))


def by_nibabel(path: Path) -> Found:
    image = nibabel.load(path)
    far = np.diag([-1, -1, 1, 1]) @ image.affine @ [*(n - 1 for n in image.shape[:3]), 1]
    return np.asarray(image.dataobj).T, far[:3]


def by_tifffile(path: Path) -> Found:
    return tifffile.imread(path), None


def simpleitk_without_place(path: Path) -> Found:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path))), None


PEERS: dict[str, tuple[Callable[[Path], Found], ...]] = {
    ".nii.gz": (simpleitk, by_nibabel), ".nii": (simpleitk, by_nibabel), ".nrrd": (simpleitk,), ".seg.nrrd": (simpleitk,), ".mha": (simpleitk,),
    ".gipl": (simpleitk,), ".gipl.gz": (simpleitk,), ".tif": (by_tifffile, simpleitk_without_place), ".tiff": (by_tifffile, simpleitk_without_place),
}
ELSEWHERE = {
    ".ome.zarr": "test_omezarr.py", ".zarr": "test_omezarr.py", ".stl": "test_meshes.py", ".ply": "test_meshes.py",
    ".seg.dcm": "test_dicom_seg.py", ".rtstruct.dcm": "test_rtstruct.py",
}
"""Suffixes whose peers have a file of their own, by that file."""


@pytest.mark.parametrize("suffix", sorted({s for f in FORMATS if f.writes for s in f.suffixes}))
def test_every_format_that_is_written_has_a_peer_that_reads_it(suffix):
    assert suffix in PEERS or (Path(__file__).parent / ELSEWHERE.get(suffix, "nothing")).is_file()


@pytest.mark.parametrize(("suffix", "peer"), [(suffix, peer) for suffix, peers in PEERS.items() for peer in peers])
def test_a_peer_finds_our_labels_at_our_millimetres(tmp_path, suffix, peer):
    path = tmp_path / f"label{suffix}"
    write(label_map(Geometry(GRID.shape, GRID.spacing) if suffix.startswith(".tif") else GRID), path)  # TIFF has no place
    voxels, corner = peer(path)
    np.testing.assert_array_equal(voxels, label_map().array)
    assert voxels.dtype == np.uint8
    if corner is not None:
        np.testing.assert_allclose(corner, GRID.corners()[-1], atol=1e-3)
