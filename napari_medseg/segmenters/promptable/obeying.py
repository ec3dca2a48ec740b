"""What prompts make of the network's word: every point on its side, and what nobody touched much as it was."""

from __future__ import annotations

import numpy as np
from scipy import ndimage as ndi

from napari_medseg.segmenters.promptable.grid import Box, Grid
from napari_medseg.segmenters.promptable.maps import filled
from napari_medseg.segmenters.promptable.pointed import Pointed
from napari_medseg.volume import BoolArray, FloatArray

TRUST = 0.7  # of the last answer, far from the newest point
NEAR = 5.0  # voxels of the working grid over which that trust grows
SLACK = 2.0  # voxels of the working grid that a box or an outline may be too small
STEEP = 1.0  # logit lost with every voxel farther out
SURE = 1.0  # logit a point is given where the network says less
BALL = 3.0  # voxels of the working grid over which a point that was not obeyed pulls
DOUBTED = -0.2  # logit of a piece that nobody pointed at
LEAST = 0.02  # probability the last answer counts with at least, and at most 1 less that
SIDE = 0.6  # probability of a voxel that a point is on, and 1 less that of one it is not


def kept(logits: FloatArray, previous: FloatArray, grid: Grid, prompts: Pointed) -> FloatArray:
    """Logits that stay near the last answer, or the mask to start from, the more, the farther they are from the newest point.

    Logits and the last answer's probabilities, 0-1, are float32 (z, y, x) on the working grid.
    """
    sure = np.clip(previous, LEAST, 1 - LEAST)
    near = np.exp(-_squared(grid, prompts.points[-1]) / NEAR**2) if len(prompts.points) else np.float32(0)
    return np.asarray(logits + TRUST * (1 - near) * (np.log(sure / (1 - sure)) - logits), dtype=np.float32)


def confined(logits: FloatArray, grid: Grid, prompts: Pointed) -> FloatArray:
    """Logits that fall beyond boxes and outlines, which lie roughly round the object: in space for what has depth, in its own layer for what is flat.

    Where a point or a stroke says inside beyond all of them, they limit nothing. Logits are float32 (z, y, x) on the working grid.
    """
    inside = filled(prompts.areas, grid)
    said = np.rint(grid.inside(np.concatenate([prompts.points[prompts.signs > 0], prompts.strokes]))).astype(int)
    said = said[((said >= 0) & (said < grid.side)).all(axis=1)]
    beyond = np.asarray(ndi.distance_transform_edt(~inside), np.float32)
    if not inside.any() or (beyond[tuple(said.T)] > SLACK).any():
        return logits
    layers = [np.asarray(inside.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    flat = [axis for axis in range(3) if np.count_nonzero(layers[axis]) == 1]
    if flat:
        beyond = np.where(layers[flat[0]].reshape([-1 if axis == flat[0] else 1 for axis in range(3)]), beyond, 0)
    return np.asarray(logits - STEEP * np.clip(beyond - SLACK, 0, None), dtype=np.float32)


def obeyed(logits: FloatArray, grid: Grid, prompts: Pointed) -> FloatArray:
    """Logits with every point of the window on its side: where the network disagrees, a ball around it is pulled over, newer points after older ones.

    They are float32 (z, y, x) on the working grid.
    """
    out = logits.copy()
    for point, sign in zip(prompts.points, prompts.signs, strict=True):
        at = np.rint(grid.inside(point)).astype(int)
        if (at < 0).any() or (at >= grid.side).any():
            continue
        lacking = SURE - sign * float(out[tuple(at)])
        if lacking > 0:
            out += np.float32(sign * lacking) * np.exp(-_squared(grid, point) / BALL**2)
    return out


def alone(logits: FloatArray, grid: Grid, prompts: Pointed) -> FloatArray:
    """Logits, float32 (z, y, x) on the working grid, without pieces that nobody pointed at, where there are only points."""
    if prompts.areas or len(prompts.strokes) or len(prompts.mask):
        return logits
    found = np.asarray(logits > 0)
    return np.where(found & ~pieces(found, grid, prompts), np.float32(DOUBTED), logits)


def pieces(found: BoolArray, grid: Grid, prompts: Pointed) -> BoolArray:
    """The pieces of a mask, bool (z, y, x) on the working grid, within a voxel of a positive point; all where there is none."""
    labelled, _ = ndi.label(found)
    chosen: set[int] = set()
    for point in np.clip(np.rint(grid.inside(prompts.points[prompts.signs > 0])), 1, grid.side - 2).astype(int):
        chosen |= set(np.unique(labelled[tuple(slice(at - 1, at + 2) for at in point)]).tolist())
    chosen.discard(0)
    return np.asarray(np.isin(labelled, list(chosen))) if chosen else found


def held(values: FloatArray, box: Box, prompts: Pointed) -> FloatArray:
    """Probabilities on the scan's voxels, the voxels of all points and strokes on their sides; in place. The newest word counts.

    They are the box's (z, y, x), 0-1.
    """
    corner, shape = np.array([part.start for part in box]), np.array(values.shape)
    groups = [(prompts.background, -1), (prompts.strokes, 1), *((point[None], int(sign)) for point, sign in zip(prompts.points, prompts.signs, strict=True))]
    for voxels, sign in groups:
        at = np.rint(voxels).astype(int) - corner
        at = tuple(at[((at >= 0) & (at < shape)).all(axis=1)].T)
        values[at] = np.maximum(values[at], SIDE) if sign > 0 else np.minimum(values[at], 1 - SIDE)
    return values


def _squared(grid: Grid, point: FloatArray) -> FloatArray:
    """Squared distance of every voxel of the cube to a point of the scan, in voxels of the cube."""
    z, y, x = (np.arange(grid.side, dtype=np.float32) - np.float32(c) for c in grid.inside(point))
    return np.asarray(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
