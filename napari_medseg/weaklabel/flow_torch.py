"""One step of a front as tensor operations: what flow.py and band.py do voxel by voxel, done to a whole box at once.

Distances are known on three layers around the surface, as there: the voxels beside it, which move, and two layers that follow. Everywhere else phi holds
+-`UNKNOWN`. Every function is a stencil of one voxel that reads a field once and writes a field once, so a compiler can make one pass of each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from napari_medseg.weaklabel.flow import FLAT, THICK
from napari_medseg.weaklabel.front import COURANT, NEAR_PASSES

UNKNOWN = 1e6  # mm
FRESH, FAR = 2 * UNKNOWN, 4 * UNKNOWN  # beside the surface since this step; not beside it
ALLOWED, KEPT, TURNED = 1, 2, 4  # bits of the flags
BARELY = 0.02  # of half a voxel: no voxel that has just come beside the surface is nearer to it
STEP_BYTES = 13 + 14 + 4 * 8  # read and written per voxel by the six passes of `step`, without edges
LEAST_BYTES = 4 + 4 + 4 + 1  # any dense step: phi in and out, speed, flags

At = Callable[[int, int, int], Tensor]


def neighbours(field: Tensor) -> At:
    """The field (z, y, x) shifted by so many voxels along z, y, x (each -1, 0 or 1); at the border a voxel is its own neighbour."""
    wide = pad(field[None, None], (1,) * 6, mode="replicate")[0, 0]
    nz, ny, nx = field.shape

    def at(dz: int, dy: int, dx: int) -> Tensor:
        return wide[1 + dz : 1 + dz + nz, 1 + dy : 1 + dy + ny, 1 + dx : 1 + dx + nx]

    return at


def crossings(at: At) -> tuple[Tensor, Tensor, Tensor]:
    """Along which axes the surface runs between a voxel and a neighbour, three bool (z, y, x)."""
    own = at(0, 0, 0) < 0
    return (
        ((at(-1, 0, 0) < 0) != own) | ((at(1, 0, 0) < 0) != own),
        ((at(0, -1, 0) < 0) != own) | ((at(0, 1, 0) < 0) != own),
        ((at(0, 0, -1) < 0) != own) | ((at(0, 0, 1) < 0) != own),
    )


def start(inside: Tensor, spacing: Tensor, thickness: int = 0) -> Tensor:
    """Distances of a mask whose surface runs half way between voxels: phi, float32 (z, y, x); `thickness` as for `step`."""
    sign = torch.where(inside, -1.0, 1.0)
    across_z, across_y, across_x = crossings(neighbours(sign))
    steep = 4 * (across_z / spacing[0] ** 2 + across_y / spacing[1] ** 2 + across_x / spacing[2] ** 2)
    layer = sign * torch.where(steep > 0, steep.clamp(min=FLAT).rsqrt(), UNKNOWN)
    for _ in range(thickness):
        layer = even(layer, layer, spacing)
    return _layers(PLAIN, layer, spacing, thickness)


class Passes(NamedTuple):
    """The passes of a step, so that each can be compiled on its own; the last runs twice."""

    rates: Callable[..., tuple[Tensor, Tensor]]
    move: Callable[..., tuple[Tensor, Tensor, Tensor]]
    classes: Callable[..., Tensor]
    join: Callable[..., Tensor]
    follow: Callable[..., Tensor]
    even: Callable[..., Tensor]


def step(
    passes: Passes, phi: Tensor, speed: Tensor, stopping: Tensor | None, flags: Tensor, spacing: Tensor, inverse: Tensor, least: Tensor, terms: Tensor,
    thickness: int = 0,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Move the front once.

    Parameters
    ----------
    phi, speed, stopping : float32 (z, y, x)
    flags : uint8 (z, y, x)
        Bits `ALLOWED`, `KEPT` and `TURNED` (has turned over since it was cleared).
    spacing, inverse : (3,) float32
        Mm per voxel, and 1 over it; the latter 0 along an axis of one voxel.
    least : float32
        How far from the surface what is kept or not allowed stays, mm.
    terms : (4,) float32
        Edge share, balloon, curvature, and the pull of edges.
    thickness : int
        The coarsest step in finest ones where slices are thick, so that distances are evened out in the slice; else 0.

    Returns
    -------
    phi, flags : as given
    time : float32
        The step taken, 0 when nothing moves.
    turned : int64
        How many voxels turned over.
    """
    rate, fastest = passes.rates(phi, speed, stopping, flags, inverse, terms)
    time = torch.where(fastest > 0, COURANT / fastest, 0.0)
    moved, flags, turned = passes.move(phi, rate, time, flags, spacing, least)
    layer = passes.join(passes.classes(moved), spacing, least)
    return _layers(passes, layer, spacing, thickness), flags, time, turned


