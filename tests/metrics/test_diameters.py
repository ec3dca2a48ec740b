"""Diameters: known bodies, uneven voxels, turned axes, and the brute force of all pairs of points."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medseg.metrics.diameters import diameters


def ellipsoid(radii, spacing, *, shift=(0.0, 0.0, 0.0)):
    shape = tuple(int(2 * r / s) + 6 for r, s in zip(radii, spacing, strict=True))
    axes = [(np.arange(n) - (n - 1) / 2) * s - d for n, s, d in zip(shape, spacing, shift, strict=True)]
    z, y, x = np.ix_(*axes)
    return (z / radii[0]) ** 2 + (y / radii[1]) ** 2 + (x / radii[2]) ** 2 <= 1


def in_mm(line, spacing):
    return np.linalg.norm((np.array(line[0]) - np.array(line[1])) * spacing)


@pytest.mark.parametrize("spacing", [(1, 1, 1), (3, 1, 1), (5, 0.7, 0.7), (1, 0.5, 2)])
@pytest.mark.parametrize("radius", [8, 20])
def test_a_ball_is_as_wide_as_it_is_to_a_voxel(spacing, radius):
    found = diameters(ellipsoid((radius,) * 3, spacing, shift=(0.3, 0.2, 0.1)), spacing)
    in_plane = max(spacing[1:])
    assert found.long_mm == pytest.approx(2 * radius, abs=in_plane)
    assert found.short_mm == pytest.approx(2 * radius, abs=1.5 * in_plane)
    assert found.feret_mm == pytest.approx(2 * radius, abs=max(spacing))


def test_an_ellipsoid_has_its_own_three_axes():
    found = diameters(ellipsoid((10, 20, 30), (1, 1, 1)), (1, 1, 1))
    assert (found.long_mm, found.short_mm, found.feret_mm) == pytest.approx((60, 40, 60), abs=1)
    across = diameters(ellipsoid((10, 20, 30), (1, 1, 1)), (1, 1, 1), axis=2)
    assert (across.long_mm, across.short_mm) == pytest.approx((40, 20), abs=1)


def test_one_voxel_is_one_voxel_wide():
    mask = np.zeros((3, 3, 3), bool)
    mask[1, 1, 1] = True
    found = diameters(mask, (2.0, 0.5, 0.7))
    assert (found.slice, found.long_mm, found.short_mm, found.feret_mm) == (1, pytest.approx(0.7), pytest.approx(0.5), pytest.approx(2.0))


def test_a_row_of_voxels_is_as_long_as_they_are_together():
    mask = np.zeros((1, 1, 9), bool)
    mask[0, 0, 2:7] = True
    found = diameters(mask, (1.0, 1.0, 0.8))
    assert found.long_mm == pytest.approx(4.0)
    assert sorted(found.long) == [pytest.approx((0.0, 0.0, 1.5)), pytest.approx((0.0, 0.0, 6.5))]


def test_an_empty_mask_has_none():
    assert diameters(np.zeros((3, 4, 5), bool), (1, 1, 1)) is None


def test_the_lines_are_drawn_where_they_were_measured():
    spacing = (4.0, 0.8, 1.1)
    found = diameters(ellipsoid((12, 20, 9), spacing), spacing)
    assert in_mm(found.long, spacing) == pytest.approx(found.long_mm)
    assert in_mm(found.short, spacing) == pytest.approx(found.short_mm)
    assert in_mm(found.feret, spacing) == pytest.approx(found.feret_mm)
    assert all(end[0] == found.slice for end in (*found.long, *found.short))
    along, aside = ((np.array(line[1]) - np.array(line[0])) * spacing for line in (found.long, found.short))
    assert along @ aside == pytest.approx(0, abs=1e-9 * found.long_mm * found.short_mm + 1e-9)


def outline_points(mask, spacing):
    steps = np.array(spacing)
    offsets = np.concatenate([np.eye(3), -np.eye(3)]) / 2
    return ((np.argwhere(mask)[:, None] + offsets) * steps).reshape(-1, 3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(1.0, 1.0, 1.0), (3.0, 1.0, 0.5), (0.4, 2.0, 1.0)]), st.sampled_from([0, 1, 2]))
def test_no_pair_of_outline_points_is_farther_apart(seed, spacing, axis):
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 7, 3)) < 0.3
    found = diameters(mask, spacing, axis)
    if not mask.any():
        assert found is None
        return
    points = outline_points(mask, spacing)
    longest = max((float(np.linalg.norm(a - b)) for a, b in itertools.combinations(points, 2)), default=0.0)
    assert found.feret_mm == pytest.approx(longest)
    flat = [points[np.isclose(points[:, axis], index * spacing[axis])] for index in range(mask.shape[axis])]
    widest = max(float(np.linalg.norm(part[:, None] - part, axis=2).max()) for part in flat if len(part))
    assert found.long_mm == pytest.approx(widest)
    assert 0 < found.short_mm <= found.long_mm + 1e-9


def test_the_order_of_the_axes_does_not_matter():
    mask = ellipsoid((7, 12, 18), (1.0, 0.9, 2.0), shift=(0.2, 0.1, 0.4))
    plain = diameters(mask, (1.0, 0.9, 2.0))
    turned = diameters(np.transpose(mask, (2, 1, 0)), (2.0, 0.9, 1.0), axis=2)
    assert turned.feret_mm == pytest.approx(plain.feret_mm)
    assert (turned.slice, turned.long_mm, turned.short_mm) == (plain.slice, pytest.approx(plain.long_mm), pytest.approx(plain.short_mm))
