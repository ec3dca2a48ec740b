"""What a volumetric model says about itself: its network, its grid, its intensities, what it outlines."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_medseg.segmenters.networks.plan import ArchitecturePlan
from napari_medseg.segmenters.networks.pruning.record import Kept, Prunable
from napari_medseg.segmenters.volumetric.fingerprint import Fingerprint
from napari_medseg.volume import Shape, Spacing

KIND = "volumetric"
MIXED = "mixed"
SLICE = 256 * 256  # pixels of a patch that is one slice
COARSER = 1.1  # than across the axial slices, before a network of slices looks at others
LEVELS = 4  # resolutions of the network, the full one included
PATCH = 96_000  # voxels of a patch
COARSE = 1.7  # an axis this much coarser than the finest waits before it is halved
SMALLEST = 4  # voxels that an axis keeps at the lowest level
WIDTHS = (16, 32, 64)


class VolumetricNetworkPlan(Prunable):
    """The arguments of `network.VolumetricNet`, and how many of them answer together.

    Attributes
    ----------
    widths : list of int
        Features of each level, the finest first.
    strides : list of (z, y, x)
        Into each level.
    kernels : list of (z, y, x)
        Of the full resolution and of each level.
    at_finest : int
        Convolutions of each path at the finest level, where levels below have two; 1 in the files of earlier versions, which do not say it.
    members : int
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["volumetric"] = "volumetric"
    in_channels: int = Field(ge=1)
    classes: int = Field(ge=1, le=254)
    widths: list[int] = Field(min_length=2)
    strides: list[tuple[int, int, int]] = Field(min_length=1)
    kernels: list[tuple[int, int, int]] = Field(min_length=2)
    at_finest: int = Field(default=1, ge=1, le=2)
    members: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _one_level_each(self) -> VolumetricNetworkPlan:
        if not len(self.widths) == len(self.strides) == len(self.kernels) - 1:
            raise ValueError("widths, strides and kernels do not fit each other")
        return self

    @property
    def step(self) -> Shape:
        """What each side of a patch is a multiple of."""
        return tuple(int(n) for n in np.prod(self.strides, axis=0))  # type: ignore[return-value]


class MixedPlan(BaseModel):
    """Networks of several architectures that answer together: the mean of their probabilities.

    Attributes
    ----------
    parts : list of ArchitecturePlan
        Each with how many there are of it; all of the same dimensions, channels and classes.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["mixed"] = "mixed"
    parts: list[ArchitecturePlan] = Field(min_length=1, max_length=32)

    @model_validator(mode="after")
    def _alike(self) -> MixedPlan:
        if len({(part.dims, part.axis, part.in_channels, part.classes) for part in self.parts}) > 1:
            raise ValueError("networks that answer together have the same dimensions, channels and classes")
        return self

    @property
    def in_channels(self) -> int:
        """Of each."""
        return self.parts[0].in_channels

    @property
    def classes(self) -> int:
        """Of each."""
        return self.parts[0].classes

    @property
    def kept(self) -> Kept:
        """Nothing is cut from them together."""
        return {}

    @property
    def members(self) -> int:
        """All of them together."""
        return sum(part.members for part in self.parts)

    @property
    def step(self) -> Shape:
        """What each side of a patch is a multiple of: what the steps of all have in common, as each makes a window longer itself where it must."""
        return tuple(int(n) for n in np.gcd.reduce([part.step for part in self.parts]))  # type: ignore[return-value]


AnyNetworkPlan = Annotated[VolumetricNetworkPlan | ArchitecturePlan | MixedPlan, Field(discriminator="kind")]


class Cleanup(BaseModel):
    """What is done to the label map of such a model, one class after the other: remove small, close, fill, keep the largest (Gil et al., MIUA 2023, 2.4).

    Attributes
    ----------
    smallest_mm2 : float
        Pieces smaller than this much of a single slice go; 0 keeps all.
    close_mm : float
        Radius of the closing; 0 closes nothing.
    fill : bool
        Fill holes, slice by slice.
    largest : bool
        Keep the largest piece of each class only.
    """

    model_config = ConfigDict(extra="forbid")

    smallest_mm2: float = Field(default=50.0, ge=0, le=1e6)
    close_mm: float = Field(default=2.0, ge=0, le=100)
    fill: bool = True
    largest: bool = True

    @property
    def told(self) -> str:
        """What it does, in words."""
        steps = [f"removes pieces below {self.smallest_mm2:g} mm² in a slice"] if self.smallest_mm2 else []
        steps += [f"closes gaps by {self.close_mm:g} mm"] if self.close_mm else []
        steps += ["fills holes"] if self.fill else []
        steps += ["keeps the largest piece"] if self.largest else []
        return ", ".join(steps)


class VolumetricPlan(BaseModel):
    """What the file of a volumetric model says about itself; the other fields are those of `segmenters.plan.Plan`.

    Attributes
    ----------
    spacing : (z, y, x) mm
        Of the grid the network sees, display order.
    patch : (z, y, x) voxels
        It was trained on.
    fingerprint : Fingerprint
        Of the scans it was trained on; their intensities settle how a scan is normalised.
    offsets : list of float
        Added to the maps of each class before the probabilities, so that 0.5 is the right place to cut (calibrated in training).
    values : list of int
        Label value of each map in the training's label maps.
    cleanup : Cleanup or None
        Done to what it labels.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    title: str = "Volumetric network"
    network: AnyNetworkPlan
    spacing: tuple[float, float, float]
    patch: tuple[int, int, int]
    fingerprint: Fingerprint
    offsets: list[float]
    values: list[int]
    classes: list[str] = Field(min_length=1)
    modalities: list[str] = Field(default_factory=list)
    threshold: float = 0.5
    cleanup: Cleanup | None = None
    licence: str = "BSD-3-Clause"
    training: dict[str, Any] = Field(default_factory=dict)
    sha256: str = ""

    @model_validator(mode="after")
    def _one_of_each_a_map(self) -> VolumetricPlan:
        if not len(self.classes) == len(self.offsets) == len(self.values) == self.network.classes:
            raise ValueError(f"names, offsets and values do not fit {self.network.classes} maps")
        return self

    @property
    def slices_along(self) -> int | None:
        """The axis (z, y, x) across which the network sees single slices; None for a network of volumes."""
        network = self.network.parts[0] if isinstance(self.network, MixedPlan) else self.network
        return network.axis if isinstance(network, ArchitecturePlan) and network.dims == 2 else None


