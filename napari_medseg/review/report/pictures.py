"""One slice of a case, once per stage of its labels, with contours and a scale: a PNG that holds nothing but pixels.

The truth is dashed and white, a stage's answer is solid and in the colour of its class; both have a dark rim, so that they are told apart on any grey, in
black and white and by every eye. Where there are several classes each contour bears its number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from PIL import Image as PixelImage
from scipy import ndimage

from napari_medseg.review.report.facts import ClassFacts
from napari_medseg.review.report.sources import UNKNOWN, CaseLabels
from napari_medseg.volume import BoolArray, FloatArray, LabelArray, Volume, axis_map
from napari_medseg.volume.orientation import towards

TRUTH = "#ffffff"
RIM = "#111111"
MARGIN_MM = 8.0
SMALLEST_MM = 30.0
DPI = 130
COLOURS = 256
NEARLY_WHITE = 250
"""A palette's parts from here on are white, as the page is."""
PANEL_INCHES = 2.4
INSET = 0.7
"""Contours run this share of a voxel inside, so that those of two classes that touch lie side by side."""
LARGEST = 512
"""Pixels of a panel's longer side that are drawn; a wider slice is thinned, so that a picture stays some hundred kilobytes whatever the scan."""
_BARS_MM = (1, 2, 5, 10, 20, 50, 100, 200)


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG and what it shows: the slice (from 1) of how many, the length of its scale, and its size in pixels."""

    png: bytes
    slice: int
    of: int
    bar_mm: int
    width: int
    height: int
    panels: int


def contours(
    image: Volume, labels: CaseLabels, titles: Mapping[str, str], classes: Sequence[ClassFacts], notes: Mapping[str, str] | None = None,
) -> Picture | None:
    """Draw a case.

    Parameters
    ----------
    image : Volume
        Its first channel is shown.
    labels : CaseLabels on the image's grid
    titles : by key of the stage
    classes : ClassFacts
        Colours; a value without one is drawn in sky blue.
    notes : by key of the stage
        A second line, such as its Dice.

    Returns
    -------
    Picture or None
        None when there is nothing to outline. The slice is the one of the display with the largest truth; with the largest label where no truth is known.
    """
    shown = [found for found in (labels.truth, *labels.stages.values()) if found is not None]
    if not shown or any(found.shape != image.geometry.shape for found in shown):
        return None
    turn = axis_map(image.geometry)
    axis = 0 if labels.known == "whole" or labels.truth is None else _marked_axis(turn.view(labels.truth))
    truth = None if labels.truth is None else _known(np.moveaxis(turn.view(labels.truth), axis, 0))
    stages = {key: _known(np.moveaxis(turn.view(found), axis, 0)) for key, found in labels.stages.items() if key in titles}
    deciding = next((found for found in ([truth] if truth is not None else []) + list(reversed(stages.values())) if found.any()), None)
    if deciding is None:
        return None
    z = int((deciding > 0).sum(axis=(1, 2)).argmax())
    across = [other for other in range(3) if other != axis]
    dy, dx = (turn.geometry(image.geometry).spacing[other] for other in across)
    drawn = np.any([found[z] > 0 for found in (*stages.values(), deciding)], axis=0)
    rows, columns = _window(drawn, (dy, dx))
    grey = np.moveaxis(turn.view(image.channel()), axis, 0)[z, rows, columns].astype(np.float32)
    step = max(1, -(-max(grey.shape) // LARGEST))
    bar = _bar(grey.shape[1] * dx)
    panels: list[tuple[str, LabelArray | None]] = [("scan", None)]
    panels += [(titles[key] + _line(notes, key), found[z, rows, columns]) for key, found in stages.items()]
    colours = {one.value: one.colour for one in classes}
    figure = Figure(figsize=_size(len(panels), grey.shape[0] * dy, grey.shape[1] * dx), dpi=DPI, layout="constrained", facecolor="white")
    subplots = np.atleast_1d(figure.subplots(1, len(panels)))
    extent = (0.0, grey.shape[1] * dx, grey.shape[0] * dy, 0.0)
    low, high = _limits(grey)
    for axes, (title, found) in zip(subplots, panels, strict=True):
        axes.imshow(grey[::step, ::step], cmap="gray", vmin=low, vmax=high, extent=extent, interpolation="nearest")
        if found is not None:
            several = len(set(np.unique(found)) | set(np.unique(deciding))) > 2
            if truth is not None:
                _outline(axes, truth[z, rows, columns], (dy, dx), lambda _: TRUTH, "dashed", numbered=False)
            _outline(axes, found, (dy, dx), lambda value: colours.get(value, (0.337, 0.706, 0.914)), "solid", numbered=several)
        else:
            _scale(axes, extent, bar)
            _letters(axes, turn.geometry(image.geometry).matrix, across)
        axes.set_title(title, fontsize=9, color="#111111")
        axes.set_axis_off()
        axes.set_xlim(extent[:2])
        axes.set_ylim(extent[2:])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])
    return Picture(_png(pixels), z + 1, deciding.shape[0], bar, pixels.shape[1], pixels.shape[0], len(panels))


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A PNG with a palette, a third of the size; it holds pixels and nothing else."""
    buffer = BytesIO()
    octree, plain = PixelImage.Quantize.FASTOCTREE, PixelImage.Dither.NONE  # an octree keeps the few coloured pixels among many grey ones
    few = PixelImage.fromarray(pixels).quantize(COLOURS, method=octree, dither=plain)
    few.putpalette([255 if part >= NEARLY_WHITE else part for part in few.getpalette() or ()])
    few.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _marked_axis(truth: LabelArray) -> int:
    """The axis of the display along which the marked slices lie: the one with the largest known outline in one slice."""
    known = (truth > 0) & (truth != UNKNOWN)
    return int(np.argmax([known.sum(axis=tuple(other for other in range(3) if other != axis)).max() for axis in range(3)]))


