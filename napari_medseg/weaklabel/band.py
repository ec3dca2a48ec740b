"""The compiled loops of a front that is only known near its surface (a sparse field).

Whitaker (International Journal of Computer Vision, 1998) moves the voxels that touch the surface and gives their neighbours distances from them; Lefohn et al.
(IEEE TVCG, 2004) do so on graphics cards. Here voxels are boxes in millimetres: the voxels on both sides of the surface (the active ones) follow the
equation with Godunov's upwind differences (Osher and Sethian, 1988), and two layers around them get their distances from Eikonal's equation
|grad phi| = 1, solved from the layer before (Rouy and Tourin, 1992).

All arrays are flat views of one box in C order. Each voxel has a byte of state: its layer, and which lists it is on. A list may hold voxels that have
left its layer since; they are passed over and swept out now and then.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import numpy.typing as npt

from napari_medseg.weaklabel.compiled import compiled

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int32]
Counts = npt.NDArray[np.intp]

LAYER = 3  # the bits of the state that hold the layer
ACTIVE, NEAR, NEXT = 1, 2, 3
ON_ACTIVE, ON_NEAR, ON_NEXT = 4, 8, 16  # bits: on which lists it is
FRESH = 32  # bit: its distance is still to be found
BORDER = 64  # bit: it lies on the box's border, so that not all neighbours are there; right for all that are on a list
EMPTY, MIXED, FULL = 0, 1, 2  # rows
NONE = 1e30


@compiled
def row_of(k: int, z0: int, y0: int, rows: int, ny: int) -> int:
    """The number in the whole volume of row `k` (all x of one z, y) of some slices from `z0` on, of which each has `rows` rows from `y0` on."""
    return (z0 + k // rows) * ny + y0 + k % rows


@compiled
def hold(start: int, stop: int, inside: Bools, allowed: Bools, kept: Bools, z0: int, y0: int, rows: int, ny: int, nx: int, filled: Bytes) -> None:
    """Take out of a mask what is not allowed and put in what is kept, row by row; say which rows are empty, mixed or full."""
    for k in range(start, stop):
        row = row_of(k, z0, y0, rows, ny)
        first, last = row * nx, (row + 1) * nx
        some = False
        for v in range(first, last):
            some |= inside[v] | kept[v]
        if not some:
            filled[row] = EMPTY
            continue
        some, every = False, True
        for v in range(first, last):
            now = kept[v] | (inside[v] & allowed[v])
            inside[v] = now
            some |= now
            every &= now
        filled[row] = FULL if every else MIXED if some else EMPTY


@compiled
def on_border(v: int, nz: int, ny: int, nx: int) -> int:
    """BORDER for a voxel on the border of the box, else 0; axes of one voxel make all of them border."""
    z, y, x = v // (ny * nx), v // nx % ny, v % nx
    return BORDER if z == 0 or z == nz - 1 or y == 0 or y == ny - 1 or x == 0 or x == nx - 1 else 0


@compiled
def crossed(v: int, border: int, inside: Bools, nz: int, ny: int, nx: int) -> bool:
    """Whether the surface runs between a voxel and one of its six neighbours."""
    plane = ny * nx
    own = inside[v]
    if not border:
        return bool(
            inside[v - 1] != own or inside[v + 1] != own or inside[v - nx] != own
            or inside[v + nx] != own or inside[v - plane] != own or inside[v + plane] != own
        )
    z, y, x = v // plane, v // nx % ny, v % nx
    return bool(
        (x > 0 and inside[v - 1] != own)
        or (x < nx - 1 and inside[v + 1] != own)
        or (y > 0 and inside[v - nx] != own)
        or (y < ny - 1 and inside[v + nx] != own)
        or (z > 0 and inside[v - plane] != own)
        or (z < nz - 1 and inside[v + plane] != own)
    )


@compiled
def uneven(row: int, filled: Bytes, nz: int, ny: int) -> bool:
    """Whether the surface may touch a row: not where it and the rows beside it are all empty or all full."""
    z, y, own = row // ny, row % ny, filled[row]
    return bool(
        own == MIXED or (y > 0 and filled[row - 1] != own) or (y < ny - 1 and filled[row + 1] != own)
        or (z > 0 and filled[row - ny] != own) or (z < nz - 1 and filled[row + ny] != own)
    )


@compiled
def count_surface(start: int, stop: int, inside: Bools, filled: Bytes, z0: int, y0: int, rows: int, nz: int, ny: int, nx: int, counts: Counts) -> None:
    """How many voxels touch the surface, row by row."""
    for k in range(start, stop):
        row, found = row_of(k, z0, y0, rows, ny), 0
        if uneven(row, filled, nz, ny):
            for v in range(row * nx, (row + 1) * nx):
                if crossed(v, on_border(v, nz, ny, nx), inside, nz, ny, nx):
                    found += 1
        counts[k] = found


@compiled
def list_surface(start: int, stop: int, inside: Bools, z0: int, y0: int, rows: int, nz: int, ny: int, nx: int, places: Counts, active: Indices) -> None:
    """The voxels that touch the surface, in order; row `k` begins at `places[k]` of the list."""
    for k in range(start, stop):
        place = places[k]
        if place == places[k + 1]:
            continue
        row = row_of(k, z0, y0, rows, ny)
        for v in range(row * nx, (row + 1) * nx):
            if crossed(v, on_border(v, nz, ny, nx), inside, nz, ny, nx):
                active[place] = v
                place += 1


@compiled
def first_distances(
    start: int, stop: int, active: Indices, inside: Bools, nz: int, ny: int, nx: int, sz: float, sy: float, sx: float, phi: Floats, state: Bytes,
) -> None:
    """Distances of a mask whose surface runs half way between voxels, and the state of the voxels that touch it."""
    plane = ny * nx
    for k in range(start, stop):
        v = active[k]
        z, y, x = v // plane, v // nx % ny, v % nx
        own = inside[v]
        steep = 0.0
        if (x > 0 and inside[v - 1] != own) or (x < nx - 1 and inside[v + 1] != own):
            steep += 4.0 / (sx * sx)
        if (y > 0 and inside[v - nx] != own) or (y < ny - 1 and inside[v + nx] != own):
            steep += 4.0 / (sy * sy)
        if (z > 0 and inside[v - plane] != own) or (z < nz - 1 and inside[v + plane] != own):
            steep += 4.0 / (sz * sz)
        distance = 1.0 / sqrt(steep)
        phi[v] = -distance if own else distance
        state[v] = ACTIVE | ON_ACTIVE | on_border(v, nz, ny, nx)


@compiled
def eikonal(az: float, ay: float, ax: float, wz: float, wy: float, wx: float) -> float:
    """The distance whose upwind gradient is 1, from a neighbour's distance along each axis (NONE: no neighbour); w is 1 / spacing^2."""
    lowest = min(az, ay, ax)
    if az == lowest:
        a1, w1, a2, w2, a3, w3 = az, wz, ay, wy, ax, wx
    elif ay == lowest:
        a1, w1, a2, w2, a3, w3 = ay, wy, az, wz, ax, wx
    else:
        a1, w1, a2, w2, a3, w3 = ax, wx, az, wz, ay, wy
    if a2 > a3:
        a2, w2, a3, w3 = a3, w3, a2, w2
    found = a1 + 1.0 / sqrt(w1)
    if found <= a2:
        return found
    weight, first, second = w1 + w2, w1 * a1 + w2 * a2, w1 * a1 * a1 + w2 * a2 * a2
    found = (first + sqrt(max(first * first - weight * (second - 1.0), 0.0))) / weight
    if found <= a3:
        return found
    weight, first, second = weight + w3, first + w3 * a3, second + w3 * a3 * a3
    return (first + sqrt(max(first * first - weight * (second - 1.0), 0.0))) / weight


