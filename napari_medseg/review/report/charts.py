"""Charts as SVG inside the page: sharp on paper and screen, their text is text, and they take the page's own ink, so that they read on light and dark.

Every series differs by marker and line as well as by colour (Okabe and Ito's), and bears its name beside its last point, so that no legend is needed.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import StringIO
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from napari_medseg.metrics.summary import Summary
from napari_medseg.review.calibration import ReliabilityBin
from napari_medseg.review.volumes import BlandAltman

INK = "#010203"
"""Stands for the page's ink until the SVG is in the page."""
FAINT = "#010204"
COLOURS = ("#0072b2", "#b34700", "#007a59", "#a8477c", "#806600")
"""Dark enough to be read as text on white (4.5 to 1 at least); the page has lighter ones of the same hues for a dark ground."""
_MARKS = (("o", "-"), ("s", "--"), ("^", "-."), ("D", ":"), ("v", (0, (5, 1, 1, 1, 1, 1))))
SIZE = (5.2, 3.0)
HALF = (4.2, 2.7)
SMALL = (3.4, 2.3)
_RC = {
    "svg.fonttype": "none", "svg.hashsalt": "napari-medseg", "font.family": "sans-serif", "font.sans-serif": ["Arial", "Liberation Sans", "DejaVu Sans"],
    "font.size": 9, "text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False,
    "axes.spines.right": False, "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none", "axes.grid": True, "grid.color": FAINT,
    "grid.linewidth": 0.5, "axes.axisbelow": True,
}
_HEAD = re.compile(r'<svg [^>]*?(viewBox="[^"]+")[^>]*>')
_COORDINATE = re.compile(r"(\d+\.\d{2})\d+")
_drawing = threading.Lock()
"""matplotlib's settings are the process's own."""


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together; a y of None is left out."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]


def lines(series: Sequence[Series], *, key: str, alt: str, ticks: Sequence[tuple[float, str]], y: str, limits: tuple[float, float] | None = None,
          level: tuple[float, str] | None = None, mark: Sequence[float] = (), size: tuple[float, float] = SIZE) -> str:
    """Values over rounds, each series named beside its last point.

    Parameters
    ----------
    key : str
        Sets the ids of this chart apart from those of others in the page.
    alt : str
        What it shows, for those who do not see it.
    ticks : (x, words)
    y : str
        The axis's name, with its unit.
    level : (value, words), optional
        A dotted line across.
    mark : x each
        Points that are circled, such as the adopted round.
    """
    with _drawing, mpl.rc_context(_RC):
        figure, axes = _axes(size)
        ends = []
        for (colour, marker, line), one in zip(_styles(len(series)), series, strict=True):
            points = [(a, b) for a, b in zip(one.x, one.y, strict=True) if b is not None]
            if not points:
                continue
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, linestyle=line, markersize=5, linewidth=1.6)
            for a, b in points:
                if a in mark:
                    axes.plot([a], [b], marker="o", markersize=11, markerfacecolor="none", markeredgecolor=INK, linestyle="none")
            ends.append((points[-1], one.name, colour))
        if level is not None:
            axes.axhline(level[0], color=INK, linestyle=":", linewidth=1)
            place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "xytext": (-2, 3), "ha": "right"}
            axes.annotate(level[1], (1, level[0]), fontsize=8, **place)
        axes.set_xticks([x for x, _ in ticks], [words for _, words in ticks])
        axes.set_ylabel(y)
        if limits is not None:
            axes.set_ylim(*limits)
        axes.margins(x=0.06, y=0.15)
        if len(series) > 1 or size is SIZE:
            _name(axes, ends)
        return _svg(figure, key, alt)


def dots(rows: Sequence[tuple[str, Sequence[float], Summary]], *, key: str, alt: str, x: str, limits: tuple[float, float] | None = (0.0, 1.0)) -> str:
    """Every case as a mark, a row a stage; the mean as a bar with its interval.

    Parameters
    ----------
    rows : (name, values, their summary)
    """
    with _drawing, mpl.rc_context(_RC):
        figure, axes = _axes((SIZE[0], 0.75 + 0.42 * len(rows)))
        for index, ((colour, marker, _), (_, values, summary)) in enumerate(zip(_styles(len(rows)), rows, strict=True)):
            spread = _spread_out(values)
            axes.plot(values, index + spread, marker=marker, markeredgecolor=colour, **_points(len(values)))
            if summary.mean is not None:
                axes.plot([summary.mean] * 2, [index - 0.34, index + 0.34], color=INK, linewidth=2.2)
            if summary.low is not None and summary.high is not None:
                axes.plot([summary.low, summary.high], [index, index], color=INK, linewidth=1.2)
        axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(x)
        if limits is not None:
            axes.set_xlim(limits[0], limits[1] + 0.01 * (limits[1] - limits[0]))
        return _svg(figure, key, alt)


def bland_altman(found: BlandAltman, *, key: str, alt: str, unit: str) -> str:
    """Differences against means, with the bias and the limits of agreement (Bland and Altman, Lancet 1986)."""
    with _drawing, mpl.rc_context(_RC):
        figure, axes = _axes(HALF)
        axes.plot(found.means, found.differences, marker="o", markeredgecolor=COLOURS[0], **_points(found.n))
        axes.axhline(0, color=FAINT, linewidth=1)
        for value, line, words in ((found.bias, "-", "bias"), (found.lower, "--", "lower"), (found.upper, "--", "upper")):
            if value is not None:
                axes.axhline(value, color=INK, linestyle=line, linewidth=1.2)
                place = {"xycoords": ("axes fraction", "data"), "xytext": (4, 0), "textcoords": "offset points", "va": "center"}
                axes.annotate(f"{words} {value:+.3g}".replace("-", "−"), (1, value), fontsize=8, **place)
        axes.set_xlabel(f"mean of both volumes ({unit})")
        axes.set_ylabel(f"label minus truth ({unit})")
        axes.margins(y=0.2)
        return _svg(figure, key, alt)