def _line(notes: Mapping[str, str] | None, key: str) -> str:
    return f"\n{notes[key]}" if notes and key in notes else ""


def _known(labels: LabelArray) -> LabelArray:
    return np.where(labels == UNKNOWN, np.uint8(0), labels)


def _size(panels: int, height_mm: float, width_mm: float) -> tuple[float, float]:
    height = PANEL_INCHES * min(max(height_mm / width_mm, 0.4), 1.8)
    return PANEL_INCHES * panels, height + 0.45


def _window(drawn: BoolArray, spacing: tuple[float, float]) -> tuple[slice, slice]:
    """The part of the slice that shows everything drawn, with a margin; never less than SMALLEST_MM where the scan has as much."""
    parts = []
    for axis, mm in enumerate(spacing):
        inside = np.flatnonzero(drawn.any(axis=1 - axis))
        first, last = (int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, drawn.shape[axis])
        margin = max(MARGIN_MM / mm, (SMALLEST_MM / mm - (last - first)) / 2, 0.35 * (last - first))
        parts.append(slice(max(0, int(first - margin)), min(drawn.shape[axis], int(np.ceil(last + margin)))))
    return parts[0], parts[1]


def _limits(grey: FloatArray) -> tuple[float, float]:
    finite = grey[np.isfinite(grey)]
    low, high = (float(v) for v in np.percentile(finite, (1, 99.5))) if finite.size else (0.0, 1.0)
    return low, max(high, low + 1e-6)


def _outline(axes: Any, labels: LabelArray, spacing: tuple[float, float], colour: Any, line: str, *, numbered: bool) -> None:
    dy, dx = spacing
    padded = np.pad(labels, 1)  # a contour that runs along the picture's edge is closed there, inside it
    y, x = (np.arange(padded.shape[0]) - 0.5) * dy, (np.arange(padded.shape[1]) - 0.5) * dx
    for value in np.unique(labels):
        if value:
            drawn = axes.contour(x, y, (padded == value).astype(float), levels=[INSET], colors=[colour(int(value))], linestyles=[line], linewidths=1.5)
            drawn.set_path_effects([withStroke(linewidth=2.6, foreground=RIM)])
            if numbered:
                depth = ndimage.distance_transform_edt(padded == value)
                row, column = np.unravel_index(int(depth.argmax()), depth.shape)
                axes.text(x[column], y[row], str(value), ha="center", va="center", color=colour(int(value)), fontweight="bold", **_written())


def _bar(width_mm: float) -> int:
    """The longest round length that takes no more than a third of the picture."""
    return next((mm for mm in reversed(_BARS_MM) if mm <= width_mm / 3), 1)


def _scale(axes: Any, extent: tuple[float, float, float, float], mm: int) -> None:
    left, right, bottom, _ = extent
    x, y = left + 0.05 * (right - left), bottom * 0.95
    effects = [withStroke(linewidth=4, foreground=RIM)]
    axes.plot([x, x + mm], [y, y], color="white", linewidth=2, solid_capstyle="butt", path_effects=effects)
    axes.annotate(f"{mm} mm", (x, y), xytext=(0, 4), textcoords="offset points", color="white", **_written())


def _letters(axes: Any, directions: npt.NDArray[np.float64], across: Sequence[int]) -> None:
    """Where up and left lie in the patient; `across` are the picture's rows and columns among the axes z, y, x."""
    for axis, place, align in zip(across, ((0.5, 0.97), (0.03, 0.5)), (("center", "top"), ("left", "center")), strict=True):
        letter = towards(-directions[:, 2 - axis])[:1]
        axes.text(*place, letter, transform=axes.transAxes, color="white", ha=align[0], va=align[1], **_written())


def _written() -> dict[str, Any]:
    return {"fontsize": 8, "path_effects": [withStroke(linewidth=2, foreground=RIM)]}
