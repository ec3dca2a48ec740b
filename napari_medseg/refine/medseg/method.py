"""The recipe at work: cross-fitted networks and weak masks take turns at putting each other right.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.cases import Case
from napari_medseg.refine.checkpoint import Checkpoints
from napari_medseg.refine.medseg.architecture import suited
from napari_medseg.refine.medseg.beside import abreast
from napari_medseg.refine.medseg.data import memory_for_cases, prepare, require_known, typical_grid
from napari_medseg.refine.medseg.learner import SLICES
from napari_medseg.refine.medseg.recipe import Medseg
from napari_medseg.refine.medseg.round import Round
from napari_medseg.refine.method import Example, Freeze, Learning
from napari_medseg.refine.models import require_channels, require_kind
from napari_medseg.refine.pretraining.encoder import load_encoder
from napari_medseg.refine.ranks import Ranks
from napari_medseg.segmenters.networks.plan import KIND as ARCHITECTURE
from napari_medseg.segmenters.networks.plan import ArchitecturePlan
from napari_medseg.segmenters.networks.probing import learning_bytes
from napari_medseg.segmenters.volumetric.fingerprint import fingerprint
from napari_medseg.segmenters.volumetric.members import Architecture, Member, carry, class_axes, made, new_member
from napari_medseg.segmenters.volumetric.model import VolumetricModel, load_volumetric
from napari_medseg.segmenters.volumetric.network import VolumetricNet
from napari_medseg.segmenters.volumetric.plan import KIND as VOLUMES
from napari_medseg.segmenters.volumetric.plan import PATCH, VolumetricPlan, planned, planned_for, window_for
from napari_medseg.volume import Shape, Spacing

BACKWARD = 1.5  # times what an update keeps of a window: what it takes at its peak
UPDATE_BYTES = 440  # that an update takes for each voxel of its patches, about, beside channels and classes


class MedsegMethod:
    """See `refine.method.Method`.

    Parameters
    ----------
    recipe : Medseg
    ranks : Ranks
        Processes that learn along.
    """

    def __init__(self, recipe: Medseg, ranks: Ranks | None = None) -> None:
        self.recipe, self.ranks = recipe, ranks

    def base_model(self, base: Path | None, values: Sequence[int], device: str, channels: int | None = None) -> VolumetricModel | None:
        """The base as it is; None where learning begins from nothing.

        Raises
        ------
        InvalidInputError
            When the base is a model of another recipe, or takes scans of another number of channels.
        """
        if base is None:
            return None
        model = _loaded(base, device, self.recipe)
        require_channels(base, model.described.network.in_channels, channels)
        return model if list(values) == model.described.values else None

    def memory(self, cases: Sequence[Case], classes: int, device: str) -> tuple[int, int]:
        """Bytes at the peak of a round beside the cases themselves: in the processor's memory, and on the device; see `refine.room.enough`."""
        channels, held, largest = memory_for_cases(cases, classes)
        whole = largest * 4 * (channels + 4 * classes + 4)
        if self.recipe.network:
            update = self._catalogued_update(cases, channels, classes)
        else:
            update = abreast(self.recipe.folds, device) * self.recipe.batch * PATCH * (UPDATE_BYTES + 40 * channels + 60 * classes)
        return held + whole + (0 if device.startswith("cuda") else update), update

    def _catalogued_update(self, cases: Sequence[Case], channels: int, classes: int) -> int:
        """Bytes at the peak of an update of a network of the catalogue, with what is kept of its weights for every fold."""
        shape, spacing = typical_grid(cases)
        network = self._architecture(shape, spacing, channels, classes)
        patch = window_for(network, shape, spacing)
        kept, weights = learning_bytes(made(network), (channels, *patch))
        windows = self.recipe.batch * (SLICES if network.dims == 2 else 1)
        return int(BACKWARD * windows * kept) + self.recipe.folds * weights

    def _architecture(self, shape: Shape, spacing: Spacing, channels: int, classes: int) -> ArchitecturePlan:
        """The network that the recipe names, for scans of this shape and spacing (z, y, x)."""
        recipe = self.recipe
        return suited(
            recipe.network, shape, spacing, channels=channels, classes=classes, dims=recipe.dims, parameters=recipe.parameters, start=recipe.start,
        )

    def learn(
        self, examples: Sequence[Example], values: Sequence[int], *, number: int, base: Path | None, seed: int, device: str, freeze: Freeze = "none",
        checkpoints: Checkpoints | None = None,
    ) -> Iterator[Learning]:
        """One round; see `refine.method.Method.learn`."""
        require_known(examples, values)
        yield Learning(0.0, "Looking at the scans")
        plan, old = self._beginning(examples, values, base, device)
        networks = [_fresh(plan, old, index, seed, self.recipe.start) for index in range(self.recipe.folds)]
        with tempfile.TemporaryDirectory(prefix="medseg-", ignore_cleanup_errors=True) as scratch:
            cases = yield from prepare(examples, plan, Path(scratch))
            this = Round(
                self.recipe, plan, examples, cases, networks, number=number, seed=seed, device=device, freeze=freeze, checkpoints=checkpoints,
                fresh=_unknown(plan, old), ranks=self.ranks,
            )
            yield from this.run()

    def _beginning(self, examples: Sequence[Example], values: Sequence[int], base: Path | None, device: str) -> tuple[VolumetricPlan, VolumetricModel | None]:
        """The plan, and the model to go on from."""
        modalities = sorted({example.image.modality for example in examples} - {""})
        if base is None:
            if self.recipe.proximal:
                raise InvalidInputError("there is no base to stay close to", where="proximal", todo="Choose a base model, or set proximal to 0")
            facts = fingerprint(((example.image, example.labels) for example in examples), values)
            if self.recipe.network:
                plan = planned_for(self._architecture(facts.shape, facts.spacing, len(facts.channels), len(values)), facts, list(values))
            else:
                plan = planned(facts, list(values))
            return plan.model_copy(update={"modalities": modalities}), None
        old = _loaded(base, "cpu", self.recipe)
        before = old.described
        require_channels(base, before.network.in_channels, examples[0].image.channels)
        network = before.network.model_copy(update={"classes": len(values), "members": 1})
        facts = before.fingerprint
        if len(facts.share) != len(values):
            facts = facts.model_copy(update={"share": fingerprint(((example.image, example.labels) for example in examples), values).share})
        names = [before.classes[before.values.index(v)] if v in before.values else f"class {v}" for v in values]
        kept = {"network": network, "fingerprint": facts, "values": list(values), "classes": names, "offsets": [0.0] * len(values), "sha256": ""}
        return before.model_copy(update={**kept, "modalities": sorted({*before.modalities, *modalities}), "training": {}}), old


