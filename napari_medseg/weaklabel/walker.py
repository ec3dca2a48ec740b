"""The random walker's linear systems (Grady, PAMI 2006), on voxels that need not be cubes, with a classifier's opinion as prior (Grady, CVPR 2005).

The walker's ease between neighbours is exp(-beta dI**2) / step**2, the diffusion equation on an anisotropic grid: a thick slice is farther away, and
an edge across it holds as well as one in the plane. (scikit-image divides the edge by the step instead, so that at 6.5 mm classes run through.)
A prior lets the walker end where it stands, with a small ease of its own: p = (L + g I)^-1 (g u + what the marks send), u the prior's probability.

Solved by conjugate gradients with a multigrid cycle as preconditioner, one system a class but the last, in float32, until the cycle would change no
probability by more than `TOLERANCE`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import FloatArray, LabelArray, Spacing
from napari_medseg.weaklabel.compiled import compiled
from napari_medseg.weaklabel.lattice_kernels import SpanArray, flow
from napari_medseg.weaklabel.multigrid import Lattice, Multigrid, applied, lattice, over_slices

LEAST_EASE = 1e-4
TOLERANCE = 5e-3
MOST_STEPS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """Where the walkers stand.

    Attributes
    ----------
    probabilities : float32 (classes, z, y, x)
        Of ending in each class, classes ascending; changes in place until the last step.
    change : float
        The largest probability the solver would still change.
    step : int
        Of the solver, all classes counted.
    fraction : float
        Share of the work done, 0-1.
    """

    probabilities: FloatArray
    change: float
    step: int
    fraction: float


def probabilities(
    contrast: FloatArray, marks: LabelArray, spacing: Spacing, beta: float, unary: FloatArray | None = None, start: FloatArray | None = None, *,
    prior: float = 0.0,
) -> FloatArray:
    """Each class's probability to be the first a walker meets, float32 (classes, z, y, x); parameters and errors as for `walk`."""
    *_, last = walk(contrast, marks, spacing, beta, unary, start, prior=prior)
    return last.probabilities


def walk(
    contrast: FloatArray, marks: LabelArray, spacing: Spacing, beta: float, unary: FloatArray | None = None, start: FloatArray | None = None, *,
    prior: float = 0.0, tolerance: float = TOLERANCE,
) -> Iterator[Walk]:
    """Solve, step by step.

    Parameters
    ----------
    contrast : float32 (z, y, x) or (channels, z, y, x)
        The scan, classes about 1 apart; of several channels the squared changes add up.
    marks : uint8 (z, y, x)
        0 where to walk, anything else is a class; at least one of them.
    spacing : mm per voxel (z, y, x)
    beta : float
        How much an edge holds the walker back.
    unary : float32 (classes, z, y, x), optional
        What each voxel looks like on its own; probabilities, classes ascending as in the marks.
    start : float32 (classes, z, y, x), optional
        Probabilities to start from, for example those before the last stroke.
    prior : float
        Ease with which a walker ends as `unary` has it, where a step along the finest axis in flat tissue has ease 1.
    tolerance : float
        Stop when no probability would change by more.

    Yields
    ------
    Walk
        After each step; the last is the answer. Stop iterating to cancel.

    Raises
    ------
    InvalidInputError
        When nothing is marked, or the arrays do not fit each other.
    """
    present = checked_classes(contrast, marks, unary, start)
    channels = np.ascontiguousarray(contrast if contrast.ndim == 4 else contrast[None], np.float32)
    return _walk(channels, np.ascontiguousarray(marks), present, spacing, beta, unary, start, prior, tolerance)


def checked_classes(contrast: FloatArray, marks: LabelArray, unary: FloatArray | None, start: FloatArray | None) -> list[int]:
    """The marked classes, ascending, when everything lies on one grid; arrays as for `walk`.

    Raises
    ------
    InvalidInputError
        When it does not, or nothing is marked.
    """
    if marks.ndim != 3 or contrast.ndim not in (3, 4) or marks.shape != contrast.shape[-3:]:
        raise InvalidInputError("the marks lie on another grid than the scan", where="marks", todo="Draw them on this scan")
    present = [int(v) for v in np.unique(marks) if v]
    if not present:
        raise InvalidInputError("nothing is marked", where="marks", todo="Draw a stroke")
    for given, where in ((unary, "prior"), (start, "start")):
        if given is not None and given.shape != (len(present), *marks.shape):
            raise InvalidInputError(f"{given.shape[0]} maps do not fit {len(present)} marked classes on the scan's grid", where=where, todo="Give one a class")
    return present


