"""Two sets of figures on the same cases: whether one is better, by how much, and how sure that is.

Differences are second minus first, in the figure's own unit. Pairs count, not cases that only one of the two has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from napari_medseg.metrics.summary import RESAMPLES, mean

Floats = npt.NDArray[np.float64]
Scores = Mapping[str, float | None]

FEWEST = 6
"""With five unequal pairs the smallest possible two-sided p is 2/32 = 0.0625: nothing could ever be shown."""
EXACT_TO = 200
_THINNED_TO = 2000
_SAME = 12
"""Decimals to which two differences count as equal: 0.9 - 0.8 and 0.8 - 0.7 are."""


@dataclass(frozen=True, slots=True)
class PairedTest:
    """How the second of two differs from the first on the same cases. What too few pairs cannot tell is None, and `note` says so.

    Attributes
    ----------
    first, second : str
        Names of the two.
    n : int
        Pairs where both figures are defined.
    left_out : tuple of str
        Cases that only one has, or where a figure is undefined.
    higher, lower, equal : int
        Pairs where the second is higher, lower, the same. Equal pairs take no part in the test and in the effect size (Wilcoxon, Biometrics Bulletin 1945).
    mean_first, mean_second, mean_difference : float or None
    difference, difference_low, difference_high : float or None
        Hodges-Lehmann estimate (the median of the pairwise means of all differences) and its 95 % interval from the signed-rank distribution.
    p : float or None
        Two-sided Wilcoxon signed-rank test; exact up to 200 unequal pairs, ties among the ranks included; beyond that the normal approximation.
    p_holm : float or None
        Corrected for the number of comparisons made together (Holm 1979); equal to `p` where there is one.
    exact : bool
    effect, effect_low, effect_high : float or None
        Matched-pairs rank-biserial correlation (Kerby 2014) and its 95 % interval: the share of the ranks that speak for higher minus the share for lower, -1
        to 1.
    note : str
        Why something is missing, in words; "" else.
    """

    first: str
    second: str
    n: int
    left_out: tuple[str, ...]
    higher: int
    lower: int
    equal: int
    mean_first: float | None
    mean_second: float | None
    mean_difference: float | None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    exact: bool = True
    effect: float | None = None
    effect_low: float | None = None
    effect_high: float | None = None
    note: str = ""

    @property
    def enough(self) -> bool:
        """Whether there were pairs enough for a test."""
        return self.p is not None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "enough": self.enough}


def paired_test(first: str, second: str, scores_first: Scores, scores_second: Scores, *, seed: int = 0) -> PairedTest:
    """Compare two sets of figures case by case.

    Parameters
    ----------
    first, second : str
        Their names.
    scores_first, scores_second : by case
        One figure a case; None where it is undefined.
    seed : int
        Of the effect size's bootstrap.
    """
    cases = sorted({*scores_first, *scores_second})
    both = [case for case in cases if _defined(scores_first.get(case)) and _defined(scores_second.get(case))]
    one, two = (np.array([scores[case] for case in both], float) for scores in (scores_first, scores_second))
    differences = np.round(two - one, _SAME)
    higher, lower = int(np.count_nonzero(differences > 0)), int(np.count_nonzero(differences < 0))
    told = PairedTest(
        first, second, len(both), tuple(case for case in cases if case not in set(both)), higher, lower, len(both) - higher - lower,
        mean(one.tolist()), mean(two.tolist()), mean(differences.tolist()),
    )
    unequal = differences[differences != 0]
    if len(both) < FEWEST:
        return replace(told, note=f"not enough data: {len(both)} pairs, at least {FEWEST} are needed")
    estimate, low, high = hodges_lehmann(differences)
    told = replace(told, difference=estimate, difference_low=low, difference_high=high)
    if unequal.size < FEWEST:
        what = "all pairs are equal" if not unequal.size else f"only {unequal.size} of {len(both)} pairs differ, at least {FEWEST} are needed"
        return replace(told, note=f"not enough data: {what}")
    p, exact = signed_rank(unequal)
    effect = rank_biserial(unequal)
    effect_low, effect_high = _effect_interval(unequal, effect, seed)
    return replace(told, p=p, p_holm=p, exact=exact, effect=effect, effect_low=effect_low, effect_high=effect_high)


def signed_rank(differences: Floats) -> tuple[float, bool]:
    """Two-sided p of Wilcoxon's signed-rank test, and whether it is exact.

    Parameters
    ----------
    differences : float (n,)
        None of them 0.
    """
    ranks = _ranks(differences)
    total, above = int(ranks.sum()), int(ranks[differences > 0].sum())
    least = min(above, total - above)
    if differences.size <= EXACT_TO:
        chances = _rank_sums(ranks)
        return min(1.0, 2 * float(chances[: least + 1].sum())), True
    spread = math.sqrt(float((ranks.astype(float) ** 2).sum()) / 4)
    return min(1.0, 2 * float(special.ndtr((least - total / 2) / spread))), False


def rank_biserial(differences: Floats) -> float:
    """Matched-pairs rank-biserial correlation of differences (n,), none of them 0."""
    ranks = _ranks(differences)
    return float((ranks * np.sign(differences)).sum() / ranks.sum())


def hodges_lehmann(differences: Floats, confidence: float = 0.95) -> tuple[float, float, float]:
    """Median of the means of all pairs of differences, each with itself too, and its interval (Hollander and Wolfe, Nonparametric Statistical Methods, 3.3).

    Parameters
    ----------
    differences : float (n,)
        Zeros included. From 2,000 on, 2,000 of them, evenly spaced in order, stand for all.
    """
    kept = np.sort(differences)
    if kept.size > _THINNED_TO:
        kept = kept[np.linspace(0, kept.size - 1, _THINNED_TO).round().astype(int)]
    rows, columns = np.triu_indices(kept.size)
    walsh = np.sort((kept[rows] + kept[columns]) / 2)
    n, tail = differences.size, (1 - confidence) / 2
    if n <= EXACT_TO:
        below = int(np.searchsorted(_rank_sums(2 * np.arange(1, n + 1))[::2].cumsum(), tail, side="right"))
    else:
        below = int(n * (n + 1) / 4 + special.ndtri(tail) * math.sqrt(n * (n + 1) * (2 * n + 1) / 24))
        below = int(below * walsh.size / (n * (n + 1) / 2))
    return float(np.median(walsh)), float(walsh[max(below - 1, 0)]), float(walsh[walsh.size - max(below, 1)])


def holm(tests: Sequence[PairedTest]) -> tuple[PairedTest, ...]:
    """The same tests with `p_holm` for having made them together (Holm, Scand. J. Stat. 1979). Tests without p do not count."""
    order = sorted((i for i, test in enumerate(tests) if test.p is not None), key=lambda i: tests[i].p or 0.0)
    corrected: dict[int, float] = {}
    largest = 0.0
    for place, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - place) * (tests[i].p or 0.0)))
        corrected[i] = largest
    return tuple(replace(test, p_holm=corrected.get(i)) for i, test in enumerate(tests))


def _defined(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _ranks(differences: Floats) -> npt.NDArray[np.int64]:
    """Twice the ranks of the sizes, ties sharing their mean rank: whole numbers."""
    _, inverse, counts = np.unique(np.abs(differences), return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    return (2 * ends - counts + 1)[inverse]


def _rank_sums(ranks: npt.NDArray[np.int64]) -> Floats:
    """Chance of each sum of the ranks that bear a plus, when every sign is a coin's: one convolution a rank."""
    chances = np.zeros(int(ranks.sum()) + 1)
    chances[0] = 1.0
    reach = 0
    for rank in np.sort(ranks):
        reach += int(rank)
        chances[rank : reach + 1] += chances[: reach + 1 - rank].copy()
        chances[: reach + 1] /= 2
    return chances


def _effect_interval(differences: Floats, effect: float, seed: int, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap of the rank-biserial correlation.

    Where all differences have one sign resampling knows no doubt; the inner bound is then the exact binomial one for the share of pairs with that sign.
    """
    n, tail = differences.size, (1 - confidence) / 2
    if abs(effect) == 1.0:
        bound = 2 * tail ** (1 / n) - 1
        return (bound, 1.0) if effect > 0 else (-1.0, -bound)
    draws = np.random.default_rng(seed)
    ordered = np.sort(differences)
    found = [rank_biserial(ordered[draws.integers(0, n, n)]) for _ in range(RESAMPLES)]
    low, high = np.quantile(found, [tail, 1 - tail])
    return float(low), float(high)
