"""The objects that the networks of a model find on the slices of a scan, on the scan's own grid.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from napari_medseg.errors import InvalidInputError
from napari_medseg.segmenters.devices import choose
from napari_medseg.segmenters.found import Findings, Found
from napari_medseg.segmenters.networks.detection.boxes import area, overlap, suppress
from napari_medseg.segmenters.networks.detection.contours import outline
from napari_medseg.segmenters.networks.detection.detector import SAME, Detections, Detector
from napari_medseg.segmenters.volumetric.grid import Way
from napari_medseg.segmenters.volumetric.members import Architecture
from napari_medseg.segmenters.volumetric.model import VolumetricModel, window
from napari_medseg.volume import FloatArray, Geometry, Volume

SLICES = 4  # looked at together
MARGIN = 2  # pixels around a mask whose outline is drawn
WITHIN = 0.7  # share of an object inside a larger one of its class, from the window next to it, that makes it the same
Corner = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """An object on a slice of the network's grid: pixel edges (y, x)."""

    box: FloatArray
    contour: FloatArray
    label: int
    score: float


def find(model: VolumetricModel, image: Volume) -> Iterator[Findings]:
    """Objects of a scan, slice after slice; what half of a model's networks find counts.

    Raises
    ------
    InvalidInputError
        When the model's networks find no objects, or the scan has other channels than they take.
    """
    plan = model.described
    networks = detectors(model)
    axis = plan.slices_along or 0
    model.check(image)
    way = Way.of(image.geometry, plan)
    stack = np.moveaxis(way.image(image, plan.fingerprint), 1 + axis, 0)  # (slices, channels, rows, columns)
    sides = tuple(n for place, n in enumerate(window(way.shape, plan)) if place != axis)
    device = choose(model.device)
    for network in networks:
        network.to(device)
    corners = [(y, x) for y in starts(stack.shape[2], sides[0]) for x in starts(stack.shape[3], sides[1])]
    for first in range(0, len(stack), SLICES):
        part = torch.from_numpy(np.ascontiguousarray(stack[first : first + SLICES]))
        flat = on_slices(networks, part, corners, (sides[0], sides[1]), device)
        objects = [_in_file(each, first + place, axis, way, image.geometry, plan.classes) for place, some in enumerate(flat) for each in some]
        yield Findings(tuple(objects), min(1.0, (first + SLICES) / len(stack)))


def detectors(model: VolumetricModel) -> list[Detector]:
    """The networks of a model, which must be detectors.

    Raises
    ------
    InvalidInputError
        When they are not.
    """
    networks = [member.network for member in model.network.networks if isinstance(member, Architecture)]
    if not networks or not all(isinstance(network, Detector) for network in networks):
        todo = "Train one with a network that finds objects, such as hmr-net, or do without objects"
        raise InvalidInputError("answers with label maps, not with objects", where=model.described.title, todo=todo)
    return cast("list[Detector]", networks)


