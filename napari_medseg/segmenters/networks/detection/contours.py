"""The boundary of an object as points spread evenly along it, and a boundary's points as a map again.

Points are (y, x) in pixel edges: pixel i reaches from i to i + 1. They run clockwise on screen (y down) and begin straight above the object's centre, so
that the same point of two like shapes has the same place in the list; HMR-Net spreads them evenly and its paper does not say where they begin.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from skimage.measure import find_contours

from napari_medseg.volume import Array, FloatArray


def outline(share: FloatArray, points: int) -> FloatArray:
    """Points of the outer boundary, where the share is one half.

    Parameters
    ----------
    share : (h, w), 0-1
        Of one object; what lies beyond the slice counts as 0.
    points : int

    Returns
    -------
    float32 (points, 2)
        All in one place where no pixel reaches one half.
    """
    curves = find_contours(np.pad(np.asarray(share, np.float64), 1), 0.5)
    if not curves:
        return np.zeros((points, 2), np.float32)
    outer = max(curves, key=lambda curve: abs(signed_area(curve)))
    return evenly(outer - 0.5, points)  # a pad of one pixel, and centres that lie half a pixel from the edge


def signed_area(curve: Array) -> float:
    """Area of a closed curve (n, 2), above 0 where it runs clockwise on screen."""
    y, x = curve[:, 0], curve[:, 1]
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def middle(curve: Array) -> Array:
    """Centre of mass (2,) of what a closed curve (n, 2) encloses; the mean of its points where that is nothing."""
    y, x = curve[:, 0], curve[:, 1]
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    whole = cross.sum()
    if abs(whole) < 1e-9:
        return np.asarray(curve.mean(0))
    return np.asarray(np.array([((y + np.roll(y, -1)) * cross).sum(), ((x + np.roll(x, -1)) * cross).sum()]) / (3 * whole))


def evenly(curve: Array, points: int) -> FloatArray:
    """A closed curve (n, 2) as points at equal steps along it, clockwise from straight above its centre."""
    open_ = curve[:-1] if np.array_equal(curve[0], curve[-1]) else curve
    if signed_area(open_) < 0:
        open_ = open_[::-1]
    closed = np.concatenate([open_, open_[:1]])
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    if lengths[-1] == 0:
        return np.repeat(open_[:1], points, axis=0).astype(np.float32)
    at = (_start(closed, lengths) + np.arange(points) * lengths[-1] / points) % lengths[-1]
    return np.stack([np.interp(at, lengths, closed[:, axis]) for axis in (0, 1)], axis=1).astype(np.float32)


def _start(closed: Array, lengths: Array) -> float:
    """How far along a curve its highest crossing with the line straight up from its centre lies; its highest point where there is none."""
    centre = middle(closed[:-1])
    best, found = np.inf, float(lengths[closed[:-1, 0].argmin()])
    for index, (a, b) in enumerate(pairwise(closed)):
        if (a[1] < centre[1]) == (b[1] < centre[1]):
            continue
        share = (centre[1] - a[1]) / (b[1] - a[1])
        y = a[0] + share * (b[0] - a[0])
        if y < min(best, centre[0]):
            best, found = y, float(lengths[index] + share * (lengths[index + 1] - lengths[index]))
    return found


def inside(contour: FloatArray, size: tuple[int, int]) -> FloatArray:
    """How far inside a closed contour each pixel's centre lies.

    Parameters
    ----------
    contour : (p, 2)
        May leave the slice.
    size : (rows, columns)

    Returns
    -------
    float32 (rows, columns)
        Distance to the contour in pixels, below 0 outside (even-odd rule).
    """
    y, x = (np.arange(n, dtype=np.float32) + 0.5 for n in size)
    a, b = contour.astype(np.float32), np.roll(contour, -1, axis=0).astype(np.float32)
    way = b - a
    from_y, from_x = y[:, None, None] - a[:, 0], x[None, :, None] - a[:, 1]
    along = np.clip((from_y * way[:, 0] + from_x * way[:, 1]) / np.maximum((way**2).sum(1), 1e-12), 0, 1)
    far = np.sqrt(((from_y - along * way[:, 0]) ** 2 + (from_x - along * way[:, 1]) ** 2).min(-1))
    crosses = (a[:, 0] <= y[:, None]) != (b[:, 0] <= y[:, None])
    with np.errstate(divide="ignore", invalid="ignore"):
        meets = a[:, 1] + (y[:, None] - a[:, 0]) / way[:, 0] * way[:, 1]
    odd = (crosses[:, None] & (x[None, :, None] < meets[:, None])).sum(-1) % 2 == 1
    return np.asarray(np.where(odd, far, -far), np.float32)
