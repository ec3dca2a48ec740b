"""Figures of many cases in a few: the one place where cases and classes are averaged.

The conventions, the same in the window, in rounds of refinement, on the command line and in the report:

- **Absent class.** A class that is in neither map of a case has no figure there, so the case does not count for it.
- **Empty prediction, or empty truth.** Dice, IoU and surface Dice are 0 and count. Distances, precision of no prediction, recall and volume error of no truth
  are undefined and do not count; `n` says how many values did.
- **Over cases.** Every case counts the same, whatever its size.
- **Over classes.** First the mean over the classes of one case, then the mean over cases. Voxels of several classes are never pooled.
- **Undefined is None**, never NaN, 0 or 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import special

Figures = Mapping[str, float | None]
Interval = Literal["bootstrap", "t"]
Floats = npt.NDArray[np.float64]

FEWEST = 6
"""Fewer values than this give no bootstrap interval: it would be far too narrow."""
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Summary:
    """One figure over cases. What too few values cannot tell is None.

    Attributes
    ----------
    n : int
        Values that are defined.
    undefined : int
        Values that are not; they count nowhere else.
    mean, median, lowest, highest : float or None
    sd : float or None
        Of a sample (n - 1); from 2 values.
    q1, q3 : float or None
        Quartiles, interpolated linearly.
    low, high : float or None
        Interval of the mean; a bootstrap interval from 6 values, a t interval from 2.
    confidence : float
        Of the interval, such as 0.95.
    interval : str
        "bootstrap" or "t".
    """

    n: int
    undefined: int
    mean: float | None = None
    sd: float | None = None
    median: float | None = None
    q1: float | None = None
    q3: float | None = None
    lowest: float | None = None
    highest: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    interval: Interval = "bootstrap"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def summarise(values: Iterable[float | None], *, interval: Interval = "bootstrap", confidence: float = 0.95, seed: int = 0) -> Summary:
    """Mean, spread and the mean's interval.

    Parameters
    ----------
    values : float or None
        None, and what is not finite, is undefined.
    interval : str
        "bootstrap": bias-corrected and accelerated (Efron, J. Am. Stat. Assoc. 1987), 2,000 resamples of whole cases; never leaves the values' own range,
        which suits figures with a bound such as Dice. "t": Student's, for symmetric figures such as volume errors.
    seed : int
        Of the resamples; the same values and seed give the same interval.
    """
    given = list(values)
    known = np.sort([float(v) for v in given if v is not None and math.isfinite(v)])  # sorted: the interval does not depend on the order of the cases
    n, missing = known.size, len(given) - known.size
    if not n:
        return Summary(0, missing, confidence=confidence, interval=interval)
    bounds = _bootstrap(known, confidence, seed) if interval == "bootstrap" else _student(known, confidence)
    low, high = bounds or (None, None)
    q1, median, q3 = (float(q) for q in np.percentile(known, [25, 50, 75]))
    return Summary(
        n, missing, _mean(known), float(known.std(ddof=1)) if n > 1 else None, median, q1, q3, float(known[0]), float(known[-1]), low, high, confidence,
        interval,
    )


def over_cases(cases: Sequence[Mapping[str, Figures]], *, interval: Interval = "bootstrap", seed: int = 0) -> dict[str, dict[str, Summary]]:
    """Each class's figures over cases.

    Parameters
    ----------
    cases : one mapping of class to figures a case
        As `measure` gives them.

    Returns
    -------
    dict
        By class (in numeric order) and figure; `n + undefined` is the number of cases that have the class in either map.
    """
    found: dict[str, dict[str, Summary]] = {}
    for value in sorted({v for case in cases for v in case}, key=int):
        rows = [case[value] for case in cases if value in case]
        names = dict.fromkeys(name for row in rows for name in row)
        found[value] = {name: summarise((row.get(name) for row in rows), interval=interval, seed=seed) for name in names}
    return found


def over_classes(case: Mapping[str, Figures]) -> dict[str, float | None]:
    """Mean over the classes of one case, figure by figure; None where no class has it."""
    names = dict.fromkeys(name for row in case.values() for name in row)
    return {name: mean(row.get(name) for row in case.values()) for name in names}


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are defined; None without any."""
    known = [v for v in values if v is not None and math.isfinite(v)]
    return math.fsum(known) / len(known) if known else None


def _mean(values: Floats) -> float:
    return math.fsum(values) / values.size


def _bootstrap(values: Floats, confidence: float, seed: int) -> tuple[float, float] | None:
    """BCa interval of the mean; the values' mean itself where they are all equal."""
    n = values.size
    if n < FEWEST:
        return None
    if values[0] == values[-1]:
        return float(values[0]), float(values[0])
    draws, block = np.random.default_rng(seed), max(1, 1_000_000 // n)
    means = np.sort(np.concatenate([values[draws.integers(0, n, (min(block, RESAMPLES - done), n))].mean(1) for done in range(0, RESAMPLES, block)]))
    middle = _mean(values)
    below = (np.count_nonzero(means < middle) + 0.5 * np.count_nonzero(means == middle)) / RESAMPLES
    bias = special.ndtri(min(max(below, 1 / RESAMPLES), 1 - 1 / RESAMPLES))
    gaps = values - middle  # the jackknife means lie at minus gaps / (n - 1)
    skew = float((gaps**3).sum() / (6 * (gaps**2).sum() ** 1.5))
    ends = bias + special.ndtri([(1 - confidence) / 2, (1 + confidence) / 2])
    shares = special.ndtr(bias + ends / (1 - skew * ends))
    low, high = np.quantile(means, shares)
    return float(low), float(high)


def _student(values: Floats, confidence: float) -> tuple[float, float] | None:
    n = values.size
    if n < 2:
        return None
    half = float(special.stdtrit(n - 1, (1 + confidence) / 2) * values.std(ddof=1) / math.sqrt(n))
    middle = _mean(values)
    return middle - half, middle + half
