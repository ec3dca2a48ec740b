"""The examples on the network's grid, and patches of them.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor

from napari_medseg.errors import NoLabelsError
from napari_medseg.refine.cases import Case
from napari_medseg.refine.medseg.augment import Strength, box_of, cut, uniform, warp
from napari_medseg.refine.method import Example, Learning
from napari_medseg.refine.trust import WEIGHTS, Trust, locked, weights
from napari_medseg.segmenters.volumetric.grid import Way
from napari_medseg.segmenters.volumetric.plan import VolumetricPlan
from napari_medseg.volume import Array, Shape, Spacing, axis_map

INSIDE = 0.67  # share of the patches of a large scan that are laid around a labelled voxel
PLACES = 4000  # labelled voxels of a scan that a patch may be laid around
LEAST = 1e-3  # weight: less is as good as none
ROOM = 0.4  # of the free memory that scans may take before they are kept in a file


@dataclass(slots=True, eq=False)
class Prepared:
    """One example on the network's grid.

    Attributes
    ----------
    id : str
    way : Way
        To that grid and back.
    image : float16 (c, z, y, x)
    given : float16 (classes, z, y, x)
        Share of each class in the labels given.
    weight : float16 (1, z, y, x)
        What a voxel counts in the loss; 0 where unknown.
    settled : bool (z, y, x)
        Where a person settled the label.
    places : int (classes, n, 3)
        Labelled voxels of each class.
    target : float16 (classes, z, y, x)
        What is taught now; `given` at first.
    """

    id: str
    way: Way
    image: Tensor
    given: Tensor
    weight: Tensor
    settled: Tensor
    places: list[Tensor]
    target: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.target = self.given

    @property
    def shape(self) -> Shape:
        """(z, y, x) voxels."""
        return self.way.shape

    def teach(self, target: Tensor, box: tuple[slice, slice, slice]) -> None:
        """Teach this inside a box from now on, background outside it; what a person settled and what nobody knows stays as given.

        The target is (classes, *box): the share of each class, 0-1.
        """
        moved = torch.zeros_like(self.given)
        moved[(slice(None), *box)] = target.to(moved.dtype)
        self.target = torch.where(self.settled | (self.weight[0] == 0), self.given, moved)


def prepared(
    examples: Sequence[Example], plan: VolumetricPlan, levels: Mapping[Trust, float] = WEIGHTS, folder: Path | None = None,
) -> Iterator[Prepared]:
    """The examples, one after the other; in files of `folder` where one is given."""
    for example in examples:
        way = Way.of(example.image.geometry, plan)
        maps = way.maps(example.labels, plan.values)
        trust = way.levels(example.trust)
        given, known = maps[:-1], maps[-1:]
        weight = weights(trust, levels)[None] * known * (known >= 0.5)
        places = [torch.from_numpy(np.argwhere((given[c] > 0.5) & (weight[0] > 0)).astype(np.int32)) for c in range(len(given))]
        yield Prepared(
            example.id, way, _kept(way.image(example.image, plan.fingerprint), folder), _kept(given, folder), _kept(weight, folder),
            torch.from_numpy(locked(trust)), [some[:: -(-len(some) // PLACES)] if len(some) else some for some in places],
        )


def prepare(examples: Sequence[Example], plan: VolumetricPlan, scratch: Path) -> Generator[Learning, None, list[Prepared]]:
    """All examples; in files of the folder `scratch` where they would take too much of the memory. Yields how far it is."""
    folder, cases = scratch if large(examples, plan) else None, []
    for case in prepared(examples, plan, folder=folder):
        cases.append(case)
        yield Learning(0.02 * len(cases) / len(examples), f"Preparing scan {len(cases)} of {len(examples)}")
    return cases


def require_known(examples: Sequence[Example], values: Sequence[int]) -> None:
    """Refuse examples that teach nothing.

    Raises
    ------
    NoLabelsError
        When there is no example, no class, or no voxel whose label is known.
    """
    if not examples or not values:
        raise NoLabelsError("there is nothing to learn from", where="examples", todo="Give at least one scan with a label")
    if not any((example.trust != Trust.UNKNOWN).any() for example in examples):
        raise NoLabelsError("no voxel has a known label", where="labels", todo="Give labels in which 255 (unknown) does not cover everything")


def memory_for_cases(cases: Sequence[Case], classes: int) -> tuple[int, int, int]:
    """Channels of the cases, bytes that they take in a round beside themselves, and voxels of the largest."""
    sizes = [int(np.prod(case.image.geometry.shape)) for case in cases]
    channels = max(case.image.channels for case in cases)
    return channels, min(sum(sizes) * 2 * (channels + 2 * classes + 2), int(ROOM * psutil.virtual_memory().available)), max(sizes)


def typical_grid(cases: Sequence[Case]) -> tuple[Shape, Spacing]:
    """Median shape and spacing (mm) of the cases, (z, y, x) in display order."""
    grids = [axis_map(case.image.geometry).geometry(case.image.geometry) for case in cases]
    shape, spacing = (np.median([getattr(grid, name) for grid in grids], axis=0).tolist() for name in ("shape", "spacing"))
    return tuple(int(n) for n in shape), tuple(spacing)  # type: ignore[return-value]


def large(examples: Sequence[Example], plan: VolumetricPlan) -> bool:
    """Whether the examples on the network's grid would take too much of the memory."""
    voxels = sum(int(np.prod(Way.of(e.image.geometry, plan).shape)) for e in examples)
    return bool(voxels * 2 * (plan.network.in_channels + 2 * plan.network.classes + 2) > ROOM * psutil.virtual_memory().available)


