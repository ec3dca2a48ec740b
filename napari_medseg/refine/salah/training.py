"""Fine-tuning on slices: the Jaccard distance, Adam, a tick an update.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from napari_medseg.errors import InvalidInputError, NoLabelsError, TrainingError
from napari_medseg.refine.freezing import Frozen
from napari_medseg.refine.method import Example, Freeze
from napari_medseg.refine.salah.recipe import Recipe
from napari_medseg.refine.salah.saving import Saving
from napari_medseg.refine.trust import weights
from napari_medseg.segmenters.networks.pruning.cutting import cut
from napari_medseg.segmenters.protocol import to_labels
from napari_medseg.segmenters.slices import SIZE, UNKNOWN, prepare, prepare_labels, restore, slice_order
from napari_medseg.segmenters.unet import UNet
from napari_medseg.volume import FloatArray, LabelArray, Volume

Augment = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True, slots=True)
class TrainingTick:
    """One update done.

    Attributes
    ----------
    fraction : float
        Share of the updates done, 0-1.
    message : str
    loss : float
        Mean of the current epoch so far.
    updates : int
        Done so far.
    epoch : int
        From 1.
    eta_s : float
        Seconds left at the present pace.
    """

    fraction: float
    message: str
    loss: float
    updates: int
    epoch: int
    eta_s: float


@dataclass(frozen=True, slots=True, eq=False)
class SliceSet:
    """Slices ready for the network.

    Attributes
    ----------
    images : float32 (n, channels, h, w) in [0, 1]
    targets : float32 (n, classes, h, w); share of the pixel that is of the class
    weights : float32 (n, 1, h, w)
        What a pixel counts, by the trust in its label; exactly 0 where nobody judged.
    """

    images: Tensor
    targets: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.images)


def slice_set(examples: Iterable[Example], values: Sequence[int] = (1,), size: int = SIZE) -> SliceSet:
    """Every slice of every example that holds at least one judged pixel.

    Parameters
    ----------
    values : label values of the classes, in the order of the network's maps
    size : int
        Height and width the network sees.

    Raises
    ------
    NoLabelsError
        When no slice is left.
    """
    parts = []
    for one in examples:
        turn = slice_order(one.image.geometry)
        images = prepare(turn.apply(one.image.array), size)
        counts = weights(one.trust)
        labels = np.where(counts > 0, one.labels, UNKNOWN).astype(np.uint8)
        targets, known = prepare_labels(_ranked(turn.apply(labels), values), len(values), size)
        kept = known.flatten(1).any(dim=1)
        parts.append((images[kept], targets[kept], (known * _nearest(turn.apply(counts), size))[kept]))
    if not parts or not any(len(images) for images, _, _ in parts):
        raise NoLabelsError("no voxel has a known label", where="labels", todo="Give labels in which 255 (unknown) does not cover everything")
    return SliceSet(*(torch.cat(column) for column in zip(*parts, strict=True)))


def jaccard_distance(logits: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
    """1 - |P and T| / |P or T| with soft P, over the known pixels of a batch, each counting `counts` (n, 1, h, w) times, mean over the classes.

    Unknown pixels (0) are left out of both sums before anything else, so neither the value nor any gradient depends on them. Summing over the batch (ours)
    keeps slices without the organ from being all or nothing.
    """
    inside = counts.expand_as(logits) > 0
    zero = torch.zeros((), dtype=logits.dtype, device=logits.device)
    p = torch.where(inside, logits.sigmoid(), zero)
    t = torch.where(inside, targets, zero)
    both = (counts * p * t).sum(dim=(0, 2, 3))
    either = (counts * (p + t)).sum(dim=(0, 2, 3)) - both
    return (1 - (both + 1) / (either + 1)).mean()


def fine_tune(
    network: UNet, data: SliceSet, recipe: Recipe, *, seed: int = 0, device: str = "cpu", freeze: Freeze = "none", saving: Saving | None = None,
    augment: Augment | None = None, cosine: bool = False,
) -> Iterator[TrainingTick]:
    """Train a network in place, with an optimiser of its own.

    Parameters
    ----------
    network : UNet
        Changed in place; in eval mode afterwards.
    freeze : "none", "encoder" or "all but last"
        What does not learn.
    saving : Saving, optional
        Where it saves itself, and what it goes on from.
    augment : callable, optional
        Turns a batch of images into another; the paper has none in fine-tuning.
    cosine : bool
        Let the learning rate fall to 0 along a cosine; the paper keeps it constant in fine-tuning.

    Yields
    ------
    TrainingTick
        After each update. Stop iterating to cancel.

    Raises
    ------
    TrainingError
        When the loss is no longer a number.
    InvalidInputError
        When channels or classes of the data and the network differ.
    """
    if data.images.shape[1] != network.in_channels or data.targets.shape[1] != network.classes:
        raise InvalidInputError(
            f"scans of {data.images.shape[1]} channels and {data.targets.shape[1]} classes do not fit a model of {network.in_channels} and {network.classes}",
            where="model", todo="Choose another base model",
        )
    torch.manual_seed(seed)  # dropout draws from the global generator
    draw = torch.Generator().manual_seed(seed)
    frozen = Frozen(network.to(device), frozen_parts(network, freeze))
    frozen.train()
    optimiser = torch.optim.Adam(frozen.learning(), lr=recipe.learning_rate)
    batches = math.ceil(len(data) / recipe.batch_for(len(data)))
    epochs = recipe.epochs_for(len(data))
    total, started = epochs * batches, time.perf_counter()
    losses: list[float] = []
    before = saving.restore(network, optimiser, draw, losses) if saving else 0
    try:
        for epoch in range(max(before - 1, 0) // batches, epochs):  # one that was just done is drawn again, and passed over
            order = draw.get_state()
            for index, chosen in enumerate(torch.randperm(len(data), generator=draw).tensor_split(batches)):  # even: a batch of one would upset BatchNorm
                done = epoch * batches + index + 1
                if done <= before:
                    continue
                if index == 0:
                    losses.clear()
                images = data.images[chosen] if augment is None else augment(data.images[chosen], draw)
                loss = jaccard_distance(network(images.to(device)), data.targets[chosen].to(device), data.weights[chosen].to(device))
                losses.append(float(loss.detach()))
                if not math.isfinite(losses[-1]):
                    raise TrainingError("the training went astray: its loss is no number", todo="Lower the learning rate, or check the scans")
                if cosine:
                    optimiser.param_groups[0]["lr"] = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - 1) / total))
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                if saving:
                    saving.save(network, optimiser, order, losses, done)
                eta = (time.perf_counter() - started) / (done - before) * (total - done)
                yield TrainingTick(done / total, f"Epoch {epoch + 1} of {epochs}", float(np.mean(losses)), done, epoch + 1, eta)
    finally:
        network.eval()
        network.requires_grad_(True)


def frozen_parts(network: UNet, freeze: Freeze) -> list[nn.Module]:
    """What stays as it is: nothing, the way down, or all but the last block of the way up with its head."""
    if freeze == "none":
        return []
    if freeze == "encoder":
        return [network.down]
    return [network.down, *network.up[1:], *network.merge[1:]]


def probabilities(network: UNet, image: Volume, *, size: int = SIZE, device: str = "cpu") -> FloatArray:
    """Probabilities (classes, z, y, x) of one scan on its own grid, float32."""
    turn = slice_order(image.geometry)
    stack = turn.apply(image.array)
    network.to(device).eval()
    logits = []
    with torch.no_grad():
        for start in range(0, stack.shape[-3], 16):
            part = stack[..., start : start + 16, :, :]
            logits.append(restore(network(prepare(part, size).to(device)), part.shape[-2:]))
    answer = torch.from_numpy(np.concatenate(logits, axis=1)).sigmoid().numpy()
    return np.stack([turn.undo(each) for each in answer])


def predict_labels(network: UNet, image: Volume, values: Sequence[int] = (1,), *, threshold: float = 0.5, size: int = SIZE, device: str = "cpu") -> LabelArray:
    """Label map (z, y, x) of one scan on its own grid, uint8, classes by their label values."""
    ranks = to_labels(probabilities(network, image, size=size, device=device), threshold)
    return np.array([0, *values], dtype=np.uint8)[ranks]


def widened(network: UNet, classes: int, seed: int = 0) -> UNet:
    """The network with `classes` maps: the base's own are kept in order, further ones start fresh from `seed`; a copy."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        copy = cut(UNet(network.in_channels, classes, network.widths, network.dropout), network.kept)
    kept = min(classes, network.classes)
    state = {name: value.clone() for name, value in network.state_dict().items() if not name.startswith("head.")}
    head = {f"head.{name}": value.detach().clone() for name, value in copy.head.named_parameters()}
    for name, value in network.head.named_parameters():
        head[f"head.{name}"][:kept] = value.detach()[:kept]
    copy.load_state_dict({**state, **head})
    return copy


def _ranked(stack: LabelArray, values: Sequence[int]) -> LabelArray:
    """Label values to 1..classes, 255 kept, others to 0."""
    lookup = np.zeros(256, np.uint8)
    lookup[list(values)] = np.arange(1, len(values) + 1)
    lookup[UNKNOWN] = UNKNOWN
    return lookup[stack]


def _nearest(counts: FloatArray, size: int) -> Tensor:
    """Slices (n, h, w) as (n, 1, size, size), each pixel the value nearest to it."""
    planes = torch.from_numpy(np.array(counts, order="C"))[:, None]
    return torch.nn.functional.interpolate(planes, size=(size, size), mode="nearest-exact")
