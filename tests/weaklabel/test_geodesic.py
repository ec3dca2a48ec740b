import numpy as np
import pytest

from napari_medseg.weaklabel.geodesic import EDGE_MM, Geodesic, rounded
from napari_medseg.weaklabel.scribble_region import cut_out, typical
from napari_medseg.weaklabel.shortest_paths import FAR, UNIT_MM

SPACING = (5.0, 0.7, 0.7)
SHAPE = (3, 30, 40)


def region_of(image, spacing=SPACING):
    return cut_out(image, tuple(slice(0, n) for n in image.shape), spacing, 10**6, typical(image))


def finish(geodesic, region, marks, scale=1.0, doubts=None):
    for share in geodesic.follow(region, marks, scale, doubts):
        assert 0 <= share <= 1
    return geodesic.labels


@pytest.fixture
def two_rooms():
    """Two rooms of one grey value, a wall one voxel thick between them, a stroke in each."""
    image = np.full(SHAPE, 100.0)
    image[:, :, 20] = 900.0
    marks = np.zeros(SHAPE, np.uint8)
    marks[1, 10:20, 5], marks[1, 14, 21] = 1, 255
    return image, marks


def test_a_stroke_does_not_cross_a_wall_one_voxel_thick(two_rooms):
    image, marks = two_rooms
    region = region_of(image)
    labels = finish(Geodesic(region, 30.0), region, marks)
    assert (labels[:, :, :19] == 1).all()
    assert (labels[:, :, 22:] == 255).all()


def test_in_a_flat_scan_the_nearer_stroke_in_mm_wins():
    image = np.full((5, 30, 30), 100.0)
    image[0, 0, 0] = 101  # a scan of one value is refused
    marks = np.zeros(image.shape, np.uint8)
    marks[2, 4, 15], marks[4, 24, 15] = 1, 2
    region = region_of(image)
    labels = finish(Geodesic(region, 30.0), region, marks, scale=1e6)
    z, y, x = np.indices(image.shape)
    first, second = (np.sqrt(((z - a) * 5.0) ** 2 + ((y - b) * 0.7) ** 2 + ((x - 15) * 0.7) ** 2) for a, b in ((2, 4), (4, 24)))
    sure = np.abs(first - second) > 0.15 * (first + second)  # a path along voxels is up to a tenth longer than a straight line
    np.testing.assert_array_equal(labels[sure], np.where(first < second, 1, 2)[sure])


def test_no_path_is_shorter_than_its_length_and_an_edge_costs_its_height(two_rooms):
    image, marks = two_rooms
    region = region_of(image)
    geodesic = Geodesic(region, 1000.0)
    finish(geodesic, region, np.where(marks == 1, marks, 0))
    cost = geodesic._maps[0].cost * UNIT_MM
    assert cost[1, 14, 15] == pytest.approx(7.0, abs=0.05)
    step = abs(region.contrast[1, 14, 20] - region.contrast[1, 14, 18])
    assert cost[1, 14, 20] > EDGE_MM * step


def test_what_costs_more_than_the_cap_is_nobodys(two_rooms):
    image, marks = two_rooms
    region = region_of(image)
    geodesic = Geodesic(region, 1.0)
    labels = finish(geodesic, region, np.where(marks == 1, marks, 0))
    assert not labels[:, :, 15:].any()
    assert (geodesic._maps[0].cost[:, :, 15:] == FAR).all()


def test_a_class_goes_slowly_where_it_is_doubted():
    image = np.full(SHAPE, 100.0)
    image[0, 0, 0] = 101
    marks = np.zeros(SHAPE, np.uint8)
    marks[1, 15, 2], marks[1, 15, 37] = 1, 255
    region = region_of(image)
    doubts = {1: np.zeros(SHAPE, np.uint8), 255: np.zeros(SHAPE, np.uint8)}
    doubts[1][:, :, 10:], doubts[255][:, :, :10] = 200, 200
    labels = finish(Geodesic(region, 30.0, learned=True), region, marks, 1e6, doubts)
    assert (labels[1, :, :9] == 1).all()
    assert (labels[1, :, 12:] == 255).all()


def test_outlines_are_rounded_and_classes_keep_their_size():
    rng = np.random.default_rng(0)
    z, y, x = np.indices((20, 40, 40))
    ball = (z - 10) ** 2 + (y - 20) ** 2 + (x - 14) ** 2 < 64
    other = (z - 10) ** 2 + (y - 20) ** 2 + (x - 30) ** 2 < 36
    truth = np.where(ball, 1, np.where(other, 7, 0)).astype(np.uint8)
    rough = truth.copy()
    speckled = rng.random(truth.shape) < 0.05
    rough[speckled & (truth == 0)] = 255
    rough[speckled & (truth > 0)] = 0
    labels = rounded(rough, (1.0, 1.0, 1.0))
    for value in (1, 7):
        assert 2 * ((labels == value) & (truth == value)).sum() / ((labels == value).sum() + (truth == value).sum()) > 0.9
    assert set(np.unique(labels)) == {0, 1, 7}


def test_thick_slices_are_not_mixed_by_rounding():
    labels = np.zeros((3, 20, 20), np.uint8)
    labels[1, 5:15, 5:15] = 1
    out = rounded(labels, (6.5, 0.8, 0.8))
    assert not out[[0, 2]].any()
    assert (out[1, 7:13, 7:13] == 1).all()


def test_nothing_to_round_is_nothing():
    assert not rounded(np.full((2, 3, 4), 255, np.uint8), (1.0, 1.0, 1.0)).any()