def planned(facts: Fingerprint, values: list[int], names: list[str] | None = None) -> VolumetricPlan:
    """A network and a patch that suit a set of scans.

    Coarse axes are not halved, nor looked along, until the others have become as coarse; the patch is the median scan where that is small enough.
    """
    strides, kernels = _levels(facts.spacing, facts.shape)
    network = VolumetricNetworkPlan(
        in_channels=len(facts.channels), classes=len(values), widths=[*WIDTHS], strides=strides, kernels=kernels, at_finest=2,
    )
    return _around(network, patch_for(facts.shape, facts.spacing, np.prod(strides, axis=0), PATCH), facts, values, names)


def planned_for(network: ArchitecturePlan | MixedPlan, facts: Fingerprint, values: list[int], names: list[str] | None = None) -> VolumetricPlan:
    """A patch that suits a set of scans and a network of the catalogue; one slice along `network.axis` where it has 2 dimensions."""
    return _around(network, window_for(network, facts.shape, facts.spacing), facts, values, names)


def window_for(network: ArchitecturePlan | MixedPlan, shape: Shape, spacing: Spacing) -> Shape:
    """The patch of `planned_for`, for scans of this shape (z, y, x)."""
    first = network.parts[0] if isinstance(network, MixedPlan) else network
    return free_window(first.dims, first.axis, shape, spacing, network.step)


def free_window(dims: int, axis: int, shape: Shape, spacing: Spacing, steps: Shape = (1, 1, 1)) -> Shape:
    """Of a volume, or of one slice along an axis: as much as a patch holds, in multiples of the steps."""
    if dims == 3:
        return patch_for(shape, spacing, steps, PATCH)
    thin: Shape = tuple(1 if place == axis else n for place, n in enumerate(shape))  # type: ignore[assignment]
    return patch_for(thin, spacing, steps, SLICE)


def slice_axis(spacing: Spacing) -> int:
    """Along which slices lie: the coarsest axis, the axial slices where nothing is clearly coarser."""
    coarsest = int(np.argmax(spacing))
    return coarsest if spacing[coarsest] > COARSER * spacing[0] else 0


def patch_for(shape: Shape, spacing: Spacing, steps: npt.ArrayLike, most: int) -> Shape:
    """As much of a scan (z, y, x) as makes about `most` voxels, in multiples of the steps; all of it where that is not more."""
    step = np.asarray(steps)
    patch = np.ceil(np.array(shape) / step) * step
    while np.prod(patch) > most * 1.1 and (patch > 2 * step).any():
        extent = np.where(patch > 2 * step, patch * spacing, 0)  # what reaches farthest gives way first
        patch[extent.argmax()] -= step[extent.argmax()]
    return tuple(int(n) for n in patch)  # type: ignore[return-value]


def _around(network: AnyNetworkPlan, patch: Shape, facts: Fingerprint, values: list[int], names: list[str] | None) -> VolumetricPlan:
    return VolumetricPlan(
        network=network, spacing=facts.spacing, fingerprint=facts, offsets=[0.0] * len(values), values=values, patch=patch,
        classes=names or [f"class {value}" for value in values],
    )


def _levels(spacing: Spacing, shape: Shape) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    now, left = np.array(spacing, float), np.array(shape, float)
    strides: list[tuple[int, int, int]] = []
    kernels = [_kernel(now, left)]
    while len(strides) < LEVELS - 1:
        halved = (now <= COARSE * now[left >= 2 * SMALLEST].min(initial=np.inf)) & (left >= 2 * SMALLEST)
        if not halved.any():
            halved = np.zeros(3, bool)
        stride = np.where(halved, 2, 1)
        now, left = now * stride, left / stride
        strides.append(tuple(int(n) for n in stride))  # type: ignore[arg-type]
        kernels.append(_kernel(now, left))
    return strides, kernels


def _kernel(spacing: np.ndarray[Any, Any], shape: np.ndarray[Any, Any]) -> tuple[int, int, int]:
    long = shape >= 2 * SMALLEST  # a few slices stay as fine as they are, and say nothing about how coarse the others have become
    seen = (spacing <= 2 * COARSE * spacing[long].min(initial=np.inf)) & (shape > 1)
    return tuple(3 if flag else 1 for flag in seen)  # type: ignore[return-value]
