import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_medseg.weaklabel import compiled
from napari_medseg.weaklabel.features import FeatureMaps, finest_scale, of_values, smoothed

SPACING = (5.0, 0.8, 0.8)


@pytest.fixture
def scan():
    return (np.random.default_rng(0).normal(200, 40, (9, 61, 47)) + 10 * np.indices((9, 61, 47))[1]).astype(np.int16)


def test_smoothing_is_the_gaussian_in_millimetres_and_leaves_thick_slices_apart(scan):
    values = scan.astype(np.float32)
    ours = smoothed(values, (4.0, 0.8, 1.0), 2.0)
    scipys = ndi.gaussian_filter(values, (2 / 4, 2 / 0.8, 2 / 1.0), truncate=3.0, mode="reflect")
    np.testing.assert_allclose(ours[2:-2, 9:-9, 9:-9], scipys[2:-2, 9:-9, 9:-9], rtol=2e-3)
    np.testing.assert_array_equal(smoothed(values, (50.0, 0.8, 1.0), 2.0)[4], smoothed(values[4:5], (50.0, 0.8, 1.0), 2.0)[0])


def test_a_slope_has_its_gradient_no_curvature_and_its_own_spread():
    slope = np.broadcast_to(0.1 * np.arange(60, dtype=np.float32), (20, 40, 60)).copy()
    mean, gradient, laplacian, spread = of_values(slope, (1.0, 1.0, 0.5))[1:5, 10, 20, 30]
    assert mean == pytest.approx(3.0, abs=1e-4)
    assert gradient == pytest.approx(0.2, rel=1e-3)  # per millimetre, at the scale of one millimetre
    assert laplacian == pytest.approx(0, abs=1e-4)
    assert spread == pytest.approx(0.2, rel=0.03)


def test_features_of_a_part_are_those_of_the_whole(scan):
    whole = FeatureMaps(scan, SPACING).of((slice(0, 9), slice(0, 61), slice(0, 47)))
    maps = FeatureMaps(scan, SPACING)
    for part in ((slice(2, 5), slice(20, 33), slice(17, 31)), (slice(3, 4), slice(21, 25), slice(18, 20)), (slice(0, 9), slice(0, 61), slice(5, 40))):
        np.testing.assert_array_equal(maps.of(part), whole[(slice(None), *part)])


def test_the_number_of_cores_changes_nothing(scan, monkeypatch):
    box = (slice(0, 9), slice(0, 61), slice(0, 47))
    expected = FeatureMaps(scan, SPACING).of(box)
    monkeypatch.setattr(compiled, "threads", lambda: 1)
    np.testing.assert_array_equal(FeatureMaps(scan, SPACING).of(box), expected)


def test_the_unit_of_the_scan_hardly_matters(scan):
    box = (slice(0, 9), slice(0, 61), slice(0, 47))
    np.testing.assert_allclose(FeatureMaps(scan * 3.0 + 5000, SPACING).of(box), FeatureMaps(scan, SPACING).of(box), atol=2e-4)


def test_a_network_s_channels_come_last_and_holes_are_filled(scan):
    network = np.random.default_rng(1).random((2, *scan.shape)).astype(np.float32)
    network[0, 4, 30, 20] = np.nan
    holed = scan.astype(np.float32)
    holed[4, 30:33, 20:23] = np.nan
    box = (slice(3, 6), slice(25, 40), slice(10, 30))
    found = FeatureMaps(holed, SPACING, network).of(box)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[-1], network[1][box])


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 30, 30), (40, 1, 3), (2, 2, 2)])
def test_thin_and_constant_scans_have_finite_features(shape):
    whole = tuple(slice(0, n) for n in shape)
    found = FeatureMaps(np.full(shape, 7, np.uint16), SPACING).of(whole)
    assert not found[1:].any()
    assert np.isfinite(FeatureMaps(np.full(shape, np.nan), SPACING).of(whole)).all()


def test_the_finest_scale_fits_the_grid():
    assert finest_scale((5.0, 0.7, 0.7)) == 1.0
    assert finest_scale((6.0, 3.4, 3.4)) == 3.4
    assert finest_scale((0.001, 0.001, 0.001)) == 0.002
