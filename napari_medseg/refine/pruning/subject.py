"""What of a model is pruned, whichever family it is of: its networks, windows to judge them by, and the model of smaller networks.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from napari_medseg.errors import InvalidInputError
from napari_medseg.refine.cases import Case
from napari_medseg.refine.examples import weak_examples
from napari_medseg.refine.medseg.augment import Strength
from napari_medseg.refine.medseg.calibrate import Judged, offsets
from napari_medseg.refine.medseg.data import Prepared, patch, prepared
from napari_medseg.refine.medseg.losses import compound
from napari_medseg.refine.medseg.round import answer
from napari_medseg.refine.method import Model
from napari_medseg.refine.models import load
from napari_medseg.refine.pruning.importance import Sample
from napari_medseg.refine.salah.method import SalahModel
from napari_medseg.refine.salah.training import jaccard_distance, slice_set
from napari_medseg.segmenters.networks.pruning.record import Kept, again
from napari_medseg.segmenters.unet import UNet
from napari_medseg.segmenters.volumetric.members import Member
from napari_medseg.segmenters.volumetric.model import VolumetricModel
from napari_medseg.volume import Array

STILL = Strength(0.0, 0.0, 0.0, 0.0, 0.0)
SETTLED_BY = 8
"""Cases that say where a smaller model is to be cut; more of them change it little, and all their logits are held at once."""


class Volumes:
    """A volumetric model: the product's own networks, or any of the catalogue.

    Attributes
    ----------
    model : VolumetricModel
        Whole.
    networks : its networks, all alike
    window : shape (1, channels, ...) that a network is shown at once
    values : label values of its classes
    """

    def __init__(self, model: VolumetricModel) -> None:
        self.model, self.plan = model, model.described
        model.network.eval()
        self.networks: Sequence[nn.Module] = [*model.network.networks]
        self.window = (1, self.plan.network.in_channels, *self.plan.patch)
        self.values = self.plan.values
        self._marked: dict[str, Array] = {}
        if self.plan.network.kind == "mixed":
            what = "holds networks of several architectures, and only one can be made smaller"
            raise InvalidInputError(what, where=self.plan.title, todo="Choose another model")
        if any(getattr(getattr(one, "network", None), "own_loss", None) is not None for one in self.networks):
            raise InvalidInputError("finds objects, and such networks cannot be made smaller", where=self.plan.title, todo="Choose a network that gives maps")

    def samples(self, cases: Sequence[Case], count: int, seed: int) -> Iterator[Sample]:
        """Windows of cases to judge filters by, drawn by a seed."""
        draw = torch.Generator().manual_seed(seed)
        ready: dict[int, Prepared] = {}
        for index in range(count):
            place = index % len(cases)
            if place not in ready:
                ready[place] = self._prepared(cases[place])
            image, target, weight = patch(ready[place], self.plan, STILL, draw)
            yield image[None], target[None], weight[None]

    def loss(self, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """What such models are trained on, of logits (n, classes, z, y, x): `losses.compound`, which tells the arguments."""
        return compound(logits, targets, weights)

    def smaller(self, networks: Sequence[nn.Module], kept: Kept, cases: Sequence[Case]) -> Model:
        """The smaller networks with their cut moved so that they mark as many voxels as the whole ones did: pruning shifts logits as a whole."""
        whole = self.plan
        members = cast("Sequence[Member]", networks)
        judged = []
        for case in cases[:SETTLED_BY]:
            ready = self._prepared(case)
            if case.id not in self._marked:
                moved = np.array(whole.offsets, np.float32)[:, None, None, None]
                self._marked[case.id] = self._logits([cast("Member", one) for one in self.networks], ready) + moved > 0
            everywhere = np.ones(ready.shape, bool)
            judged.append(Judged(self._logits(members, ready), self._marked[case.id].astype(np.float32), everywhere, ~everywhere))
        network = whole.network.model_copy(update={"kept": again(whole.network.kept, kept)})
        return VolumetricModel(whole.model_copy(update={"network": network, "offsets": offsets(judged), "sha256": ""}), members, self.model.device)

    def _logits(self, networks: Sequence[Member], case: Prepared) -> np.ndarray[Any, np.dtype[np.float32]]:
        each = [answer(network, case.image, self.plan, "cpu") for network in networks]
        return np.asarray(np.mean(each, axis=0), np.float32)

    def _prepared(self, case: Case) -> Prepared:
        (ready,) = prepared(weak_examples([case]), self.plan)
        return ready


class Slices:
    """The U-Net of single slices; attributes as those of `Volumes`."""

    def __init__(self, model: SalahModel) -> None:
        self.model = model
        self.networks: Sequence[nn.Module] = [model.network.eval()]
        self.window = (1, model.network.in_channels, model.size, model.size)
        self.values = model.values

    def samples(self, cases: Sequence[Case], count: int, seed: int) -> Iterator[Sample]:
        """Slices of cases, at random; two for each window of a volume."""
        slices = slice_set(weak_examples(cases), self.values, self.model.size)
        for index in np.random.default_rng(seed).permutation(len(slices))[: 2 * count]:
            yield slices.images[index, None], slices.targets[index, None], slices.weights[index, None]

    def loss(self, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """What such models are trained on, of logits (n, classes, y, x): `training.jaccard_distance`, which tells the arguments."""
        return jaccard_distance(logits, targets, weights)

    def smaller(self, networks: Sequence[nn.Module], kept: Kept, cases: Sequence[Case]) -> Model:
        """The model of the smaller network."""
        network = cast(UNet, networks[0])
        network.kept = again(cast(UNet, self.networks[0]).kept, kept)
        plan: Mapping[str, Any] = copy.deepcopy(dict(self.model.plan))
        return SalahModel(network, plan, self.values, self.model.device)


Subject = Volumes | Slices


def subject(path: Path, channels: int) -> Subject:
    """A model as something to prune.

    Raises
    ------
    MissingFileError, SegmenterError
        When it is no model.
    InvalidInputError
        When it takes scans of another number of channels, or answers with objects.
    """
    model = load(path)
    found: Subject = Slices(model) if isinstance(model, SalahModel) else Volumes(cast(VolumetricModel, model))
    if found.window[1] != channels:
        what = f"takes {found.window[1]} channel{'s' if found.window[1] > 1 else ''}, but the scans have {channels}"
        raise InvalidInputError(what, where=path, todo="Choose scans of the kind that the model was trained on")
    return found