def _loaded(base: Path, device: str, recipe: Medseg) -> VolumetricModel:
    require_kind(base, (VOLUMES, ARCHITECTURE), recipe.name)
    model = load_volumetric(base, device)
    network = model.described.network
    if not recipe.network:
        return model
    if not isinstance(network, ArchitecturePlan) or (network.name, network.dims) != (recipe.network, recipe.dims):
        found = f"a network '{network.name}' with {network.dims} dimensions" if isinstance(network, ArchitecturePlan) else "the recipe's own network"
        what = f"holds {found}, and '{recipe.network}' with {recipe.dims} dimensions is to be trained"
        raise InvalidInputError(what, where=base, todo="Choose a base of the same network, or none, or leave the network out to go on with the base's")
    wanted = json.loads(json.dumps(recipe.parameters))  # lists, as the plan has them
    if any(network.parameters.get(name) != value for name, value in wanted.items()):
        raise InvalidInputError("was made with other parameters", where=base, todo="Leave the parameters out to go on with those of the base")
    return model


def _fresh(plan: VolumetricPlan, old: VolumetricModel | None, index: int, seed: int, start: str = "") -> Member:
    """A new network, with a pre-trained encoder where `start` names one; with a base, one of its members, whose maps of the classes it knows are kept."""
    network = new_member(plan.network, plan.fingerprint.share, seed * 1000 + index)
    if old is None:
        if start and isinstance(network, Architecture):
            load_encoder(network.network, start)
        return network
    member = old.network.networks[index % len(old.network.networks)]
    pairs = [(place, old.described.values.index(value)) for place, value in enumerate(plan.values) if value in old.described.values]
    if isinstance(network, Architecture):
        carry(member, network, pairs)  # type: ignore[arg-type]
        for place, known in pairs:
            network.expected[place] += old.described.offsets[known]
        return network
    _carry(member, network, pairs, old.described.offsets)  # type: ignore[arg-type]
    return network


def _unknown(plan: VolumetricPlan, old: VolumetricModel | None) -> list[str]:
    """Parameters that a base of other classes has nothing to say of."""
    if old is None or old.described.values == plan.values:
        return []
    return [f"network.{name}" for name in class_axes(plan.network)] if isinstance(plan.network, ArchitecturePlan) else ["head"]


def _carry(old: VolumetricNet, new: VolumetricNet, pairs: Sequence[tuple[int, int]], offsets: Sequence[float]) -> None:
    """All weights but those of the head, and of that the maps of the classes that both know (place among the new, place among the old)."""
    state = {name: value.clone() for name, value in old.state_dict().items() if not name.startswith("head.")}
    new.load_state_dict({**new.state_dict(), **state})
    for place, known in pairs:
        new.head.weight.data[:, place] = old.head.weight.data[:, known]
        new.head.bias.data[place] = old.head.bias.data[known] + offsets[known]  # type: ignore[union-attr]
