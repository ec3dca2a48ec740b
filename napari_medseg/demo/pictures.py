"""Pictures for a report: slices with contours, and Dice by round; each a PNG inside a data URI, so that a report is one file."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from napari_medseg.volume import BoolArray, Volume, orient

TRUTH = "#F0E442"  # Okabe-Ito yellow, dashed, so that it is told by line as well as by colour
MASK = "#56B4E9"  # Okabe-Ito sky blue, solid
MARGIN_MM = 20.0


def widest_slice(mask: BoolArray) -> int:
    """Index along the first axis of the slice that holds most of a (z, y, x) mask."""
    return int(mask.sum(axis=(1, 2)).argmax())


def contour_panel(image: Volume, truth: BoolArray, stages: Mapping[str, BoolArray | None]) -> str:
    """One slice, once per stage, with the stage's contour (solid) over the truth's (dashed).

    Parameters
    ----------
    image : Volume
        One channel.
    truth : bool, (z, y, x) on the image's grid
    stages : mapping of title to bool (z, y, x) on the same grid, or None for the bare slice

    Returns
    -------
    str
        data:image/png;base64,... of the truth's widest slice along the display's first axis, cropped around everything drawn.
    """
    shown = orient(image)
    turned = {title: None if mask is None else _display(image, mask) for title, mask in stages.items()}
    target = _display(image, truth)
    z = widest_slice(target)
    drawn = np.any([target[z], *(m[z] for m in turned.values() if m is not None)], axis=0)
    rows, columns = _window(drawn, shown.geometry.spacing[1:])
    _, dy, dx = shown.geometry.spacing
    pixels = shown.channel()[z, rows, columns].astype(np.float32)
    low, high = np.percentile(pixels, (1, 99))
    height = pixels.shape[0] * dy / (pixels.shape[1] * dx)
    figure = Figure(figsize=(2.6 * len(turned), 2.6 * height + 0.3), dpi=110, layout="constrained")
    for axes, (title, mask) in zip(np.atleast_1d(figure.subplots(1, len(turned))), turned.items(), strict=True):
        axes.imshow(pixels, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=dy / dx, interpolation="nearest")
        if mask is not None:
            _contour(axes, target[z, rows, columns], TRUTH, "dashed")
            _contour(axes, mask[z, rows, columns], MASK, "solid")
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    return _data_uri(figure)


def dice_by_round(rounds: Sequence[Mapping[str, Any]], zero_shot: float) -> str:
    """Dice after each round on the refined and the held-out cases, as a line chart."""
    figure = Figure(figsize=(6.4, 3.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    for key, label, marker, line in (("dice_refined", "refined cases", "o", "-"), ("dice_heldout", "held-out cases", "s", "--")):
        points = [(r["round"], r[key]) for r in rounds if r[key] is not None]
        axes.plot(*zip(*points, strict=True), marker=marker, linestyle=line, label=label, color="#0072B2" if marker == "o" else "#D55E00")
        for x, y in points:
            axes.annotate(f"{y:.3f}", (x, y), textcoords="offset points", xytext=(0, 7 if marker == "o" else -14), ha="center", fontsize=8)
    axes.axhline(zero_shot, color="0.4", linestyle=":", label="base model before any round")
    axes.set_xticks([r["round"] for r in rounds], ["weak labels" if r["round"] == 0 else f"round {r['round']}" for r in rounds])
    axes.set_ylabel("mean Dice")
    axes.set_ylim(0, 1.05)
    axes.margins(x=0.08)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, loc="center right", frameon=False)
    return _data_uri(figure)


def _display(image: Volume, mask: BoolArray) -> BoolArray:
    return np.asarray(orient(image.like(mask)).array, dtype=bool)


def _window(drawn: BoolArray, spacing: tuple[float, ...]) -> tuple[slice, slice]:
    """The smallest square-ish part of the slice that shows everything drawn, with a margin in mm."""
    parts = []
    for axis, mm in enumerate(spacing):
        inside = np.flatnonzero(drawn.any(axis=1 - axis))
        margin = round(MARGIN_MM / mm)
        parts.append(slice(max(0, int(inside[0]) - margin), min(drawn.shape[axis], int(inside[-1]) + margin + 1)))
    return parts[0], parts[1]


def _contour(axes: Any, mask: BoolArray, colour: str, line: str) -> None:
    if mask.any() and not mask.all():  # a level between 0 and 1 must exist, or matplotlib warns
        axes.contour(mask.astype(float), levels=[0.5], colors=[colour], linestyles=[line], linewidths=1.3)


def _data_uri(figure: Figure) -> str:
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
