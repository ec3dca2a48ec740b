"""Where a segmenter is not sure."""

import numpy as np
import pytest

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.uncertainty import entropy, worst_spots


def test_entropy_is_one_bit_at_one_half_and_none_where_it_is_sure():
    chance = np.array([0.0, 1.0, 0.5, 0.25, 0.75], np.float32).reshape(1, 1, 1, 5)
    np.testing.assert_allclose(entropy(chance)[0, 0], [0, 0, 1, 0.8113, 0.8113], atol=1e-4)


def test_the_least_certain_class_counts():
    maps = np.zeros((3, 1, 1, 2), np.float32)
    maps[1, 0, 0, 1] = 0.5
    np.testing.assert_allclose(entropy(maps)[0, 0], [0, 1], atol=1e-4)


def test_no_map_has_no_entropy():
    with pytest.raises(InvalidInputError, match="no entropy"):
        entropy(np.zeros((0, 2, 2, 2), np.float32))


def test_a_doubtful_region_comes_before_a_plain_border():
    doubt = np.zeros((10, 60, 60), np.float32)
    doubt[:, 10, 5:55] = 1  # a sheet, as every outline is
    doubt[4:8, 38:46, 28:36] = 0.9
    doubt[5, 41, 31] = 1
    first = worst_spots(doubt, (3.0, 1.0, 1.0))[0]
    assert first[0] in range(4, 8)
    assert first[1] in range(38, 46)
    assert first[2] in range(28, 36)


def test_each_spot_is_the_most_uncertain_voxel_around_and_spots_lie_apart():
    doubt = np.zeros((12, 80, 80), np.float32)
    for y in (10, 40, 70):
        doubt[3:9, y - 4 : y + 4, 36:44] = 0.6 + y / 400
    spots = worst_spots(doubt, (2.0, 1.0, 1.0), count=50, apart_mm=20)
    assert [y // 30 for _, y, _ in spots] == [2, 1, 0]
    assert all(doubt[spot] > 0 for spot in spots)
    gaps = [np.linalg.norm((np.array(a) - b) * (2.0, 1.0, 1.0)) for i, a in enumerate(spots) for b in spots[:i]]
    assert min(gaps) > 15  # 20 mm between blocks of about 3 mm


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 44), (3, 7, 500)])
def test_any_shape_has_spots(shape):
    doubt = np.ones(shape, np.float32)
    assert 1 <= len(worst_spots(doubt, (5.0, 0.7, 0.7))) <= 20


def test_nothing_uncertain_gives_no_spot():
    assert worst_spots(np.zeros((4, 20, 20), np.float32), (1.0, 1.0, 1.0)) == []
