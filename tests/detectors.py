"""A detector that has learnt something, made in a few seconds, and what it learnt from."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch

from napari_medseg.segmenters.networks.detection.detector import Detector
from napari_medseg.segmenters.volumetric.fingerprint import fingerprint
from napari_medseg.segmenters.volumetric.members import Architecture, described, new_member
from napari_medseg.segmenters.volumetric.model import VolumetricModel
from napari_medseg.segmenters.volumetric.plan import VolumetricPlan, planned_for
from napari_medseg.testing.network_conformance import phantom
from napari_medseg.volume import Geometry, Volume

UPDATES = 45
SHAPE = (3, 48, 48)


def scan(seed: int = 10_000, spacing=(4.0, 1.0, 1.0), direction=(1.0, 0, 0, 0, 1, 0, 0, 0, 1)):
    """Three slices with a bright ball and a dark one each, and their label map (1, 2)."""
    windows, targets = phantom(2, seed, 3)
    labels = (targets[:, 0] + 2 * targets[:, 1]).numpy().astype(np.uint8)
    return Volume(windows[:, 0].numpy(), Geometry(SHAPE, spacing, (5.0, -7.0, 11.0), direction), "balls", "MR"), labels


@cache
def weights() -> dict[str, torch.Tensor]:
    """Of an HMR-Net that finds both balls."""
    member, _ = fresh()
    network = member.network.train()
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for update in range(UPDATES):
        optimiser.param_groups[0]["lr"] = 3e-3 * (1 - update / UPDATES)
        windows, targets = phantom(2, update)
        optimiser.zero_grad()
        network.own_loss((windows - MEAN) / SD, targets, torch.ones_like(targets[:, :1])).backward()
        optimiser.step()
    return member.state_dict()


MEAN, SD = (float(v) for v in (scan()[0].array.mean(), scan()[0].array.std()))  # near enough to what each scan is normalised by


def fresh() -> tuple[Architecture, VolumetricPlan]:
    """An HMR-Net that has learnt nothing, and the plan of a model of it."""
    small = {"width": 8, "features": 8, "filters": [8, 16], "hidden": 64, "points": 24, "stride": 4}
    network = described("hmr-net", in_channels=1, classes=2, dims=2, axis=0, parameters=small)
    plan = planned_for(network, fingerprint([scan()], (1, 2)), [1, 2], ["bright", "dark"])
    return new_member(plan.network, plan.fingerprint.share, 0), plan


def trained(members: int = 1) -> VolumetricModel:
    """A model of one network, or of several that are alike."""
    _, plan = fresh()
    networks = []
    for _ in range(members):
        member, _ = fresh()
        member.load_state_dict(weights())
        assert isinstance(member.network.eval(), Detector)
        networks.append(member)
    return VolumetricModel(plan, networks, "cpu")


def saved(folder: Path) -> Path:
    """The same on disk."""
    return trained().save(folder, {"title": "Balls"})
