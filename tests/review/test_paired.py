"""Two models on the same cases: test, effect and difference, and nothing where there is too little."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from napari_medseg.review.paired import hodges_lehmann, holm, paired_test, rank_biserial, signed_rank


def scores(values):
    return {f"case{n:03}": None if value is None else float(value) for n, value in enumerate(values)}


def compared(differences, seed=0):
    first = np.random.default_rng(seed).uniform(0.5, 0.8, len(differences))
    return paired_test("a", "b", scores(first), scores(first + differences))


@pytest.mark.parametrize("n", [6, 9, 20, 50, 120])
def test_without_ties_p_is_scipys_exact_one(n):
    differences = np.random.default_rng(n).normal(0.3, 1, n)
    p, exact = signed_rank(differences)
    assert exact
    assert p == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue, rel=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_with_ties_p_is_that_of_all_sign_changes(seed):
    differences = np.random.default_rng(seed).integers(-3, 6, 9).astype(float)
    differences = differences[differences != 0]
    expected = stats.wilcoxon(differences, method=stats.PermutationMethod(n_resamples=np.inf)).pvalue
    assert signed_rank(differences)[0] == pytest.approx(expected, rel=1e-9)


def test_many_pairs_are_tested_by_the_normal_approximation():
    differences = np.random.default_rng(0).normal(0.1, 1, 400)
    p, exact = signed_rank(differences)
    assert not exact
    assert p == pytest.approx(stats.wilcoxon(differences, method="asymptotic").pvalue, rel=1e-9)


def test_the_difference_and_its_interval_are_those_of_the_textbook():
    # Hollander and Wolfe's depression data (table 3.1), as `wilcox.test(y, x, paired = TRUE, conf.int = TRUE)` of R gives them
    before = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
    after = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])
    estimate, low, high = hodges_lehmann(after - before)
    assert estimate == pytest.approx(-0.46, abs=1e-6)
    assert (low, high) == pytest.approx((-0.786, -0.010), abs=1e-6)
    assert signed_rank(np.round(after - before, 12))[0] == pytest.approx(0.0390625)


def test_ninety_five_of_a_hundred_intervals_hold_the_difference():
    rng = np.random.default_rng(0)
    held = [low <= 0.2 <= high for _, low, high in (hodges_lehmann(rng.normal(0.2, 1, 15)) for _ in range(400))]
    assert 0.92 <= np.mean(held) <= 0.985


def test_the_effect_is_the_share_of_ranks_for_minus_the_share_against():
    assert rank_biserial(np.array([1.0, 2, 3, -4])) == pytest.approx((1 + 2 + 3 - 4) / 10)
    found = compared(np.array([0.01, 0.02, 0.03, 0.04, 0.05, -0.06, 0.07]))
    assert found.effect_low <= found.effect <= found.effect_high


def test_seven_of_seven_leave_some_doubt():
    found = compared(np.linspace(0.01, 0.07, 7))
    assert (found.effect, found.effect_high) == (1.0, 1.0)
    assert found.effect_low == pytest.approx(2 * 0.025 ** (1 / 7) - 1)
    assert found.p == pytest.approx(2 / 2**7)


def test_five_pairs_are_not_enough_and_say_so():
    found = compared(np.full(5, 0.1))
    assert found.note == "not enough data: 5 pairs, at least 6 are needed"
    assert not found.enough
    assert found.mean_difference == pytest.approx(0.1)
    assert found.p is found.difference is found.effect is None
    json.dumps(found.as_dict(), allow_nan=False)


def test_pairs_that_are_all_equal_say_so():
    found = compared(np.zeros(8))
    assert (found.equal, found.p) == (8, None)
    assert found.note == "not enough data: all pairs are equal"
    assert (found.difference_low, found.difference_high) == (0.0, 0.0)
    assert "only 2 of 8 pairs differ" in compared(np.array([0.1, 0.2, 0, 0, 0, 0, 0, 0])).note


def test_cases_that_one_lacks_are_named():
    found = paired_test("a", "b", {"x": 0.5, "y": None, "z": 0.5}, {"x": 0.6, "y": 0.5, "w": 0.4})
    assert (found.n, found.left_out) == (1, ("w", "y", "z"))
    assert paired_test("a", "b", {}, {}).n == 0


def test_differences_that_only_rounding_tells_apart_are_ties():
    found = paired_test("a", "b", scores([0.8] * 7), scores([0.9, 0.9, 0.9, 0.7, 0.7, 0.9, 0.9]))
    assert found.effect == pytest.approx(3 / 7)


def test_holm_corrects_from_the_smallest_on():
    tests = [compared(np.random.default_rng(n).normal(shift, 0.05, 12), n) for n, shift in enumerate((0.08, 0.0, 0.03))]
    tests.append(compared(np.full(3, 0.1)))
    found = holm(tests)
    p = sorted(test.p for test in tests[:3])
    steps = [3 * p[0], max(3 * p[0], 2 * p[1]), max(3 * p[0], 2 * p[1], p[2])]
    assert sorted(test.p_holm for test in found[:3]) == pytest.approx([min(1, step) for step in steps])
    assert found[3].p_holm is None


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 12)), min_size=0, max_size=25), st.integers(0, 1000))
def test_swapping_the_two_turns_every_sign_and_nothing_else(values, seed):
    rng = np.random.default_rng(seed)
    one, two = scores([None if v is None else v / 12 for v in values]), scores(rng.integers(0, 13, len(values)) / 12)
    forth, back = paired_test("a", "b", one, two), paired_test("b", "a", two, one)
    assert (forth.higher, forth.lower, forth.equal, forth.note) == (back.lower, back.higher, back.equal, back.note)
    assert forth.p == pytest.approx(back.p) if forth.enough else back.p is None
    if forth.enough:
        assert 0 < forth.p <= 1
        assert -1 <= forth.effect_low <= forth.effect <= forth.effect_high <= 1
        assert forth.effect == pytest.approx(-back.effect)
        assert forth.difference_low <= forth.difference <= forth.difference_high
        assert (forth.difference_low, forth.difference) == pytest.approx((-back.difference_high, -back.difference))
