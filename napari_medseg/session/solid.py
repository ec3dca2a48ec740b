"""Labels in 3D: surfaces in the patient's millimetres, and a picture of them from any side, drawn by the processor.

A surface is made of blocks of voxels, few enough that it is there while the label still changes; what is drawn are its points, as small shaded discs that lie
in the surface. That needs no graphics card and no second OpenGL canvas, works over any remote connection, and takes the same few milliseconds everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.annotation.prompts import PointLPS
from napari_medseg.session.history import around
from napari_medseg.session.views import Turn
from napari_medseg.volume import Geometry, LabelArray

MOST_BLOCKS = 80  # along an axis
SMOOTH = 0.8  # blocks
WIDEST_DISC = 4  # pixels from the middle; a picture that would need wider ones is drawn smaller
LIGHT = np.array([-0.35, 0.5, 0.79])  # from the upper left, in front
DARKEST = 0.3
EVEN = 7  # pixels over which the surface's direction is evened out
FACING, STEEPEST = 0.05, 0.25  # of a normal, towards the person: what is drawn, and the steepest a disc lies
LIGHTER = 0.4  # how much nearer to white a preview is than its class

FloatPoints = npt.NDArray[np.float32]
Mesh = tuple[FloatPoints, npt.NDArray[np.int32], FloatPoints]


@dataclass(frozen=True, slots=True, eq=False)
class Solid:
    """Surfaces to be drawn.

    Attributes
    ----------
    places : (n, 3)
        LPS mm.
    normals : (n, 3)
        Unit vectors outwards.
    colours : (n, 3)
        0-1.
    reach : float
        The discs' radius, mm: as much as lets no gap between them.
    """

    places: FloatPoints
    normals: FloatPoints
    colours: FloatPoints
    reach: float


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Solids seen from one side.

    Attributes
    ----------
    colours : uint8 (rows, columns, 4)
        Clear where there is nothing.
    depth : float32 (rows, columns)
        mm towards the person from the middle of what is looked at; -inf where there is nothing.
    zoom : float
        Pixels a mm.
    turn : Turn
    centre : LPS mm
        What is in the middle.
    """

    colours: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    zoom: float
    turn: Turn
    centre: PointLPS

    def pick(self, across: float, down: float) -> PointLPS | None:
        """The point of the surface under a place of the picture, shares of its width and height; None beside it."""
        rows, columns = self.depth.shape
        row, column = int(down * rows), int(across * columns)
        if not (0 <= row < rows and 0 <= column < columns) or not np.isfinite(self.depth[row, column]):
            return None
        screen = np.array([(column + 0.5 - columns / 2) / self.zoom, (rows / 2 - row - 0.5) / self.zoom, self.depth[row, column]])
        x, y, z = (float(v) for v in np.array(self.centre) + screen @ self.turn.matrix)
        return x, y, z


