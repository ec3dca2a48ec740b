"""What becomes a case when a person points at files and folders."""

import numpy as np
import zarr
from dicom_series import image, save, save_series
from ome_zarr.writer import write_labels

from napari_medseg.annotation import LabelClass, LabelMap
from napari_medseg.io import write
from napari_medseg.session.gathering import scans_in
from napari_medseg.volume import Geometry, Volume

GRID = Geometry((4, 6, 7), (3.0, 0.7, 0.8), (-40.0, 20.0, 100.0))
VOXELS = np.arange(4 * 6 * 7, dtype=np.int16).reshape(GRID.shape)
LIVER = LabelMap((VOXELS > 80).astype(np.uint8), GRID, classes=(LabelClass(1, "Liver", (0.9, 0.6, 0.0)),))


def gathered(*paths):
    faults = []
    found = list(scans_in(paths, faults))
    assert not faults
    return found


def test_a_localiser_beside_a_series_is_no_case(tmp_path):
    save_series(tmp_path / "study", VOXELS, GRID)
    scout = image(np.zeros((6, 7), np.int16), (0.0, 0.0, 0.0), (0, 1, 0, 0, 0, -1), SeriesInstanceUID="1.2.9", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    save(scout, tmp_path / "study" / "scout.dcm")
    ((path, _),) = gathered(tmp_path / "study")
    assert path == tmp_path / "study"


def test_a_folder_of_files_gives_its_scans_and_not_its_segmentations(tmp_path):
    for name in ("b.nii.gz", "a.nrrd"):
        write(Volume(VOXELS, GRID), tmp_path / name)
    write(LIVER, tmp_path / "a.seg.nrrd")
    (tmp_path / "notes.txt").write_text("notes", encoding="utf-8")
    assert gathered(tmp_path) == [(tmp_path / "a.nrrd", ""), (tmp_path / "b.nii.gz", "")]


def test_label_maps_inside_an_ome_zarr_scan_are_no_cases(tmp_path):
    write(Volume(VOXELS, GRID), tmp_path / "scan.ome.zarr")
    write_labels(LIVER.array, zarr.open_group(tmp_path / "scan.ome.zarr"), "liver", axes="zyx")
    ((path, _),) = gathered(tmp_path / "scan.ome.zarr")
    assert path == tmp_path / "scan.ome.zarr"


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(tmp_path):
    write(Volume(VOXELS, GRID), tmp_path / "good.nii.gz")
    (tmp_path / "bad").mkdir()
    faults = []
    assert list(scans_in([tmp_path / "bad", tmp_path / "good.nii.gz"], faults)) == [(tmp_path / "good.nii.gz", "")]
    assert "holds no DICOM image" in str(faults[0])
