"""Probabilities against the truth: reliability, thresholds, and false positives kept down."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medseg.errors import InvalidInputError
from napari_medseg.metrics import dice, precision, recall
from napari_medseg.review import calibration
from napari_medseg.review.calibration import CalibrationCounter, best_threshold

ML = (1.0, 10.0, 10.0)  # 0.1 ml a voxel


def counted(*pairs, values=(1,), spacing=ML):
    counter = CalibrationCounter(values)
    for number, (probabilities, truth) in enumerate(pairs):
        counter.add(f"case{number}", probabilities, truth, spacing)
    return counter.result()


def honest(seed, shape=(10, 40, 40)):
    rng = np.random.default_rng(seed)
    p = rng.beta(0.4, 2, shape).astype(np.float32)
    return p, (rng.random(shape) < p).astype(np.uint8)


def test_honest_probabilities_are_calibrated_and_boastful_ones_are_not():
    p, truth = honest(0)
    assert counted((p, truth)).classes[0].ece < 0.01
    boastful = counted((np.sqrt(p), truth)).classes[0]
    assert boastful.ece > 0.1
    assert boastful.bins[5].observed < 0.4 < boastful.bins[5].predicted


def test_bins_and_errors_are_those_of_counting_voxel_by_voxel():
    p, truth = honest(1)
    found = counted((p, truth)).classes[0]
    which = np.minimum((p * 10).astype(int), 9)
    gaps = [abs(p[which == b].sum() - truth[which == b].sum()) for b in range(10)]
    assert found.ece == pytest.approx(sum(gaps) / p.size, rel=1e-4)
    assert [b.voxels for b in found.bins] == [int(np.count_nonzero(which == b)) for b in range(10)]
    assert found.bins[2].predicted == pytest.approx(p[which == 2].mean(), rel=1e-4)
    assert found.brier == pytest.approx(np.mean((p - truth) ** 2), rel=1e-4)
    doubtful = p >= 0.01
    inside = [abs(p[(which == b) & doubtful].sum() - truth[(which == b) & doubtful].sum()) for b in range(10)]
    assert found.ece_in_doubt == pytest.approx(sum(inside) / doubtful.sum(), rel=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 99))
def test_a_threshold_gives_what_thresholding_gives(seed, step):
    steps = np.random.default_rng(seed).integers(0, 101, (2, 2, 5, 6))
    pairs = [((part / 100 + 1e-4).clip(0, 1), (np.random.default_rng(seed + 1).random(part.shape) < 0.4).astype(np.uint8)) for part in steps]
    point = counted(*pairs).classes[0].curve[step - 1]
    masks = [(p >= step / 100, t) for p, t in pairs]
    assert point.threshold == pytest.approx(step / 100)
    assert point.dice == pytest.approx(np.mean([dice(m, t) for m, t in masks if m.any() or t.any()]))
    together = [np.concatenate(parts) for parts in zip(*masks, strict=True)]
    for share, expected in ((point.precision, precision(*together)), (point.recall, recall(*together))):
        assert share is None if expected is None else share == pytest.approx(expected)
    assert point.false_positive_ml == pytest.approx(sum(np.count_nonzero(m & (t == 0)) for m, t in masks) * 0.1 / 2)


def test_a_higher_threshold_keeps_false_positives_down():
    found = counted(honest(2), honest(3)).classes[0]
    assert found.curve[89].false_positive_share < 0.1 < found.curve[29].false_positive_share
    by_dice, by_alarms = best_threshold(found), best_threshold(found, "false_positives", limit=0.1)
    assert by_alarms.point.false_positive_share <= 0.1
    assert by_alarms.threshold > by_dice.threshold
    assert by_dice.point.dice == max(point.dice for point in found.curve)
    assert best_threshold(found, "false_positives", limit=0.0).note in ("", "no threshold keeps to this limit")


def test_of_equal_thresholds_the_one_nearest_to_a_half_is_taken():
    truth = np.zeros((2, 4, 4), np.uint8)
    truth[0] = 1
    found = counted((truth.astype(np.float32), truth)).classes[0]
    best = best_threshold(found)
    assert (best.threshold, best.point.dice) == (0.5, 1.0)
    assert found.ece == 0.0


def test_each_class_has_its_channel():
    p, truth = honest(4)
    found = counted((np.stack([p, 1 - p]), np.where(truth, 7, 9)), values=(7, 9))
    assert [one.value for one in found.classes] == [7, 9]
    assert found.classes[0].ece == pytest.approx(found.classes[1].ece, abs=1e-3)
    json.dumps(found.as_dict(), allow_nan=False)


def test_a_class_that_no_case_holds_has_no_dice_and_no_threshold():
    nothing = np.zeros((2, 3, 4), np.float32)
    found = counted((nothing, nothing.astype(np.uint8))).classes[0]
    assert found.curve[49].dice is None
    assert found.ece == 0.0
    assert found.ece_in_doubt is None
    assert best_threshold(found).note == "not enough data: no case holds the class"
    empty = CalibrationCounter([1]).result()
    assert empty.classes[0].ece is None
    json.dumps(empty.as_dict(), allow_nan=False)


def test_slabs_give_what_the_whole_gives(monkeypatch):
    pair = honest(5)
    whole = counted(pair)
    monkeypatch.setattr(calibration, "SLAB", 3000)
    parts = list(CalibrationCounter([1]).adding("case0", *pair, ML))
    assert len(parts) > 5
    assert parts[-1] == 1.0
    found = counted(pair)
    assert found.classes[0].curve == whole.classes[0].curve
    assert found.classes[0].ece == pytest.approx(whole.classes[0].ece)


@pytest.mark.parametrize(("probabilities", "words"), [
    (np.full((2, 3, 4), np.nan, np.float32), "no probabilities"),
    (np.full((2, 3, 4), 1.5, np.float32), "no probabilities"),
    (np.full((2, 3, 4), 255, np.uint8), "no probability"),
    (np.zeros((2, 2, 3, 4), np.float32), "2 channels are not the 1 classes"),
    (np.zeros((2, 3, 5), np.float32), "cannot be compared"),
], ids=["nan", "range", "bytes", "channels", "grid"])
def test_what_is_no_probability_map_is_refused_and_does_not_count(probabilities, words):
    counter = CalibrationCounter([1])
    with pytest.raises(InvalidInputError, match=words):
        counter.add("bad", probabilities, np.zeros((2, 3, 4), np.uint8), ML)
    assert counter.result().cases == ()