def _walk(
    contrast: FloatArray, marks: LabelArray, present: list[int], spacing: Spacing, beta: float,
    unary: FloatArray | None, start: FloatArray | None, prior: float, tolerance: float,
) -> Iterator[Walk]:
    found = np.zeros((len(present), *marks.shape), np.float32)
    systems = len(present) - 1
    if systems:
        grid, known = _system(contrast, marks, present[:-1], spacing, beta, None if prior == 0 else unary, prior)
        cycle = Multigrid(grid)
    steps = 0
    for index in range(systems):
        if start is not None:
            found[index] = start[index]
        found[index][marks > 0] = marks[marks > 0] == present[index]
        for change in _solved(grid, cycle, known[index], found[index], tolerance):
            steps += 1
            _complete(found)
            yield Walk(found, change, steps, (index + progress(change, tolerance)) / systems)
    np.clip(found[:-1], 0, 1, out=found[:-1])
    total = found[:-1].sum(0)
    found[:-1] /= np.maximum(total, 1)
    found[-1] = np.maximum(1 - total, 0)
    yield Walk(found, 0.0, steps, 1.0)


def _complete(found: FloatArray) -> None:
    """The last class is what the others leave."""
    np.subtract(1, found[0], out=found[-1])
    for other in found[1:-1]:
        found[-1] -= other


def progress(change: float, tolerance: float) -> float:
    """Share of the work done, 0-1, were every step to bring as much."""
    return float(np.clip(np.log(max(change, 1e-12)) / np.log(tolerance), 0, 1))


def _system(
    contrast: FloatArray, marks: LabelArray, classes: list[int], spacing: Spacing, beta: float, unary: FloatArray | None, prior: float,
) -> tuple[Lattice, FloatArray]:
    """The free voxels' lattice, and what the marks and the prior send to each of them, a map for each class."""
    closeness = np.array([(min(spacing) / step) ** 2 for step in spacing], np.float32)
    z, y, x, ground = (np.empty(marks.shape, np.float32) for _ in range(4))
    over_slices(_ease, z, contrast, np.float32(beta), closeness, z, y, x)
    free = np.asarray(marks == 0, np.float32)
    known = np.empty((len(classes), *marks.shape), np.float32)
    for index, value in enumerate(classes):
        over_slices(_arriving, free, z, y, x, np.asarray(marks == value, np.float32), free, known[index])
    over_slices(_arriving, free, z, y, x, 1 - free, free, ground)
    if unary is not None:
        ground += prior * free
        known += prior * unary[: len(classes)] * free
    over_slices(_detach, free, free, z, y, x)
    return lattice(z, y, x, ground, spacing), known


def _solved(grid: Lattice, cycle: Multigrid, known: FloatArray, found: FloatArray, tolerance: float) -> Iterator[float]:
    """Preconditioned conjugate gradients in place; yields how much the cycle would still change."""
    slices = found.shape[0]
    products, largest = np.empty(slices), np.empty(slices)
    left, change, direction, image = (np.zeros_like(found) for _ in range(4))
    applied(grid, found, image, products)
    over_slices(_begin, found, grid.span, known, grid.inverse, image, left)
    cycle.cycle(left, change)
    direction[:] = change
    over_slices(_product, found, grid.span, left, change, products, largest)
    gain = float(products.sum())
    for _ in range(MOST_STEPS):
        if largest.max() <= tolerance or gain <= 0:
            return
        curvature = applied(grid, direction, image, products)
        if curvature <= 0:
            return
        over_slices(_step, found, grid.span, np.float32(gain / curvature), direction, image, found, left)
        cycle.cycle(left, change)
        over_slices(_product, found, grid.span, left, change, products, largest)
        before, gain = gain, float(products.sum())
        over_slices(_turn, found, grid.span, np.float32(gain / before), change, direction)
        yield float(largest.max())


