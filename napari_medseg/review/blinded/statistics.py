"""The figures of a blinded review: exact binomial intervals and tests, kappas with intervals. Pure functions of counts."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from napari_medseg.review.blinded.summary import Agreement, Share

LEVEL = 0.95
_Z = float(stats.norm.ppf(0.5 + LEVEL / 2))
COHEN = "Cohen's kappa, unweighted; standard error of Fleiss, Cohen and Everitt (1969)"
FLEISS = "Fleiss' kappa; standard error by jackknife over the questions"

Counts = npt.NDArray[np.int64]


def share(count: int, of: int) -> Share:
    """A share with its exact 95 % interval.

    The interval of Clopper and Pearson (Biometrika 26, 1934): never narrower than 95 %, and it holds the share itself.
    """
    if not of:
        return Share(0, 0, None, None, None)
    tail = (1 - LEVEL) / 2
    low = 0.0 if count == 0 else float(stats.beta.ppf(tail, count, of - count + 1))
    high = 1.0 if count == of else float(stats.beta.ppf(1 - tail, count + 1, of - count))
    return Share(count, of, count / of, low, high)


def against_half(count: int, of: int) -> float | None:
    """Two-sided exact binomial test of a share against one half; None without data.

    Ties are left out before, which makes it the sign test.
    """
    return float(stats.binomtest(count, of, 0.5).pvalue) if of else None


def cohen(first: Sequence[Hashable], second: Sequence[Hashable], raters: tuple[str, ...]) -> Agreement:
    """Cohen's kappa of two raters over the same questions, with a 95 % interval.

    Kappa as Cohen (Educational and Psychological Measurement 20, 1960); its large-sample standard error, for kappas other than 0 too, as Fleiss, Cohen
    and Everitt (Psychological Bulletin 72, 1969, eq. 13). Where they agree on every question that error is 0 however few there are, so no interval is
    given; the one of `same` says how much the agreement is worth.

    Parameters
    ----------
    first, second : answers
        Of equal length, in the order of the questions.
    raters : names
    """
    n = len(first)
    same = share(sum(a == b for a, b in zip(first, second, strict=True)), n)
    names = sorted({*first, *second}, key=str)
    place = {name: i for i, name in enumerate(names)}
    table = np.zeros((len(names), len(names)))
    for a, b in zip(first, second, strict=True):
        table[place[a], place[b]] += 1
    if not n:
        return Agreement(raters, n, same, None, None, None, None, COHEN)
    p = table / n
    rows, columns = p.sum(1), p.sum(0)
    expected = float(rows @ columns)
    if expected >= 1 - 1e-12:  # both gave one and the same answer throughout: chance alone would agree
        return Agreement(raters, n, same, None, None, None, None, COHEN)
    observed = float(np.trace(p))
    kappa = (observed - expected) / (1 - expected)
    diagonal = float((np.diag(p) * (1 - (rows + columns) * (1 - kappa)) ** 2).sum())
    sums = (columns[:, None] + rows[None, :]) ** 2  # of cell i, j: the second rater's share of answer i and the first one's of answer j
    beside = (1 - kappa) ** 2 * float((p * sums).sum() - (np.diag(p) * np.diag(sums)).sum())
    variance = (diagonal + beside - (kappa - expected * (1 - kappa)) ** 2) / (n * (1 - expected) ** 2)
    return _agreement(raters, same, kappa, float(np.sqrt(max(variance, 0.0))), COHEN)


def fleiss(answers: Sequence[Sequence[Hashable]], raters: tuple[str, ...]) -> Agreement:
    """Fleiss' kappa of more than two raters over questions that all of them answered, with a 95 % interval.

    Kappa as Fleiss (Psychological Bulletin 76, 1971). The standard error is by jackknife over the questions, since Fleiss' own holds for kappa 0 only.

    Parameters
    ----------
    answers : one sequence a question
        Of one answer a rater.
    """
    n = len(answers)
    same = share(sum(len(set(row)) == 1 for row in answers), n)
    names = sorted({answer for row in answers for answer in row}, key=str)
    counts = np.array([[list(row).count(name) for name in names] for row in answers], np.int64).reshape(n, len(names))
    kappa = _fleiss(counts)
    if kappa is None:
        return Agreement(raters, n, same, None, None, None, None, FLEISS)
    without = [_fleiss(np.delete(counts, i, axis=0)) for i in range(n)] if n > 2 else []
    known = np.array([value for value in without if value is not None])
    if len(known) < max(n, 3):
        return Agreement(raters, n, same, kappa, None, None, None, FLEISS)
    se = float(np.sqrt((n - 1) / n * ((known - known.mean()) ** 2).sum()))
    return _agreement(raters, same, kappa, se, FLEISS)


def by_case(a: Sequence[int], b: Sequence[int], seed: int, draws: int = 2000) -> tuple[float, float] | None:
    """95 % interval of the first set's share without ties that draws whole cases again (percentile bootstrap; Efron, Annals of Statistics 7, 1979).

    Slices of one case, and two raters' answers to one slice, are alike; this interval heeds it, the binomial one does not.

    Parameters
    ----------
    a, b : answers for each set by case
    seed : int

    Returns
    -------
    (float, float) or None
        None below 5 cases, for which it would be too narrow, or when some draw holds no choice at all.
    """
    first, both = np.array(a, np.int64), np.array(a, np.int64) + np.array(b, np.int64)
    if len(first) < 5 or not both.sum():
        return None
    drawn = np.random.default_rng(seed).integers(0, len(first), (draws, len(first)))
    of = both[drawn].sum(1)
    if not of.all():
        return None
    low, high = np.quantile(first[drawn].sum(1) / of, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _fleiss(counts: Counts) -> float | None:
    """Fleiss' kappa of (questions, answers) counts; None where it is not defined."""
    if not counts.size or counts.sum(1)[0] < 2:
        return None
    n, raters = len(counts), int(counts.sum(1)[0])
    shares = counts.sum(0) / (n * raters)
    expected = float((shares**2).sum())
    if expected >= 1 - 1e-12:
        return None
    observed = float(((counts * (counts - 1)).sum(1) / (raters * (raters - 1))).mean())
    return (observed - expected) / (1 - expected)


def _agreement(raters: tuple[str, ...], same: Share, kappa: float, se: float, method: str) -> Agreement:
    kappa = float(np.clip(kappa, -1.0, 1.0))
    if se < 1e-12:
        return Agreement(raters, same.of, same, kappa, None, None, None, method)
    return Agreement(raters, same.of, same, kappa, se, max(-1.0, kappa - _Z * se), min(1.0, kappa + _Z * se), method)


def quartiles(values: Sequence[float]) -> tuple[Any, Any, Any]:
    """Lower quartile, median and upper quartile; None each without values."""
    if not values:
        return None, None, None
    low, middle, high = np.quantile(np.asarray(values, float), [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)
