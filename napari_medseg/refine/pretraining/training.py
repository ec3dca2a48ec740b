"""A network learns from scans that nobody has labelled, and its encoder is kept.

It answers with as many maps as the scan has channels, and they are to be the scan as it was before noise was put on (Hammouda et al., MIUA 2023: a denoising
autoencoder with the mean squared error) or before blocks were hidden (Sobirov et al., MIUA 2023, on super images; only hidden places count, as in He et al.,
CVPR 2022). The first paper says nothing of the noise's level: here it follows the noise that is found in the scans.

Imports torch: only modules that are themselves loaded on demand may import this one.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from napari_medseg.errors import InvalidInputError, TrainingError
from napari_medseg.refine.medseg.architecture import suited
from napari_medseg.refine.medseg.learner import CLIP, DECAY, FLOOR, SLICES, WARM
from napari_medseg.refine.medseg.steady import let_lone_values_pass
from napari_medseg.refine.pretraining.encoder import save_encoder
from napari_medseg.refine.pretraining.encoder_plan import EncoderPlan, encoder_file, read_encoder
from napari_medseg.refine.pretraining.request import PretrainRequest, PretrainTick, Scan
from napari_medseg.refine.pretraining.scans import LEAST, MOST, Survey, Unlabelled, prepared, survey, window
from napari_medseg.refine.pretraining.tasks import hidden, noisy, squared_error
from napari_medseg.segmenters.devices import choose
from napari_medseg.segmenters.networks.network import Network
from napari_medseg.segmenters.networks.plan import ArchitecturePlan
from napari_medseg.segmenters.volumetric.members import Architecture, made
from napari_medseg.segmenters.volumetric.plan import VolumetricPlan, planned_for

T = TypeVar("T")

LOOKING, PREPARING = 0.01, 0.019
"""Shares of the work after which the scans were looked at, and brought to the network's grid; too small for anybody to guess the time left from."""
LAST = 0.1
"""Share of the updates, at the end, that the error is told of."""


def pretrain(request: PretrainRequest) -> Iterator[PretrainTick]:
    """Learn, and write the encoder; stop iterating to cancel, and nothing is written.

    Yields
    ------
    PretrainTick
        At each scan and each update; the last one carries the file.

    Raises
    ------
    MissingFileError, UnreadableFileError
        When a scan cannot be read.
    InvalidInputError
        When the scans differ in channels, none holds two values, or the network is none that can learn so.
    CatalogueError, UnavailableError
        As `networks.building.build`.
    TrainingError
        When it goes astray.
    UnwritableFileError
        When the disk refuses.
    """
    yield PretrainTick(0.0, "Looking at the scans")
    total = len(request.images)
    seen = yield from _watched(survey(request.images), 0.0, LOOKING, total, "Looking at scan")
    facts = seen.facts
    channels = len(facts.channels)
    network = suited(
        request.network, facts.shape, facts.spacing, channels=channels, classes=channels, dims=request.dims, parameters=request.parameters,
    )
    plan = planned_for(network, facts, list(range(1, network.classes + 1)))
    chosen = _drawn(seen, request)
    with tempfile.TemporaryDirectory(prefix="medseg-", ignore_cleanup_errors=True) as scratch:
        scans = yield from _watched(prepared(chosen, plan, request.seed, Path(scratch)), LOOKING, PREPARING, len(chosen), "Preparing scan")
        this = _Pretraining(request, network, plan, scans)
        warning = f"{len(seen.left_out)} without anything to see left out: {', '.join(seen.left_out[:3])}" if seen.left_out else ""
        began = time.monotonic()
        for done in range(1, request.updates + 1):
            loss = this.update()
            share = done / request.updates
            left = (time.monotonic() - began) / done * (request.updates - done)
            told = f"Update {done} of {request.updates}"
            yield PretrainTick(PREPARING + (0.99 - PREPARING) * share, told, loss, done, left, warning=warning)
        described = this.described(network, seen)
        file = save_encoder(this.network, described, encoder_file(request.out))
        del scans, this  # on Windows a file that is mapped cannot be removed
    yield PretrainTick(1.0, "Done", described.error, request.updates, 0.0, file, read_encoder(file), warning)


