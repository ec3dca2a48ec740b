import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError
from napari_medseg.io.series import SeriesInfo
from napari_medseg.session.choosing import only_one, picture, require_several, rows_of
from napari_medseg.volume import Geometry, Volume


def info(title="Chest", *, readable=True, notes=(), shape=(60, 512, 512), timepoints=1, scout=False):
    return SeriesInfo(shape, (5.0, 0.7, 0.7), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1), "int16", modality="CT", series=f"1.2.{title}", title=title,
                      readable=readable, notes=notes, timepoints=timepoints, scout=scout)


def test_a_row_tells_size_in_voxels_and_millimetres_and_how_many_images():
    (row,) = rows_of([info()])
    assert (row.title, row.modality, row.images) == ("Chest", "CT", "60")
    assert row.size == "512 × 512 × 60\n358 × 358 × 300 mm"
    assert rows_of([info(timepoints=3)])[0].images == "180 (3 times)"


def test_what_cannot_be_read_comes_last_with_its_reason():
    rows = rows_of([info("Scout", readable=False, notes=("slices are missing",)), info()])
    assert [r.title for r in rows] == ["Chest", "Scout"]
    assert rows[1].notes == "slices are missing"


def test_a_single_scan_needs_no_question_even_beside_its_localiser():
    assert only_one(rows_of([info("Scout", scout=True), info()])).title == "Chest"
    assert only_one(rows_of([info("A"), info("B")])) is None
    assert only_one(rows_of([info("Scout", scout=True)])).title == "Scout"


def test_what_cannot_be_read_is_always_shown_rather_than_passed_over():
    assert only_one(rows_of([info("A"), info("B", readable=False)])) is None


def test_one_scan_is_no_set_of_channels():
    with pytest.raises(InvalidInputError, match="one scan alone"):
        require_several(["1.2"])


def test_a_picture_is_the_middle_in_true_proportions_with_front_up():
    array = np.full((5, 40, 80), -1000, np.int16)
    array[2, :20, :40] = 500  # the patient's right front, in LPS order
    grid = Geometry(array.shape, (3.0, 2.0, 1.0))
    made = picture(Volume(array, grid, modality="CT"), size=64)
    assert made.shape == (64, 64)
    assert made[10, 10] == 255
    assert made[50, 50] == 0


def test_a_picture_of_nothing_finite_is_black():
    assert not picture(Volume(np.full((2, 8, 8), np.nan, np.float32), Geometry((2, 8, 8)))).any()
