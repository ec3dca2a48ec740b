"""The loops behind `multigrid`: sums over voxels' six neighbours, sweeps, and the way between levels.

All arrays are float32 (z, y, x). `span` tells each row's first voxel that something flows to, and the one after its last; beyond, conductances are 0, and
what is solved for is 0 and stays so.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import FloatArray
from napari_medseg.weaklabel.compiled import compiled

SpanArray = npt.NDArray[np.int32]
Times = tuple[int, int, int]


@compiled
def sum_up(
    start: int, stop: int, z: FloatArray, y: FloatArray, x: FloatArray, ground: FloatArray, total: FloatArray, inverse: FloatArray, span: SpanArray,
) -> None:
    """Each voxel's conductances in all, one over them, and each row's span."""
    ones = np.ones(ground.shape[2], np.float32)
    for k in range(start, stop):
        for j in range(ground.shape[1]):
            row, inverted = total[k, j], inverse[k, j]
            for i in range(row.size):
                row[i] = ground[k, j, i] + z[k, j, i] + y[k, j, i] + x[k, j, i]
            if k > 0:
                _add_product(z[k - 1, j], ones, row)
            if j > 0:
                _add_product(y[k, j - 1], ones, row)
            for i in range(1, row.size):
                row[i] += x[k, j, i - 1]
            first, last = row.size, 0
            for i in range(row.size):
                inverted[i] = np.float32(1) / row[i] if row[i] > 0 else np.float32(0)
                if row[i] > 0:
                    first, last = min(first, i), i + 1
            span[k, j, 0], span[k, j, 1] = min(first, last), last


@compiled
def _add_product(conductance: FloatArray, values: FloatArray, out: FloatArray) -> None:
    for i in range(out.size):
        out[i] += conductance[i] * values[i]


@compiled
def flow(z: FloatArray, y: FloatArray, x: FloatArray, values: FloatArray, k: int, j: int, start: int, stop: int, row: FloatArray) -> None:
    """What flows into each voxel of a part of a row from its neighbours, those along the row only from within that part."""
    east, here, out = x[k, j, start:stop], values[k, j, start:stop], row[start:stop]
    for i in range(out.size - 1):
        out[i] = east[i] * here[i + 1]
    out[out.size - 1] = np.float32(0)
    for i in range(1, out.size):
        out[i] += east[i - 1] * here[i - 1]
    if k > 0:
        _add_product(z[k - 1, j, start:stop], values[k - 1, j, start:stop], out)
    if j > 0:
        _add_product(y[k, j - 1, start:stop], values[k, j - 1, start:stop], out)
    if j + 1 < values.shape[1]:
        _add_product(y[k, j, start:stop], values[k, j + 1, start:stop], out)
    if k + 1 < values.shape[0]:
        _add_product(z[k, j, start:stop], values[k + 1, j, start:stop], out)


@compiled
def first_sweep(start: int, stop: int, span: SpanArray, right: FloatArray, inverse: FloatArray, out: FloatArray) -> None:
    """The red voxels of a sweep that starts from zero."""
    for k in range(start, stop):
        for j in range(out.shape[1]):
            first, last = span[k, j, 0], span[k, j, 1]
            out[k, j] = np.float32(0)
            here, given, inverted = out[k, j, first:last], right[k, j, first:last], inverse[k, j, first:last]
            odd = (k + j + first) % 2
            for i in range(here.size):
                if (i + odd) & 1 == 0:
                    here[i] = given[i] * inverted[i]


@compiled
def relax(
    start: int, stop: int, span: SpanArray, z: FloatArray, y: FloatArray, x: FloatArray, inverse: FloatArray, right: FloatArray, colour: int, out: FloatArray,
) -> None:
    """Solve each voxel of a colour; its neighbours are all of the other."""
    row = np.empty(out.shape[2], np.float32)
    for k in range(start, stop):
        for j in range(out.shape[1]):
            first, last = span[k, j, 0], span[k, j, 1]
            if first == last:
                continue
            flow(z, y, x, out, k, j, first, last, row)
            here, given, inverted, sent = out[k, j, first:last], right[k, j, first:last], inverse[k, j, first:last], row[first:last]
            odd = (k + j + first + colour) % 2
            for i in range(here.size):
                solved = (given[i] + sent[i]) * inverted[i]
                here[i] = solved if (i + odd) & 1 == 0 else here[i]


@compiled
def apply(
    start: int, stop: int, span: SpanArray, z: FloatArray, y: FloatArray, x: FloatArray, total: FloatArray, values: FloatArray, out: FloatArray,
    products: npt.NDArray[np.float64],
) -> None:
    """A values, and each slice's values . A values."""
    for k in range(start, stop):
        product = 0.0
        for j in range(out.shape[1]):
            first, last = span[k, j, 0], span[k, j, 1]
            if first == last:
                continue
            flow(z, y, x, values, k, j, first, last, out[k, j])
            row, here, all_of = out[k, j, first:last], values[k, j, first:last], total[k, j, first:last]
            for i in range(row.size):
                row[i] = all_of[i] * here[i] - row[i]
            for i in range(row.size):
                product += here[i] * row[i]
        products[k] = product


