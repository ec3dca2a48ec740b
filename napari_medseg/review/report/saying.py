"""Numbers as the page says them: with their unit, as exact as they are meant, "–" for what is not known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from napari_medseg.metrics.summary import Summary
from napari_medseg.review.report.facts import Spread

NOTHING = "–"
SPACE = "\u00a0"
"""Where no line may end."""


def share(value: float | None) -> str:
    """A figure between 0 and 1."""
    return NOTHING if value is None else f"{value:.3f}"


def change(value: float | None) -> str:
    """A difference of such figures."""
    return NOTHING if value is None else f"{value:+.3f}".replace("-", "−")


def number(value: float | None, digits: int = 3) -> str:
    """A figure of any size, to so many digits, never in powers of ten where a person would not write them."""
    if value is None:
        return NOTHING
    if value == int(value) and abs(value) < 1e6:
        said = f"{int(value)}"
    else:
        said = f"{value:.{digits}g}" if 1e-3 <= abs(value) < 10**digits else f"{value:,.0f}" if abs(value) >= 1 else f"{value:.1e}"
    return said.replace("-", "−", 1) if value < 0 else said


def spread(value: Spread | None, unit: str = "") -> str:
    """Median and range, or the one value there is."""
    if value is None:
        return NOTHING
    after = f"{SPACE}{unit}" if unit else ""
    low, middle, high = (number(v) for v in (value.low, value.middle, value.high))
    return f"{low}{after}" if low == high else f"{middle} ({low}{SPACE}to{SPACE}{high}){after}"


def mean_interval(summary: Summary | None, say: Callable[[float | None], str] = share) -> str:
    """A mean with its 95 % interval, where there were values enough for one."""
    if summary is None or summary.mean is None:
        return NOTHING
    if summary.low is None or summary.high is None:
        return say(summary.mean)
    return f"{say(summary.mean)} ({say(summary.low)}{SPACE}to{SPACE}{say(summary.high)})"


def duration(seconds: float | None) -> str:
    """A time as people say it."""
    if seconds is None:
        return NOTHING
    if seconds < 100:
        return f"{seconds:.0f}{SPACE}s"
    return f"{seconds / 60:.0f}{SPACE}min" if seconds < 6000 else f"{seconds / 3600:.1f}{SPACE}h"


def counts(found: Mapping[str, int]) -> str:
    """Such as "12 CT, 3 MR", the most first."""
    return ", ".join(f"{count} {name}" for name, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))) or NOTHING


def day(when: datetime | None) -> str:
    """Date and time, UTC."""
    return NOTHING if when is None else f"{when:%Y-%m-%d %H:%M} UTC"


def several(count: int, thing: str, plural: str = "") -> str:
    """Such as "1 case" and "2 cases"."""
    return f"{count} {thing if count == 1 else plural or f'{thing}s'}"


def hashed(text: str) -> str:
    """The beginning of a checksum; the whole is in the JSON."""
    return text[:16] if text else NOTHING