@compiled
def from_layer(v: int, layer: int, mask: int, phi: Floats, inside: Bools, state: Bytes, nz: int, ny: int, nx: int, wz: float, wy: float, wx: float) -> float:
    """A voxel's distance from its neighbours in a layer, positive on its own side; NONE without such a neighbour.

    `mask` is which bits of the state must equal `layer`.
    """
    plane = ny * nx
    z0, z1, y0, y1, x0, x1 = v - plane, v + plane, v - nx, v + nx, v - 1, v + 1
    if state[v] & BORDER:  # a voxel is no neighbour of itself: it is never in the layer that is asked for
        z, y, x = v // plane, v // nx % ny, v % nx
        z0, z1 = z0 if z > 0 else v, z1 if z < nz - 1 else v
        y0, y1 = y0 if y > 0 else v, y1 if y < ny - 1 else v
        x0, x1 = x0 if x > 0 else v, x1 if x < nx - 1 else v
    sign = -1.0 if inside[v] else 1.0
    ax = min(sign * phi[x0] if state[x0] & mask == layer else NONE, sign * phi[x1] if state[x1] & mask == layer else NONE)
    ay = min(sign * phi[y0] if state[y0] & mask == layer else NONE, sign * phi[y1] if state[y1] & mask == layer else NONE)
    az = min(sign * phi[z0] if state[z0] & mask == layer else NONE, sign * phi[z1] if state[z1] & mask == layer else NONE)
    if min(az, ay, ax) == NONE:
        return NONE
    return eikonal(az, ay, ax, wz, wy, wx)