def _kept(array: Array, folder: Path | None) -> Tensor:
    if folder is None:
        return torch.from_numpy(array.astype(np.float16))
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".npy", delete=False) as file:
        name = Path(file.name)
    held = np.lib.format.open_memmap(name, "w+", np.float16, array.shape)
    held[...] = array
    return torch.from_numpy(held)


def patch(case: Prepared, plan: VolumetricPlan, strength: Strength, generator: torch.Generator, device: str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
    """A random patch of a case: image (c, ...), targets (classes, ...), weights (1, ...), float32, made on the device.

    Targets are brought along multiplied by their weights, so that a voxel next to an unknown one takes nothing of it.
    """
    middle = _middle(case, plan, strength, generator)
    warped = warp(plan.patch, plan.spacing, strength, generator)
    box = box_of(middle, warped, case.shape)
    part = (slice(None), *box)
    image, target, weight = (maps[part].to(device).float() for maps in (case.image, case.target, case.weight))
    start = torch.tensor([side.start for side in box])
    maps = cut(torch.cat([image, target * weight, weight]), middle - start, warped, plan.patch)
    image, target, weight = torch.split(maps, [len(image), len(target), 1])
    some = weight > LEAST
    nothing = torch.zeros((), device=maps.device)
    return image, torch.where(some, target / weight.clamp(min=LEAST), nothing), torch.where(some, weight, nothing)


def _middle(case: Prepared, plan: VolumetricPlan, strength: Strength, generator: torch.Generator) -> Tensor:
    """Around a labelled voxel, each class as often as another, or anywhere; a scan that fits into the patch lies near its middle."""
    shape, size = torch.tensor(case.shape, dtype=torch.float32), torch.tensor(plan.patch, dtype=torch.float32)
    middle = (shape - 1) / 2
    found = [some for some in case.places if len(some)]
    if found and torch.rand((), generator=generator) < INSIDE:
        some = found[int(torch.randint(len(found), (), generator=generator))]
        wanted = some[int(torch.randint(len(some), (), generator=generator))].float() + uniform((3,), 0.25, generator) * size
    else:
        wanted = torch.rand(3, generator=generator) * shape
    room = (shape - size).clamp(min=0) / 2
    inside = torch.minimum(torch.maximum(wanted, middle - room), middle + room)
    shifted = inside + uniform((3,), strength.shift_mm, generator) / torch.tensor(plan.spacing)
    if plan.slices_along is not None:  # slices as the scan has them, not what lies between two
        shifted[plan.slices_along] = shifted[plan.slices_along].round().clamp(0, case.shape[plan.slices_along] - 1)
    return shifted