@compiled
def restrict(
    start: int, stop: int, span: SpanArray, z: FloatArray, y: FloatArray, x: FloatArray, total: FloatArray, right: FloatArray, values: FloatArray,
    times: Times, out: FloatArray,
) -> None:
    """What is left to solve, summed over each coarse voxel."""
    depth, height, width = right.shape
    row = np.zeros(width, np.float32)
    for k in range(start, stop):
        for j in range(out.shape[1]):
            summed = out[k, j]
            summed[:] = np.float32(0)
            for c in range(k * times[0], min((k + 1) * times[0], depth)):
                for b in range(j * times[1], min((j + 1) * times[1], height)):
                    first, last = span[c, b, 0], span[c, b, 1]
                    if first == last:
                        continue
                    flow(z, y, x, values, c, b, first, last, row)
                    for i in range(first, last):
                        row[i] += right[c, b, i] - total[c, b, i] * values[c, b, i]
                    if times[2] == 1:
                        for i in range(first, last):
                            summed[i] += row[i]
                        continue
                    if first % 2:
                        row[first - 1] = np.float32(0)
                    for i in range(first // 2, last // 2):
                        summed[i] += row[2 * i] + row[2 * i + 1]
                    if last % 2:
                        summed[last // 2] += row[last - 1]


@compiled
def prolong(start: int, stop: int, span: SpanArray, coarse: FloatArray, times: Times, inverse: FloatArray, out: FloatArray) -> None:
    """Add what coarse voxels found."""
    for k in range(start, stop):
        for j in range(out.shape[1]):
            first, last = span[k, j, 0], span[k, j, 1]
            above, here, held = coarse[k // times[0], j // times[1]], out[k, j], inverse[k, j]
            if times[2] == 1:
                for i in range(first, last):
                    here[i] += above[i] if held[i] > 0 else np.float32(0)
            else:
                for i in range((first + 1) // 2, (last + 1) // 2):
                    here[2 * i] += above[i] if held[2 * i] > 0 else np.float32(0)
                for i in range(first // 2, last // 2):
                    here[2 * i + 1] += above[i] if held[2 * i + 1] > 0 else np.float32(0)


@compiled
def down(
    span: SpanArray, z: FloatArray, y: FloatArray, x: FloatArray, total: FloatArray, inverse: FloatArray, right: FloatArray, times: Times,
    out: FloatArray, coarse_right: FloatArray,
) -> None:
    """The way down through a level, in one call."""
    first_sweep(0, out.shape[0], span, right, inverse, out)
    relax(0, out.shape[0], span, z, y, x, inverse, right, 1, out)
    restrict(0, coarse_right.shape[0], span, z, y, x, total, right, out, times, coarse_right)


@compiled
def up(
    span: SpanArray, z: FloatArray, y: FloatArray, x: FloatArray, inverse: FloatArray, right: FloatArray, coarse: FloatArray, times: Times, out: FloatArray,
) -> None:
    """The way up through a level, in one call."""
    prolong(0, out.shape[0], span, coarse, times, inverse, out)
    relax(0, out.shape[0], span, z, y, x, inverse, right, 1, out)
    relax(0, out.shape[0], span, z, y, x, inverse, right, 0, out)


@compiled
def settle(
    span: SpanArray, z: FloatArray, y: FloatArray, x: FloatArray, inverse: FloatArray, right: FloatArray, out: FloatArray, sweeps: int,
) -> None:
    """The last level, swept from zero until little is left: as often forwards as backwards."""
    first_sweep(0, out.shape[0], span, right, inverse, out)
    relax(0, out.shape[0], span, z, y, x, inverse, right, 1, out)
    for half in range(4 * sweeps + 1):
        relax(0, out.shape[0], span, z, y, x, inverse, right, half % 2, out)
    relax(0, out.shape[0], span, z, y, x, inverse, right, 1, out)
    relax(0, out.shape[0], span, z, y, x, inverse, right, 0, out)


@compiled
def add_up(start: int, stop: int, fine: FloatArray, times: Times, between: Times, out: FloatArray) -> None:
    """Sums over coarse voxels; `between`: 1 along the axis on which only what leads from one coarse voxel to the next counts."""
    for k in range(start, stop):
        for j in range(out.shape[1]):
            for i in range(out.shape[2]):
                total = np.float32(0)
                for c in range(k * times[0] + between[0], min((k + 1) * times[0], fine.shape[0])):
                    for b in range(j * times[1] + between[1], min((j + 1) * times[1], fine.shape[1])):
                        for a in range(i * times[2] + between[2], min((i + 1) * times[2], fine.shape[2])):
                            total += fine[c, b, a]
                out[k, j, i] = total
