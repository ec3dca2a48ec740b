"""SimpleITK's level sets as oracles: from the same start over the same maps our front comes to rest on the same mask."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage as ndi

from napari_medseg.weaklabel.front import Front

SAME = 0.98  # Dice: the two place a surface within a fraction of a voxel of each other
SAME_EDGES = 0.97  # ITK smooths the edge map's gradient by a voxel, ours is taken as it is: near a ridge they rest a little apart
SPACINGS = [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (2.0, 0.8, 1.2)]


class Maps:
    """A drive that is known beforehand."""

    tile, version, method = 64, 0, "region"

    def __init__(self, spacing, speed, stopping=None, edge=0.0, curvature_mm=0.0, balloon=0.0):
        self.shape, self.spacing, self.speed, self.stopping = speed.shape, spacing, speed, stopping
        self.edge, self.curvature_mm, self.balloon, self.advection = edge, curvature_mm, balloon, 1.0

    def prepare(self, tiles):
        pass

    def learn(self, inside):
        return False

    def describe(self):
        return "known maps"


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def grid(spacing, width=(42.0, 42.0, 42.0)):
    """Mm from the middle along z, y, x."""
    counts = [round(w / s) for w, s in zip(width, spacing, strict=True)]
    return [((np.arange(n) - (n - 1) / 2) * spacing[axis]).reshape([-1 if a == axis else 1 for a in range(3)]) for axis, n in enumerate(counts)]


def ball(spacing, radius, centre=(0.0, 0.0, 0.0)):
    return sum((g - c) ** 2 for g, c in zip(grid(spacing), centre, strict=True)) < radius**2


def shapes(spacing):
    z, y, x = grid(spacing)
    lumpy = np.sqrt(z**2 + y**2 + x**2) < 12 + 2.5 * np.sin(np.arctan2(y, x) * 3) * np.cos(z / 8)
    return {
        "ball": ball(spacing, 13),
        "box": (np.abs(z) < 11) & (np.abs(y) < 13) & (np.abs(x) < 9),
        "ellipsoid": (z / 9) ** 2 + (y / 15) ** 2 + (x / 11) ** 2 < 1,
        "lumpy": lumpy,
    }


def noisy(truth, seed=0):
    """Chances of the target: soft at its surface, with noise."""
    chance = np.where(truth, 0.95, 0.05) + np.random.default_rng(seed).normal(0, 0.1, truth.shape)
    return np.clip(ndi.gaussian_filter(chance, 0.7), 0, 1).astype(np.float32)


def images(spacing, start, feature):
    inner, outer = (ndi.distance_transform_edt(side, sampling=spacing) for side in (start, ~start))
    half = min(spacing) / 2
    made = []
    for array in (np.where(start, half - inner, outer - half), feature):
        image = sitk.GetImageFromArray(array.astype(np.float32))
        image.SetSpacing(spacing[::-1])
        made.append(image)
    return made


def rest(start, maps, iterations):
    front = Front(start.copy(), maps.spacing, np.ones_like(start), np.zeros_like(start))
    front.advance(maps, iterations)
    return front.inside


def itk_threshold(start, chance, spacing, curvature, iterations):
    flow = sitk.ThresholdSegmentationLevelSetImageFilter()
    flow.SetLowerThreshold(0.5)
    flow.SetUpperThreshold(1.5)  # its speed is min(f - lower, upper - f): half of ours
    flow.SetPropagationScaling(2.0)
    flow.SetCurvatureScaling(curvature)
    flow.SetMaximumRMSError(0.0)
    flow.SetNumberOfIterations(iterations)
    return sitk.GetArrayFromImage(flow.Execute(*images(spacing, start, chance))) < 0


def itk_geodesic(start, stopping, spacing, curvature, balloon, iterations):
    flow = sitk.GeodesicActiveContourLevelSetImageFilter()
    flow.SetPropagationScaling(balloon)
    flow.SetCurvatureScaling(curvature)
    flow.SetAdvectionScaling(1.0)
    flow.SetMaximumRMSError(0.0)
    flow.SetNumberOfIterations(iterations)
    return sitk.GetArrayFromImage(flow.Execute(*images(spacing, start, stopping))) < 0


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
@pytest.mark.parametrize("shape", ["ball", "box", "ellipsoid", "lumpy"])
@pytest.mark.parametrize("curvature", [0.0, 0.2])
def test_grown_from_within_it_rests_where_itks_threshold_level_set_does(shape, spacing, curvature):
    truth = shapes(spacing)[shape]
    chance, start = noisy(truth), ball(spacing, 5)
    ours = rest(start, Maps(spacing, 2 * chance - 1, curvature_mm=curvature), 120)
    theirs = itk_threshold(start, chance, spacing, curvature, 250)
    assert dice(theirs, truth) > 0.9  # the oracle arrived
    assert dice(ours, theirs) >= SAME


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
@pytest.mark.parametrize("shape", ["box", "lumpy"])
def test_shrunk_from_without_it_rests_where_itks_threshold_level_set_does(shape, spacing):
    truth = shapes(spacing)[shape]
    chance, start = noisy(truth, 1), ball(spacing, 19)
    ours = rest(start, Maps(spacing, 2 * chance - 1, curvature_mm=0.2), 120)
    theirs = itk_threshold(start, chance, spacing, 0.2, 250)
    assert dice(theirs, truth) > 0.9
    assert dice(ours, theirs) >= SAME


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
@pytest.mark.parametrize("shape", ["ball", "ellipsoid"])
@pytest.mark.parametrize("outward", [True, False])
def test_led_by_edges_it_rests_where_itks_geodesic_contour_does(shape, spacing, outward):
    truth = shapes(spacing)[shape]
    steep = np.linalg.norm(np.gradient(ndi.gaussian_filter(truth.astype(np.float32), [1.5 / s for s in spacing]), *spacing), axis=0)
    stopping = (1 / (1 + (steep / 0.04) ** 2)).astype(np.float32)
    start = ball(spacing, 5) if outward else ball(spacing, 19)
    balloon = 0.2 if outward else -0.2
    ours = rest(start, Maps(spacing, np.zeros_like(stopping), stopping, 1.0, 0.2, balloon), 400)
    theirs = itk_geodesic(start, stopping, spacing, 0.2, balloon, 400)
    assert dice(theirs, truth) > 0.9
    assert dice(ours, theirs) >= SAME_EDGES


def test_a_ball_under_tension_alone_shrinks_as_fast_as_geometry_says():
    """Under phi_t = c kappa |grad phi| a sphere's radius obeys r(t)^2 = r0^2 - 4 c t."""
    spacing = (1.0, 1.0, 1.0)
    start, curvature = ball(spacing, 14), 1.0
    front = Front(start.copy(), spacing, np.ones_like(start), np.zeros_like(start))
    maps = Maps(spacing, np.zeros(start.shape, np.float32), curvature_mm=curvature)
    while front.time < 20:
        front.advance(maps, 1)
    radius = (3 * front.inside.sum() / (4 * np.pi)) ** (1 / 3)
    assert radius == pytest.approx(np.sqrt(14**2 - 4 * curvature * front.time), abs=0.4)


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
def test_a_front_of_speed_one_moves_a_millimetre_in_a_millimetre_of_time(spacing):
    start = ball(spacing, 7)
    front = Front(start.copy(), spacing, np.ones_like(start), np.zeros_like(start))
    maps = Maps(spacing, np.ones(start.shape, np.float32))
    while front.time < 9:
        front.advance(maps, 1)
    places = np.argwhere(front.inside), np.argwhere(ball(spacing, 7 + front.time))
    np.testing.assert_array_equal(np.ptp(places[0], axis=0), np.ptp(places[1], axis=0))  # along every axis as far
    radius = (3 * front.inside.sum() * np.prod(spacing) / (4 * np.pi)) ** (1 / 3)
    assert radius == pytest.approx(7 + front.time, rel=0.05)  # between the axes a first-order scheme lags
