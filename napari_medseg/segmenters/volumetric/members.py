"""The networks that answer together in a volumetric model: the product's own, or any of the catalogue.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from napari_medseg.errors import CatalogueError, InvalidInputError, MedsegError, SegmenterError
from napari_medseg.segmenters.networks.building import build
from napari_medseg.segmenters.networks.network import Network
from napari_medseg.segmenters.networks.plan import ArchitecturePlan
from napari_medseg.segmenters.networks.probing import last_layers
from napari_medseg.segmenters.networks.pruning.cutting import cut
from napari_medseg.segmenters.plan import TODO, reason
from napari_medseg.segmenters.volumetric.network import VolumetricNet
from napari_medseg.segmenters.volumetric.plan import AnyNetworkPlan, MixedPlan

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Of logits (n, classes, ...), targets (n, classes, ...), weights (n, 1, ...) and the windows (n, channels, ...)."""
ODD = (TypeError, ValueError, ArithmeticError, AssertionError, LookupError, AttributeError, RuntimeError)
"""What architectures raise on numbers that make no network."""


class Architecture(nn.Module):
    """A network of the catalogue among volumes: windows (n, channels, z, y, x), logits (n, classes, z, y, x) against a background of 0.

    One of 2 dimensions sees windows of one slice along `plan.axis`. Its maps start at the log-odds of `expected`, which no training moves.

    Parameters
    ----------
    plan : ArchitecturePlan
    seed : int
        Of the weights.

    Attributes
    ----------
    network : Network
    expected : (classes,)

    Raises
    ------
    CatalogueError, UnavailableError, InvalidInputError
        As `building.build`, and when the parameters make no network.
    """

    expected: Tensor

    def __init__(self, plan: ArchitecturePlan, seed: int = 0) -> None:
        super().__init__()
        self.plan = plan
        try:
            self.network: Network = build(
                plan.name, in_channels=plan.in_channels, classes=plan.classes, dims=plan.dims, seed=seed, **plan.parameters,
            )
        except ODD as error:
            if isinstance(error, MedsegError | NotImplementedError):
                raise
            raise InvalidInputError(f"its parameters make no network ({error})", where=plan.name, todo="Give the parameters that the entry names") from error
        self.register_buffer("expected", torch.zeros(plan.classes))

    def forward(self, windows: Tensor) -> Tensor:
        """Logits of windows; of one slice for a network of 2 dimensions."""
        logits: Tensor = self.spread(self.network(self.flat(windows)))
        return logits + self.expected[:, None, None, None]

    def flat(self, windows: Tensor) -> Tensor:
        """Windows (n, ..., z, y, x) as the network sees them: without the axis of the slices, one voxel long, where it has 2 dimensions."""
        return windows if self.plan.dims == 3 else windows.squeeze(2 + self.plan.axis)

    def spread(self, maps: Tensor) -> Tensor:
        """The way back from `flat`: maps (n, ..., z, y, x)."""
        return maps if self.plan.dims == 3 else maps.unsqueeze(2 + self.plan.axis)

    def loss(self, windows: Tensor, targets: Tensor, weights: Tensor, chosen: Loss) -> Tensor:
        """What an update learns from: `own_loss` of a network that has one (one that finds objects), else the chosen loss of its maps.

        Parameters
        ----------
        windows, targets, weights : (n, ..., z, y, x)
        chosen : callable
            Takes logits, targets, weights and the windows; without the axis of the slices where the network has 2 dimensions.
        """
        seen, wanted, counted = self.flat(windows), self.flat(targets), self.flat(weights)
        own = getattr(self.network, "own_loss", None)
        answer: Tensor = chosen(self.flat(self(windows)).float(), wanted, counted, seen) if own is None else own(seen, wanted, counted)
        return answer

    def expect(self, share: Sequence[float]) -> None:
        """Begin with each class as likely as it is; one that finds objects begins with none, and its maps stay as they are drawn."""
        if hasattr(self.network, "own_loss"):
            return
        known = torch.tensor(list(share)).clamp(1e-4, 0.9)
        self.expected.copy_((known / (1 - known.sum()).clamp(min=0.05)).log())

    def frozen_parts(self, freeze: str) -> list[nn.Module | nn.Parameter]:
        """What "none", "encoder" or "all but last" leaves alone; the last layers are those at the end that work at one resolution."""
        if freeze == "encoder":
            seen = {name for name, _ in self.network.encoder()}
            inside = [(part, {f"{name}.{own}" for own, _ in part.named_parameters()}) for name, part in self.network.named_modules() if name]
            return [*(part for part, own in inside if own and own <= seen), *(value for _, value in self.network.encoder())]
        if freeze == "all but last":
            last = last_layers(self.network, torch.zeros(1, self.plan.in_channels, *self._flat_step))
            learning = {id(value) for part in last for value in part.parameters(recurse=False)}
            alone = [part for part in self.network.modules() if next(part.children(), None) is None and part not in last]
            return [*alone, *(value for value in self.network.parameters() if id(value) not in learning)]
        return []

    @property
    def _flat_step(self) -> list[int]:
        """Sides of a small window that the network takes, two steps long."""
        return [2 * step for axis, step in enumerate(self.plan.step) if self.plan.dims == 3 or axis != self.plan.axis]


Member = VolumetricNet | Architecture


