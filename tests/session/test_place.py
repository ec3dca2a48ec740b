"""Letters and millimetres, against grids whose orientation is known."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_medseg.annotation import default_classes
from napari_medseg.session.place import edge_letters, place_words, under_cursor
from napari_medseg.session.state import open_scan
from napari_medseg.volume import Geometry, Volume

DISPLAY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def grid(direction=DISPLAY):
    return Geometry((4, 5, 6), (3.0, 1.0, 1.0), (-2.0, -2.0, 10.0), tuple(map(float, np.ravel(direction))))


@pytest.mark.parametrize(("displayed", "letters"), [
    ((1, 2), "RLAP"),  # axial: front up, the patient's right on the left
    ((0, 2), "RLSI"),  # coronal
    ((0, 1), "APSI"),  # sagittal: front on the left
    ((2, 1), "APRL"),
])
def test_the_edges_follow_the_axes_on_screen(displayed, letters):
    assert "".join(edge_letters(grid(), displayed).values()) == letters


def test_a_flipped_camera_flips_the_letters():
    assert "".join(edge_letters(grid(), (1, 2), right=False, down=False).values()) == "LRPA"


def test_a_turned_grid_has_two_letters():
    turned = Rotation.from_euler("z", 30, degrees=True).as_matrix() @ np.reshape(DISPLAY, (3, 3))
    assert edge_letters(grid(turned), (1, 2)) == {"left": "RA", "right": "LP", "top": "AL", "bottom": "PR"}


def test_a_point_is_told_by_its_sides():
    assert place_words((12.34, -4, 0)) == "L 12.3  A 4.0  S 0.0 mm"
    assert place_words((-12.34, 4, -1)) == "R 12.3  P 4.0  I 1.0 mm"


def test_under_the_cursor_are_place_value_and_label():
    volume = Volume(np.full((4, 5, 6), -75, np.int16), grid(), name="chest", modality="CT")
    scan = open_scan(volume)
    classes = default_classes(["Liver"])
    assert under_cursor(scan, (1, 2, 3), classes) == "L 1.0  P 0.0  S 7.0 mm   -75 HU"
    scan.labels = np.zeros((4, 5, 6), np.uint8)
    scan.labels[1, 2, 3], scan.labels[0] = 1, 9
    assert under_cursor(scan, (1.2, 2, 3), classes).endswith("-75 HU   Liver")
    assert under_cursor(scan, (0, 2, 3), classes).endswith("label 9")
    assert under_cursor(scan, (-0.6, 2, 3), classes) == ""


def test_two_channels_are_told_apart_and_grey_values_are_called_values():
    both = Volume(np.stack([np.full((4, 5, 6), 1.5), np.full((4, 5, 6), np.nan)]), grid(), name="head", modality="MR", channel_names=("T1", "T2"))
    scan = open_scan(Volume(np.nan_to_num(both.array), both.geometry, name="head", modality="MR", channel_names=("T1", "T2")))
    scan.overlay = 1
    assert "head T1: value 1.5   head T2: value 0" in under_cursor(scan, (1, 1, 1), ())
