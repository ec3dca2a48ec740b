"""Models over the same cases: which is better, for whom it is not, and what their volumes say."""

import json

import numpy as np
import pytest
from scipy import stats

from napari_medseg.errors import InvalidInputError
from napari_medseg.review.comparing import compare, higher_is_better, size_groups
from napari_medseg.review.volumes import bland_altman, volume_fit


def cases(dices, **more):
    return {f"c{n:02}": {"1": {"dice": float(dice), **{name: row[n] for name, row in more.items()}}} for n, dice in enumerate(dices)}


RNG = np.random.default_rng(0)
BEFORE = RNG.uniform(0.6, 0.8, 20)
AFTER = BEFORE + 0.06 + RNG.normal(0, 0.01, 20)
AFTER[14:] = BEFORE[14:] - 0.05 - RNG.uniform(0, 0.01, 6)
SCANNER = {f"c{n:02}": "A" if n < 14 else "B" for n in range(20)}


def test_a_mean_that_hides_a_group_that_got_worse_is_pointed_out():
    found = compare({"round 1": cases(BEFORE), "round 2": cases(AFTER)}, groups={"scanner": SCANNER})
    (pair,) = found.pairs
    assert pair.gain > 0
    (table,) = pair.groups
    assert [(row.group, row.verdict, row.test.n) for row in table.rows] == [("A", "better", 14), ("B", "worse", 6)]
    (warning,) = table.warnings
    assert warning.startswith("scanner B got worse by 0.05")
    assert "6 of 6 cases" in warning
    assert found.cases[0].case in {f"c{n:02}" for n in range(14, 20)}
    json.dumps(found.as_dict(), allow_nan=False)


def test_a_group_too_small_for_a_test_is_pointed_out_all_the_same():
    group = {f"c{n:02}": "B" if n in (14, 15) else "A" for n in range(19)}
    (pair,) = compare({"a": cases(BEFORE), "b": cases(AFTER)}, groups={"site": group}).pairs
    rows = {row.group: row for row in pair.groups[0].rows}
    assert rows["B"].verdict == "not enough data"
    assert rows["(none given)"].test.n == 1
    assert any("site B" in warning and "too few cases" in warning for warning in pair.groups[0].warnings)


def test_where_lower_is_better_a_fall_is_a_gain():
    near, far = (cases(BEFORE, hd95_mm=list(values)) for values in (BEFORE, BEFORE + 3 + RNG.uniform(0, 1, 20)))
    (pair,) = compare({"far": far, "near": near}, "hd95_mm").pairs
    assert (pair.verdict, pair.test.lower) == ("better", 20)
    assert pair.gain == pytest.approx(-pair.test.mean_difference)


def test_volume_errors_are_compared_by_their_size():
    small, large = (cases(BEFORE, volume_error_ml=[sign * size for sign in (1, -1) * 10]) for size in (0.1, 2.0))
    found = compare({"large": large, "small": small}, "volume_error_ml")
    assert found.pairs[0].test.lower == 20
    assert found.summaries["large"].mean == pytest.approx(2.0)


