"""Two ways to measure the same volumes: Bland-Altman, and a line through the scatter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]
Values = Mapping[str, float | None]

FEWEST = 3
"""Two points always lie on a line, and their scatter says next to nothing."""


@dataclass(frozen=True, slots=True)
class BlandAltman:
    """Differences against means (Bland and Altman, Lancet 1986; intervals: Stat. Methods Med. Res. 1999). Unit: that of the values.

    Attributes
    ----------
    n : int
    cases : tuple of str
    means, differences : tuple of float
        Of each case; differences are second minus first.
    bias, bias_low, bias_high : float or None
        Mean difference and its 95 % interval (t).
    sd : float or None
        Of the differences.
    lower, lower_low, lower_high, upper, upper_low, upper_high : float or None
        Limits of agreement, bias -/+ 1.96 SD, and their 95 % intervals.
    trend, trend_p : float or None
        Slope of the differences over the means, and its p: does the error grow with size? Then the limits are too wide for small cases and too narrow for
        large ones.
    note : str
        Why something is missing; "" else.
    """

    n: int
    cases: tuple[str, ...]
    means: tuple[float, ...]
    differences: tuple[float, ...]
    bias: float | None = None
    bias_low: float | None = None
    bias_high: float | None = None
    sd: float | None = None
    lower: float | None = None
    lower_low: float | None = None
    lower_high: float | None = None
    upper: float | None = None
    upper_low: float | None = None
    upper_high: float | None = None
    trend: float | None = None
    trend_p: float | None = None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class VolumeFit:
    """A scatter and the line through it.

    Deming's line with equal errors on both sides: the truth was drawn by a person too and is no more certain than what is judged. Ordinary least squares
    would take it for exact and bend the line towards 0 ("regression dilution").

    Attributes
    ----------
    n : int
    cases : tuple of str
    x, y : tuple of float
        First and second of each case.
    slope, slope_low, slope_high, intercept, intercept_low, intercept_high : float or None
        95 % intervals by the jackknife (Linnet, Clin. Chem. 1990).
    pearson : float or None
    concordance : float or None
        Lin's concordance correlation (Biometrics 1989): 1 only on the line of identity.
    note : str
        Why something is missing; "" else.
    """

    n: int
    cases: tuple[str, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    slope: float | None = None
    slope_low: float | None = None
    slope_high: float | None = None
    intercept: float | None = None
    intercept_low: float | None = None
    intercept_high: float | None = None
    pearson: float | None = None
    concordance: float | None = None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def bland_altman(first: Values, second: Values) -> BlandAltman:
    """How far the second lies from the first, case by case.

    Parameters
    ----------
    first, second : by case
        Cases that one of them lacks are left out.
    """
    cases, one, two = _paired(first, second)
    n, gaps, middles = len(cases), two - one, (one + two) / 2
    told = BlandAltman(n, cases, tuple(middles.tolist()), tuple(gaps.tolist()))
    if n < FEWEST:
        return replace(told, note=f"not enough data: {n} cases, at least {FEWEST} are needed")
    bias, sd = float(gaps.mean()), float(gaps.std(ddof=1))
    t = float(special.stdtrit(n - 1, 0.975))
    near, far = t * sd / math.sqrt(n), t * sd * math.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))
    lower, upper = bias - 1.96 * sd, bias + 1.96 * sd
    trend, p = _trend(middles, gaps)
    return replace(
        told, bias=bias, bias_low=bias - near, bias_high=bias + near, sd=sd, lower=lower, lower_low=lower - far, lower_high=lower + far,
        upper=upper, upper_low=upper - far, upper_high=upper + far, trend=trend, trend_p=p,
    )


def volume_fit(first: Values, second: Values) -> VolumeFit:
    """Deming's line through the scatter of second over first.

    Parameters
    ----------
    first, second : by case
        Cases that one of them lacks are left out.
    """
    cases, x, y = _paired(first, second)
    n = len(cases)
    told = VolumeFit(n, cases, tuple(x.tolist()), tuple(y.tolist()))
    if n < FEWEST:
        return replace(told, note=f"not enough data: {n} cases, at least {FEWEST} are needed")
    line = _deming(x, y)
    if line is None:
        return replace(told, note="not enough data: the volumes do not differ, or not along a line")
    slope, intercept = line
    spread_x, spread_y, joint = x.var(), y.var(), ((x - x.mean()) * (y - y.mean())).mean()
    told = replace(
        told, slope=slope, intercept=intercept, pearson=float(joint / math.sqrt(spread_x * spread_y)) if spread_x and spread_y else None,
        concordance=float(2 * joint / (spread_x + spread_y + (x.mean() - y.mean()) ** 2)),
    )
    without = [_deming(np.delete(x, i), np.delete(y, i)) for i in range(n)]
    lines = np.array([each for each in without if each is not None])
    if len(lines) < n:
        return replace(told, note="not enough data for an interval")
    values = n * np.array(line) - (n - 1) * lines
    half = special.stdtrit(n - 1, 0.975) * values.std(axis=0, ddof=1) / math.sqrt(n)
    return replace(
        told, slope_low=slope - float(half[0]), slope_high=slope + float(half[0]), intercept_low=intercept - float(half[1]), intercept_high=intercept +
        float(half[1]),
    )


def _paired(first: Values, second: Values) -> tuple[tuple[str, ...], Floats, Floats]:
    known = [(case, first[case], second[case]) for case in sorted(first.keys() & second.keys())]
    whole = [(case, a, b) for case, a, b in known if a is not None and b is not None and math.isfinite(a) and math.isfinite(b)]
    return tuple(case for case, _, _ in whole), np.array([a for _, a, _ in whole], float), np.array([b for _, _, b in whole], float)


def _deming(x: Floats, y: Floats) -> tuple[float, float] | None:
    """Slope and intercept of the line with the least squared distances to the points; None when there is no single one."""
    joint = float(((x - x.mean()) * (y - y.mean())).sum())
    if joint == 0:
        return None
    gap = float(((y - y.mean()) ** 2).sum() - ((x - x.mean()) ** 2).sum())
    slope = (gap + math.hypot(gap, 2 * joint)) / (2 * joint)
    return slope, float(y.mean() - slope * x.mean())


def _trend(x: Floats, y: Floats) -> tuple[float | None, float | None]:
    spread = float(((x - x.mean()) ** 2).sum())
    if not spread:
        return None, None
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
    rest, free = y - y.mean() - slope * (x - x.mean()), x.size - 2
    error = math.sqrt(float((rest**2).sum()) / free / spread)
    return slope, 2 * float(special.stdtr(free, -abs(slope / error))) if error else None
