"""The compiled loops that move a front: how fast, how far, and what turns over.

Two passes, so that the order of voxels and the number of cores change nothing: first every active voxel's rate from the distances as they are, then all
distances at once. What has turned over changes the layers afterwards, in the order of the list.
"""

from __future__ import annotations

from math import sqrt

from napari_medseg.weaklabel.band import (
    ACTIVE,
    BORDER,
    FRESH,
    LAYER,
    NEAR,
    NEXT,
    NONE,
    ON_ACTIVE,
    ON_NEAR,
    ON_NEXT,
    Bools,
    Bytes,
    Counts,
    Floats,
    Indices,
    crossed,
    from_layer,
    on_border,
)
from napari_medseg.weaklabel.compiled import compiled

THICK = 2.0  # times the finest step: where the target is one such slice thick, its two faces are no bend of its surface
FLAT = 1e-12  # a squared gradient below this has no direction


@compiled
def rates(
    start: int, stop: int, active: Indices, phi: Floats, state: Bytes, allowed: Bools, speed: Floats, stopping: Floats, nz: int, ny: int, nx: int,
    sz: float, sy: float, sx: float, iz: float, iy: float, ix: float, edge: float, balloon: float, tension: float, pull: float, out: Floats, bounds: Floats,
) -> float:
    """Rates of change of phi at the active voxels, and the largest 1 / dt that one moving to the surface asks for (Courant, Friedrichs, Lewy).

    `iz, iy, ix` are 1 / spacing, 0 along an axis of one voxel; `stopping` is empty where edges do not count. `bounds` takes how far from the surface a
    voxel can be, as it runs before its neighbour.
    """
    plane = ny * nx
    fastest = 0.0
    edges = stopping.size > 0
    diffusion = 2.0 * tension * (iz * iz + iy * iy + ix * ix)
    finest = max(iz, iy, ix)
    thick_z, thick_y, thick_x = THICK * iz < finest, THICK * iy < finest, THICK * ix < finest
    for k in range(start, stop):
        v = active[k]
        own = state[v]
        bounds[k] = NONE
        out[k] = 0.0
        if own & LAYER != ACTIVE or not allowed[v]:
            continue
        dz0, dz1, dy0, dy1, dx0, dx1 = -plane, plane, -nx, nx, -1, 1
        if own & BORDER:
            z, y, x = v // plane, v // nx % ny, v % nx
            dz0, dz1 = dz0 if z > 0 else 0, dz1 if z < nz - 1 else 0
            dy0, dy1 = dy0 if y > 0 else 0, dy1 if y < ny - 1 else 0
            dx0, dx1 = dx0 if x > 0 else 0, dx1 if x < nx - 1 else 0
        centre = phi[v]
        pz0, pz1, py0, py1, px0, px1 = phi[v + dz0], phi[v + dz1], phi[v + dy0], phi[v + dy1], phi[v + dx0], phi[v + dx1]
        if centre < 0:
            most = min(sz if max(pz0, pz1) >= 0 else NONE, sy if max(py0, py1) >= 0 else NONE, sx if max(px0, px1) >= 0 else NONE)
        else:
            most = min(sz if min(pz0, pz1) < 0 else NONE, sy if min(py0, py1) < 0 else NONE, sx if min(px0, px1) < 0 else NONE)
        bounds[k] = most
        back_z, fore_z = (centre - pz0) * iz, (pz1 - centre) * iz
        back_y, fore_y = (centre - py0) * iy, (py1 - centre) * iy
        back_x, fore_x = (centre - px0) * ix, (px1 - centre) * ix
        push = speed[v]
        bend = tension
        if edges:
            g = stopping[v]
            push = (1.0 - edge) * push + edge * balloon * g
            bend = tension * (1.0 - edge + edge * g)
        if push > 0:
            gz, gy, gx = max(back_z, -fore_z, 0.0), max(back_y, -fore_y, 0.0), max(back_x, -fore_x, 0.0)
        else:
            gz, gy, gx = max(-back_z, fore_z, 0.0), max(-back_y, fore_y, 0.0), max(-back_x, fore_x, 0.0)
        square = gz * gz + gy * gy + gx * gx
        rate = 0.0
        asked = 0.0
        if square > FLAT:
            steep = sqrt(square)
            rate = -push * steep
            asked = abs(push) * (gz * iz + gy * iy + gx * ix) / steep
        if edges and pull > 0:
            flow_z = -pull * (stopping[v + dz1] - stopping[v + dz0]) * iz * 0.5
            flow_y = -pull * (stopping[v + dy1] - stopping[v + dy0]) * iy * 0.5
            flow_x = -pull * (stopping[v + dx1] - stopping[v + dx0]) * ix * 0.5
            rate -= flow_z * (back_z if flow_z > 0 else fore_z) + flow_y * (back_y if flow_y > 0 else fore_y) + flow_x * (back_x if flow_x > 0 else fore_x)
            asked += abs(flow_z) * iz + abs(flow_y) * iy + abs(flow_x) * ix
        if bend > 0:
            if thick_z and (pz0 < 0) == (pz1 < 0) != (centre < 0):
                back_z, fore_z, dz0, dz1 = 0.0, 0.0, 0, 0
            if thick_y and (py0 < 0) == (py1 < 0) != (centre < 0):
                back_y, fore_y, dy0, dy1 = 0.0, 0.0, 0, 0
            if thick_x and (px0 < 0) == (px1 < 0) != (centre < 0):
                back_x, fore_x, dx0, dx1 = 0.0, 0.0, 0, 0
            pz, py, px = (back_z + fore_z) * 0.5, (back_y + fore_y) * 0.5, (back_x + fore_x) * 0.5
            square = pz * pz + py * py + px * px
            if square > FLAT:
                pzz, pyy, pxx = (fore_z - back_z) * iz, (fore_y - back_y) * iy, (fore_x - back_x) * ix
                pzy = (phi[v + dz1 + dy1] - phi[v + dz1 + dy0] - phi[v + dz0 + dy1] + phi[v + dz0 + dy0]) * iz * iy * 0.25
                pzx = (phi[v + dz1 + dx1] - phi[v + dz1 + dx0] - phi[v + dz0 + dx1] + phi[v + dz0 + dx0]) * iz * ix * 0.25
                pyx = (phi[v + dy1 + dx1] - phi[v + dy1 + dx0] - phi[v + dy0 + dx1] + phi[v + dy0 + dx0]) * iy * ix * 0.25
                bent = (pyy + pxx) * pz * pz + (pzz + pxx) * py * py + (pzz + pyy) * px * px
                bent -= 2.0 * (pz * py * pzy + pz * px * pzx + py * px * pyx)
                rate += bend * bent / square
        out[k] = rate
        if rate * centre < 0:
            fastest = max(fastest, asked + diffusion)
    return fastest


