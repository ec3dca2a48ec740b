"""One network that learns: its running mean, its optimiser, its place in the schedule; all of it can be saved and gone on from.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from napari_medseg.errors import InvalidInputError, TrainingError
from napari_medseg.refine.freezing import Frozen
from napari_medseg.refine.medseg.augment import Strength, vary
from napari_medseg.refine.medseg.data import Prepared, patch
from napari_medseg.refine.medseg.losses import compound
from napari_medseg.refine.medseg.recipe import Medseg
from napari_medseg.refine.medseg.steady import follow, let_lone_values_pass
from napari_medseg.refine.ranks import Alone, Ranks
from napari_medseg.segmenters.volumetric.members import Architecture, Loss, Member
from napari_medseg.segmenters.volumetric.plan import VolumetricPlan

Augment = Callable[[Tensor, Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor, Tensor]]

WARM = 20  # updates until the full learning rate
DECAY = 1e-4  # of the weights
CLIP = 5.0  # length of a gradient
SLICES = 8  # that count as one patch for a network of single slices
FLOOR = 0.01  # of the learning rate at the end


class Learner:
    """A network and all that its training needs.

    Parameters
    ----------
    network : VolumetricNet or Architecture
    cases : what it learns from
    plan, recipe
    strength : of the augmentation
    total : int
        Updates it will have made at the end.
    seed : int
    device : str
    freeze : "none", "encoder" or "all but last"
    fresh : names of parameters that the base did not have
    ranks : Ranks
        Processes that learn along.

    Attributes
    ----------
    mean : as `network`
        The running mean of the weights, which is what is used; always in eval mode.
    done : int
        Updates made.
    """

    def __init__(
        self, network: Member, cases: Sequence[Prepared], plan: VolumetricPlan, recipe: Medseg, strength: Strength, *,
        total: int, seed: int, device: str, freeze: str = "none", fresh: Collection[str] = (), ranks: Ranks | None = None,
    ) -> None:
        self.ranks: Ranks = ranks or Alone()
        self.network = network.to(device)
        self.mean = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.cases, self.plan, self.recipe, self.strength = cases, plan, recipe, strength
        self.total, self.done, self.device = total, 0, device
        self.generator = torch.Generator().manual_seed(seed)
        self._frozen = Frozen(self.network, self.network.frozen_parts(freeze))
        self.optimiser = torch.optim.AdamW(self._frozen.learning(), recipe.learning_rate, weight_decay=DECAY, fused=device != "mps")
        self.loss = chosen_loss(recipe, plan)
        let_lone_values_pass(self.network)
        self._augment = _augmentation(recipe, plan)
        self._near = _proximal(self.network, recipe, fresh)
        self._order: list[int] = []
        self._half = _half(device)
        self._spread = self.ranks.spread(self.network, parts_unused=isinstance(self.network, Architecture))

    @property
    def rate(self) -> float:
        """Learning rate of the next update."""
        warm = min(1.0, (self.done + 1) / WARM)
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, self.done / self.total)))
        return self.recipe.learning_rate * warm * (FLOOR + (1 - FLOOR) * fall)

    def update(self) -> float:
        """One step; the loss.

        Raises
        ------
        TrainingError
            When the loss is no longer a number.
        """
        self._frozen.train()
        images, targets, weights = self._augment(*self._batch(), self.generator)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate
        lost = self._lost(vary(images, self.generator), targets, weights)
        near = None if self._near is None else self._near()
        loss = lost if near is None else lost + near
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError("the training went astray: its loss is no number", todo="Lower the learning rate, or check the scans")
        self.optimiser.zero_grad(set_to_none=True)
        if self.ranks.size > 1:  # gradients become the mean over the processes, and each has a part of what is lost
            loss = loss + (self.ranks.size - 1) * lost
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimiser.step()
        self.done += 1
        share = min(self.recipe.decay, (1 + self.done) / (10 + self.done))
        with torch.no_grad():
            follow(self.mean, self.network, 1 - share)
        return value

    def _lost(self, images: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """The loss of the network as it stands. What an architecture draws itself (dropout) is settled by the learner's own generator."""
        half = torch.autocast(self.device.partition(":")[0], torch.bfloat16, enabled=self._half)
        if self.ranks.size > 1:
            return self._lost_together(images, targets, weights, half)
        if not isinstance(self.network, Architecture):
            with half:
                logits = self.network(images)
            return self.loss(logits.float(), targets, weights, images)
        seed = int(torch.randint(1 << 62, (), generator=self.generator))
        with torch.random.fork_rng([self.device] if self.device.startswith("cuda") else []), half:
            torch.manual_seed(seed)
            return self.network.loss(images, targets, weights, self.loss)

    def _lost_together(self, images: Tensor, targets: Tensor, weights: Tensor, half: torch.autocast) -> Tensor:
        """The same for several processes, each with its part of the batch."""
        if not isinstance(self.network, Architecture):
            with half:
                logits = self._spread(self.ranks.part(images))
            return self.loss(self.ranks.whole(logits.float()), targets, weights, images)
        if hasattr(self.network.network, "own_loss"):
            raise InvalidInputError("a network that finds objects learns in one process", where="--processes", todo="Leave --processes out")
        seed = int(torch.randint(1 << 62, (), generator=self.generator)) + self.ranks.rank
        with torch.random.fork_rng([self.device] if self.device.startswith("cuda") else []), half:
            torch.manual_seed(seed)
            logits = self._spread(self.ranks.part(images))
        flat = self.network.flat
        return self.loss(flat(self.ranks.whole(logits.float())), flat(targets), flat(weights), flat(images))

    def _batch(self) -> tuple[Tensor, Tensor, Tensor]:
        size = self.recipe.batch * (1 if self.plan.slices_along is None else SLICES)
        while len(self._order) < size:
            self._order += torch.randperm(len(self.cases), generator=self.generator).tolist()
        chosen, self._order = self._order[:size], self._order[size:]
        patches = [patch(self.cases[i], self.plan, self.strength, self.generator, self.device) for i in chosen]
        images, targets, weights = (torch.stack(column) for column in zip(*patches, strict=True))
        return images, targets, weights

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and facts from which `restore` goes on as if nothing had happened."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"mean.{name}": value for name, value in self.mean.state_dict().items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in moments.items()}
        return {**tensors, "generator": self.generator.get_state()}, {"done": self.done, "order": list(self._order)}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go on from tensors and facts as `state` gave them."""
        for part, module in (("network.", self.network), ("mean.", self.mean)):
            module.load_state_dict({name.removeprefix(part): value for name, value in tensors.items() if name.startswith(part)})
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimiser."):
                _, index, key = name.split(".", 2)
                moments.setdefault(int(index), {})[key] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": moments})
        self.generator.set_state(tensors["generator"].to(torch.uint8))
        self.done, self._order = int(facts["done"]), [int(i) for i in facts["order"]]


def chosen_loss(recipe: Medseg, plan: VolumetricPlan) -> Loss:
    """What the recipe names; cross-entropy and Dice where it names none.

    Raises
    ------
    InvalidInputError
        When there is no such loss.
    """
    if not recipe.loss:
        return lambda logits, targets, weights, images: compound(logits, targets, weights)
    from napari_medseg.refine.losses.building import build

    sides = [mm for axis, mm in enumerate(plan.spacing) if axis != plan.slices_along]
    return build(recipe.loss, spacing=sides)


def _augmentation(recipe: Medseg, plan: VolumetricPlan) -> Augment:
    """What is done to whole batches (5 axes) before their contrast is varied; nothing, and nothing drawn, where the recipe asks for nothing."""
    if not (recipe.mixup or recipe.degrade):
        return lambda images, targets, weights, generator: (images, targets, weights)
    from napari_medseg.refine.augmentation.building import augmentation

    axis = plan.slices_along
    sides = [mm for place, mm in enumerate(plan.spacing) if place != axis]
    change = augmentation(mixup=recipe.mixup, degrade=recipe.degrade, aligned=recipe.aligned, spacing=sides, modalities=plan.modalities)
    if axis is None:
        return change

    def slices(images: Tensor, targets: Tensor, weights: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        changed = change(images.squeeze(2 + axis), targets.squeeze(2 + axis), weights.squeeze(2 + axis), generator)
        first, second, third = (part.unsqueeze(2 + axis) for part in changed)
        return first, second, third

    return slices


def _proximal(network: Member, recipe: Medseg, fresh: Collection[str]) -> Callable[[], Tensor] | None:
    """The pull towards the weights as they are now; None for none."""
    if not recipe.proximal:
        return None
    from napari_medseg.refine.proximal import Proximal

    return Proximal(network, recipe.proximal, without=fresh)


def _half(device: str) -> bool:
    """Whether bfloat16 is quicker there; on processors it was not, with so few channels."""
    return device.startswith("cuda") and bool(torch.cuda.is_bf16_supported(including_emulation=False))
