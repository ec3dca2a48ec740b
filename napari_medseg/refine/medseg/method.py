"""The recipe at work: cross-fitted networks and weak masks take turns at putting each other right.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil

from napari_medseg.errors import NoLabelsError
from napari_medseg.refine.cases import Case
from napari_medseg.refine.checkpoint import Checkpoints
from napari_medseg.refine.medseg.beside import abreast
from napari_medseg.refine.medseg.data import ROOM, large, prepared
from napari_medseg.refine.medseg.recipe import Medseg
from napari_medseg.refine.medseg.round import Round
from napari_medseg.refine.method import Example, Freeze, Learning
from napari_medseg.refine.models import require_channels, require_kind
from napari_medseg.refine.trust import Trust
from napari_medseg.segmenters.volumetric.fingerprint import fingerprint
from napari_medseg.segmenters.volumetric.model import VolumetricModel, load_volumetric
from napari_medseg.segmenters.volumetric.network import VolumetricNet, new_network
from napari_medseg.segmenters.volumetric.plan import KIND, PATCH, VolumetricPlan, planned

UPDATE_BYTES = 400  # that an update takes for each voxel of its patches, about, beside channels and classes


class MedsegMethod:
    """See `refine.method.Method`.

    Parameters
    ----------
    recipe : Medseg
    """

    def __init__(self, recipe: Medseg) -> None:
        self.recipe = recipe

    def base_model(self, base: Path | None, values: Sequence[int], device: str, channels: int | None = None) -> VolumetricModel | None:
        """The base as it is; None where learning begins from nothing.

        Raises
        ------
        InvalidInputError
            When the base is a model of another recipe, or takes scans of another number of channels.
        """
        if base is None:
            return None
        model = _loaded(base, device)
        require_channels(base, model.described.network.in_channels, channels)
        return model if list(values) == model.described.values else None

    def memory(self, cases: Sequence[Case], classes: int, device: str) -> tuple[int, int]:
        """Bytes at the peak of a round beside the cases themselves: in the processor's memory, and on the device; see `refine.room.enough`."""
        sizes = [int(np.prod(case.image.geometry.shape)) for case in cases]
        channels = max(case.image.channels for case in cases)
        held = min(sum(sizes) * 2 * (channels + 2 * classes + 2), int(ROOM * psutil.virtual_memory().available))
        whole = max(sizes) * 4 * (channels + 4 * classes + 4)
        update = abreast(self.recipe.folds, device) * self.recipe.batch * PATCH * (UPDATE_BYTES + 40 * channels + 60 * classes)
        return held + whole + (0 if device.startswith("cuda") else update), update

    def learn(
        self, examples: Sequence[Example], values: Sequence[int], *, number: int, base: Path | None, seed: int, device: str, freeze: Freeze = "none",
        checkpoints: Checkpoints | None = None,
    ) -> Iterator[Learning]:
        """One round; see `refine.method.Method.learn`."""
        if not examples or not values:
            raise NoLabelsError("there is nothing to learn from", where="examples", todo="Give at least one scan with a label")
        if not any((example.trust != Trust.UNKNOWN).any() for example in examples):
            raise NoLabelsError("no voxel has a known label", where="labels", todo="Give labels in which 255 (unknown) does not cover everything")
        yield Learning(0.0, "Looking at the scans")
        plan, old = self._beginning(examples, values, base, device)
        networks = [_fresh(plan, old, index, seed) for index in range(self.recipe.folds)]
        with tempfile.TemporaryDirectory(prefix="medseg-", ignore_cleanup_errors=True) as scratch:
            folder = Path(scratch) if large(examples, plan) else None
            cases = []
            for case in prepared(examples, plan, folder=folder):
                cases.append(case)
                yield Learning(0.02 * len(cases) / len(examples), f"Preparing scan {len(cases)} of {len(examples)}")
            this = Round(self.recipe, plan, examples, cases, networks, number=number, seed=seed, device=device, freeze=freeze, checkpoints=checkpoints)
            yield from this.run()

    def _beginning(self, examples: Sequence[Example], values: Sequence[int], base: Path | None, device: str) -> tuple[VolumetricPlan, VolumetricModel | None]:
        """The plan, and the model to go on from."""
        modalities = sorted({example.image.modality for example in examples} - {""})
        if base is None:
            facts = fingerprint(((example.image, example.labels) for example in examples), values)
            return planned(facts, list(values)).model_copy(update={"modalities": modalities}), None
        old = _loaded(base, "cpu")
        before = old.described
        require_channels(base, before.network.in_channels, examples[0].image.channels)
        network = before.network.model_copy(update={"classes": len(values), "members": 1})
        facts = before.fingerprint
        if len(facts.share) != len(values):
            facts = facts.model_copy(update={"share": fingerprint(((example.image, example.labels) for example in examples), values).share})
        names = [before.classes[before.values.index(v)] if v in before.values else f"class {v}" for v in values]
        kept = {"network": network, "fingerprint": facts, "values": list(values), "classes": names, "offsets": [0.0] * len(values), "sha256": ""}
        return before.model_copy(update={**kept, "modalities": sorted({*before.modalities, *modalities}), "training": {}}), old


def _loaded(base: Path, device: str) -> VolumetricModel:
    require_kind(base, KIND, "medseg")
    return load_volumetric(base, device)


def _fresh(plan: VolumetricPlan, old: VolumetricModel | None, index: int, seed: int) -> VolumetricNet:
    """A new network; with a base, one of its members, whose maps of the classes it knows are kept."""
    network = new_network(plan.network, plan.fingerprint.share, seed * 1000 + index)
    if old is None:
        return network
    member = old.network.networks[index % len(old.network.networks)]
    state = {name: value.clone() for name, value in member.state_dict().items() if not name.startswith("head.")}
    network.load_state_dict({**network.state_dict(), **state})
    for place, value in enumerate(plan.values):
        if value in old.described.values:
            known = old.described.values.index(value)
            network.head.weight.data[:, place] = member.head.weight.data[:, known]  # type: ignore[union-attr,index]
            network.head.bias.data[place] = member.head.bias.data[known] + old.described.offsets[known]  # type: ignore[union-attr,index]
    return network
