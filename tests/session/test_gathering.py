"""What becomes a case when a person points at files and folders."""

import numpy as np
import pytest
import zarr
from dicom_series import image, save, save_series
from ome_zarr.writer import write_labels

from napari_medseg.annotation import LabelClass, LabelMap
from napari_medseg.errors import UnreadableFileError
from napari_medseg.io import dicom, write
from napari_medseg.project import Project
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
    ((path, *_),) = gathered(tmp_path / "study")
    assert path == tmp_path / "study"


def test_a_folder_of_files_gives_its_scans_and_not_its_segmentations(tmp_path):
    for name in ("b.nii.gz", "a.nrrd"):
        write(Volume(VOXELS, GRID), tmp_path / name)
    write(LIVER, tmp_path / "a.seg.nrrd")
    (tmp_path / "notes.txt").write_text("notes", encoding="utf-8")
    assert [found.path.name for found in gathered(tmp_path)] == ["a.nrrd", "b.nii.gz"]


def test_label_maps_inside_an_ome_zarr_scan_are_no_cases(tmp_path):
    write(Volume(VOXELS, GRID), tmp_path / "scan.ome.zarr")
    write_labels(LIVER.array, zarr.open_group(tmp_path / "scan.ome.zarr"), "liver", axes="zyx")
    ((path, *_),) = gathered(tmp_path / "scan.ome.zarr")
    assert path == tmp_path / "scan.ome.zarr"


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(tmp_path):
    write(Volume(VOXELS, GRID), tmp_path / "good.nii.gz")
    (tmp_path / "bad").mkdir()
    faults = []
    assert [found.path.name for found in scans_in([tmp_path / "bad", tmp_path / "good.nii.gz"], faults)] == ["good.nii.gz"]
    assert "holds no DICOM image" in str(faults[0])


def test_a_folder_of_many_series_is_looked_through_once(tmp_path, monkeypatch):
    for number in range(4):
        save_series(tmp_path / "export" / str(number), VOXELS + number, GRID, uid=f"1.2.3.{number + 1}")
    looked = []
    find_headers = dicom.find_headers
    monkeypatch.setattr(dicom, "find_headers", lambda path: looked.append(path) or find_headers(path))
    project = Project.create(tmp_path / "Study.medseg")
    for path, series, info in gathered(tmp_path / "export"):
        project.add(path, series=series, info=info)
    assert len(project.cases()) == 4
    assert looked == [tmp_path / "export"]
    project.close()


def test_a_series_that_makes_no_volume_is_refused_although_it_was_looked_at_before(tmp_path):
    save_series(tmp_path / "bad", VOXELS, GRID)[1].unlink()
    (found,) = gathered(tmp_path / "bad")
    assert not found.info.readable
    project = Project.create(tmp_path / "Study.medseg")
    with pytest.raises(UnreadableFileError):
        project.add(found.path, series=found.series, info=found.info)
    project.close()
