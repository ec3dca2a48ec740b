"""Averages over cases and classes: what counts, what does not, and how sure a mean is."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medseg.metrics import over_cases, over_classes, summarise

SHARES = st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=40)


def test_what_is_undefined_counts_nowhere_else():
    found = summarise([0.5, None, 0.7, math.nan])
    assert (found.n, found.undefined, found.mean) == (2, 2, pytest.approx(0.6))
    assert (found.lowest, found.highest) == (0.5, 0.7)


def test_of_nothing_nothing_is_told():
    found = summarise([None])
    assert (found.n, found.undefined) == (0, 1)
    assert found.mean is found.sd is found.median is found.low is None
    json.dumps(found.as_dict(), allow_nan=False)


def test_one_value_has_no_spread_and_few_no_bootstrap_interval():
    assert summarise([0.8]).sd is None
    assert summarise([0.8, 0.9], interval="t").low is not None
    assert summarise([0.1, 0.5, 0.6, 0.7, 0.9]).low is None
    assert summarise([0.1, 0.5, 0.6, 0.7, 0.9, 0.95]).low is not None


def test_quartiles_and_t_interval_are_those_scipy_gives():
    from scipy import stats

    values = np.random.default_rng(0).normal(3, 2, 25)
    found = summarise(values, interval="t")
    assert (found.q1, found.median, found.q3) == pytest.approx(np.percentile(values, [25, 50, 75]))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 24, values.mean(), stats.sem(values)))


def test_the_bootstrap_interval_is_scipys_but_for_chance():
    from scipy import stats

    values = np.random.default_rng(1).beta(8, 2, 30)
    found, other = summarise(values), stats.bootstrap((values,), np.mean, n_resamples=20_000, method="BCa", rng=0).confidence_interval
    assert (found.low, found.high) == pytest.approx(other, abs=0.004)


def test_ninety_five_of_a_hundred_intervals_hold_the_mean():
    draws = np.random.default_rng(2)
    found = [summarise(draws.beta(8, 2, 40), seed=seed) for seed in range(300)]
    assert 0.90 <= np.mean([one.low <= 0.8 <= one.high for one in found]) <= 0.99


@settings(max_examples=60, deadline=None)
@given(SHARES, st.randoms(use_true_random=False))
def test_no_summary_leaves_the_values_range_or_heeds_their_order(values, shuffle):
    found = summarise(values)
    mixed = list(values)
    shuffle.shuffle(mixed)
    assert summarise(mixed) == found
    if found.n:
        slack = 1e-12
        assert found.lowest - slack <= found.mean <= found.highest + slack
        assert found.lowest <= found.q1 <= found.median <= found.q3 <= found.highest
    if found.low is not None:
        assert found.lowest - slack <= found.low <= found.high <= found.highest + slack


def test_equal_values_leave_no_doubt():
    found = summarise([0.25] * 9)
    assert (found.low, found.high, found.sd) == (0.25, 0.25, 0.0)


def test_a_case_without_the_class_does_not_count_and_an_empty_prediction_does():
    cases = [{"1": {"dice": 1.0, "hd95_mm": 0.0}}, {"1": {"dice": 0.0, "hd95_mm": None}, "10": {"dice": 0.5, "hd95_mm": 2.0}}, {}]
    found = over_cases(cases)
    assert list(found) == ["1", "10"]
    assert (found["1"]["dice"].n, found["1"]["dice"].mean) == (2, 0.5)
    assert (found["1"]["hd95_mm"].n, found["1"]["hd95_mm"].undefined, found["1"]["hd95_mm"].mean) == (1, 1, 0.0)
    assert found["10"]["dice"].n == 1


def test_the_mean_over_classes_is_taken_case_by_case():
    assert over_classes({"1": {"dice": 1.0, "hd95_mm": None}, "2": {"dice": 0.5, "hd95_mm": 4.0}}) == {"dice": 0.75, "hd95_mm": 4.0}
    assert over_classes({}) == {}