def _layers(passes: Passes, layer: Tensor, spacing: Tensor, thickness: int) -> Tensor:
    """Two layers more around what lies beside the surface."""
    near = passes.follow(layer, spacing)
    for _ in range(min(thickness, NEAR_PASSES)):
        near = torch.where(layer.abs() < UNKNOWN, layer, passes.even(near, near, spacing))
    return passes.follow(near, spacing)


def move(phi: Tensor, rate: Tensor, time: Tensor, flags: Tensor, spacing: Tensor, least: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Move what lies beside the surface; a voxel there is no farther from it than its neighbour across is. The rest is `UNKNOWN`.

    Returns phi in mm (z, y, x), the flags, and how many voxels turned over; `rate` is as `rates` gives it, all else as `step` tells.
    """
    across_z, across_y, across_x = crossings(neighbours(phi))
    most = torch.minimum(
        torch.minimum(torch.where(across_z, spacing[0], UNKNOWN), torch.where(across_y, spacing[1], UNKNOWN)), torch.where(across_x, spacing[2], UNKNOWN)
    )
    moved = torch.maximum(torch.minimum(phi + time * rate, most), -most)
    kept, allowed = (flags & KEPT) > 0, (flags & ALLOWED) > 0
    moved = torch.where(kept, torch.minimum(moved, -least), torch.where(allowed, moved, torch.maximum(moved, least)))
    beside = most < UNKNOWN
    inside = phi < 0
    turned = beside & ((moved < 0) != inside)
    moved = torch.where(beside, moved, torch.where(inside, -UNKNOWN, UNKNOWN))
    return moved, torch.where(turned, flags | TURNED, flags), turned.sum()


def rates(phi: Tensor, speed: Tensor, stopping: Tensor | None, flags: Tensor, inverse: Tensor, terms: Tensor) -> tuple[Tensor, Tensor]:
    """Rates of change of phi beside the surface (0 elsewhere), and the largest 1 / dt that any voxel moving towards it asks for.

    Rates are float32 (z, y, x), mm in a time of 1; arguments as for `step`.
    """
    at = neighbours(phi)
    iz, iy, ix = inverse[0], inverse[1], inverse[2]
    back_z, fore_z = (phi - at(-1, 0, 0)) * iz, (at(1, 0, 0) - phi) * iz
    back_y, fore_y = (phi - at(0, -1, 0)) * iy, (at(0, 1, 0) - phi) * iy
    back_x, fore_x = (phi - at(0, 0, -1)) * ix, (at(0, 0, 1) - phi) * ix
    edge, balloon, tension, pull = terms[0], terms[1], terms[2], terms[3]
    push, bend = speed, tension
    if stopping is not None:
        push = (1 - edge) * speed + edge * balloon * stopping
        bend = tension * (1 - edge + edge * stopping)
    out = torch.where(push > 0, 1.0, -1.0)
    gz, gy, gx = (torch.maximum(out * back, -out * fore).clamp(min=0) for back, fore in ((back_z, fore_z), (back_y, fore_y), (back_x, fore_x)))
    square = gz * gz + gy * gy + gx * gx
    steep = square.clamp(min=FLAT).sqrt()
    sloped = square > FLAT
    rate = torch.where(sloped, -push * steep, 0.0)
    asked = torch.where(sloped, push.abs() * (gz * iz + gy * iy + gx * ix) / steep, 0.0)
    if stopping is not None:
        near = neighbours(stopping)
        for one, other, back, fore, inv in (
            (near(1, 0, 0), near(-1, 0, 0), back_z, fore_z, iz), (near(0, 1, 0), near(0, -1, 0), back_y, fore_y, iy),
            (near(0, 0, 1), near(0, 0, -1), back_x, fore_x, ix),
        ):
            flow = -pull * (one - other) * inv * 0.5
            rate = rate - flow * torch.where(flow > 0, back, fore)
            asked = asked + flow.abs() * inv
    finest = torch.maximum(torch.maximum(iz, iy), ix)
    inside = phi < 0
    open_z, open_y, open_x = (
        ~((THICK * inv < finest) & ((one < 0) == (other < 0)) & ((one < 0) != inside))
        for inv, one, other in ((iz, at(-1, 0, 0), at(1, 0, 0)), (iy, at(0, -1, 0), at(0, 1, 0)), (ix, at(0, 0, -1), at(0, 0, 1)))
    )
    back_z, fore_z, back_y, fore_y, back_x, fore_x = back_z * open_z, fore_z * open_z, back_y * open_y, fore_y * open_y, back_x * open_x, fore_x * open_x
    pz, py, px = (back_z + fore_z) * 0.5, (back_y + fore_y) * 0.5, (back_x + fore_x) * 0.5
    square = pz * pz + py * py + px * px
    pzz, pyy, pxx = (fore_z - back_z) * iz, (fore_y - back_y) * iy, (fore_x - back_x) * ix
    pzy = (at(1, 1, 0) - at(1, -1, 0) - at(-1, 1, 0) + at(-1, -1, 0)) * (iz * iy * 0.25 * (open_z & open_y))
    pzx = (at(1, 0, 1) - at(1, 0, -1) - at(-1, 0, 1) + at(-1, 0, -1)) * (iz * ix * 0.25 * (open_z & open_x))
    pyx = (at(0, 1, 1) - at(0, 1, -1) - at(0, -1, 1) + at(0, -1, -1)) * (iy * ix * 0.25 * (open_y & open_x))
    bent = (pyy + pxx) * pz * pz + (pzz + pxx) * py * py + (pzz + pyy) * px * px - 2 * (pz * py * pzy + pz * px * pzx + py * px * pyx)
    rate = rate + torch.where(square > FLAT, bend * bent / square.clamp(min=FLAT), 0.0)
    across_z, across_y, across_x = crossings(at)
    rate = torch.where((across_z | across_y | across_x) & ((flags & ALLOWED) > 0), rate, 0.0)
    return rate, torch.where(rate * phi < 0, asked + 2 * tension * (iz * iz + iy * iy + ix * ix), 0.0).amax()


def classes(moved: Tensor) -> Tensor:
    """What was beside the surface and still is keeps its distance; what came beside it is `FRESH`, what is not beside it `FAR`.

    Both the field given and the one returned are float32 (z, y, x), mm, negative inside.
    """
    across_z, across_y, across_x = crossings(neighbours(moved))
    beside = across_z | across_y | across_x
    kind = torch.where(beside, torch.where(moved.abs() < UNKNOWN, moved.abs(), FRESH), FAR)
    return torch.where(moved < 0, -kind, kind)


def join(phi: Tensor, spacing: Tensor, least: Tensor) -> Tensor:
    """Distances of what has just come beside the surface, from what was there before.

    `phi` is (z, y, x) as `classes` gives it; `spacing` and `least` as for `step`, mm.
    """
    distance = _from_known(phi, spacing)
    distance = torch.where(distance < UNKNOWN, torch.maximum(distance, BARELY * least), least)
    kind = phi.abs()
    size = torch.where(kind == FRESH, distance, kind.clamp(max=UNKNOWN))
    return torch.where(phi < 0, -size, size)


def follow(phi: Tensor, spacing: Tensor) -> Tensor:
    """Distances of one layer more, from the layer before: `phi` (z, y, x) in mm, `UNKNOWN` beyond that layer; `spacing` as for `step`."""
    distance = _from_known(phi, spacing).clamp(max=UNKNOWN)
    return torch.where(phi.abs() < UNKNOWN, phi, torch.where(phi < 0, -distance, distance))


def even(phi: Tensor, own: Tensor, spacing: Tensor) -> Tensor:
    """Known distances, no farther from the surface than nearer neighbours on the same side allow: `band.gentle`.

    `own` are these distances, `phi` those of the neighbours, both (z, y, x) in mm; `spacing` as for `step`.
    """
    size = own.abs()
    distance = torch.where(size < UNKNOWN, torch.minimum(size, _from_known(phi, spacing, size)), size)
    return torch.where(own < 0, -distance, distance)


def _from_known(phi: Tensor, spacing: Tensor, below: Tensor | None = None) -> Tensor:
    """The distance, positive on a voxel's own side, whose upwind gradient over known neighbours is 1; `UNKNOWN` or more without any.

    With `below` only neighbours on the same side that are nearer to the surface than this count.
    """
    at = neighbours(phi)
    sign = torch.where(phi < 0, -1.0, 1.0)
    lowest = []
    for dz, dy, dx in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        sides = (at(dz, dy, dx), at(-dz, -dy, -dx))
        counts = (side.abs() < UNKNOWN if below is None else (sign * side >= 0) & (sign * side < below) for side in sides)
        one, other = (torch.where(count, sign * side, UNKNOWN) for count, side in zip(counts, sides, strict=True))
        lowest.append(torch.minimum(one, other))
    a, b, c = (lowest[axis] for axis in range(3))
    wa, wb, wc = (torch.broadcast_to(spacing[axis] ** -2, phi.shape) for axis in range(3))
    a, b, wa, wb = _ordered(a, b, wa, wb)
    b, c, wb, wc = _ordered(b, c, wb, wc)
    a, b, wa, wb = _ordered(a, b, wa, wb)
    db, dc = b - a, c - a  # distances above the lowest keep their digits
    one = wa.rsqrt()
    weight, first, second = wa + wb, wb * db, wb * db * db
    two = (first + (first * first - weight * (second - 1)).clamp(min=0).sqrt()) / weight
    weight, first, second = weight + wc, first + wc * dc, second + wc * dc * dc
    three = (first + (first * first - weight * (second - 1)).clamp(min=0).sqrt()) / weight
    return a + torch.where(one <= db, one, torch.where(two <= dc, two, three))


def _ordered(a: Tensor, b: Tensor, wa: Tensor, wb: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    swap = b < a
    return torch.where(swap, b, a), torch.where(swap, a, b), torch.where(swap, wb, wa), torch.where(swap, wa, wb)


PLAIN = Passes(rates, move, classes, join, follow, even)
