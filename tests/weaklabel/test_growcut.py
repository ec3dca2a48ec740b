import numpy as np

from napari_medseg.weaklabel.features import whole_blocks
from napari_medseg.weaklabel.growcut import GrowCut
from napari_medseg.weaklabel.scribble_region import blocks_of, cut_out, typical

SPACING = (4.0, 0.8, 0.8)


def region_of(image):
    return cut_out(image, tuple(slice(0, n) for n in image.shape), SPACING, 10**6, typical(image), smooth=0.0)


def finish(cut, region, marks):
    for share in cut.follow(region, marks):
        assert 0 <= share <= 1
    return cut.labels


def rooms():
    image = np.full((4, 30, 60), 100.0)
    image[:, :, 20:40], image[:, :, 40:] = 500.0, 900.0
    image += np.random.default_rng(0).normal(0, 15, image.shape)
    marks = np.zeros(image.shape, np.uint8)
    marks[1, 10:20, 4], marks[1, 10:20, 37], marks[1, 10:20, 55] = 1, 2, 255
    return image, marks


def test_each_room_falls_to_the_stroke_in_it_however_near_the_next_one_is():
    image, marks = rooms()
    region = region_of(image)
    labels = finish(GrowCut(region), region, marks)
    for value, room in ((1, np.s_[..., :19]), (2, np.s_[..., 21:39]), (255, np.s_[..., 41:])):
        assert (labels[room] == value).mean() > 0.98


def test_a_path_round_a_wall_is_better_than_through_it():
    image = np.full((1, 40, 40), 100.0)
    image[0, 5:, 20] = 900.0
    marks = np.zeros(image.shape, np.uint8)
    marks[0, 30, 5], marks[0, 39, 20] = 1, 2  # the second stroke lies on the wall itself
    region = region_of(image)
    labels = finish(GrowCut(region), region, marks)
    assert labels[0, 30, 30] == 1
    assert labels[0, 20, 20] == 2


def test_where_the_scan_is_flat_the_nearer_stroke_wins():
    image = np.full((1, 9, 40), 100.0)
    image[0, 0, 0] = 101
    marks = np.zeros(image.shape, np.uint8)
    marks[0, 4, 2], marks[0, 4, 30] = 1, 2
    region = region_of(image)
    labels = finish(GrowCut(region), region, marks)
    assert (labels[0, :, 4:14] == 1).all()
    assert (labels[0, :, 19:] == 2).all()


def test_a_further_stroke_takes_only_what_it_is_stronger_in():
    image, marks = rooms()
    region = region_of(image)
    cut = GrowCut(region)
    before = finish(cut, region, marks)
    marks[2, 5, 25:35] = 3
    after = finish(cut, region, marks)
    np.testing.assert_array_equal(after, finish(GrowCut(region), region, marks))
    changed = before != after
    assert changed.any()
    assert (after[changed] == 3).all()


def test_what_a_stroke_reaches_is_the_same_voxel_for_voxel_where_the_region_moves():
    shape, reach_mm = (12, 90, 100), 20.0
    image, strokes = np.random.default_rng(2).normal(100, 5, shape), np.zeros(shape, np.uint8)
    strokes[5, 41:44, 50] = 1
    blocks = [2 * n for n in blocks_of(reach_mm, SPACING)]
    found = []
    for box in ((slice(0, 12), slice(7, 82), slice(16, 84)), (slice(0, 12), slice(1, 80), slice(15, 91))):
        region = cut_out(image, whole_blocks(box, blocks, shape), SPACING, 10**6, typical(image))
        whole = np.zeros(shape, bool)
        whole[region.box] = region.reached(strokes[region.box], reach_mm)
        found.append((region.box, whole))
    assert found[0][0] != found[1][0]
    assert found[0][1].any()
    np.testing.assert_array_equal(found[0][1], found[1][1])
