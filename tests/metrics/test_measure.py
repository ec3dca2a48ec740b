"""All figures per class; distances equal MONAI's on the same masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_medseg.errors import InvalidInputError
from napari_medseg.metrics import confusion, measure, surface_distances

KEYS = {"dice", "iou", "precision", "recall", "hd95_mm", "assd_mm", "surface_dice_2mm", "volume_ml_pred", "volume_ml_truth", "centroid_mm",
        "volume_error_ml", "volume_error", "components_pred", "components_truth", "holes_pred", "holes_truth", "false_positives", "missed"}


def blob(seed: int, shape=(9, 24, 26), share=0.3) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    return noise > np.quantile(noise, 1 - share)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 0.7, 0.9), (0.5, 2.0, 1.3)])
def test_distances_and_dice_equal_monai(seed, spacing):
    torch = pytest.importorskip("torch")
    monai = pytest.importorskip("monai.metrics")
    pred, truth = blob(seed), blob(seed + 100, share=0.2)
    a, b = (torch.from_numpy(m[None, None].astype(np.float32)) for m in (pred, truth))
    figures = measure(pred, truth, spacing)["1"]
    expected = {
        "dice": monai.compute_dice(a, b),
        "hd95_mm": monai.compute_hausdorff_distance(a, b, percentile=95, spacing=spacing, include_background=True),
        "assd_mm": monai.compute_average_surface_distance(a, b, symmetric=True, spacing=spacing, include_background=True),
        "surface_dice_2mm": monai.compute_surface_dice(a, b, [2.0], spacing=spacing, include_background=True),
    }
    for name, value in expected.items():
        assert figures[name] == pytest.approx(float(value), rel=1e-4), name


def test_a_shift_is_measured_in_millimetres_along_its_own_axis():
    cube = np.zeros((12, 30, 30), bool)
    cube[3:9, 8:20, 8:20] = True
    spacing = (5.0, 0.5, 2.0)
    for axis, step in enumerate(spacing):
        figures = measure(np.roll(cube, 1, axis), cube, spacing)["1"]
        assert figures["hd95_mm"] == pytest.approx(step)
    assert figures["volume_ml_truth"] == pytest.approx(6 * 12 * 12 * 5.0 * 0.5 * 2.0 / 1000)


def test_a_single_slice_is_measured_in_its_plane():
    inner, outer = np.zeros((1, 40, 40), bool), np.zeros((1, 40, 40), bool)
    inner[0, 15:25, 15:25], outer[0, 12:28, 12:28] = True, True
    assert measure(inner, outer, (5.0, 1.0, 1.0))["1"]["hd95_mm"] > 2.9


def test_each_class_in_either_map_has_its_row():
    pred, truth = np.zeros((4, 8, 8), np.uint8), np.zeros((4, 8, 8), np.uint8)
    pred[1, 2:4], truth[1, 2:4] = 1, 1
    pred[2, 5:7], truth[3, 5:7] = 2, 7
    rows = measure(pred, truth, (2.0, 1.0, 1.0))
    assert list(rows) == ["1", "2", "7"]
    assert all(set(row) == KEYS for row in rows.values())
    assert rows["1"]["dice"] == 1.0
    assert rows["1"]["hd95_mm"] == 0.0
    only_predicted, only_true = rows["2"], rows["7"]
    assert only_predicted["dice"] == only_predicted["surface_dice_2mm"] == only_true["dice"] == 0.0
    assert only_predicted["hd95_mm"] is only_true["hd95_mm"] is only_true["assd_mm"] is None
    assert only_predicted["recall"] is only_true["precision"] is None
    assert only_true["volume_ml_pred"] == 0.0


def test_two_empty_maps_have_no_row():
    assert measure(np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 2), bool), (1.0, 1.0, 1.0)) == {}


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_swapping_prediction_and_truth_swaps_precision_and_recall_only(one, two):
    a, b = blob(one, (5, 9, 10)), blob(two, (5, 9, 10))
    forth, back = measure(a, b, (3.0, 1.0, 1.0))["1"], measure(b, a, (3.0, 1.0, 1.0))["1"]
    assert (forth["precision"], forth["recall"]) == (back["recall"], back["precision"])
    assert all(forth[name] == pytest.approx(back[name]) for name in ("dice", "iou", "hd95_mm", "assd_mm", "surface_dice_2mm"))


def test_where_the_masks_lie_in_the_scan_changes_nothing():
    a, b = blob(1), blob(2)
    wide = [np.pad(m, ((3, 5), (20, 1), (7, 9))) for m in (a, b)]
    assert measure(*wide, (4.0, 1.0, 1.0)) == measure(a, b, (4.0, 1.0, 1.0))


def test_there_is_no_distance_to_nothing():
    assert surface_distances(blob(1), np.zeros((9, 24, 26), bool), (1.0, 1.0, 1.0)) is None


@pytest.mark.parametrize("faulty", [np.zeros((3, 3, 3), np.float32), np.zeros((2, 3, 3, 3), np.uint8)])
def test_what_is_no_label_map_is_refused(faulty):
    with pytest.raises(InvalidInputError, match="is no label map"):
        measure(faulty, faulty, (1.0, 1.0, 1.0))


def test_signed_volume_errors_and_the_way_between_the_centres():
    truth = np.zeros((6, 20, 20), np.uint8)
    truth[1:5, 5:15, 5:15] = 1
    pred = np.roll(truth, 2, 2)
    pred[1] = 0
    row = measure(pred, truth, (2.0, 1.0, 0.5))["1"]
    assert row["volume_error_ml"] == pytest.approx(-0.1)
    assert row["volume_error"] == pytest.approx(-0.25)
    assert row["centroid_mm"] == pytest.approx(np.hypot(1.0, 1.0))  # half a slice of 2 mm, two columns of 0.5 mm


def test_pieces_holes_and_false_alarms_are_counted():
    truth = np.zeros((7, 20, 20), np.uint8)
    truth[1:6, 2:9, 2:9] = 1
    truth[3, 5, 5] = 0
    pred = truth.copy()
    pred[3, 5, 5] = 1
    pred[2, 15, 15] = pred[3, 16, 16] = 1  # one false piece: its voxels share a corner
    pred[5, 12, 2] = 1
    row = measure(pred, truth, (1.0, 1.0, 1.0))["1"]
    assert (row["components_pred"], row["components_truth"], row["false_positives"]) == (3, 1, 2)
    assert (row["holes_pred"], row["holes_truth"]) == (0, 1)


def test_a_ring_on_a_single_slice_has_a_hole_in_its_plane():
    ring = np.zeros((1, 9, 9), np.uint8)
    ring[0, 2:7, 2:7], ring[0, 4, 4] = 1, 0
    assert measure(ring, ring, (5.0, 1.0, 1.0))["1"]["holes_truth"] == 1


def test_a_confusion_says_which_class_was_taken_for_which():
    pred, truth = np.zeros((3, 6, 6), np.uint8), np.zeros((3, 6, 6), np.uint8)
    truth[1, :3], truth[1, 3:] = 1, 2
    pred[1, :2], pred[1, 2:5] = 1, 2
    pred[0, 0, 0] = 200
    assert confusion(pred, truth) == {"0": {"200": 1}, "1": {"1": 12, "2": 6}, "2": {"0": 6, "2": 12}}
    assert confusion(truth * 0, truth * 0) == {}


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, bool])
def test_every_whole_number_type_gives_the_same_figures(dtype):
    a, b = blob(3), blob(4)
    assert measure(a.astype(dtype), b.astype(dtype), (2.0, 1.0, 1.0)) == measure(a.astype(np.uint8), b.astype(np.uint8), (2.0, 1.0, 1.0))


def test_a_value_far_beyond_the_others_costs_nothing():
    labels = np.zeros((3, 6, 6), np.int64)
    labels[1, 2:4, 2:4] = 10**12
    assert measure(labels, labels, (1.0, 1.0, 1.0))[str(10**12)]["dice"] == 1.0
