"""Figures of shapes whose truth is known on paper, and laws that hold for any two masks."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medseg.errors import InvalidInputError
from napari_medseg.metrics import measure

SHARES = ("dice", "iou", "precision", "recall", "surface_dice_2mm")
DISTANCES = ("hd95_mm", "assd_mm", "centroid_mm")
SYMMETRIC = ("dice", "iou", "hd95_mm", "assd_mm", "surface_dice_2mm", "centroid_mm")


def sphere(radius, spacing, shift=(0.0, 0.0, 0.0), size=56.0):
    axes = [(np.arange(round(size / s)) - (round(size / s) - 1) / 2) * s - d for s, d in zip(spacing, shift, strict=True)]
    z, y, x = np.ix_(*axes)
    return z**2 + y**2 + x**2 <= radius**2


def cube(shape, corner, size):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(c, c + n) for c, n in zip(corner, size, strict=True))] = True
    return mask


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.0, 0.5, 2.0)])
def test_two_spheres_about_one_centre_lie_their_radii_apart(spacing):
    small, large = sphere(18, spacing), sphere(23, spacing)
    row = measure(small, large, spacing)["1"]
    assert row["assd_mm"] == pytest.approx(5.0, abs=0.35 * max(spacing))
    assert row["hd95_mm"] == pytest.approx(5.0, abs=0.75 * max(spacing))
    assert row["dice"] == pytest.approx(2 * 18**3 / (18**3 + 23**3), abs=0.01)
    assert row["volume_ml_truth"] == pytest.approx(4 / 3 * math.pi * 23**3 / 1000, rel=0.01)
    assert row["volume_error"] == pytest.approx((18 / 23) ** 3 - 1, abs=0.01)
    assert row["surface_dice_2mm"] < 0.05
    assert measure(small, large, spacing, tolerance_mm=5 + max(spacing))["1"][f"surface_dice_{5 + max(spacing):g}mm"] == 1.0


def test_a_sphere_that_moved_shares_the_lens_between_the_two():
    spacing, radius, way = (1.0, 0.5, 0.5), 20.0, 8.0
    row = measure(sphere(radius, spacing, (0, 0, way)), sphere(radius, spacing), spacing)["1"]
    lens = math.pi * (4 * radius + way) * (2 * radius - way) ** 2 / 12
    assert row["dice"] == pytest.approx(lens / (4 / 3 * math.pi * radius**3), abs=0.01)
    assert row["centroid_mm"] == pytest.approx(way, abs=0.05)
    assert row["hd95_mm"] <= way + 1


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 0.7, 0.7), (0.4, 3.0, 1.1)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_cube_that_moved_by_n_voxels_shares_what_is_left(spacing, axis):
    shape, size, moved = (20, 20, 20), (8, 8, 8), 2
    corner = [6, 6, 6]
    truth = cube(shape, corner, size)
    corner[axis] += moved
    row = measure(cube(shape, corner, size), truth, spacing)["1"]
    assert row["dice"] == row["precision"] == row["recall"] == pytest.approx((8 - moved) / 8)
    assert row["iou"] == pytest.approx((8 - moved) / (8 + moved))
    assert row["centroid_mm"] == pytest.approx(moved * spacing[axis])
    assert row["hd95_mm"] <= moved * spacing[axis] + 1e-9
    assert (row["volume_error_ml"], row["components_pred"], row["false_positives"], row["missed"]) == (0.0, 1, 0, 0)


def test_a_slab_one_voxel_thicker_is_half_a_voxel_of_distance():
    thin, thick = cube((10, 40, 40), (2, 0, 0), (4, 40, 40)), cube((10, 40, 40), (2, 0, 0), (5, 40, 40))
    row = measure(thin, thick, (3.0, 1.0, 1.0))["1"]
    assert row["hd95_mm"] == 3.0
    assert row["volume_error"] == pytest.approx(-0.2)


def test_what_is_missed_and_what_is_invented_is_counted_by_piece():
    truth = cube((8, 30, 30), (2, 2, 2), (3, 5, 5)) | cube((8, 30, 30), (2, 20, 20), (3, 5, 5))
    pred = cube((8, 30, 30), (2, 3, 3), (3, 5, 5)) | cube((8, 30, 30), (2, 20, 2), (3, 5, 5)) | cube((8, 30, 30), (2, 12, 12), (1, 1, 1))
    row = measure(pred, truth, (1.0, 1.0, 1.0))["1"]
    assert (row["components_pred"], row["components_truth"], row["false_positives"], row["missed"]) == (3, 2, 2, 1)


def test_a_label_on_one_slice_of_a_scan_is_all_surface_but_a_picture_has_an_outline():
    small, large = cube((1, 20, 20), (0, 6, 6), (1, 8, 8)), cube((1, 20, 20), (0, 4, 4), (1, 12, 12))
    picture = measure(small, large, (5.0, 1.0, 1.0))["1"]
    assert picture["hd95_mm"] == pytest.approx(math.hypot(2, 2), abs=0.3)
    in_a_scan = [np.pad(mask, ((3, 3), (0, 0), (0, 0))) for mask in (small, large)]
    assert measure(*in_a_scan, (5.0, 1.0, 1.0))["1"]["assd_mm"] < picture["assd_mm"]  # where both are, both are surface


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_picture_is_measured_alike_whichever_axis_it_lacks(axis):
    rng = np.random.default_rng(axis)
    flat = [np.expand_dims(rng.random((14, 15)) < 0.6, 0) for _ in range(2)]
    turned = [np.moveaxis(mask, 0, axis) for mask in flat]
    spacing = tuple(9.0 if n == 1 else 1.0 for n in turned[0].shape)
    assert measure(*turned, spacing)["1"] == pytest.approx(measure(*flat, (9.0, 1.0, 1.0))["1"])


def test_a_single_voxel_and_a_grid_of_one_voxel_have_figures():
    one = np.ones((1, 1, 1), np.uint8)
    row = measure(one, one, (2.0, 1.0, 1.0))["1"]
    assert (row["dice"], row["hd95_mm"], row["surface_dice_2mm"], row["holes_pred"], row["components_pred"]) == (1.0, 0.0, 1.0, 0, 1)
    far = np.zeros((2, 9, 9), np.uint16)
    near = far.copy()
    far[0, 0, 0], near[0, 3, 4] = 65535, 65535
    assert measure(far, near, (1.0, 1.0, 1.0))["65535"]["hd95_mm"] == 5.0


def test_another_tolerance_has_a_key_of_its_own_beside_2_mm():
    a, b = cube((9, 9, 9), (2, 2, 2), (4, 4, 4)), cube((9, 9, 9), (2, 2, 3), (4, 4, 4))
    row = measure(a, b, (1.0, 1.0, 1.0), tolerance_mm=0.5)["1"]
    assert row["surface_dice_0.5mm"] < row["surface_dice_2mm"] == 1.0
    assert "surface_dice_0.5mm" not in measure(a, b, (1.0, 1.0, 1.0))["1"]
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(InvalidInputError, match="is no tolerance"):
            measure(a, b, (1.0, 1.0, 1.0), tolerance_mm=wrong)


@st.composite
def label_maps(draw):
    shape = draw(st.tuples(*[st.integers(1, 7)] * 3))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    classes = draw(st.integers(1, 3))
    return [rng.integers(0, classes + 1, shape).astype(np.uint8) * (rng.random(shape) < draw(st.floats(0, 1))) for _ in range(2)]


SPACINGS = st.tuples(*[st.sampled_from([0.5, 1.0, 3.0])] * 3)


@settings(max_examples=60, deadline=None)
@given(label_maps(), SPACINGS)
def test_no_figure_leaves_its_range(maps, spacing):
    size = math.dist((0, 0, 0), [n * s for n, s in zip(maps[0].shape, spacing, strict=True)])
    for row in measure(*maps, spacing).values():
        assert all(row[name] is None or 0 <= row[name] <= 1 for name in SHARES)
        assert all(row[name] is None or 0 <= row[name] <= size for name in DISTANCES)
        assert all(value is None or math.isfinite(value) for value in row.values())
        assert row["iou"] <= row["dice"] or row["dice"] == pytest.approx(row["iou"])
        assert 0 <= row["false_positives"] <= row["components_pred"]
        assert 0 <= row["missed"] <= row["components_truth"]
        assert row["assd_mm"] is None or row["volume_error"] >= -1


@settings(max_examples=50, deadline=None)
@given(label_maps(), SPACINGS, st.permutations([0, 1, 2]), st.tuples(*[st.booleans()] * 3))
def test_axis_order_and_flips_change_nothing(maps, spacing, order, flipped):
    turned = [np.flip(mask.transpose(order), [axis for axis in range(3) if flipped[axis]]) for mask in maps]
    expected, found = measure(*maps, spacing), measure(*turned, tuple(spacing[axis] for axis in order))
    assert found.keys() == expected.keys()
    for value, row in expected.items():
        assert found[value] == pytest.approx(row)


@settings(max_examples=50, deadline=None)
@given(label_maps(), SPACINGS, st.permutations([1, 2, 3]), st.sampled_from([np.uint8, np.uint16, np.int16, np.int64]))
def test_the_numbers_and_kind_of_the_labels_change_nothing_but_their_names(maps, spacing, order, kind):
    names = np.array([0, *(value + 300 * (kind == np.uint16) for value in order)], kind)
    expected, found = measure(*maps, spacing), measure(*(names[mask] for mask in maps), spacing)
    assert found == {str(names[int(value)]): expected[value] for value in sorted(expected, key=lambda value: int(names[int(value)]))}


@settings(max_examples=50, deadline=None)
@given(label_maps(), SPACINGS)
def test_what_must_be_symmetric_is(maps, spacing):
    forth, back = measure(maps[0], maps[1], spacing), measure(maps[1], maps[0], spacing)
    for value, row in forth.items():
        other = back[value]
        assert [row[name] for name in SYMMETRIC] == pytest.approx([other[name] for name in SYMMETRIC])
        assert (row["precision"], row["false_positives"], row["components_pred"], row["holes_pred"]) == (
            other["recall"], other["missed"], other["components_truth"], other["holes_truth"])


def test_twenty_random_pairs_have_the_figures_monai_gives_them():
    pytest.importorskip("monai")
    path = Path(__file__).parents[2] / "benchmarks" / "metrics.py"
    spec = importlib.util.spec_from_file_location("metrics_benchmark", path)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    found = benchmark.agreement(20, deepmind=False)
    assert found["mismatches"] == []
    assert found["one_empty"] >= 2
    assert found["single_slices"] == 4
    assert all(gap < 1e-4 for gap in found["largest_gap"]["monai"].values())
