"""How a volume becomes the slices a 2D network sees, and how its answer comes back; training and segmenting share it.

Preprocessing of Salah et al., MIUA 2023: slices, min-max to [0, 1] each, bilinear to 128 x 128. Ours: slices run along the thick axis, the axes are
turned to the display order first so that a network sees the same picture whatever order a file stores, and logits (not masks) are
resampled bilinearly back to the slice before any threshold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.volume import Array, AxisMap, FloatArray, Geometry, LabelArray, Shape, Spacing, axis_map

if TYPE_CHECKING:
    from torch import Tensor

    from napari_medseg.segmenters.protocol import Focus
    from napari_medseg.segmenters.window import Place

SIZE = 128
UNKNOWN = 255
"""Label of voxels nobody has judged; a loss must not look there."""

ISOTROPIC = 1.01  # spacings nearer than 1 % are the same: headers round

Box = tuple[slice, slice, slice]


def thick_axis(spacing: Spacing) -> int:
    """The axis with the largest spacing; 0 when all are within 1 %."""
    widest = max(range(3), key=lambda axis: spacing[axis])
    return widest if spacing[widest] > ISOTROPIC * spacing[0] else 0


def slice_order(geometry: Geometry) -> AxisMap:
    """The turn from a file's (z, y, x) to (slice, row, column).

    The display order (`volume.orientation`), then the thick axis in front. `apply` gives the stack of slices, `undo` brings a
    stack back to the file's grid; both move voxels only, so a file stored the other way round gives the same stack to the bit.
    """
    turn = axis_map(geometry)
    thick = thick_axis(turn.geometry(geometry).spacing)
    axes = (thick, *(axis for axis in range(3) if axis != thick))
    return AxisMap(tuple(turn.order[a] for a in axes), tuple(turn.flipped[a] for a in axes))  # type: ignore[arg-type]


def box_in_file(turn: AxisMap, box: Box, shape: Shape) -> Box:
    """Where a box of the stack lies in the file's array.

    Parameters
    ----------
    box : (slice, row, column) ranges with start and stop
    shape : of the whole stack
    """
    parts: dict[int, slice] = {}
    for part, n, axis, flip in zip(box, shape, turn.order, turn.flipped, strict=True):
        parts[axis] = slice(n - part.stop, n - part.start) if flip else slice(part.start, part.stop)
    return parts[0], parts[1], parts[2]


def place_in_view(focus: Focus, turn: AxisMap, turned: Shape, shape: Shape) -> Place | None:
    """The slice in view on a network's grid, None along the other axes; None when nobody looks.

    Parameters
    ----------
    focus : the slice in view of the file's first axis, or what tells it
    turn : AxisMap
        From the file's axes to the network's.
    turned, shape : (z, y, x)
        The turned grid before and after resampling.
    """
    index = focus() if callable(focus) else focus
    if index is None:
        return None
    axis = turn.order.index(0)
    inside = min(max(index, 0), turned[axis] - 1)
    inside = turned[axis] - 1 - inside if turn.flipped[axis] else inside
    place: list[float | None] = [None, None, None]
    place[axis] = (inside + 0.5) * shape[axis] / turned[axis] - 0.5
    return place[0], place[1], place[2]


def normalise(slices: Array) -> FloatArray:
    """Min-max of each slice to [0, 1].

    Parameters
    ----------
    slices : (..., h, w), any real dtype
        Every (h, w) plane is a slice of its own.

    Returns
    -------
    float32, same shape
        A constant slice is all 0; what is not finite counts for nothing and becomes 0.
    """
    values = slices.astype(np.float64)  # float32 would overflow or lose the contrast of large offsets
    finite = np.isfinite(values)
    low = np.where(finite, values, np.inf).min(axis=(-2, -1), keepdims=True)
    high = np.where(finite, values, -np.inf).max(axis=(-2, -1), keepdims=True)
    reach = high / 2 - low / 2  # halves: high - low may itself overflow
    some = reach > 0  # False too for a slice without one finite value, and for differences too small to halve
    low, reach = np.where(some, low, 0.0), np.where(some, reach, 1.0)
    scaled = (np.where(finite & some, values, low) / 2 - low / 2) / reach
    return np.asarray(scaled, dtype=np.float32)


def resized(planes: Tensor, size: tuple[int, int]) -> Tensor:
    """Planes (n, c, h, w) bilinearly at another size, pixel centres kept (`align_corners=False`)."""
    from torch.nn.functional import interpolate

    return planes if tuple(planes.shape[-2:]) == tuple(size) else interpolate(planes, size=size, mode="bilinear", align_corners=False)


def prepare(stack: Array, size: int = SIZE) -> Tensor:
    """Slices as the network takes them.

    Parameters
    ----------
    stack : (n, h, w) or (c, n, h, w), any real dtype
        From `slice_order(geometry).apply(volume.array)`.

    Returns
    -------
    float32 tensor (n, c, size, size) in [0, 1]
    """
    import torch

    planes = normalise(stack if stack.ndim == 4 else stack[None])
    return resized(torch.from_numpy(planes).transpose(0, 1), (size, size)).contiguous()


def restore(logits: Tensor, size: tuple[int, int]) -> FloatArray:
    """Logits (n, classes, h, w) on the slices' own grid `size`, as float32 (classes, n, *size)."""
    back = resized(logits.detach().float().cpu(), size).transpose(0, 1)
    return np.ascontiguousarray(back.numpy())


def prepare_labels(stack: LabelArray, classes: int = 1, size: int = SIZE) -> tuple[Tensor, Tensor]:
    """A label map as the network's target.

    Parameters
    ----------
    stack : (n, h, w), 0 background, 1..classes, 255 unknown
        From `slice_order(geometry).apply(labels.array)`.

    Returns
    -------
    targets : float32 tensor (n, classes, size, size)
        Share of a pixel that is of the class, 0-1 (bilinear, as the image).
    known : float32 tensor (n, 1, size, size)
        1 where every contributing voxel has been judged, else 0.
    """
    import torch

    values = torch.from_numpy(np.array(stack, order="C"))[:, None]  # a copy: axes of one voxel may run backwards
    targets = torch.cat([(values == label).float() for label in range(1, classes + 1)], dim=1)
    known = (values != UNKNOWN).float()
    return resized(targets, (size, size)), (resized(known, (size, size)) > 0.999).float()