class _Pretraining:
    """A network, its optimiser and the scans it learns from."""

    def __init__(self, request: PretrainRequest, network: ArchitecturePlan, plan: VolumetricPlan, scans: list[Unlabelled]) -> None:
        self.request, self.plan, self.scans = request, plan, scans
        self.device = choose(request.device, where="pre-training")
        member = made(network, request.seed)
        if not isinstance(member, Architecture) or hasattr(member.network, "own_loss") or not next(member.network.encoder(), None):
            what = "has no encoder that learns from scans alone"
            raise InvalidInputError(what, where=request.network, todo="Choose another network that answers with maps")
        self.member = member.to(self.device)
        self.network: Network = member.network
        self.generator = torch.Generator().manual_seed(request.seed)
        self.optimiser = torch.optim.AdamW(self.member.parameters(), request.learning_rate, weight_decay=DECAY)
        let_lone_values_pass(self.member)
        self.done = 0
        self._order: list[int] = []
        self._errors: list[tuple[float, float]] = []

    def update(self) -> float:
        """One step; the mean squared error where it counts."""
        self.member.train()
        images, counted, noise = self._batch()
        if self.request.task == "denoise":
            shown, weights = noisy(images, (noise * self.request.noise).clamp(LEAST, MOST), self.generator), counted
        else:
            where = hidden(len(images), self.plan, self.request.hidden, self.generator)
            shown, weights = images * (1 - where), counted * where
        given = float(squared_error(shown, images, weights))
        images, shown, weights = (part.to(self.device) for part in (images, shown, weights))
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        seed = int(torch.randint(1 << 62, (), generator=self.generator))
        with torch.random.fork_rng([self.device] if self.device.startswith("cuda") else []):
            torch.manual_seed(seed)
            error = squared_error(self.member(shown).float(), images, weights)
        value = float(error.detach())
        if not math.isfinite(value):
            raise TrainingError("the pre-training went astray: its error is no number", todo="Lower the learning rate, or check the scans")
        self.optimiser.zero_grad(set_to_none=True)
        error.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.member.parameters(), CLIP)
        self.optimiser.step()
        self.done += 1
        self._errors.append((value, given))
        return value

    def described(self, network: ArchitecturePlan, seen: Survey) -> EncoderPlan:
        """What there is to know of the encoder as it stands."""
        request, facts = self.request, self.plan.fingerprint
        error, given = np.mean(self._errors[-max(1, round(LAST * len(self._errors))) :], axis=0)
        return EncoderPlan(
            network=network, task=request.task, normalise=facts.normalise, channels=facts.channels, spacing=facts.spacing, patch=self.plan.patch,
            noise=float(torch.stack([scan.noise.mean() for scan in self.scans]).mean()), scans=len(self.scans), updates=self.done, batch=request.batch,
            seed=request.seed, learning_rate=request.learning_rate, error=float(error), given=float(given), modalities=list(seen.modalities),
        )

    def _rate(self) -> float:
        warm = min(1.0, (self.done + 1) / WARM)
        fall = 0.5 * (1 + math.cos(math.pi * self.done / self.request.updates))
        return self.request.learning_rate * warm * (FLOOR + (1 - FLOOR) * fall)

    def _batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Windows (n, c, *patch), where they show a scan (n, 1, *patch), and the noise of theirs (n, c)."""
        size = _windows(self.request)
        while len(self._order) < size:
            self._order += torch.randperm(len(self.scans), generator=self.generator).tolist()
        chosen, self._order = self._order[:size], self._order[size:]
        images, counted = zip(*(window(self.scans[i], self.plan.patch, self.generator) for i in chosen), strict=True)
        return torch.stack(images), torch.stack(counted), torch.stack([self.scans[i].noise for i in chosen])


def _windows(request: PretrainRequest) -> int:
    """That an update looks at."""
    return request.batch * (1 if request.dims == 3 else SLICES)


def _drawn(seen: Survey, request: PretrainRequest) -> tuple[Scan, ...]:
    """No more scans than there are windows to be seen, by the seed."""
    most = request.updates * _windows(request)
    if len(seen.images) <= most:
        return seen.images
    places = np.random.default_rng(request.seed).permutation(len(seen.images))[:most]
    return tuple(seen.images[i] for i in sorted(places))


def _watched(work: Generator[int, None, T], begin: float, end: float, total: int, what: str) -> Generator[PretrainTick, None, T]:
    """Ticks of work that counts scans, and what comes of it."""
    while True:
        try:
            done = next(work)
        except StopIteration as ended:
            result: T = ended.value
            return result
        yield PretrainTick(begin + (end - begin) * done / total, f"{what} {done} of {total}")
