"""Slices of what is in view along any axis, as pictures."""

import numpy as np
import pytest

from napari_medseg.session.planes import MOST_PIXELS, Sheet, cut, edges, level_for

PLACE = {"scale": (5.0, 1.0, 0.5), "translate": (10.0, -4.0, 3.0)}


def table(colours):
    made = np.zeros((256, 4), np.uint8)
    for value, colour in colours.items():
        made[value] = (*colour, 255)
    return made


class Watched:
    """An array on the disk, as dask's or zarr's are: it tells how much of it was read."""

    def __init__(self, array):
        self._array, self.shape, self.read = array, array.shape, 0

    def __getitem__(self, where):
        part = self._array[where]
        self.read += part.size
        return part


@pytest.mark.parametrize(("axis", "index"), [(0, 3), (1, 5), (2, 0)])
def test_a_slice_is_the_scan_s_own_values_through_its_window(axis, index):
    array = np.random.default_rng(0).integers(-1000, 1000, (6, 8, 10)).astype(np.int16)
    sheet = Sheet(array, **PLACE, limits=(-500.0, 500.0))
    shown = cut([sheet], sheet, axis, index)
    wanted = np.clip((np.take(array, index, axis).astype(float) + 500) / 1000 * 255, 0, 255)
    assert np.abs(shown.picture[..., 0] - wanted).max() <= 1
    assert shown.labels is None


def test_a_slice_of_a_scan_on_the_disk_reads_that_slice_only():
    watched = Watched(np.zeros((50, 60, 70), np.int16))
    sheet = Sheet(watched, **PLACE)
    cut([sheet], sheet, 1, 30)
    assert watched.read == 50 * 70


def test_a_series_on_the_disk_is_cut_at_its_moment_without_reading_that_volume():
    watched = Watched(np.arange(4 * 5 * 6 * 7).reshape(4, 5, 6, 7) % 200)
    sheet = Sheet(watched, **PLACE, lead=(2,))
    assert sheet.shape == (5, 6, 7)
    cut([sheet], sheet, 2, 3)
    assert watched.read == 5 * 6


def test_what_a_slice_would_read_is_known_before_from_how_the_data_is_cut():
    class Chunked:
        dtype = np.dtype(np.int16)
        shape = (400, 500, 600)

        def __init__(self, chunks):
            self.chunks = chunks

    zarr_s, dask_s = Chunked((10, 50, 60)), Chunked(((10,) * 40, (400, 100), (600,)))
    assert Sheet(zarr_s, **PLACE).read_for(1, 7) == 50 * 400 * 600 * 2
    assert Sheet(dask_s, **PLACE).read_for(1, 399) == 400 * 400 * 600 * 2
    assert Sheet(dask_s, **PLACE).read_for(1, 400) == 100 * 400 * 600 * 2
    assert Sheet(np.zeros((4, 5, 6)), **PLACE).read_for(1, 2) == 0


def test_values_that_are_no_numbers_are_black():
    array = np.full((3, 4, 5), np.nan, np.float32)
    array[1, 0, 0] = np.inf
    sheet = Sheet(array, **PLACE, limits=(0.0, 1.0))
    assert cut([sheet], sheet, 0, 1).picture[0, 0].tolist() == [255, 255, 255]
    assert not cut([sheet], sheet, 0, 0).picture.any()


def test_labels_lie_over_the_scan_in_their_colours_and_the_upper_covers_the_lower():
    scan = Sheet(np.zeros((3, 4, 5), np.uint8), **PLACE)
    lower = np.zeros((3, 4, 5), np.uint8)
    lower[1, 1:3, 1:4] = 1
    upper = np.zeros((3, 4, 5), np.uint8)
    upper[1, 1, 1] = 2
    colours = table({1: (200, 0, 0), 2: (0, 200, 0)})
    sheets = [scan, *(Sheet(array, **PLACE, kind="labels", table=colours, opacity=0.5) for array in (lower, upper))]
    shown = cut(sheets, scan, 0, 1).labels
    assert shown[0, 0].tolist() == [0, 0, 0, 0]
    assert shown[2, 2, 0] == pytest.approx(100, abs=1)
    assert shown[2, 2, 3] == pytest.approx(127, abs=1)
    assert shown[1, 1, :2].tolist() == pytest.approx([50, 100], abs=1)


def test_an_outline_is_the_rim_of_each_label():
    labels = np.zeros((9, 9), np.uint8)
    labels[2:7, 2:7] = 1
    labels[4, 4] = 2
    rim = edges(labels, 1)
    assert rim[2, 2:7].all()
    assert rim[4, 4]
    assert not rim[:2].any()
    assert not rim[3, 3]


def test_another_layer_s_grid_is_looked_up_where_it_lies():
    coarse = np.arange(4 * 4 * 4, dtype=np.uint8).reshape(4, 4, 4)
    fine = Sheet(np.zeros((8, 8, 8), np.uint8), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    over = Sheet(coarse, (2.0, 2.0, 2.0), (0.5, 0.5, 0.5), limits=(0.0, 255.0))
    shown = cut([fine, over], fine, 0, 5).picture[..., 0]
    assert np.array_equal(shown, np.kron(coarse[2], np.ones((2, 2), np.uint8)))
    beside = Sheet(coarse, (2.0, 2.0, 2.0), (100.0, 0.0, 0.0))
    assert not cut([fine, beside], fine, 0, 5).picture.any()


def test_a_layer_that_covers_a_part_leaves_the_rest():
    base = Sheet(np.full((4, 6, 6), 255, np.uint8), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    part = Sheet(np.zeros((4, 2, 2), np.uint8), (1.0, 1.0, 1.0), (0.0, 1.0, 3.0))
    shown = cut([base, part], base, 0, 0).picture[..., 0] == 0
    assert np.argwhere(shown).tolist() == [[1, 3], [1, 4], [2, 3], [2, 4]]


def test_what_is_added_brightens_and_colour_pictures_keep_their_colours():
    base = Sheet(np.full((2, 3, 3), 100, np.uint8), **PLACE)
    added = Sheet(np.full((2, 3, 3), 255, np.uint8), **PLACE, table=table({255: (50, 0, 0)}), adds=True)
    assert cut([base, added], base, 0, 0).picture[0, 0].tolist() == [150, 100, 100]
    colour = np.zeros((2, 3, 3, 3), np.uint8)
    colour[..., 1] = 77
    picture = Sheet(colour, **PLACE, kind="colour")
    assert cut([picture], picture, 1, 0).picture[0, 0].tolist() == [0, 77, 0]


def test_a_slice_of_more_pixels_than_a_pane_has_is_thinned_out():
    side = int(np.sqrt(MOST_PIXELS)) * 2
    sheet = Sheet(np.broadcast_to(np.uint8(9), (2, side, side)), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    shown = cut([sheet], sheet, 0, 0)
    assert shown.step == 2
    assert shown.picture.shape[0] * shown.step == side


def test_the_finest_level_of_a_pyramid_that_is_not_too_large_is_cut():
    levels = [np.broadcast_to(np.uint8(0), (size, size, size)) for size in (1024, 512, 256)]
    assert level_for(levels, 1 << 27) == 1
    assert level_for(levels, 10) == 2