def made(plan: AnyNetworkPlan, seed: int = 0) -> Member:
    """A network by its plan, with weights drawn by a seed; torch's own draws are left as they were.

    Raises
    ------
    CatalogueError, UnavailableError, InvalidInputError
        As `Architecture` does; also when the plan is of several architectures.
    """
    if isinstance(plan, MixedPlan):
        raise InvalidInputError("are networks of several architectures", where="plan", todo="Choose a model of one")
    if isinstance(plan, ArchitecturePlan):
        return cut(Architecture(plan, seed), plan.kept)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return cut(VolumetricNet(plan), plan.kept)


def described(name: str, *, in_channels: int, classes: int, dims: int, axis: int, parameters: Mapping[str, Any]) -> ArchitecturePlan:
    """The plan of a network of the catalogue.

    Raises
    ------
    CatalogueError, UnavailableError, InvalidInputError
        As `Architecture` does; also when a parameter is neither number nor word.
    """
    try:
        plan = ArchitecturePlan(name=name, dims=dims, axis=axis, in_channels=in_channels, classes=classes, parameters=dict(parameters))  # type: ignore[arg-type]
    except ValidationError as error:
        raise InvalidInputError(f"makes no network ({reason(error)})", where=name, todo="Give the parameters that the entry names") from error
    step = list(Architecture(plan).network.step)
    if dims == 2:
        step.insert(axis, 1)
    return plan.model_copy(update={"step": tuple(step)})


def new_member(plan: AnyNetworkPlan, share: Sequence[float], seed: int) -> Member:
    """One that has learnt nothing yet, but how likely each class is."""
    network = made(plan, seed)
    network.expect(share)
    return network


def read_members(plan: AnyNetworkPlan, tensors: Mapping[str, Tensor], where: Path) -> list[Member]:
    """The networks that a file's plan names, for its weights to be put into; room for them is only taken once their sizes are known to be those of the file.

    Raises
    ------
    SegmenterError
        When the catalogue has no such network, its parameters make none, or the weights are those of another.
    UnavailableError
        When a package it needs is missing.
    """
    parts: Sequence[AnyNetworkPlan] = plan.parts if isinstance(plan, MixedPlan) else [plan]
    name, first, found = plan.kind, 0, list[Member]()
    try:
        for part in parts:
            name = getattr(part, "name", part.kind)
            if isinstance(part, ArchitecturePlan) and not _fits(part, tensors, first):
                raise SegmenterError(f"holds weights that are not those of the network '{name}' it names", where=where, todo=TODO)
            found += [made(part) for _ in range(part.members)]
            first += part.members
    except CatalogueError as error:
        todo = "Update napari-medseg, or add the entry of that network to the catalogue"
        raise SegmenterError(f"needs the network '{name}', which cannot be built here ({error.what})", where=where, todo=todo) from error
    except InvalidInputError as error:
        raise SegmenterError(f"names a network that cannot be made ({error.what})", where=where, todo="Update napari-medseg or choose another model") from error
    return found


def _fits(plan: ArchitecturePlan, tensors: Mapping[str, Tensor], index: int) -> bool:
    """Whether the tensors of the network at this place have the names and shapes of such a one; found out on tensors without content."""
    try:
        with torch.device("meta"):
            wanted = {name: value.shape for name, value in made(plan).state_dict().items()}
    except NotImplementedError:  # an architecture that needs numbers to be built: its weights are compared when they are put in
        return True
    first = f"networks.{index}."
    return wanted == {name.removeprefix(first): value.shape for name, value in tensors.items() if name.startswith(first)}


def carry(old: Architecture, new: Architecture, pairs: Sequence[tuple[int, int]]) -> None:
    """Put the weights of a network into one of the same architecture: all of them where the classes are the same, else all but the maps that are new.

    Parameters
    ----------
    pairs : (place among the new maps, place among the old), ...
        Of the classes that both know.
    """
    weights = {name: value.clone() for name, value in old.network.state_dict().items()}
    if list(pairs) != [(place, place) for place in range(new.plan.classes)] or old.plan.classes != new.plan.classes:
        axes = class_axes(new.plan)
        for name, fresh in new.network.state_dict().items():
            if name in axes:
                weights[name] = _rows(weights[name], fresh, axes[name], pairs, old.plan.classes)
    new.network.load_state_dict(weights)
    for place, before in pairs:
        new.expected[place] = old.expected[before]


def class_axes(plan: ArchitecturePlan) -> dict[str, int]:
    """The weights whose shape depends on the classes, and along which axis."""
    more = made(plan.model_copy(update={"classes": plan.classes + 1 if plan.classes < 254 else 1})).network.state_dict()  # type: ignore[union-attr]
    found = {}
    for name, value in made(plan).network.state_dict().items():  # type: ignore[union-attr]
        odd = [axis for axis, (n, m) in enumerate(zip(value.shape, more[name].shape, strict=True)) if n != m]
        if odd:
            found[name] = odd[0]
    return found


def _rows(old: Tensor, fresh: Tensor, axis: int, pairs: Sequence[tuple[int, int]], before: int) -> Tensor:
    """Maps of known classes from the old weights; fresh ones where a class has not just one row."""
    out = fresh.clone()
    if old.shape[axis] == before:
        for place, known in pairs:
            out.select(axis, place).copy_(old.select(axis, known))
    return out