@compiled
def _ease(start: int, stop: int, channels: FloatArray, beta: np.float32, closeness: FloatArray, z: FloatArray, y: FloatArray, x: FloatArray) -> None:
    _, depth, height, width = channels.shape
    for k in range(start, stop):
        for j in range(height):
            z[k, j], y[k, j], x[k, j] = np.float32(0), np.float32(0), np.float32(0)
            inner = x[k, j, : width - 1]
            for c in range(channels.shape[0]):
                row = channels[c, k, j]
                _add_square(row[: width - 1], row[1:], inner)
                if j + 1 < height:
                    _add_square(row, channels[c, k, j + 1], y[k, j])
                if k + 1 < depth:
                    _add_square(row, channels[c, k + 1, j], z[k, j])
            _soften(inner, beta, closeness[2])
            if j + 1 < height:
                _soften(y[k, j], beta, closeness[1])
            if k + 1 < depth:
                _soften(z[k, j], beta, closeness[0])


@compiled
def _add_square(here: FloatArray, there: FloatArray, out: FloatArray) -> None:
    for i in range(out.size):
        change = there[i] - here[i]
        out[i] += change * change


@compiled
def _soften(row: FloatArray, beta: np.float32, closeness: np.float32) -> None:
    for i in range(row.size):
        row[i] = (np.exp(-beta * row[i]) + np.float32(LEAST_EASE)) * closeness


@compiled
def _arriving(start: int, stop: int, z: FloatArray, y: FloatArray, x: FloatArray, sources: FloatArray, free: FloatArray, out: FloatArray) -> None:
    """What sources send to the free voxels next to them."""
    for k in range(start, stop):
        for j in range(out.shape[1]):
            row = out[k, j]
            flow(z, y, x, sources, k, j, 0, row.size, row)
            for i in range(row.size):
                row[i] *= free[k, j, i]


@compiled
def _detach(start: int, stop: int, free: FloatArray, z: FloatArray, y: FloatArray, x: FloatArray) -> None:
    """Nothing flows to or from marked voxels any more."""
    for k in range(start, stop):
        for j in range(free.shape[1]):
            for i in range(free.shape[2] - 1):
                x[k, j, i] *= free[k, j, i] * free[k, j, i + 1]
            if j + 1 < free.shape[1]:
                for i in range(free.shape[2]):
                    y[k, j, i] *= free[k, j, i] * free[k, j + 1, i]
            if k + 1 < free.shape[0]:
                for i in range(free.shape[2]):
                    z[k, j, i] *= free[k, j, i] * free[k + 1, j, i]


@compiled
def _begin(start: int, stop: int, span: SpanArray, known: FloatArray, inverse: FloatArray, image: FloatArray, left: FloatArray) -> None:
    """What is left to solve at first."""
    for k in range(start, stop):
        for j in range(left.shape[1]):
            for i in range(span[k, j, 0], span[k, j, 1]):
                left[k, j, i] = known[k, j, i] - image[k, j, i] if inverse[k, j, i] > 0 else np.float32(0)


@compiled
def _step(
    start: int, stop: int, span: SpanArray, length: np.float32, direction: FloatArray, image: FloatArray, found: FloatArray, left: FloatArray,
) -> None:
    for k in range(start, stop):
        for j in range(found.shape[1]):
            for i in range(span[k, j, 0], span[k, j, 1]):
                found[k, j, i] += length * direction[k, j, i]
                left[k, j, i] -= length * image[k, j, i]


@compiled
def _turn(start: int, stop: int, span: SpanArray, share: np.float32, change: FloatArray, direction: FloatArray) -> None:
    for k in range(start, stop):
        for j in range(change.shape[1]):
            for i in range(span[k, j, 0], span[k, j, 1]):
                direction[k, j, i] = change[k, j, i] + share * direction[k, j, i]


@compiled
def _product(
    start: int, stop: int, span: SpanArray, left: FloatArray, change: FloatArray, products: npt.NDArray[np.float64], largest: npt.NDArray[np.float64],
) -> None:
    for k in range(start, stop):
        total, most = 0.0, np.float32(0)
        for j in range(left.shape[1]):
            for i in range(span[k, j, 0], span[k, j, 1]):
                total += left[k, j, i] * change[k, j, i]
                most = max(most, abs(change[k, j, i]))
        products[k], largest[k] = total, most
