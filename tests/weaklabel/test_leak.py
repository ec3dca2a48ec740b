import time

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_medseg.catalogue import shipped
from napari_medseg.testing import annotator
from napari_medseg.weaklabel.leak import suspected

SPACINGS = [(1.0, 1.0, 1.0), (2.0, 2.0, 2.0), (1.2, 0.9, 1.1), (3.0, 1.0, 1.0), (5.0, 0.6, 0.6), (6.5, 0.8, 0.8)]


def places(shape, spacing):
    return [np.arange(n).reshape([-1 if axis == a else 1 for a in range(3)]) * spacing[axis] for axis, n in enumerate(shape)]


def rod(shape, spacing, start, stop, radius):
    """A tube with round ends; a ball where it starts and stops at one place. All in mm."""
    grid, along = places(shape, spacing), np.subtract(stop, start)
    share = np.clip(sum((g - a) * d for g, a, d in zip(grid, start, along, strict=True)) / max(along @ along, 1e-9), 0, 1)
    return sum((g - a - share * d) ** 2 for g, a, d in zip(grid, start, along, strict=True)) <= radius**2


def marks(shape, spacing, *points):
    kept = np.zeros(shape, bool)
    for point in points:
        kept[tuple(np.rint(np.divide(point, spacing)).astype(int))] = True
    return kept


def pair(spacing, radius, other, gap, angle, one_slice):
    """Centres of two balls this far apart in a plane, and a volume that holds them, in mm and voxels."""
    start = np.zeros(3)
    stop = np.array([0.0, np.cos(angle), np.sin(angle)]) * (radius + gap + other)
    low, high = np.minimum(start - radius, stop - other) - 3, np.maximum(start + radius, stop + other) + 3
    low[0] = 0.0 if one_slice else -np.ceil(-low[0] / spacing[0]) * spacing[0]
    shape = tuple(int(np.ceil(v)) for v in (high - low) / spacing)
    return (1, *shape[1:]) if one_slice else shape, start - low, stop - low


VARIETY = {
    "spacing": st.sampled_from(SPACINGS),
    "radius": st.floats(14, 30),
    "other": st.floats(0.7, 1.4),
    "gap": st.floats(0.8, 2.5),
    "width": st.floats(0.12, 0.25),
    "angle": st.floats(0, 3.1),
    "one_slice": st.booleans(),
}


@given(**VARIETY)
@settings(max_examples=60, deadline=None)
def test_a_second_ball_behind_a_thin_tube_is_a_leak_unless_it_holds_a_seed(spacing, radius, other, gap, width, angle, one_slice):
    shape, here, there = pair(spacing, radius, other * radius, gap * radius, angle, one_slice)
    tube = max(width * radius, max(spacing[1:]))
    home, second = rod(shape, spacing, here, here, radius), rod(shape, spacing, there, there, other * radius)
    mask = home | second | rod(shape, spacing, here, there, tube)
    leak = suspected(mask, marks(shape, spacing, here), spacing)
    assert leak is not None
    assert mask[leak.neck]
    assert 0.4 <= leak.beyond_ml / ((mask & ~home).sum() * np.prod(spacing) / 1000) <= 1.05
    assert leak.neck_mm < 1.2 * radius
    way = np.multiply(leak.neck, spacing) - here
    along = way @ (there - here) / np.linalg.norm(there - here)
    assert 0.7 * radius < along < 0.5 * radius + np.linalg.norm(there - here)
    assert np.sqrt(max(way @ way - along**2, 0)) <= tube + max(spacing[1:])
    assert suspected(mask, marks(shape, spacing, here, there), spacing) is None


@given(**VARIETY)
@settings(max_examples=60, deadline=None)
def test_a_vessel_that_runs_far_from_the_organ_is_a_leak(spacing, radius, other, gap, width, angle, one_slice):
    shape, here, there = pair(spacing, radius, other * radius, (2.5 + gap) * radius, angle, one_slice)
    mask = rod(shape, spacing, here, here, radius)
    mask |= rod(shape, spacing, here, there, max(width * radius, max(spacing[1:])))
    leak = suspected(mask, marks(shape, spacing, here), spacing)
    assert leak is not None
    assert mask[leak.neck]
    assert leak.neck_mm < 1.2 * radius


