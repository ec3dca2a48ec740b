"""What was pointed at, as strokes on a part of the scan: points as balls, strokes as they are, the border of the part as background.

Loads numba, through what it uses: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import numpy as np

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.segmenters.promptable.pointed import Pointed, Positions
from napari_medseg.volume import Array, BoolArray, LabelArray, Shape, Spacing
from napari_medseg.weaklabel.scene import Box

INSIDE = 1
BALL_MM = 2.0  # radius of a point's ball,
BALL_VOXELS = 3.0  # and of the scan's finest voxels at most
WITHIN = 0.6  # of the way to the outline that it corrects, a further one's is no wider than so much


def drawn(prompts: Pointed, radii: tuple[float, ...], box: Box, spacing: Spacing) -> LabelArray:
    """Prompts as strokes.

    Parameters
    ----------
    radii : mm
        Of each point's ball, in the order of the points.
    box : (z, y, x) slices of the scan

    Returns
    -------
    uint8, the box
        0 nothing said, 1 inside, 255 background; no ball paints over a stroke or another point.
    """
    out = np.zeros([part.stop - part.start for part in box], np.uint8)
    for axis, length in enumerate(out.shape):
        if length >= 3:  # a slice on its own has no border before and behind
            np.moveaxis(out, axis, 0)[[0, -1]] = BACKGROUND
    corner = np.array([part.start for part in box])
    values = np.where(prompts.signs > 0, INSIDE, BACKGROUND)
    for at, value, radius in zip(prompts.points - corner, values, radii, strict=True):
        where, ball = _ball(np.rint(at).astype(int), out.shape, spacing, radius)
        out[where][ball] = value
    _put(out, prompts.background - corner, BACKGROUND)
    _put(out, prompts.strokes - corner, INSIDE)
    for at, value in zip(prompts.points - corner, values, strict=True):
        _put(out, at[None], int(value))
    return out


def widest(spacing: Spacing) -> float:
    """Radius of the ball that a point stands for, mm."""
    return min(BALL_MM, BALL_VOXELS * min(spacing))


def radius_of(at: Positions, found: Array, box: Box, spacing: Spacing) -> float:
    """Radius of a further point's ball, mm.

    Who corrects an answer points into the middle of what is wrong with it. The nearer the outline is, the thinner what is wrong, and the smaller the ball
    must be not to stand for what is right. So it is where a point says what was answered already.

    Parameters
    ----------
    at : (3,) voxel coordinates of the scan
    found : (z, y, x) of `box`
        The probability that was corrected; 0 beyond.
    """
    centre, steps, most = np.rint(at).astype(int), np.array(spacing), widest(spacing)
    margin = np.ceil(most / WITHIN / steps).astype(int)
    offsets = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in margin), indexing="ij"), axis=-1).reshape(-1, 3)
    places = centre + offsets - [part.start for part in box]
    within = ((places >= 0) & (places < found.shape)).all(axis=1)
    inside = np.zeros(len(places), bool)
    inside[within] = found[tuple(places[within].T)] > 0.5
    beyond = offsets[inside != inside[len(inside) // 2]] * steps
    away = float(np.sqrt((beyond**2).sum(axis=1).min())) if len(beyond) else np.inf
    return min(WITHIN * away, most)


def _put(out: LabelArray, at: Positions, value: int) -> None:
    places = np.rint(at).astype(int)
    places = places[((places >= 0) & (places < out.shape)).all(axis=1)]
    out[tuple(places.T)] = value


def _ball(at: Positions, shape: Shape | tuple[int, ...], spacing: Spacing, radius: float) -> tuple[Box, BoolArray]:
    """The box of a ball in an array, and which of its voxels the ball holds."""
    low, high = ([int(c) + way * int(radius / s) for c, s in zip(at, spacing, strict=True)] for way in (-1, 1))
    z, y, x = (slice(min(max(a, 0), n), max(min(b + 1, n), 0)) for a, b, n in zip(low, high, shape, strict=True))
    dz, dy, dx = ((np.arange(part.start, part.stop) - c) * s for part, c, s in zip((z, y, x), at, spacing, strict=True))
    return (z, y, x), np.asarray(dz[:, None, None] ** 2 + dy[:, None] ** 2 + dx**2 <= radius**2)
