"""A round is adopted on evidence from slices nothing learned from, and refused when it is worse, drifts or falls to pieces."""

import json
import pickle

import numpy as np
import pytest

from napari_medseg.refine.gate import Gate

SPACING = (3.0, 1.0, 1.0)
SHAPE = (12, 32, 32)
NAMES = [f"p{n}" for n in range(6)]


def ball(radius=9.0, shift=(0.0, 0.0)):
    y, x = np.indices(SHAPE[1:])
    disc = np.hypot(y - 16 - shift[0], x - 16 - shift[1]) <= radius
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:10] = disc
    return labels


def rough(labels, share, seed):
    """The labels with a share of the voxels near their border turned round."""
    rng = np.random.default_rng(seed)
    out = labels.copy()
    near = (np.abs(np.hypot(*(np.indices(SHAPE[1:]) - 16)) - 9) < 2)[None] & (labels.any((1, 2))[:, None, None])
    flip = near & (rng.random(SHAPE) < share)
    out[flip] = 1 - out[flip]
    return out


def cohort(share, seed=0, names=NAMES):
    return {name: rough(ball(), share, seed + i) for i, name in enumerate(names)}


def checked(slices=(3, 5, 8), names=NAMES[:4]):
    check = {}
    for name in names:
        check[name] = np.full(SHAPE, 255, np.uint8)
        check[name][list(slices)] = ball()[list(slices)]
    return check


def gate(given, check=None, **options):
    return Gate(given, checked() if check is None else check, (1,), dict.fromkeys(given, SPACING), **options)


def test_a_round_that_is_better_on_the_check_slices_is_adopted_and_says_by_how_much():
    judge = gate(cohort(0.4))
    verdict = judge.judge(1, cohort(0.1, 100))
    assert verdict.adopted
    assert judge.best == 1
    assert (verdict.evidence.slices, verdict.evidence.patients, verdict.evidence.against) == (12, 4, 0)
    assert verdict.evidence.change == pytest.approx(verdict.evidence.dice - verdict.evidence.dice_old)
    assert verdict.evidence.change > 5 * verdict.evidence.error
    assert "12 verified slices of 4 patients" in verdict.reason
    assert "better" in verdict.reason


def test_a_shifted_round_is_refused_and_the_best_stays():
    judge = gate(cohort(0.4))
    judge.judge(1, cohort(0.1, 100))
    verdict = judge.judge(2, {name: ball(shift=(0, 3)) for name in NAMES})
    assert not verdict.adopted
    assert verdict.stop
    assert judge.best == 1
    assert verdict.reason.startswith("worse")
    assert verdict.reason.endswith("round 1 stays")


def test_equal_rounds_are_no_reason_to_change_or_to_go_on():
    judge = gate(cohort(0.2))
    verdict = judge.judge(1, cohort(0.2, 50))
    assert not verdict.adopted
    assert verdict.stop
    assert "no better beyond chance" in verdict.reason


def test_what_is_learned_from_is_never_looked_at():
    given, better = cohort(0.4), cohort(0.1, 100)
    spoilt = {name: labels.copy() for name, labels in better.items()}
    for name in NAMES[:4]:
        others = np.setdiff1d(np.arange(SHAPE[0]), [3, 5, 8])
        spoilt[name][others] = cohort(0.1, 300)[name][others]
    first, second = gate(given).judge(1, better).evidence, gate(given).judge(1, spoilt).evidence
    assert (first.dice, first.change, first.error) == (second.dice, second.change, second.error)


def test_patients_count_not_their_scans_or_slices():
    given, new = cohort(0.4), cohort(0.1, 100)
    alone = gate(given).judge(1, new).evidence
    together = gate(given, patients=dict.fromkeys(NAMES, "same")).judge(1, new).evidence
    assert (alone.patients, together.patients) == (4, 1)
    assert together.slices == alone.slices == 12


def test_with_one_slice_the_gate_does_not_claim_to_be_sure():
    check = checked(slices=(5,), names=NAMES[:1])
    verdict = gate(cohort(0.2), check).judge(1, cohort(0.19, 0))
    assert verdict.evidence.error >= 0.03
    assert not verdict.adopted


def test_where_no_tool_ever_answered_nothing_is_compared_with_the_labels_given_but_later_rounds_are():
    given = cohort(0.4)
    for name in NAMES[:4]:
        given[name][[3, 5, 8]] = 255
    judge = gate(given)
    first = judge.judge(1, cohort(0.3, 100))
    assert first.adopted
    assert first.evidence.dice is None
    assert "nothing was verified" in first.reason
    second = judge.judge(2, cohort(0.05, 200))
    assert second.adopted
    assert second.evidence.slices == 12


def test_a_volume_that_runs_away_is_refused_unless_it_runs_towards_what_was_verified():
    large = {name: ball(radius=14) for name in NAMES}
    verdict = gate(cohort(0.2), check={}).judge(1, large)
    assert not verdict.adopted
    assert verdict.stop
    assert "times that of the labels given; the labels given stay" in verdict.reason
    assert gate(large).judge(1, cohort(0.05)).adopted, "the labels given were too large, as the check slices show"


def test_a_round_that_loses_whole_cases_is_refused_even_where_the_mean_is_fine():
    answers = {name: ball(radius=9.3) for name in NAMES}
    answers["p5"][:] = 0
    verdict = gate(cohort(0.3)).judge(1, answers)
    assert not verdict.adopted
    assert verdict.evidence.emptied == 1
    assert "lost nearly everything in 1 of 6 cases (p5" in verdict.reason


