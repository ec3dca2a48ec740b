"""The simulated annotator: a person who knows the truth, in a hurry or tired, the same one every time.

It stands in for people wherever interaction is measured: it seeds, paints a rough hand mask, clicks and scribbles where the current
mask is wrong, corrects a slice. It needs the truth, the spacing and the current mask only, and is deterministic. Distances are mm;
"depth" is the Euclidean distance inside a mask to its surface, the border of the array counting as surface.

Masks are bool arrays (z, y, x); spacings are mm per voxel (z, y, x); strokes are uint8 (0 unknown, 255 background, 1-254 classes).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi
from skimage.morphology import convex_hull_image, skeletonize

from napari_medseg.annotation.classes import BACKGROUND
from napari_medseg.errors import NoLabelsError
from napari_medseg.volume import BoolArray, LabelArray, Spacing

IntArray = npt.NDArray[np.intp]

HURRIED_MM = 3.0
SLOPPY_GROWTH_MM = (1.0, 8.0)
SLOPPY_SHIFT_MM = 3.0
SLOPPY_EVERY = 3
STROKE_LENGTH = 40
RING_MM = (3.0, 7.0)
_BRUSH = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))
_NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]


def seeds(truth: BoolArray, spacing: Spacing, k: int = 5) -> IntArray:
    """Points a person would click inside the object.

    The deepest voxel, then k-1 farthest-point samples among voxels deeper than half the maximum.

    Returns
    -------
    int array, (k, 3) as z, y, x

    Raises
    ------
    NoLabelsError
        When the truth is empty.
    """
    _require(truth)
    inside = _depth(truth, spacing)
    points = [np.array(np.unravel_index(inside.argmax(), inside.shape))]
    candidates = np.argwhere(inside > 0.5 * inside.max())
    while len(points) < k:
        nearest = np.min([np.linalg.norm((candidates - p) * spacing, axis=1) for p in points], axis=0)
        points.append(candidates[nearest.argmax()])
    return np.array(points, dtype=np.intp)


def hand_mask(truth: BoolArray, spacing: Spacing, grow_mm: float = HURRIED_MM) -> BoolArray:
    """What a hurried non-expert paints: on every slice that holds truth, its convex hull grown by `grow_mm`."""
    out = np.zeros(truth.shape, bool)
    for z in np.flatnonzero(truth.any((1, 2))):
        out[z] = _hull_distance(truth[z], spacing) <= grow_mm
    return out


def sloppy_mask(truth: BoolArray, spacing: Spacing, seed: int) -> BoolArray:
    """What a tired one paints: the hull grown by U(1, 8) mm and shifted by U(-3, 3) mm, drawn for every third slice, interpolated between.

    Parameters
    ----------
    seed : int
        Another seed is another tired person.
    """
    rng = np.random.default_rng(seed)
    slices = np.flatnonzero(truth.any((1, 2)))
    knots = np.arange(0, len(slices) + SLOPPY_EVERY, SLOPPY_EVERY)
    spans = (SLOPPY_GROWTH_MM, (-SLOPPY_SHIFT_MM, SLOPPY_SHIFT_MM), (-SLOPPY_SHIFT_MM, SLOPPY_SHIFT_MM))
    grow, down, right = (np.interp(np.arange(len(slices)), knots, rng.uniform(low, high, len(knots))) for low, high in spans)
    out = np.zeros(truth.shape, bool)
    for i, z in enumerate(slices):
        hull = _hull_distance(truth[z], spacing) <= grow[i]
        out[z] = ndi.shift(hull.astype(np.float32), (down[i] / spacing[1], right[i] / spacing[2]), order=1) > 0.5
    return out


def next_click(truth: BoolArray, current: BoolArray, spacing: Spacing) -> tuple[IntArray, int] | None:
    """Where the annotator clicks next.

    Returns
    -------
    (voxel (z, y, x), sign) or None
        The deepest voxel of the largest connected error, +1 where truth was missed and -1 at a false alarm; None when nothing is wrong.
    """
    error = _largest_error(truth, current)
    if error is None:
        return None
    box = ndi.find_objects(error.astype(np.uint8))[0]
    inside = _depth(error[box], spacing)
    found = np.array(np.unravel_index(inside.argmax(), inside.shape), dtype=np.intp) + [part.start for part in box]
    return found, 1 if truth[tuple(found)] else -1


def stroke(strokes: LabelArray, truth: BoolArray, current: BoolArray, label: int = 1, background: int = BACKGROUND) -> bool:
    """Add one corrective stroke to `strokes`, in place.

    On the slice where the largest error is widest: its medial line, at most 40 voxels, brush radius one voxel, never painting over
    voxels of the other class.

    Returns
    -------
    bool
        False when nothing is wrong and nothing was drawn.
    """
    error = _largest_error(truth, current)
    if error is None:
        return False
    z = int(error.sum((1, 2)).argmax())
    line = _medial_line(error[z])
    value = label if truth[z][tuple(line[len(line) // 2])] else background
    for y, x in line:
        for dy, dx in _BRUSH:
            voxel = (z, min(max(y + dy, 0), truth.shape[1] - 1), min(max(x + dx, 0), truth.shape[2] - 1))
            if truth[voxel] == (value == label):
                strokes[voxel] = value
    return True


def first_strokes(truth: BoolArray, spacing: Spacing, label: int = 1, background: int = BACKGROUND) -> LabelArray:
    """The first pair of strokes, both in the truth's largest slice: one along its medial line, one along the ring 3-7 mm around it.

    Raises
    ------
    NoLabelsError
        When the truth is empty.
    """
    _require(truth)
    strokes = np.zeros(truth.shape, np.uint8)
    z = int(truth.sum((1, 2)).argmax())
    outside = ndi.distance_transform_edt(~truth[z], sampling=spacing[1:])
    ring = (outside > RING_MM[0]) & (outside <= RING_MM[1])
    for region, value in ((truth[z], label), (ring, background)):
        line = _medial_line(region)
        strokes[z, line[:, 0], line[:, 1]] = value
    return strokes


def corrected_slice(truth: BoolArray, current: BoolArray) -> tuple[BoolArray, int]:
    """The annotator puts the worst slice right.

    Returns
    -------
    (mask, z)
        `current` with the slice that holds the most wrong voxels replaced by the truth, and that slice's index.
    """
    z = int((truth != current).sum((1, 2)).argmax())
    corrected = current.copy()
    corrected[z] = truth[z]
    return corrected, z


def deform(truth: BoolArray, rng: np.random.Generator, strength: float = 12, affine: float = 0.07, shift: float = 2.0, sigma: float = 5) -> BoolArray:
    """A true mask made weak: a random affine about its centre, a random shift and an elastic field (Salah et al., MIUA 2023).

    Parameters
    ----------
    rng : numpy Generator
        Draws the deformation.
    strength : float
        Elastic amplitude; uniform noise in [-1, 1], Gaussian-smoothed by `sigma` voxels, times `sigma * strength`.
    affine : float
        Identity + U(-affine, affine) in each of the nine entries.
    shift : float
        U(-shift, shift) voxels along each axis.

    Notes
    -----
    On hippocampi of about 35x50x36 voxels, (strength, affine, shift) = (12, 0.07, 2) gives Dice 0.72 against the truth,
    (10, 0.055, 1.4) gives 0.79 and (9, 0.05, 1.2) gives 0.82.
    """
    if not truth.any():
        return truth.copy()
    field = [ndi.gaussian_filter(rng.uniform(-1, 1, truth.shape), sigma) * strength * sigma for _ in range(3)]
    centre = np.argwhere(truth).mean(0)[:, None]
    matrix = np.eye(3) + rng.uniform(-affine, affine, (3, 3))
    grid = np.indices(truth.shape).reshape(3, -1)
    target = (matrix @ (grid - centre) + centre + rng.uniform(-shift, shift, 3)[:, None]).reshape(3, *truth.shape) + np.stack(field)
    return np.asarray(ndi.map_coordinates(truth.astype(np.float32), target, order=1) > 0.5)


def _require(truth: BoolArray) -> None:
    if not truth.any():
        raise NoLabelsError("the truth is empty", where="simulated annotator", todo="Give a mask with foreground")


def _depth(mask: BoolArray, spacing: Spacing) -> npt.NDArray[np.float64]:
    padded: npt.NDArray[np.float64] = ndi.distance_transform_edt(np.pad(mask, 1), sampling=spacing)
    return padded[(slice(1, -1),) * 3]


def _hull_distance(outline: BoolArray, spacing: Spacing) -> npt.NDArray[np.float64]:
    return np.asarray(ndi.distance_transform_edt(~convex_hull_image(outline), sampling=spacing[1:]))


def _largest_error(truth: BoolArray, current: BoolArray) -> BoolArray | None:
    error = truth != current
    if not error.any():
        return None
    components, _ = ndi.label(error)
    return np.asarray(components == 1 + np.bincount(components.ravel())[1:].argmax())


def _medial_line(region: BoolArray) -> IntArray:
    skeleton = skeletonize(region)
    points = np.argwhere(skeleton if skeleton.any() else region)
    if len(points) <= STROKE_LENGTH:
        return np.asarray(points)
    if skeleton.any():
        return _walk(skeleton)
    return np.asarray(points[np.linspace(0, len(points) - 1, STROKE_LENGTH).astype(int)])


def _walk(skeleton: BoolArray) -> IntArray:
    """The first voxels met when following the skeleton's longest piece, depth first."""
    components, _ = ndi.label(skeleton, np.ones((3, 3)))
    piece = np.argwhere(components == 1 + np.bincount(components.ravel())[1:].argmax())
    left = {(int(y), int(x)) for y, x in piece}
    todo = [(int(piece[0][0]), int(piece[0][1]))]
    met: list[tuple[int, int]] = []
    while todo and len(met) < STROKE_LENGTH:
        here = todo.pop()
        if here not in left:
            continue
        left.discard(here)
        met.append(here)
        todo += [(here[0] + dy, here[1] + dx) for dy, dx in _NEIGHBOURS if (here[0] + dy, here[1] + dx) in left]
    return np.array(met, dtype=np.intp)
