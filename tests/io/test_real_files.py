"""Real scans: read as nibabel and SimpleITK read them, and written so that both find the same again."""

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from napari_medseg.annotation import LabelMap, default_classes
from napari_medseg.catalogue import shipped
from napari_medseg.io import read, read_labels, write
from napari_medseg.volume import Volume

COLIN = Path(os.environ.get("MEDSEG_COLIN27", "/usr/share/mricron/templates"))
HIPPOCAMPUS = Path(os.environ.get("MEDSEG_HIPPOCAMPUS", "Task04_Hippocampus"))
SAMPLES = sorted(p.name for p in shipped("sample_data").iterdir() if p.name.endswith((".nii.gz", ".nrrd")))


def assert_as_peers_find_it(path: Path, volume: Volume) -> None:
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(image))
    far = [n - 1 for n in image.GetSize()]
    np.testing.assert_allclose(volume.geometry.corners()[-1], image.TransformIndexToPhysicalPoint(far), atol=1e-3)
    np.testing.assert_allclose(volume.geometry.origin, image.GetOrigin(), atol=1e-3)
    if ".nii" in path.name:
        other = nibabel.load(path)
        np.testing.assert_array_equal(volume.array, np.asarray(other.dataobj).T)
        np.testing.assert_allclose(volume.geometry.affine, np.diag([-1, -1, 1, 1]) @ other.affine, atol=1e-3)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_written_in_any_format_is_the_same_scan_to_others(tmp_path, name, suffix):
    volume = read(shipped("sample_data") / name)
    write(volume, tmp_path / f"a{suffix}")
    assert_as_peers_find_it(tmp_path / f"a{suffix}", volume)
    back = read(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(back.array, volume.array)
    assert back.geometry.matches(volume.geometry, 1e-4)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".seg.nrrd", ".mha"])
def test_a_sample_label_keeps_its_name_on_its_scan(tmp_path, suffix):
    labels = read_labels(shipped("sample_data") / "brain1_tumour.nii.gz")
    assert int((labels.array > 0).sum()) == 4137
    classes = default_classes(["Tumour"])
    write(LabelMap(labels.array, labels.geometry, classes=classes), tmp_path / f"a{suffix}")
    back = read_labels(tmp_path / f"a{suffix}", like=read(shipped("sample_data") / "brain1_t1gd.nii.gz").geometry)
    assert back.classes[0].name == "Tumour"
    assert back.classes[0].colour == pytest.approx(classes[0].colour, abs=1e-6)
    np.testing.assert_array_equal(back.array, labels.array)


@pytest.mark.skipif(not (COLIN / "ch2.nii.gz").is_file(), reason="Colin27 is not here (Debian package mricron-data, or set MEDSEG_COLIN27)")
@pytest.mark.parametrize("name", ["ch2.nii.gz", "ch2bet.nii.gz"])
def test_colin27_whose_qform_is_not_set_lies_in_its_atlas(name):
    volume = read(COLIN / name)
    assert_as_peers_find_it(COLIN / name, volume)
    assert volume.geometry.shape == (181, 217, 181)
    assert volume.notes == ()


@pytest.mark.skipif(not HIPPOCAMPUS.is_dir(), reason="the Decathlon's Task04 is not here (set MEDSEG_HIPPOCAMPUS to its folder)")
def test_every_scan_and_label_of_the_decathlons_hippocampus_is_read_as_others_read_it():
    paths = sorted(p for p in HIPPOCAMPUS.rglob("*.nii.gz") if not p.name.startswith("."))
    assert paths
    for path in paths:
        assert_as_peers_find_it(path, read(path))
