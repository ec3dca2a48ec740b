"""What the settings of each loss may be, so that a recipe refuses the rest before anything is loaded; needs no torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from napari_medseg.errors import InvalidInputError


def require(possible: bool, setting: str, wanted: str) -> None:
    """Refuse a setting that makes no loss.

    Raises
    ------
    InvalidInputError
    """
    if not possible:
        raise InvalidInputError(f"{setting} must be {wanted}", where="loss", todo="Correct it, or leave it out for the usual value")


def _spacing(spacing: Sequence[float] | None) -> None:
    require(spacing is None or (len(spacing) > 0 and all(side > 0 for side in spacing)), "spacing", "above 0, in mm")


def _smooth(smooth: float) -> None:
    require(smooth > 0, "smooth", "above 0")


def _weighted(weight: float | Sequence[float]) -> None:
    each = (weight,) if isinstance(weight, (int, float)) else weight
    require(all(value > 0 for value in each), "weight", "above 0, one number or one for each class")


def _balanced(beta: float | None) -> None:
    require(beta is None or 0 < beta < 1, "beta", "between 0 and 1")


def _focal(alpha: float, gamma: float) -> None:
    require(0 < alpha < 1, "alpha", "between 0 and 1")
    require(gamma >= 0, "gamma", "0 or more")


def _conservative(scale: float, enough: float) -> None:
    require(scale > 0, "scale", "above 0")
    require(1 / math.e < enough < 1, "enough", "between 0.37 and 1")


def _tversky(alpha: float, beta: float, smooth: float) -> None:
    require(min(alpha, beta) >= 0 < alpha + beta, "alpha, beta", "0 or more, and not 0 both")
    _smooth(smooth)


def _exponential(dice: float, ce: float, gamma_dice: float, gamma_ce: float) -> None:
    require(min(dice, ce) >= 0 < dice + ce, "dice, ce", "0 or more, and not 0 both")
    require(min(gamma_dice, gamma_ce) > 0, "gamma_dice, gamma_ce", "above 0")


def _combo(alpha: float, beta: float) -> None:
    require(0 <= alpha <= 1, "alpha", "between 0 and 1")
    require(0 < beta < 1, "beta", "between 0 and 1")


def _hausdorff(alpha: float, spacing: Sequence[float] | None) -> None:
    require(alpha > 0, "alpha", "above 0")
    _spacing(spacing)


def _active_contour(region: float, length: float, spacing: Sequence[float] | None) -> None:
    require(region > 0, "region", "above 0")
    require(length >= 0, "length", "0 or more")
    _spacing(spacing)


def _level_set(length: float, spacing: Sequence[float] | None) -> None:
    require(length >= 0, "length", "0 or more")
    _spacing(spacing)


LIMITS: Mapping[str, Callable[..., None]] = {
    "weighted-ce": _weighted, "balanced-ce": _balanced, "focal": _focal, "conservative": _conservative, "dice": _smooth, "generalised-dice": _smooth,
    "jaccard": _smooth, "tversky": _tversky, "exponential-logarithmic": _exponential, "combo": _combo, "boundary": _spacing, "hausdorff": _hausdorff,
    "active-contour": _active_contour, "level-set-term": _level_set,
}


def require_settings(loss: str, settings: Mapping[str, object]) -> None:
    """Refuse settings that make no loss of this id; a loss that is not ours looks at its own when it is made.

    Parameters
    ----------
    loss : str
    settings : mapping
        All it has, those that were not given with their usual value.

    Raises
    ------
    InvalidInputError
    """
    if loss not in LIMITS:
        return
    try:
        LIMITS[loss](**settings)
    except TypeError as error:
        what = f"a setting of '{loss}' is one number where several belong, or several where one does"
        raise InvalidInputError(what, where="loss", todo="Give weight=[1, 2] or spacing=[3, 1, 1] in brackets, all else as one number") from error
