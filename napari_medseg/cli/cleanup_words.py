"""The steps of a clean-up as words on the command line: "open 1, close 2 @3, fill volume, remove 0.5"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import typer

from napari_medseg.errors import InvalidInputError
from napari_medseg.weaklabel import cleanup_steps as do

Maker = Callable[..., do.Step]


def _combine(operation: do.Operation) -> Maker:
    return lambda other, margin_mm=0.0, **more: do.Combine(operation, int(other), margin_mm, **more)


WORDS: dict[str, tuple[Maker, int, int]] = {
    "open": (do.Open, 1, 1), "close": (do.Close, 1, 1), "smooth": (do.Smooth, 1, 1), "grow": (do.Grow, 1, 1), "shrink": (do.Shrink, 1, 1),
    "remove": (do.RemoveSmall, 1, 1), "largest": (lambda count=1, **more: do.KeepLargest(int(count), **more), 0, 1),
    "union": (_combine("union"), 1, 2), "subtract": (_combine("subtract"), 1, 2), "intersect": (_combine("intersect"), 1, 2),
}
"""Each word: what it makes, and how many numbers it takes, at least and at most."""


def steps_from(text: str) -> list[do.Step]:
    """The steps, in their order.

    Raises
    ------
    BadParameter
        When a step is unknown or its numbers cannot be; names it.
    """
    return [_step(part) for part in text.split(",")]


def _step(text: str) -> do.Step:
    words = [word for word in text.split() if not word.startswith("@")]
    places = [word[1:] for word in text.split() if word.startswith("@")]
    try:
        more: dict[str, Any] = {"classes": tuple(map(int, places)) or None}
        if words[:1] == ["fill"] and len(words) <= 2:
            return do.Fill(cast("Any", words[1]) if len(words) == 2 else "slices", **more)
        make, least, most = WORDS[words[0]]
        given = [float(word) for word in words[1:]]
        if least <= len(given) <= most:
            return make(*given, **more)
    except (LookupError, ValueError) as error:
        if isinstance(error, InvalidInputError):
            raise typer.BadParameter(f"'{text.strip()}': {error.what}", param_hint="--steps") from error
    known = "open MM, close MM, fill [volume], remove ML, largest [N], smooth MM, grow MM, shrink MM, union|subtract|intersect CLASS [MM]; @N for one class"
    raise typer.BadParameter(f"'{text.strip()}' is no step; there are: {known}", param_hint="--steps")
