"""What each step of a clean-up does to the labels on the bench, class by class."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InvalidInputError
from napari_medseg.volume import BoolArray, FloatArray
from napari_medseg.weaklabel import smoothing
from napari_medseg.weaklabel.cleanup_bench import Bench
from napari_medseg.weaklabel.cleanup_steps import Close, Combine, Fill, Grow, KeepClicked, KeepLargest, Open, RemoveSmall, Shrink, Smooth, Step, Voxel
from napari_medseg.weaklabel.morphology import close_mm, grown, open_mm, shrunk, squared_distance
from napari_medseg.weaklabel.runs import pieces
from napari_medseg.weaklabel.scene import Box, box_around, joined

IntArray = npt.NDArray[np.intp]


@functools.singledispatch
def act(step: Step, bench: Bench) -> Iterator[int]:
    """Do one step; what it changes counts when it is through.

    Yields
    ------
    int
        Pieces that were dropped, after each class.

    Raises
    ------
    InvalidInputError
        When it is no step, or one that keeps what was clicked finds nothing near a click.
    """
    raise InvalidInputError(f"{type(step).__name__} is no step of a clean-up", where="clean-up", todo="Use one of those listed in cleanup_steps")


@act.register
def _(step: RemoveSmall, bench: Bench) -> Iterator[int]:
    voxel_ml = float(np.prod(bench.spacing)) / 1000
    for value in bench.classes(step):
        yield _keep(bench, value, lambda sizes: sizes * voxel_ml >= step.min_ml)


@act.register
def _(step: KeepLargest, bench: Bench) -> Iterator[int]:
    for value in bench.classes(step):
        yield _keep(bench, value, lambda sizes: _ranks(sizes) < step.count)


@act.register
def _(step: KeepClicked, bench: Bench) -> Iterator[int]:
    clicked: dict[int, list[Voxel]] = defaultdict(list)
    for point in step.points:
        voxel = _nearest_labelled(bench, point, bench.classes(step), step.reach_mm)
        if voxel is not None:
            clicked[int(bench.labels[voxel])].append(voxel)
    if not clicked:
        raise InvalidInputError(f"no piece lies within {step.reach_mm:g} mm of a click", where=step.name, todo="Click on the pieces that should stay")
    for value, points in clicked.items():
        box = bench.box(value)
        found = pieces(bench.labels[box] == value)
        stay = np.zeros(found.count, bool)
        for z, y, x in points:
            stay[found.at(z - box[0].start, y - box[1].start, x - box[2].start)] = True
        bench.put(value, box, found.mask(stay))
        yield found.count - int(stay.sum())


@act.register
def _(step: Close, bench: Bench) -> Iterator[int]:
    for value in bench.classes(step):
        box = bench.box(value)
        bench.put(value, box, close_mm(bench.labels[box] == value, step.mm, bench.spacing))
        yield 0


@act.register
def _(step: Open, bench: Bench) -> Iterator[int]:
    for value in bench.classes(step):
        box = bench.box(value, margin_voxels=1)
        bench.put(value, box, open_mm(bench.labels[box] == value, step.mm, bench.spacing))
        yield 0


@act.register
def _(step: Shrink, bench: Bench) -> Iterator[int]:
    for value in bench.classes(step):
        box = bench.box(value, margin_voxels=1)
        bench.put(value, box, shrunk(bench.labels[box] == value, step.mm, bench.spacing))
        yield 0


@act.register
def _(step: Grow, bench: Bench) -> Iterator[int]:
    around = {value: bench.box(value, step.mm) for value in bench.classes(step)}
    if not around or step.mm <= 0:
        return
    joint = functools.reduce(joined, around.values())
    part = bench.labels[joint].copy()
    nearest: FloatArray = np.full(part.shape, np.inf, np.float32)
    for value, box in around.items():
        here = _within(box, joint)
        distance = squared_distance(bench.labels[box] == value, step.mm, bench.spacing)
        nearer = (distance < nearest[here]) & (bench.labels[box] == bench.ground)
        allowed = bench.allowed(box)
        if allowed is not None:
            nearer &= allowed
        part[here][nearer] = value
        nearest[here][nearer] = distance[nearer]
        yield 0
    bench.replace(joint, part)


@act.register
def _(step: Fill, bench: Bench) -> Iterator[int]:
    for value in bench.classes(step):
        box = bench.box(value)
        mask = bench.labels[box] == value
        bench.put(value, box, _filled(mask, step.where, flat=tuple(size == 1 for size in bench.labels.shape)))
        yield 0


@act.register
def _(step: Smooth, bench: Bench) -> Iterator[int]:
    around = {value: bench.box(value, smoothing.margin_mm(step.mm)) for value in bench.classes(step)}
    if around and step.mm > 0:
        joint = functools.reduce(joined, around.values())
        local = {value: _within(box, joint) for value, box in around.items()}
        part = np.ascontiguousarray(bench.labels[joint])
        bench.replace(joint, smoothing.smooth(part, local, step.mm, bench.spacing, ground=bench.ground, allowed=bench.allowed(joint)))
        yield 0


@act.register
def _(step: Combine, bench: Bench) -> Iterator[int]:
    apart = bench.beside is not None
    values = [value for value in bench.classes(step) if apart or value != step.other]
    if step.operation == "union" and len(step.classes or values) > 1:
        raise InvalidInputError(f"class {step.other} can join one class only", where=step.name, todo="Choose the class it joins")
    if step.operation == "union" and not values and step.classes and not bench.locked(step.classes[0]):
        values = [step.classes[0]]  # not there yet
    source = bench.labels if bench.beside is None else bench.beside
    region: BoolArray = np.asarray(source == step.other)
    if step.operation == "union":
        if values and region.any():
            box = box_around(region, step.margin_mm, bench.spacing)
            over = None if apart or bench.locked(step.other) else step.other
            bench.put(values[0], box, (bench.labels[box] == values[0]) | grown(region[box], step.margin_mm, bench.spacing), over=over)
        return
    for value in values:
        box = bench.box(value)
        wide = bench.box(value, step.margin_mm)
        near = grown(region[wide], step.margin_mm, bench.spacing)[_within(box, wide)]
        bench.put(value, box, (bench.labels[box] == value) & (near if step.operation == "intersect" else ~near))
        yield 0


def _keep(bench: Bench, value: int, chosen: Callable[[IntArray], BoolArray]) -> int:
    """Keep the pieces of a class whose sizes, in voxels, are chosen; says how many went."""
    box = bench.box(value)
    found = pieces(bench.labels[box] == value)
    stay = chosen(found.sizes())
    if stay.all():
        return 0
    bench.put(value, box, found.mask(stay))
    return found.count - int(stay.sum())


def _ranks(sizes: IntArray) -> IntArray:
    """0 for the largest, 1 for the next; of two as large the first."""
    ranks = np.empty(len(sizes), np.intp)
    ranks[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return ranks


def _nearest_labelled(bench: Bench, point: Voxel, values: list[int], reach_mm: float) -> Voxel | None:
    """The voxel of one of the classes that is nearest to a click, if one is within reach."""
    shape = bench.labels.shape
    if len(point) != 3 or any(not 0 <= index < size for index, size in zip(point, shape, strict=True)):
        raise InvalidInputError(f"the click at voxel {tuple(point)} lies outside the scan", where="keep clicked", todo="Click inside the scan")
    reach = [int(reach_mm / s) for s in bench.spacing]
    box = tuple(slice(max(0, p - r), p + r + 1) for p, r in zip(point, reach, strict=True))
    places = np.argwhere(np.isin(bench.labels[box], values)) + [s.start for s in box]
    if not len(places):
        return None
    distances = (((places - point) * bench.spacing) ** 2).sum(axis=1)
    best = int(distances.argmin())
    z, y, x = (int(v) for v in places[best])
    return (z, y, x) if distances[best] <= reach_mm**2 or (z, y, x) == tuple(point) else None


def _filled(mask: BoolArray, where: str, flat: tuple[bool, ...]) -> BoolArray:
    """Without the outside that does not reach the edge of the mask's tight box; `flat` axes have no edge."""
    axes = (1, 2) if where == "slices" else tuple(axis for axis in range(3) if not flat[axis])
    outside = pieces(~mask, "slice" if where == "slices" else "faces")
    return mask | outside.mask(~outside.at_edges(axes))


def _within(box: Box, whole: Box) -> Box:
    z, y, x = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, whole, strict=True))
    return z, y, x