def test_three_models_are_compared_in_pairs_and_corrected_for_it():
    found = compare({"a": cases(BEFORE), "b": cases(AFTER), "c": cases(BEFORE + 0.1 + RNG.normal(0, 0.01, 20))})
    assert [(pair.test.first, pair.test.second) for pair in found.pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert all(pair.test.p_holm >= pair.test.p for pair in found.pairs)
    assert found.pairs[1].test.p_holm == pytest.approx(3 * found.pairs[1].test.p)


def test_summaries_are_over_the_cases_that_all_have():
    short = cases(AFTER)
    del short["c00"]
    found = compare({"a": cases(BEFORE), "b": short})
    assert len(found.common) == found.summaries["a"].n == found.summaries["b"].n == 19
    assert next(row for row in found.cases if row.case == "c00").scores[1] is None


def test_the_mean_over_classes_is_taken_case_by_case():
    one = {"x": {"1": {"dice": 1.0}, "2": {"dice": 0.0}}, "y": {"2": {"dice": 0.5}}}
    found = compare({"a": one, "b": one})
    assert {row.case: row.scores[0] for row in found.cases} == {"x": 0.5, "y": 0.5}
    assert compare({"a": one, "b": one}, value="1").common == ("x",)


def test_no_cases_and_one_case_are_not_enough_and_one_model_is_refused():
    assert compare({"a": {}, "b": {}}).pairs[0].verdict == "not enough data"
    assert compare({"a": cases([0.5]), "b": cases([0.6])}).pairs[0].verdict == "not enough data"
    with pytest.raises(InvalidInputError, match="cannot be compared"):
        compare({"a": cases(BEFORE)})
    with pytest.raises(InvalidInputError, match="no better and worse"):
        higher_is_better("volume_ml_pred")


def test_equal_models_are_equal():
    assert compare({"a": cases(BEFORE), "b": cases(BEFORE)}).pairs[0].verdict == "equal"


def test_thirds_by_size_hold_a_third_each():
    groups = size_groups({str(n): float(n) for n in range(9)} | {"none": None})
    assert sorted(groups.values()).count("2 middle (3 to 6 ml)") == 3
    assert groups["0"] == "1 small (below 3 ml)"
    assert groups["8"] == "3 large (from 6 ml)"
    assert "none" not in groups
    assert size_groups({"a": 1.0, "b": 2.0}) == {}


def test_bland_altman_gives_bias_limits_and_their_intervals():
    first = RNG.uniform(5, 50, 40)
    second = first + RNG.normal(2, 3, 40)
    found = bland_altman(dict(zip(map(str, range(40)), first, strict=True)), dict(zip(map(str, range(40)), second, strict=True)))
    gaps = second - first
    assert found.bias == pytest.approx(gaps.mean())
    assert (found.bias_low, found.bias_high) == pytest.approx(stats.t.interval(0.95, 39, gaps.mean(), stats.sem(gaps)))
    assert (found.lower, found.upper) == pytest.approx((gaps.mean() - 1.96 * gaps.std(ddof=1), gaps.mean() + 1.96 * gaps.std(ddof=1)))
    assert found.upper - found.upper_low == pytest.approx(stats.t.ppf(0.975, 39) * gaps.std(ddof=1) * np.sqrt(1 / 40 + 1.96**2 / 78))
    line = stats.linregress(found.means, found.differences)
    assert (found.trend, found.trend_p) == pytest.approx((line.slope, line.pvalue))
    json.dumps(found.as_dict(), allow_nan=False)


def test_demings_line_is_not_bent_by_errors_of_the_truth():
    true = np.linspace(2, 30, 300)
    names = [str(n) for n in range(300)]
    x, y = (dict(zip(names, values + RNG.normal(0, 3, 300), strict=True)) for values in (true, 1.2 * true - 1))
    found = volume_fit(x, y)
    assert found.slope_low < 1.2 < found.slope_high
    assert found.intercept_low < -1 < found.intercept_high
    assert stats.linregress(list(x.values()), list(y.values())).slope < found.slope_low + 0.1
    assert found.pearson == pytest.approx(stats.pearsonr(list(x.values()), list(y.values())).statistic)
    assert volume_fit(x, x).concordance == pytest.approx(1.0)
    swapped = volume_fit(y, x)
    assert swapped.slope == pytest.approx(1 / found.slope)


def test_two_cases_and_equal_volumes_make_no_line():
    two = {"a": 1.0, "b": 2.0}
    assert "not enough data" in bland_altman(two, two).note
    assert "not enough data" in volume_fit(two, two).note
    flat = {"a": 3.0, "b": 3.0, "c": 3.0}
    assert volume_fit(flat, flat).slope is None
    assert bland_altman(flat, flat).trend is None
    assert bland_altman({}, {}).n == 0
    assert bland_altman({"a": 1.0, "b": None}, {"a": 1.0, "b": 2.0, "c": 3.0}).cases == ("a",)