def mesh_of(labels: LabelArray, scale: Sequence[float], translate: Sequence[float]) -> Mesh | None:
    """The surfaces of all classes of a label map, in the millimetres of its (z, y, x) axes; None when it is empty.

    Parameters
    ----------
    labels : integers (z, y, x)
    scale, translate : mm
        Of the layer that shows the map.

    Returns
    -------
    (vertices (n, 3), triangles (m, 3), class value of each vertex (n,)) or None
    """
    box = around(labels)
    if box is None:
        return None
    part = labels[box]
    step = np.array([max(1, -(-side // MOST_BLOCKS)) for side in part.shape])
    vertices, faces, values, count = [], [], [], 0
    for value, share in _shares(part, step).items():
        corners, triangles = _surface(share)
        voxels = corners * step + (step - 1) / 2 + [side.start for side in box]
        vertices.append((voxels * scale + translate).astype(np.float32))
        faces.append((triangles + count).astype(np.int32))
        values.append(np.full(len(corners), value, np.float32))
        count += len(corners)
    return np.concatenate(vertices), np.concatenate(faces), np.concatenate(values)


def _shares(part: npt.NDArray[Any], step: npt.NDArray[np.int_]) -> Mapping[int, FloatPoints]:
    """Class value to the share of each block that it fills, a layer of blocks at a time: nothing as large as the map is made."""
    counts = [-(-side // int(s)) for side, s in zip(part.shape, step, strict=True)]
    pads = [(0, count * int(s) - side) for side, s, count in zip(part.shape[1:], step[1:], counts[1:], strict=True)]
    shares: dict[int, FloatPoints] = {}
    for layer in range(counts[0]):
        slab = part[layer * int(step[0]):(layer + 1) * int(step[0])]
        for value in values_in(slab):
            mask = np.pad(slab == value, ((0, 0), *pads))
            blocks = mask.reshape(len(slab), counts[1], step[1], counts[2], step[2]).sum((0, 2, 4), dtype=np.float32)
            held = shares.setdefault(int(value), np.zeros(counts, np.float32))
            held[layer] = blocks / float(np.prod(step))
    return dict(sorted(shares.items()))


def values_in(part: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The values above 0 that an array holds, counted where there are few: sorting takes far longer."""
    found = np.flatnonzero(np.bincount(part.ravel())) if part.dtype.kind in "ub" and part.dtype.itemsize <= 2 else np.unique(part)
    return found[found > 0]


def _surface(share: FloatPoints) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Marching cubes (Lewiner et al., 2003) over the share of each block that is inside, smoothed a little; in blocks."""
    from scipy.ndimage import gaussian_filter
    from skimage.measure import marching_cubes

    padded = np.pad(share, 2)
    smooth = gaussian_filter(padded, SMOOTH)
    if smooth.max() > 0.5:
        padded = smooth
    corners, triangles, *_ = marching_cubes(padded, min(0.5, float(padded.max()) / 2))
    return corners - 2, triangles


def solid_of(labels: LabelArray, grid: Geometry, colours: Mapping[int, Sequence[float]], *, lighter: bool = False) -> Solid | None:
    """What is drawn of a label map; None when it is empty.

    Parameters
    ----------
    labels : integers (z, y, x) on the grid
    colours : class value to (r, g, b), 0-1
        Classes that are not named are left out.
    lighter : bool
        A preview, lighter than what is accepted.
    """
    mesh = mesh_of(labels, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    if mesh is None:
        return None
    voxels, faces, values = mesh
    places = grid.world(voxels).astype(np.float32)
    ends = places[faces]
    sides = np.cross(ends[:, 1] - ends[:, 0], ends[:, 2] - ends[:, 0])
    normals = np.zeros_like(places)
    for corner in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(faces[:, corner], weights=sides[:, axis], minlength=len(places)).astype(np.float32)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    normals /= np.maximum(lengths, 1e-12)
    inside = _outwards(labels, voxels, grid, normals)
    normals *= inside
    longest = np.sqrt(np.quantile(((ends - np.roll(ends, 1, axis=1)) ** 2).sum(-1), 0.98))
    table = np.zeros((256, 3), np.float32)
    kept = np.zeros(256, bool)
    for value, colour in colours.items():
        table[value % 256], kept[value % 256] = colour, True
    if lighter:
        table += (1 - table) * LIGHTER
    shown = kept[values.astype(int) % 256]
    if not shown.any():
        return None
    return Solid(places[shown], normals[shown], table[values[shown].astype(int) % 256], float(longest) * 0.62)


def _outwards(labels: LabelArray, voxels: FloatPoints, grid: Geometry, normals: FloatPoints) -> float:
    """1 where the normals point out of the labels, -1 where they point inwards: which way depends on how the grid's axes run."""
    some = slice(None, None, max(1, len(voxels) // 2000))
    inwards = grid.voxel(grid.world(voxels[some]) + normals[some] * max(grid.spacing))
    outwards = grid.voxel(grid.world(voxels[some]) - normals[some] * max(grid.spacing))
    most = np.array(labels.shape) - 1

    def held(places: npt.NDArray[Any]) -> int:
        return int(np.count_nonzero(labels[tuple(np.clip(np.rint(places), 0, most).astype(int).T)]))

    return -1.0 if held(inwards) > held(outwards) else 1.0


def draw(solids: Sequence[Solid], turn: Turn, centre: PointLPS, rows: int, columns: int, zoom: float) -> Picture:
    """Draw solids from one side, orthographically.

    Parameters
    ----------
    centre : LPS mm
        What is in the middle of the picture.
    rows, columns : pixels
    zoom : float
        Pixels a mm; where discs would get wider than they may, the picture gets smaller instead.
    """
    widest = max((solid.reach for solid in solids), default=0.0) * zoom
    if widest > WIDEST_DISC:
        smaller = WIDEST_DISC / widest
        rows, columns, zoom = max(1, round(rows * smaller)), max(1, round(columns * smaller)), zoom * smaller
    depth = np.full(rows * columns, -np.inf, np.float32)
    normal = np.zeros((rows * columns, 3), np.float32)
    tint = np.zeros((rows * columns, 3), np.float32)
    matrix = turn.matrix.astype(np.float32)
    for solid in solids:
        normals = solid.normals @ matrix.T
        front = normals[:, 2] > FACING
        normals = normals[front]
        places = (solid.places[front] - np.asarray(centre, np.float32)) @ matrix.T
        far_first = np.argsort(places[:, 2])
        places, normals, colours = places[far_first], normals[far_first], solid.colours[front][far_first]
        across, down = columns / 2 + places[:, 0] * zoom, rows / 2 - places[:, 1] * zoom
        column, row = np.floor(across).astype(np.int32), np.floor(down).astype(np.int32)
        reach = max(1, int(np.ceil(solid.reach * zoom)))
        slope = normals[:, :2] / np.maximum(normals[:, 2:], STEEPEST) / zoom
        for dy, dx in product(range(-reach, reach + 1), repeat=2):
            if dx * dx + dy * dy > (reach + 0.3) ** 2:
                continue
            there = places[:, 2] - slope[:, 0] * dx + slope[:, 1] * dy
            x, y = column + dx, row + dy
            which = np.flatnonzero((x >= 0) & (x < columns) & (y >= 0) & (y < rows))
            pixels = y[which] * columns + x[which]
            nearer = there[which] > depth[pixels]
            which, pixels = _far_first(which[nearer], pixels[nearer], there)
            depth[pixels], normal[pixels], tint[pixels] = there[which], normals[which], colours[which]
    seen = depth.reshape(rows, columns)
    return Picture(_shaded(normal.reshape(rows, columns, 3), tint.reshape(rows, columns, 3), np.isfinite(seen)), seen, zoom, turn, centre)


def _shaded(normal: FloatPoints, tint: FloatPoints, held: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Colours under the light; normals are evened out over a few pixels, so that blocks do not show."""
    from scipy.ndimage import uniform_filter

    even = uniform_filter(normal, (EVEN, EVEN, 1), mode="constant")
    even /= np.maximum(np.linalg.norm(even, axis=-1, keepdims=True), 1e-6)
    light = (LIGHT / np.linalg.norm(LIGHT)).astype(np.float32)
    shade = DARKEST + (1 - DARKEST) * np.clip(even @ light, 0, 1)
    colours = np.zeros((*held.shape, 4), np.uint8)
    colours[..., :3] = np.clip(tint * shade[..., None] * 255, 0, 255)
    colours[held, 3] = 255
    return colours


def _far_first(which: npt.NDArray[np.int_], pixels: npt.NDArray[np.int_], there: FloatPoints) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    """Of several points on one pixel the one nearest to the person: NumPy keeps the last that is written, so they are put in order where a slope turned it."""
    depths = there[which]
    if (np.diff(depths) < 0).any():
        order = np.argsort(depths, kind="stable")
        return which[order], pixels[order]
    return which, pixels
