import numpy as np
import pytest

from napari_medseg.weaklabel import geodesic
from napari_medseg.weaklabel.geodesic import EDGE_MM, Geodesic, rounded
from napari_medseg.weaklabel.scribble_region import cut_out, typical

SPACING = (5.0, 0.7, 0.7)
SHAPE = (3, 30, 40)


def region_of(image, spacing=SPACING):
    return cut_out(image, tuple(slice(0, n) for n in image.shape), spacing, 10**6, typical(image))


class Told:
    """Doubts on the region's own voxels."""

    def __init__(self, doubts):
        self.classes, self.maps = tuple(doubts), np.stack([each.ravel() for each in doubts.values()], 1)

    def doubts(self, level, places):
        assert level == 0
        return self.classes, self.maps[places]


def finish(geodesic, region, marks, scale=1.0, doubts=None, near=None):
    near = np.ones(marks.shape, bool) if near is None else near
    for share in geodesic.follow(region, marks, near, scale, None if doubts is None else Told(doubts)):
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


def test_an_edge_is_as_far_as_its_height_says():
    """A stroke behind a step of contrast h meets one in front where the ways cost the same: the step costs EDGE_MM times h."""
    image = np.full((1, 3, 120), 100.0)
    image[:, :, 40:] = 101.0
    marks = np.zeros(image.shape, np.uint8)
    marks[0, :, 20], marks[0, :, 100] = 1, 2
    region = region_of(image)
    rise = float(np.ptp(region.contrast)) * EDGE_MM
    labels = finish(Geodesic(region, 1000.0), region, marks, scale=rise / 14.0)  # the step is worth 14 mm, 20 voxels
    assert labels[0, 1].tolist().index(2) == pytest.approx(50, abs=2)


def test_what_costs_more_than_the_cap_is_nobodys(two_rooms):
    image, marks = two_rooms
    region = region_of(image)
    labels = finish(Geodesic(region, 1.0), region, np.where(marks == 1, marks, 0))
    assert (labels[1, 10:20, 5:10] == 1).all()
    assert not labels[:, :, 15:].any()


def test_a_class_goes_slowly_where_it_is_doubted():
    image = np.full(SHAPE, 100.0)
    image[0, 0, 0] = 101
    marks = np.zeros(SHAPE, np.uint8)
    marks[1, 15, 2], marks[1, 15, 37] = 1, 255
    region = region_of(image)
    doubts = {1: np.zeros(SHAPE, np.uint8), 255: np.zeros(SHAPE, np.uint8)}
    doubts[1][:, :, 10:], doubts[255][:, :, :10] = 200, 200
    labels = finish(Geodesic(region, 30.0), region, marks, 1e6, doubts)
    assert (labels[1, :, :9] == 1).all()
    assert (labels[1, :, 12:] == 255).all()


def test_paths_stay_near(two_rooms):
    image, marks = two_rooms
    region = region_of(image)
    near = np.zeros(SHAPE, bool)
    near[:, :, 3:9] = True
    labels = finish(Geodesic(region, 30.0), region, marks, near=near)
    assert (labels[1, 10:20, 3:9] == 1).all()
    assert not labels[~near & (marks == 0)].any()


def test_a_class_passes_only_through_what_it_holds():
    """Class 1 would be quick beyond the wall of class 2's stroke, but cannot get there."""
    image = np.full((1, 30, 40), 100.0)
    image[0, 0, 0] = 101
    marks = np.zeros(image.shape, np.uint8)
    marks[0, :, 20], marks[0, 10:20, 2] = 2, 1
    region = region_of(image)
    doubts = {1: np.zeros(image.shape, np.uint8), 2: np.full(image.shape, 255, np.uint8)}
    labels = finish(Geodesic(region, 100.0), region, marks, 1e6, doubts)
    assert (labels[0, :, 3:19] == 1).all()
    assert (labels[0, :, 20:] == 2).all()


@pytest.mark.parametrize("spacing", [(5.0, 0.7, 0.7), (1.0, 1.0, 1.0), (0.8, 0.8, 2.5)])
def test_a_coarse_race_that_is_run_again_at_borders_ends_as_a_fine_one(spacing, monkeypatch):
    rng = np.random.default_rng(3)
    shape = (16, 90, 85)
    away = np.sqrt(sum((i - n / 2) ** 2 for i, n in zip(np.indices(shape) * np.reshape([1, 0.35, 0.35], (3, 1, 1, 1)), (16, 31, 30), strict=True)))
    image = 100 + 60 * (away < 6) + rng.normal(0, 12, shape)
    marks = np.zeros(shape, np.uint8)
    marks[8, 40:50, 43], marks[4:12, 43, 40], marks[8, 10:80, 8], marks[1, 20:60, 60] = 1, 1, 255, 255
    region = region_of(image, spacing)
    found = {}
    for most in (10**9, 5000):
        monkeypatch.setattr(geodesic, "COARSEN", most)
        found[most] = finish(Geodesic(region, 60.0), region, marks, 0.3) == 1
    assert found[10**9].sum() > 1000
    assert 2 * (found[5000] & found[10**9]).sum() / (found[5000].sum() + found[10**9].sum()) > 0.97
    assert (found[5000][marks > 0] == (marks[marks > 0] == 1)).all()


def test_two_voxels_of_strokes_in_one_coarse_voxel_keep_their_classes(monkeypatch):
    monkeypatch.setattr(geodesic, "COARSEN", 100)
    image = np.random.default_rng(0).normal(100, 10, (1, 60, 60))
    marks = np.zeros(image.shape, np.uint8)
    marks[0, 30, 10:50], marks[0, 31, 10:50] = 1, 255
    region = region_of(image, (1.0, 1.0, 1.0))
    labels = finish(Geodesic(region, 60.0), region, marks)
    assert (labels[marks > 0] == marks[marks > 0]).all()


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