@compiled
def move(
    start: int, stop: int, active: Indices, rate: Floats, bounds: Floats, step: float, least: float, phi: Floats, inside: Bools, state: Bytes,
    allowed: Bools, kept: Bools, turned: Indices,
) -> int:
    """Move the active voxels by one step and list those that turn over, from `start` of the list on; how many there are.

    What is kept or not allowed stays `least` mm on its side.
    """
    count = 0
    for k in range(start, stop):
        v = active[k]
        if state[v] & LAYER != ACTIVE:
            continue
        new = min(max(phi[v] + step * rate[k], -bounds[k]), bounds[k])
        if kept[v]:
            new = min(new, -least)
        elif not allowed[v]:
            new = max(new, least)
        phi[v] = new
        if (new < 0) != inside[v]:
            turned[start + count] = v
            count += 1
    return count


@compiled
def turn(turned: Indices, inside: Bools, nz: int, ny: int, nx: int, box: Counts) -> None:
    """Turn voxels over in the mask and widen the box (first and last z, y, x) around what changed."""
    plane = ny * nx
    for k in range(turned.size):
        v = turned[k]
        inside[v] = not inside[v]
        z = v // plane
        y = (v - z * plane) // nx
        x = v - z * plane - y * nx
        box[0], box[1] = min(box[0], z), max(box[1], z)
        box[2], box[3] = min(box[2], y), max(box[3], y)
        box[4], box[5] = min(box[4], x), max(box[5], x)


@compiled
def neighbour(v: int, which: int, nz: int, ny: int, nx: int) -> int:
    """One of the six neighbours of a voxel, -1 beyond the border."""
    plane = ny * nx
    z = v // plane
    y = (v - z * plane) // nx
    x = v - z * plane - y * nx
    if which == 0:
        return v - 1 if x > 0 else -1
    if which == 1:
        return v + 1 if x < nx - 1 else -1
    if which == 2:
        return v - nx if y > 0 else -1
    if which == 3:
        return v + nx if y < ny - 1 else -1
    if which == 4:
        return v - plane if z > 0 else -1
    return v + plane if z < nz - 1 else -1


