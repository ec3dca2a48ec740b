from __future__ import annotations

import numpy as np
import pytest

from napari_medseg.metrics import dice
from napari_medseg.testing.synthetic import WeakLabelSettings, ct_scene, mr_cohort, mr_scene, weaken
from napari_medseg.volume import orientation


@pytest.mark.parametrize("scene", [ct_scene, mr_scene])
def test_a_seed_gives_one_patient_and_another_seed_another(scene):
    one, again, other = scene(3000), scene(3000), scene(3001)
    assert np.array_equal(one[0].array, again[0].array)
    assert np.array_equal(one[1].array, again[1].array)
    assert one[0].array.shape != other[0].array.shape or not np.array_equal(one[1].array, other[1].array)


@pytest.mark.parametrize("scene", [ct_scene, mr_scene])
def test_scan_and_truth_lie_on_one_grid_of_thick_slices(scene):
    for seed in range(3010, 3014):
        image, truth = scene(seed)
        assert image.geometry.matches(truth.geometry)
        assert image.geometry.spacing[0] > 1.5 * image.geometry.spacing[1]
        assert image.array.dtype == np.float32
        assert np.isfinite(image.array).all()
        assert set(np.unique(truth.array)) == {0, 1}
        assert 0.3 < truth.array.sum() * truth.geometry.voxel_ml / 1000 < 3.0  # a liver has 1 to 2 litres; the scan may cut it


def test_the_liver_lies_on_the_patients_right():
    for seed in range(3020, 3024):
        for scene in (ct_scene, mr_scene):
            _, truth = scene(seed)
            assert orientation(truth.geometry) == "LPS"
            centre = truth.geometry.world(np.argwhere(truth.array).mean(axis=0))
            assert centre[0] < -20


def test_fat_is_dark_in_ct_and_bright_in_mr():
    for scene, brighter in ((ct_scene, True), (mr_scene, False)):
        for seed in range(3030, 3033):
            image, truth = scene(seed)
            row = image.array[image.array.shape[0] // 2, image.array.shape[1] // 2]
            inside = np.flatnonzero(row > (-300 if brighter else 0.25 * row.max()))
            rind = row[inside[0] + 1 : inside[0] + 3].mean()
            assert (np.median(image.array[truth.array > 0]) > rind) is np.bool_(brighter)


def test_weak_labels_are_near_the_papers_dice():
    cohort = mr_cohort(3040, cases=12, heldout=1)
    assert 0.85 < cohort.weak_dice < 0.90
    assert all(case.labels.geometry.matches(case.image.geometry) for case in cohort.weak)


def test_weakening_depends_on_the_seed_and_the_strength_only():
    _, truth = mr_scene(3050)
    assert np.array_equal(weaken(truth, 1).array, weaken(truth, 1).array)
    assert not np.array_equal(weaken(truth, 1).array, weaken(truth, 2).array)
    still = WeakLabelSettings(affine=0, shift_mm=0, elastic_mm=0)
    assert np.array_equal(weaken(truth, 1, still).array, truth.array)
    strong = WeakLabelSettings(affine=0.15, shift_mm=10, elastic_mm=10)
    scores = [[dice(weaken(truth, seed, s).array, truth.array) for seed in range(6)] for s in (WeakLabelSettings(), strong)]
    assert np.mean(scores[0]) > np.mean(scores[1]) + 0.05


def test_held_out_patients_are_others():
    cohort = mr_cohort(3060, cases=2, heldout=2)
    assert {c.id for c in cohort.weak}.isdisjoint(c.id for c in cohort.heldout)
    assert set(cohort.truth) == {c.id for c in cohort.weak}
