"""Several annotators of one scan: who agrees with whom, what they amount to, and where they differ."""

import json
import math

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medseg.errors import InvalidInputError, NoLabelsError
from napari_medseg.metrics import measure
from napari_medseg.review.agreement import agreeing, agreement
from napari_medseg.review.consensus import consensus, disagreement

SPACING = (3.0, 1.0, 0.8)
SHAPE = (8, 24, 26)


def ball(radius, shift=0, value=1):
    z, y, x = np.indices(SHAPE)
    return (((z - 3.5) * 3) ** 2 + (y - 11) ** 2 + (x - 11 - shift) ** 2 < radius**2).astype(np.uint8) * value


def noisy(truth, misses, alarms, seed):
    """A rater who misses and invents voxels at these rates."""
    chance = np.random.default_rng(seed).random(truth.shape)
    return np.where(truth > 0, chance >= misses, chance < alarms).astype(np.uint8)


THREE = {"Ann": ball(8), "Ben": ball(8, 2), "Cem": ball(6)}


def test_each_pair_has_the_figures_that_measure_gives_it():
    found = agreement(THREE, SPACING, tolerance_mm=2.0).classes[0]
    names = list(THREE)
    for i, one in enumerate(names):
        for j, two in enumerate(names):
            row = measure(THREE[one], THREE[two], SPACING)["1"]
            given = (found.dice[i][j], found.hd95_mm[i][j], found.assd_mm[i][j], found.surface_dice[i][j])
            assert given == pytest.approx((row["dice"], row["hd95_mm"], row["assd_mm"], row["surface_dice_2mm"]))
    assert found.mean_dice == pytest.approx(np.mean([found.dice[0][1], found.dice[0][2], found.dice[1][2]]))
    assert found.volume_ml[0] == pytest.approx(np.count_nonzero(THREE["Ann"]) * 2.4 / 1000)


def test_it_tells_how_far_it_is_and_can_be_closed():
    work = agreeing(THREE, SPACING)
    assert next(work).result is None
    work.close()
    *_, last = agreeing(THREE, SPACING)
    assert (last.fraction, last.result) == (1.0, agreement(THREE, SPACING))


def test_a_class_that_not_all_drew_counts_against_those_who_did_not():
    maps = {"Ann": ball(8) | ball(4, value=2), "Ben": ball(8) | ball(4, value=2), "Cem": ball(8), "Dee": ball(8), "Eva": np.zeros(SHAPE, bool)}
    found = agreement(maps, SPACING)
    assert [one.value for one in found.classes] == [1, 3]
    drawn = found.classes[1]
    assert drawn.drawn_by == ("Ann", "Ben")
    assert (drawn.dice[0][1], drawn.dice[0][2], drawn.dice[2][3]) == (1.0, 0.0, None)
    assert drawn.hd95_mm[0][2] is None
    assert drawn.dice[2][2] is None
    assert any("Eva drew nothing" in note for note in found.notes)
    assert any("class 3 was drawn by Ann, Ben only" in note for note in found.notes)
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize(("maps", "kind", "words"), [
    ({"Ann": ball(8)}, InvalidInputError, "cannot agree"),
    ({}, InvalidInputError, "cannot agree"),
    ({"Ann": ball(8), "Ben": ball(8)[:4]}, InvalidInputError, "cannot be compared"),
    ({"Ann": ball(8), "Ben": ball(8) * 0.5}, InvalidInputError, "no label map"),
    ({"Ann": ball(8) * 0, "Ben": ball(8) * 0}, NoLabelsError, "drew anything"),
], ids=["one", "none", "grids", "fractions", "empty"])
@pytest.mark.parametrize("work", [lambda maps: agreement(maps, SPACING), consensus, disagreement], ids=["agreement", "consensus", "disagreement"])
def test_what_cannot_be_compared_is_refused(maps, kind, words, work):
    with pytest.raises(kind, match=words):
        work(maps)


def test_the_majority_is_that_of_simpleitks_label_voting():
    rng = np.random.default_rng(0)
    maps = {name: rng.integers(0, 4, SHAPE).astype(np.uint8) for name in "abcde"}
    found = consensus(maps)
    votes = sitk.GetArrayFromImage(sitk.LabelVoting([sitk.GetImageFromArray(one) for one in maps.values()], 9))
    np.testing.assert_array_equal(found.undecided, votes == 9)
    np.testing.assert_array_equal(found.labels[votes != 9], votes[votes != 9])