def starts(length: int, side: int) -> list[int]:
    """Where windows of this side begin along a slice: all of it in the middle of one, or several that overlap by half or more."""
    if length <= side:
        return [-((side - length) // 2)]
    count = -(-2 * (length - side) // side) + 1
    return [round(place) for place in np.linspace(0, length - side, count)]


def on_slices(networks: Sequence[Detector], slices: Tensor, corners: Sequence[Corner], sides: tuple[int, int], device: str = "cpu") -> list[list[Flat]]:
    """Objects on each of several slices (n, channels, rows, columns), seen through windows at these corners."""
    count, size = len(slices), (int(slices.shape[2]), int(slices.shape[3]))
    by_network: list[list[list[Flat]]] = []
    for network in networks:
        found: list[list[Flat]] = [[] for _ in range(count)]
        for corner in corners:
            windows = _cut(slices, corner, sides).to(device)
            for place, detections in enumerate(network.eval().find(windows)):
                found[place] += flattened(network, detections, corner, sides)
        by_network.append([merged(each, size) if len(corners) > 1 else [_clipped(one, size) for one in each] for each in found])
    return [agreed([found[place] for found in by_network]) for place in range(count)]


def flattened(network: Detector, found: Detections, corner: Corner, sides: tuple[int, int]) -> list[Flat]:
    """What a network found in a window, as places on the slice."""
    moved = np.array(corner, np.float32)
    objects = []
    for index in range(len(found)):
        box = found.boxes[index].cpu().numpy()
        contour = found.contours[index].cpu().numpy() if found.contours is not None else _mask_outline(network, found, index, box, sides)
        if contour is not None:
            objects.append(Flat(box + np.tile(moved, 2), contour + moved, int(found.labels[index]), float(found.scores[index])))
    return objects


def merged(objects: Sequence[Flat], size: Corner) -> list[Flat]:
    """Objects of several windows of a slice, each once: of two of a class that lie mostly in one another the larger stays, since an edge cut the other."""
    kept: list[Flat] = []
    for each in sorted((_clipped(one, size) for one in objects), key=lambda one: -_area(one)):
        if all(each.label != other.label or _inside(each, other) < WITHIN for other in kept):
            kept.append(each)
    return sorted(kept, key=lambda one: -one.score)


def agreed(by_network: Sequence[Sequence[Flat]]) -> list[Flat]:
    """Of what several networks found, what at least half of them did, as the surest of them drew it."""
    if len(by_network) == 1:
        return list(by_network[0])
    every = [(each, number) for number, some in enumerate(by_network) for each in some]
    if not every:
        return []
    boxes = torch.from_numpy(np.stack([each.box for each, _ in every]))
    scores, labels = torch.tensor([each.score for each, _ in every]), torch.tensor([each.label for each, _ in every])
    same = (overlap(boxes, boxes) > SAME) & (labels[:, None] == labels[None])
    voices = [len({every[other][1] for other in torch.nonzero(row)[:, 0].tolist()}) for row in same]
    return [every[index][0] for index in suppress(boxes, scores, SAME, labels).tolist() if 2 * voices[index] >= len(by_network)]


def _cut(slices: Tensor, corner: Corner, sides: tuple[int, int]) -> Tensor:
    """A window of slices; 0 where it reaches beyond them."""
    (y, x), (rows, columns) = corner, sides
    out = slices.new_zeros(*slices.shape[:2], rows, columns)
    top, left = max(0, y), max(0, x)
    part = slices[:, :, top : y + rows, left : x + columns]
    out[:, :, top - y : top - y + part.shape[2], left - x : left - x + part.shape[3]] = part
    return out


def _mask_outline(network: Detector, found: Detections, index: int, box: FloatArray, sides: tuple[int, int]) -> FloatArray | None:
    """The outline of a mask; None where no pixel of it is set."""
    share = network.drawn(found, index, sides).sigmoid().cpu().numpy()
    low = np.maximum(np.floor(box[:2]).astype(int) - MARGIN, 0)
    high = np.ceil(box[2:]).astype(int) + MARGIN
    part = share[low[0] : high[0], low[1] : high[1]]
    return outline(part, network.points) + low.astype(np.float32) if (part > 0.5).any() else None


def _clipped(each: Flat, size: Corner) -> Flat:
    edge = np.array(size, np.float32)
    return Flat(np.clip(each.box, 0, np.tile(edge, 2)), np.clip(each.contour, 0, edge), each.label, each.score)


def _area(each: Flat) -> float:
    return float(area(torch.from_numpy(each.box[None]))[0])


def _inside(each: Flat, other: Flat) -> float:
    """Share of a box that lies in another."""
    sides = np.clip(np.minimum(each.box[2:], other.box[2:]) - np.maximum(each.box[:2], other.box[:2]), 0, None)
    return float(sides.prod()) / max(_area(each), 1e-6)


def _in_file(each: Flat, index: int, axis: int, way: Way, geometry: Geometry, names: Sequence[str]) -> Found:
    """An object of a slice of the network's grid on the scan's own."""
    y0, x0, y1, x1 = each.box
    box = np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]], np.float32)
    corners, contour = (_places(np.insert(part - 0.5, axis, index, axis=1), way) for part in (box, each.contour))
    along = way.turn.order[axis]
    return Found.of(geometry, label=each.label, name=names[each.label - 1], score=each.score, axis=along, box=corners, contour=contour)


def _places(voxels: FloatArray, way: Way) -> FloatArray:
    """Voxel positions (n, 3) of the network's grid as those of the scan's own."""
    turned = (voxels + 0.5) * (np.array(way.turned) / np.array(way.shape)) - 0.5
    out = np.empty_like(turned)
    for place, (axis, flip) in enumerate(zip(way.turn.order, way.turn.flipped, strict=True)):
        out[:, axis] = way.turned[place] - 1 - turned[:, place] if flip else turned[:, place]
    return np.asarray(out, np.float32)
