"""medseg statistics: figures with units, the same whatever order a file stores its slices in."""

import csv

import numpy as np
import pytest

from napari_medseg.io import read, write
from napari_medseg.volume import Geometry, Volume


def test_each_label_is_measured_and_written_as_a_table(medseg, study, tmp_path):
    answer = medseg("statistics", study.image, study.truth, "--csv", "sizes.csv", "--json").answer
    truth = read(study.truth)
    one = answer["labels"]["1"]
    assert one["voxels"] == int(np.count_nonzero(truth.array))
    assert one["volume_ml"] == pytest.approx(one["voxels"] * 0.003)
    assert one["longest_mm"] >= one["perpendicular_mm"] > 0
    assert one["longest_3d_mm"] >= one["longest_mm"]
    header, row = csv.reader((tmp_path / "sizes.csv").open(encoding="utf-8"))
    assert header[3] == "Volume (ml)"
    assert float(row[3]) == pytest.approx(one["volume_ml"], rel=1e-5)


def test_planes_are_the_patient_s_not_the_file_s(medseg, tmp_path):
    sagittal = Geometry((24, 20, 22), (2.0, 1.0, 1.0), direction=(0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
    labels = np.zeros(sagittal.shape, np.uint8)
    labels[2:20, 5:8, 6:12] = 1  # long from side to side: 36 mm
    for name, array in (("scan", labels.astype(np.int16) * 100), ("labels", labels)):
        write(Volume(array, sagittal, name=name), tmp_path / f"{name}.nii.gz")
    sizes = {plane: medseg("statistics", "scan.nii.gz", "labels.nii.gz", "--plane", plane, "--json").answer["labels"]["1"] for plane in ("axial", "sagittal")}
    assert sizes["axial"]["longest_mm"] > 35
    assert sizes["sagittal"]["longest_mm"] < 8
    assert sizes["axial"]["mean"] == 100


def test_labels_of_another_scan_are_refused(medseg, study, tmp_path):
    write(Volume(np.ones((4, 4, 4), np.uint8), Geometry((4, 4, 4))), tmp_path / "other.nii.gz")
    done = medseg("statistics", study.image, "other.nii.gz")
    assert done.code != 0
    assert "grid" in done.err