def reliability(bins: Sequence[ReliabilityBin], *, key: str, alt: str, threshold: float | None) -> str:
    """Share of voxels that is true against the probability given, on the line of a network that means what it says; the threshold chosen stands upright."""
    with _drawing, mpl.rc_context(_RC):
        figure, axes = _axes(HALF)
        axes.plot([0, 1], [0, 1], color=INK, linestyle="--", linewidth=1)
        known = [(one.predicted, one.observed) for one in bins if one.predicted is not None and one.observed is not None]
        axes.plot([x for x, _ in known], [y for _, y in known], color=COLOURS[0], marker="o", markersize=5, linewidth=1.6, clip_on=False)
        if threshold is not None:
            axes.axvline(threshold, color=INK, linestyle=":", linewidth=1.4)
            left = threshold > 0.5
            axes.annotate(
                f"threshold {threshold:.2f}", (threshold, 0.98 if left else 0.04), xytext=(-3 if left else 3, 0), textcoords="offset points", fontsize=8,
                ha="right" if left else "left", va="top" if left else "bottom",
            )
        axes.set_xlabel("probability given, mean of a tenth")
        axes.set_ylabel("share that is true")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        return _svg(figure, key, alt)


def _points(count: int) -> dict[str, Any]:
    """Open marks; of very many a picture, so that the page stays small."""
    return {"linestyle": "none", "markersize": 4, "markerfacecolor": "none", "rasterized": count > 1000}


def _styles(count: int) -> list[tuple[str, str, Any]]:
    return [(COLOURS[index % len(COLOURS)], *_MARKS[index % len(_MARKS)]) for index in range(count)]


def _axes(size: tuple[float, float]) -> tuple[Figure, Any]:
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots()


def _name(axes: Any, ends: Sequence[tuple[tuple[float, float], str, str]]) -> None:
    """Names beside the last points, moved apart where they would lie on each other."""
    low, high = axes.get_ylim()
    height = (high - low) * 11 / (axes.figure.get_figheight() * 72 * 0.72)  # a line of text, in the axis's unit
    last = -np.inf
    for (x, y), name, colour in sorted(ends, key=lambda end: end[0][1]):
        last = max(y, last + height)
        axes.annotate(name, (x, y), xytext=(x, last), textcoords="data", fontsize=8.5, color=colour, va="center", annotation_clip=False).set_x(x)
    if ends:
        left, right = axes.get_xlim()
        longest = max(len(name) for _, name, _ in ends)
        for text in axes.texts:
            if text.get_text() in {name for _, name, _ in ends}:
                text.set_position((text.get_position()[0] + 0.02 * (right - left), text.get_position()[1]))
        axes.set_xlim(left, right + (right - left) * min(0.6, longest * 0.0115 * SIZE[0] / axes.figure.get_figwidth()))


def _spread_out(values: Sequence[float]) -> Any:
    """Heights of marks within a row, so that equal ones do not hide each other; the same for the same values."""
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return 0.22 * (((order * 0.618033988749895) % 1.0) * 2 - 1)


def _svg(figure: Figure, key: str, alt: str) -> str:
    buffer = StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return inline(buffer.getvalue(), key, alt)


def inline(svg: str, key: str, alt: str) -> str:
    """An SVG file as a part of a page: no header, no metadata, ids that no other chart has, the page's ink, and what it shows in words."""
    for prefix, name in (("", "http://www.w3.org/2000/svg"), ("xlink", "http://www.w3.org/1999/xlink")):
        ElementTree.register_namespace(prefix, name)
    root = ElementTree.fromstring(svg[svg.index("<svg"):])
    _drop_metadata(root)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        for name in list(element.attrib):
            value = element.attrib.pop(name)
            plain = name.rpartition("}")[2]
            if plain == "id" and value not in used:
                continue
            if plain == "id":
                value = f"{key}-{value}"
            value = re.sub(r"url\(#([^)]+)\)", rf"url(#{key}-\1)", value)
            if plain == "href" and value.startswith("#"):
                value = f"#{key}-{value[1:]}"
            element.attrib[plain] = _COORDINATE.sub(r"\1", value) if plain in ("d", "x", "y", "transform", "points") else value
        element.text, element.tail = _trimmed(element.text), _trimmed(element.tail)
    for name in ("xmlns", "version", "width", "height"):
        root.attrib.pop(name, None)
    text = ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)
    for colour, name in ((INK, "currentColor"), (FAINT, "var(--faint)"), *((colour, f"var(--series-{number})") for number, colour in enumerate(COLOURS))):
        text = text.replace(colour, name)
    return _HEAD.sub(lambda head: f'<svg {head[1]} role="img" aria-label="{escape(alt, quote=True)}">', text, count=1)


def _drop_metadata(root: Any) -> None:
    for child in list(root):
        if child.tag.rpartition("}")[2] == "metadata":
            root.remove(child)


def _trimmed(text: str | None) -> str | None:
    return text if text is None or text.strip() else None