@given(spacing=st.sampled_from(SPACINGS), half=st.tuples(*[st.floats(10, 36)] * 3), seeds=st.integers(1, 5))
@example(spacing=(6.5, 0.8, 0.8), half=(7.0, 20.0, 20.0), seeds=1)
@example(spacing=(1.0, 1.0, 1.0), half=(30.0, 30.0, 30.0), seeds=1)
@settings(max_examples=60, deadline=None)
def test_a_ball_or_an_ellipsoid_is_no_leak(spacing, half, seeds):
    shape = tuple(int(2 * h / s) + 5 for h, s in zip(half, spacing, strict=True))
    mask = sum(((g - (n - 1) / 2 * s) / h) ** 2 for g, n, s, h in zip(places(shape, spacing), shape, spacing, half, strict=True)) <= 1
    assert suspected(mask, marks(shape, spacing, *(annotator.seeds(mask, spacing, seeds) * np.array(spacing))), spacing) is None


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_ring_is_no_leak(spacing):
    shape = tuple(int(n / s) for n, s in zip((42, 100, 100), spacing, strict=True))
    z, y, x = (g - (n - 1) / 2 * s for g, n, s in zip(places(shape, spacing), shape, spacing, strict=True))
    mask = z**2 + (np.hypot(y, x) - 32) ** 2 <= 13**2
    for count in (1, 5):
        assert suspected(mask, marks(shape, spacing, *(annotator.seeds(mask, spacing, count) * np.array(spacing))), spacing) is None


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_horseshoe_with_seeds_in_both_arms_is_no_leak_however_thin_its_bend(spacing):
    shape = tuple(int(n / s) for n, s in zip((40, 110, 100), spacing, strict=True))
    middle = (shape[0] // 2) * spacing[0]
    left, right = ((middle, 20.0, 22.0), (middle, 80.0, 22.0)), ((middle, 20.0, 78.0), (middle, 80.0, 78.0))
    arms = rod(shape, spacing, *left, 14) | rod(shape, spacing, *right, 14)
    mask = arms | rod(shape, spacing, left[1], right[1], 3)
    assert suspected(mask, marks(shape, spacing, left[0], right[0]), spacing) is None
    assert suspected(mask, marks(shape, spacing, left[0], left[1]), spacing) is not None


def test_a_second_piece_that_is_not_joined_is_no_leak():
    spacing, shape = (1.0, 1.0, 1.0), (50, 50, 120)
    mask = rod(shape, spacing, (25, 25, 25), (25, 25, 25), 18) | rod(shape, spacing, (25, 25, 90), (25, 25, 90), 18)
    assert suspected(mask, marks(shape, spacing, (25, 25, 25)), spacing) is None


def test_a_seed_clicked_at_the_rim_stands_for_the_whole_ball():
    spacing, shape = (1.0, 1.0, 1.0), (50, 50, 140)
    ball = rod(shape, spacing, (25, 25, 25), (25, 25, 25), 20)
    mask = ball | rod(shape, spacing, (25, 25, 25), (25, 25, 130), 4)
    rim = marks(shape, spacing, (25, 6, 25))
    assert suspected(ball, rim, spacing) is None
    assert suspected(mask, rim, spacing) is not None


def test_a_cone_that_tapers_gently_is_no_leak():
    spacing, shape = (1.0, 1.0, 1.0), (60, 60, 130)
    z, y, x = places(shape, spacing)
    mask = np.hypot(z - 30, y - 30) <= np.clip(25 - 0.2 * (x - 5), 0, 25) * (x >= 5)
    assert suspected(mask, marks(shape, spacing, (30, 30, 28)), spacing) is None


def test_without_a_seed_in_the_mask_there_is_nothing_to_leak_from():
    mask = np.zeros((8, 8, 8), bool)
    assert suspected(mask, mask, (1.0, 1.0, 1.0)) is None
    mask[2:5, 2:5, 2:5] = True
    assert suspected(mask, np.zeros_like(mask), (1.0, 1.0, 1.0)) is None
    corner = np.zeros_like(mask)
    corner[0, 0, 0] = True
    assert suspected(mask, corner, (1.0, 1.0, 1.0)) is None


def test_a_lone_seed_voxel_far_from_the_rest_changes_nothing():
    spacing, shape = (1.0, 1.0, 1.0), (60, 60, 160)
    ball = rod(shape, spacing, (30, 30, 40), (30, 30, 40), 25)
    for mask, leaks in ((ball, False), (ball | rod(shape, spacing, (30, 30, 40), (30, 30, 145), 5), True)):
        mask[2, 3, 3] = True
        assert (suspected(mask, marks(shape, spacing, (2, 3, 3), (30, 30, 40)), spacing) is not None) == leaks
        assert suspected(mask, marks(shape, spacing, (2, 3, 3)), spacing) is None


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 1), (3, 1, 7), (6, 6, 6)])
def test_a_mask_that_fills_a_tiny_volume_is_no_leak(shape):
    full = np.ones(shape, bool)
    assert suspected(full, full, (6.5, 0.7, 0.7)) is None


@pytest.mark.parametrize("name", ["brain1_tumour", "lung2_crop_tumour"])
def test_real_tumours_are_no_leaks(name):
    read = sitk.ReadImage(str(shipped("sample_data") / f"{name}.nii.gz"))
    truth, spacing = sitk.GetArrayFromImage(read) > 0, read.GetSpacing()[::-1]
    assert suspected(truth, marks(truth.shape, spacing, *(annotator.seeds(truth, spacing) * np.array(spacing))), spacing) is None


def test_it_is_cheap_in_a_large_volume():
    spacing, shape = (1.0, 1.0, 1.0), (256, 256, 256)
    mask = np.zeros(shape, bool)
    mask[60:190, 60:190, 20:110] = mask[60:190, 60:190, 150:240] = mask[122:128, 122:128, 110:150] = True
    kept = marks(shape, spacing, (125, 125, 60))
    seconds = []
    for _ in range(5):
        began = time.thread_time()
        assert suspected(mask, kept, spacing) is not None
        seconds.append(time.thread_time() - began)
    assert min(seconds) < 0.25