def test_a_round_that_fails_in_one_patient_is_refused_and_the_patient_named():
    answers = cohort(0.02)
    answers["p2"] = ball(radius=5)
    verdict = gate(cohort(0.35)).judge(1, answers)
    assert not verdict.adopted
    assert verdict.evidence.worst_case == "p2"
    assert "fails in p2" in verdict.reason


def test_a_round_that_lies_elsewhere_in_all_cases_alike_is_refused_without_any_verified_slice():
    verdict = gate(cohort(0.3), check={}).judge(1, {name: ball(shift=(0, 2.5)) for name in NAMES})
    assert not verdict.adopted
    assert "2.5 mm beside the labels given (along x, in all cases alike" in verdict.reason


def test_labels_that_all_lay_beside_the_organ_may_be_put_right_when_the_check_slices_say_so():
    given = {name: rough(ball(shift=(0, 3)), 0.05, i) for i, name in enumerate(NAMES)}
    assert gate(given).judge(1, cohort(0.05, 50)).adopted


def test_a_round_that_lies_elsewhere_than_the_round_it_learnt_from_is_refused_however_scattered_the_labels_given_are():
    rng = np.random.default_rng(0)
    judge = gate({name: ball(shift=rng.uniform(-4, 4, 2)) for name in NAMES})
    assert judge.judge(1, {name: ball(shift=(0, -1.5)) for name in NAMES}).adopted
    verdict = judge.judge(2, {name: ball(shift=(0, 1.4)) for name in NAMES})  # nearly as far from the truth to the other side: a hair better
    assert not verdict.adopted
    assert verdict.evidence.moved_from == 1
    assert "mm beside round 1 (along x, in all cases alike" in verdict.reason
    assert judge.judge(3, {name: ball(shift=(0, 0.3)) for name in NAMES}).adopted  # to the truth, as the check slices say


def test_labels_that_were_put_in_different_wrong_places_may_be_put_right():
    rng = np.random.default_rng(0)
    given = {name: ball(shift=rng.uniform(-3, 3, 2)) for name in NAMES}
    assert gate(given).judge(1, cohort(0.05)).adopted
    assert gate(given, check={}).judge(1, cohort(0.05)).adopted


def crumbled(labels):
    out = labels.copy()
    out[:, ::4, :] = 0
    return out


def perforated(labels):
    """A grid of channels that no surface shows."""
    out = labels.copy()
    inside = np.zeros(SHAPE, bool)
    inside[3:9, ::2, ::2] = True
    out[inside & (ball(radius=8) > 0)] = 0
    return out


@pytest.mark.parametrize(("spoil", "words"), [(crumbled, "stray pieces"), (perforated, "holes")])
def test_a_round_in_crumbs_or_full_of_holes_is_refused_without_any_verified_slice(spoil, words):
    given = {name: ball() for name in NAMES}
    verdict = gate(given, check={}).judge(1, {name: spoil(labels) for name, labels in given.items()})
    assert not verdict.adopted
    assert words in verdict.reason
    assert verdict.evidence.topology


def test_without_anything_verified_a_plausible_round_is_adopted_and_it_says_so():
    verdict = gate(cohort(0.3), check={}).judge(1, cohort(0.2, 9))
    assert verdict.adopted
    assert not verdict.stop
    assert verdict.evidence.dice is None
    assert "nothing was verified" in verdict.reason


def test_rolling_back_makes_an_earlier_round_the_one_to_beat():
    judge = gate(cohort(0.4))
    judge.judge(1, cohort(0.1, 100))
    judge.roll_back(0)
    assert judge.best == 0
    assert judge.judge(2, cohort(0.15, 200)).evidence.against == 0
    with pytest.raises(KeyError):
        judge.roll_back(7)


def test_several_classes_count_alike_and_one_nobody_sees_counts_nothing():
    def two(labels):
        out = labels.copy()
        out[:, :, 16:] *= 2
        return out

    given = {name: two(labels) for name, labels in cohort(0.4).items()}
    check = {name: np.where(labels == 255, 255, two(labels)).astype(np.uint8) for name, labels in checked().items()}
    better = {name: two(labels) for name, labels in cohort(0.1, 100).items()}
    scores = [Gate(given, check, values, dict.fromkeys(given, SPACING)).judge(1, better).evidence.dice for values in ((1, 2), (1, 2, 7))]
    assert scores[0] == scores[1] > 0.9


def test_verdicts_travel_between_processes_and_into_json():
    verdict = gate(cohort(0.4)).judge(1, cohort(0.1, 100))
    assert pickle.loads(pickle.dumps(verdict)) == verdict
    assert json.loads(json.dumps(verdict.as_dict(), allow_nan=False))["evidence"]["slices"] == 12


def test_the_same_labels_are_judged_the_same_every_time():
    assert gate(cohort(0.4)).judge(1, cohort(0.1, 100)) == gate(cohort(0.4)).judge(1, cohort(0.1, 100))


def test_the_labels_given_have_figures_of_their_own():
    first = gate(cohort(0.3)).first
    assert (first.round, first.volume_ratio, first.change) == (0, 1.0, None)
    assert first.pieces == first.usual_pieces