def test_a_tie_goes_to_background_and_else_to_the_class_that_was_drawn_more():
    one, two, three = (np.zeros((1, 1, 6), np.uint16) for _ in range(3))
    one[0, 0], two[0, 0], three[0, 0] = [700, 700, 5, 5, 0, 0], [700, 0, 700, 5, 0, 0], [700, 0, 700, 5, 5, 0]
    found = consensus({"a": one, "b": two, "c": three})
    assert found.labels.tolist() == [[[700, 0, 700, 5, 0, 0]]]
    assert not found.undecided.any()
    tied = consensus({"a": one, "b": two})
    assert tied.labels.tolist() == [[[700, 0, 700, 5, 0, 0]]]  # 700 was drawn four times, 5 three times
    assert tied.undecided.tolist() == [[[False, True, True, False, False, False]]]
    assert tied.labels.dtype == np.uint16


def test_staple_finds_the_truth_and_who_is_careless():
    truth = ball(9)
    rates = {"careful": (0.05, 0.02), "steady": (0.08, 0.03), "careless": (0.4, 0.02), "rash": (0.05, 0.2)}
    maps = {name: noisy(truth, *each, seed) for seed, (name, each) in enumerate(rates.items())}
    found = consensus(maps, "staple")
    assert measure(found.labels, truth, SPACING)["1"]["dice"] > 0.95
    assert measure(found.labels, truth, SPACING)["1"]["dice"] > max(measure(one, truth, SPACING)["1"]["dice"] for one in maps.values())
    quality = {one.annotator: one for one in found.qualities}
    assert quality["careless"].sensitivity == pytest.approx(0.6, abs=0.05)
    assert quality["rash"].specificity == pytest.approx(0.8, abs=0.05)
    assert quality["careful"].sensitivity == pytest.approx(0.95, abs=0.04)
    json.dumps(found.as_dict(), allow_nan=False)


def test_staple_of_several_classes_keeps_their_values():
    truth = ball(9, value=3) + ball(4, value=97)
    rng = np.random.default_rng(0)
    maps = {}
    for name in "abcde":
        maps[name] = truth.copy()
        wrong = rng.random(SHAPE) < 0.15
        maps[name][wrong] = rng.choice([0, 3, 100], int(wrong.sum()))
    found = consensus(maps, "staple")
    assert set(np.unique(found.labels)) == {0, 3, 100}
    assert np.mean(found.labels == truth) > 0.99
    assert {one.value for one in found.qualities} == {3, 100}


@pytest.mark.parametrize("method", ["majority", "staple"])
def test_the_order_of_the_annotators_changes_nothing(method):
    forth, back = consensus(THREE, method), consensus(dict(reversed(THREE.items())), method)
    np.testing.assert_array_equal(forth.labels, back.labels)
    np.testing.assert_array_equal(forth.undecided, back.undecided)


@pytest.mark.parametrize("method", ["majority", "staple"])
def test_annotators_who_agree_are_their_own_consensus(method):
    found = consensus({"a": ball(8), "b": ball(8), "c": ball(8)}, method)
    np.testing.assert_array_equal(found.labels, ball(8))
    assert not found.undecided.any()


def test_an_annotator_who_drew_nothing_has_no_sensitivity():
    found = consensus({**THREE, "Eva": np.zeros(SHAPE, bool)}, "staple")
    assert next(one for one in found.qualities if one.annotator == "Eva").sensitivity == pytest.approx(0.0, abs=1e-6)


def test_disagreement_is_a_share_or_an_entropy():
    a, b, c = (np.zeros((1, 1, 3), np.uint8) for _ in range(3))
    a[0, 0], b[0, 0], c[0, 0] = [1, 1, 1], [1, 1, 2], [1, 0, 0]
    share, entropy = (disagreement({"a": a, "b": b, "c": c}, measure)[0, 0] for measure in ("share", "entropy"))
    assert share == pytest.approx([0, 1 / 3, 2 / 3])
    two_to_one = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3)) / math.log(3)
    assert entropy == pytest.approx([0, two_to_one, 1], abs=1e-6)
    assert share.dtype == np.float32


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 6), st.integers(1, 4), st.integers(0, 10_000))
def test_no_figure_of_agreement_leaves_its_range(raters, classes, seed):
    rng = np.random.default_rng(seed)
    maps = {str(n): rng.integers(0, classes + 1, (3, 5, 6)) * (rng.random((3, 5, 6)) < rng.random()) for n in range(raters)}
    maps["0"][0, 0, 0] = 1
    found = agreement(maps, SPACING)
    for one in found.classes:
        for matrix in (one.dice, one.surface_dice):
            assert all(v is None or 0 <= v <= 1 for row in matrix for v in row)
            assert matrix == tuple(zip(*matrix, strict=True))
    heat = disagreement(maps, "entropy")
    assert heat.min() >= 0
    assert heat.max() <= 1
    np.testing.assert_array_equal(heat > 1e-6, disagreement(maps, "share") > 1e-6)
    drawn = np.any([one > 0 for one in maps.values()], axis=0)
    assert not consensus(maps).labels[~drawn].any()