@compiled
def relayer(
    start: int, stop: int, voxels: Indices, layer: int, phi: Floats, inside: Bools, state: Bytes, nz: int, ny: int, nx: int, wz: float, wy: float, wx: float,
) -> None:
    """Distances of the voxels of one layer from the layer before; who has no neighbour there any more falls back by one."""
    for k in range(start, stop):
        v = voxels[k]
        if state[v] & LAYER != layer:
            continue
        distance = from_layer(v, layer - 1, LAYER, phi, inside, state, nz, ny, nx, wz, wy, wx)
        if distance == NONE:
            state[v] = (state[v] & ~LAYER & 255) | (0 if layer == NEXT else NEXT)
        else:
            phi[v] = -distance if inside[v] else distance


@compiled
def _below(v: int, layer: int, sign: float, own: float, phi: Floats, state: Bytes) -> float:
    """The distance of a neighbour in some layer or one before if it is on the same side and nearer to the surface."""
    distance, there = sign * phi[v], state[v] & LAYER
    return distance if 0 < there <= layer and 0 <= distance < own else NONE


@compiled
def gentle(
    start: int, stop: int, voxels: Indices, layer: int, phi: Floats, state: Bytes, nz: int, ny: int, nx: int, wz: float, wy: float, wx: float, out: Floats,
) -> None:
    """Distances of a layer's voxels, no farther from the surface than neighbours on the same side allow: a gradient of 1 at most.

    Across thick slices a voxel may seem far from the surface above it while the rim of its own slice is near.
    """
    plane = ny * nx
    for k in range(start, stop):
        v = voxels[k]
        out[k] = phi[v]
        if state[v] & LAYER != layer:
            continue
        z0, z1, y0, y1, x0, x1 = v - plane, v + plane, v - nx, v + nx, v - 1, v + 1
        if state[v] & BORDER:
            z, y, x = v // plane, v // nx % ny, v % nx
            z0, z1 = z0 if z > 0 else v, z1 if z < nz - 1 else v
            y0, y1 = y0 if y > 0 else v, y1 if y < ny - 1 else v
            x0, x1 = x0 if x > 0 else v, x1 if x < nx - 1 else v
        sign = -1.0 if phi[v] < 0 else 1.0
        own = sign * phi[v]
        az = min(_below(z0, layer, sign, own, phi, state), _below(z1, layer, sign, own, phi, state))
        ay = min(_below(y0, layer, sign, own, phi, state), _below(y1, layer, sign, own, phi, state))
        ax = min(_below(x0, layer, sign, own, phi, state), _below(x1, layer, sign, own, phi, state))
        if min(az, ay, ax) < NONE:
            out[k] = sign * min(own, eikonal(az, ay, ax, wz, wy, wx))


@compiled
def put(start: int, stop: int, active: Indices, values: Floats, phi: Floats) -> None:
    """Values of a list's voxels into the box."""
    for k in range(start, stop):
        phi[active[k]] = values[k]
