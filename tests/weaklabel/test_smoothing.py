"""Smoothing rounds outlines, keeps every volume and opens no gap."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_medseg.weaklabel.smoothing import blurred, smooth


def organs(shape=(24, 60, 60)):
    """Two rough organs that share a wall, on background."""
    rng = np.random.default_rng(1)
    z, y, x = np.indices(shape)
    depth = 1 - np.sqrt(((z - 12) / 10) ** 2 + ((y - 30) / 24) ** 2 + ((x - 30) / 26) ** 2)
    inside = depth + 0.8 * ndi.gaussian_filter(rng.normal(0, 1, shape), 1) > 0.1
    right = x + 20 * ndi.gaussian_filter(rng.normal(0, 1, shape), 1) > 30
    return np.where(inside, np.where(right, 2, 1), 0).astype(np.uint8)


def whole(labels):
    return {v: tuple(slice(0, n) for n in labels.shape) for v in np.unique(labels).tolist() if v}


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 0.7, 0.9)])
def test_the_blur_is_a_gaussian_in_mm(spacing):
    mask = organs()[::2] == 1
    expected = ndi.gaussian_filter(mask.astype(np.float32), [1.5 / s for s in spacing], truncate=3, mode="nearest")
    np.testing.assert_allclose(blurred(mask, 1.5, spacing), expected, atol=1e-5)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (4.0, 0.8, 0.8)])
@pytest.mark.parametrize("mm", [1.0, 2.0, 4.0])
def test_every_class_keeps_its_volume_within_one_percent(spacing, mm):
    labels = organs()
    smoothed = smooth(labels, whole(labels), mm, spacing)
    before, after = np.bincount(labels.ravel()), np.bincount(smoothed.ravel(), minlength=3)
    np.testing.assert_allclose(after, before, rtol=0.01)
    assert surface(smoothed) < 0.85 * surface(labels)


def surface(labels):
    return sum(int((np.diff(labels.astype(int), axis=axis) != 0).sum()) for axis in range(3))


def test_neighbours_keep_touching():
    labels = organs()
    smoothed = smooth(labels, whole(labels), 2.0, (1.0, 1.0, 1.0))
    deep = ndi.binary_erosion(labels > 0, iterations=5)
    assert (labels[deep] > 0).all()
    assert (smoothed[deep] > 0).all()
    assert ndi.binary_dilation(smoothed == 1)[smoothed == 2].any()


def test_a_class_that_is_not_smoothed_keeps_its_voxels_and_its_neighbour_leaves_no_gap():
    labels = organs()
    boxes = whole(labels)
    del boxes[2]
    smoothed = smooth(labels, boxes, 2.0, (1.0, 1.0, 1.0))
    np.testing.assert_array_equal(smoothed == 2, labels == 2)
    deep = ndi.binary_erosion(labels > 0, iterations=5)
    assert (smoothed[deep] > 0).all()


def test_a_single_voxel_and_a_full_scan_stay():
    for labels in (np.pad(np.ones((1, 1, 1), np.uint8), 6), np.ones((4, 5, 6), np.uint8)):
        np.testing.assert_array_equal(smooth(labels, whole(labels), 3.0, (1.0, 1.0, 1.0)), labels)


def test_only_allowed_voxels_change():
    labels = organs()
    allowed = np.zeros(labels.shape, bool)
    allowed[:, :30] = True
    smoothed = smooth(labels, whole(labels), 2.0, (1.0, 1.0, 1.0), allowed=allowed)
    assert (smoothed != labels)[allowed].any()
    assert not (smoothed != labels)[~allowed].any()