@compiled
def wrap(
    fresh: Indices, count: int, near: Indices, following: Indices, sizes: Counts, state: Bytes, nz: int, ny: int, nx: int, tile: int, tiles: Bytes,
) -> None:
    """Put the two layers around new active voxels; mark the tiles that these and the first layer lie in.

    `sizes` holds how many voxels are on the three lists.
    """
    plane = ny * nx
    tiles_y, tiles_x = (ny + tile - 1) // tile, (nx + tile - 1) // tile
    for k in range(count):
        v = fresh[k]
        tiles[(v // plane // tile * tiles_y + v % plane // nx // tile) * tiles_x + v % nx // tile] = 1
        for which in range(6):
            u = neighbour(v, which, nz, ny, nx)
            if u < 0 or state[u] & LAYER == ACTIVE or state[u] & LAYER == NEAR:
                continue
            tiles[(u // plane // tile * tiles_y + u % plane // nx // tile) * tiles_x + u % nx // tile] = 1
            state[u] = (state[u] & ~LAYER & 255) | NEAR | on_border(u, nz, ny, nx)
            if state[u] & ON_NEAR == 0:
                state[u] |= ON_NEAR
                near[sizes[1]] = u
                sizes[1] += 1
            for other in range(6):
                w = neighbour(u, other, nz, ny, nx)
                if w < 0 or state[w] & LAYER != 0:
                    continue
                state[w] = (state[w] & ~LAYER & 255) | NEXT | on_border(w, nz, ny, nx)
                if state[w] & ON_NEXT == 0:
                    state[w] |= ON_NEXT
                    following[sizes[2]] = w
                    sizes[2] += 1


@compiled
def follow(
    turned: Indices, active: Indices, near: Indices, sizes: Counts, fresh: Indices, distances: Floats, phi: Floats, inside: Bools, state: Bytes,
    nz: int, ny: int, nx: int, wz: float, wy: float, wx: float, least: float,
) -> int:
    """Who is active now that some voxels turned over; the distances of those that were not before, from those that were. How many are new.

    A voxel that was on the list of active ones before and comes back is new as well; its place on the list is the old one.
    """
    count = 0
    for k in range(turned.size):
        for which in range(-1, 6):
            u = turned[k] if which < 0 else neighbour(turned[k], which, nz, ny, nx)
            if u < 0:
                continue
            touches = crossed(u, state[u] & BORDER, inside, nz, ny, nx)
            layer = state[u] & LAYER
            if touches and layer != ACTIVE:
                state[u] = (state[u] & ~LAYER & 255) | ACTIVE | FRESH
                fresh[count] = u
                count += 1
            elif not touches and layer == ACTIVE:
                state[u] = (state[u] & ~LAYER & 255) | NEAR
                if state[u] & ON_NEAR == 0:
                    state[u] |= ON_NEAR
                    near[sizes[1]] = u
                    sizes[1] += 1
    for k in range(count):
        distance = from_layer(fresh[k], ACTIVE, LAYER | FRESH, phi, inside, state, nz, ny, nx, wz, wy, wx)
        distances[k] = max(distance, least * 0.02) if distance != NONE else least
    for k in range(count):
        u = fresh[k]
        phi[u] = -distances[k] if inside[u] else distances[k]
        state[u] &= ~FRESH & 255
        if state[u] & ON_ACTIVE == 0:
            state[u] |= ON_ACTIVE
            active[sizes[0]] = u
            sizes[0] += 1
    return count


@compiled
def sweep(active: Indices, near: Indices, following: Indices, sizes: Counts, state: Bytes) -> None:
    """Drop from the lists who left their layers; what fell from the first layer to the second changes lists."""
    stay = 0
    for k in range(sizes[0]):
        v = active[k]
        if state[v] & LAYER == ACTIVE:
            active[stay] = v
            stay += 1
        else:
            state[v] &= ~ON_ACTIVE & 255
    sizes[0] = stay
    stay = 0
    for k in range(sizes[1]):
        v = near[k]
        if state[v] & LAYER == NEAR:
            near[stay] = v
            stay += 1
            continue
        state[v] &= ~ON_NEAR & 255
        if state[v] & LAYER == NEXT and state[v] & ON_NEXT == 0:
            state[v] |= ON_NEXT
            following[sizes[2]] = v
            sizes[2] += 1
    sizes[1] = stay
    stay = 0
    for k in range(sizes[2]):
        v = following[k]
        if state[v] & LAYER == NEXT:
            following[stay] = v
            stay += 1
        else:
            state[v] &= ~ON_NEXT & 255
    sizes[2] = stay
