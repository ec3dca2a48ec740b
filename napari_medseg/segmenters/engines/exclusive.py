"""Probabilities of classes that shut each other out: a voxel is exactly one of them, or background."""

from __future__ import annotations

import numpy as np

from napari_medseg.volume import FloatArray

JUST_ABOVE = np.nextafter(np.float32(0.5), np.float32(1))


def decided(maps: FloatArray) -> FloatArray:
    """Let the most probable class win, as the network's own programs do.

    With several classes the winner may have less than one half; a threshold of one half would call such voxels background. So a class that is more
    probable than every other and than the background is lifted just above one half where it lies below; all else stays as it is.

    Parameters
    ----------
    maps : float32 (classes, z, y, x)
        Softmax without the background's map; may be changed in place. 0 everywhere where nothing is known yet.

    Returns
    -------
    float32 (classes, z, y, x)
        Whose label map at the threshold 0.5 is the arg max.
    """
    if len(maps) < 2:
        return maps
    winner = maps.argmax(axis=0)[None]
    most = np.take_along_axis(maps, winner, axis=0)
    background = 1 - maps.sum(axis=0, dtype=np.float64)[None]
    lifted = np.where((most > background) & (most > 0) & (most <= 0.5), JUST_ABOVE, most)
    np.put_along_axis(maps, winner, lifted, axis=0)
    return maps


def overruled(maps: FloatArray) -> FloatArray:
    """Regions that lie inside each other, as classes: each is what belongs to it and to no later one.

    Parameters
    ----------
    maps : float32 (regions, z, y, x)
        Sigmoid, in the order in which later regions are drawn over earlier ones.

    Returns
    -------
    float32 (classes, z, y, x)
        min(own, 1 - the largest later one), so that the label map at the threshold 0.5 is the one that is drawn.
    """
    found = maps.copy()
    later = np.zeros_like(maps[0])
    for place in range(len(maps) - 1, -1, -1):
        found[place] = np.minimum(maps[place], 1 - later)
        later = np.maximum(later, maps[place])
    return found
