from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_medseg.refine.cases import Case
from napari_medseg.segmenters.unet import UNet
from napari_medseg.segmenters.weights import save_model
from napari_medseg.volume import Geometry, Volume


@dataclass(frozen=True)
class Patients:
    cases: tuple[Case, ...]
    truth: dict[str, Volume]


def bright_discs(seed: int, name: str, values: tuple[int, ...] = (1,)) -> Case:
    """A noisy scan with one bright disc a class, and its true labels."""
    rng = np.random.default_rng(seed)
    geometry = Geometry((4, 32, 32), (5.0, 2.0, 2.0), (-30.0, -30.0, 0.0))
    image = rng.normal(0, 0.1, geometry.shape).astype(np.float32)
    labels = np.zeros(geometry.shape, np.uint8)
    yy, xx = np.mgrid[:32, :32]
    for index, value in enumerate(values):
        y, x = 10 + 11 * index + rng.uniform(-2, 2), 12 + rng.uniform(-3, 3)
        disc = np.hypot(yy - y, xx - x) < 5.5
        labels[:, disc] = value
        image[:, disc] += 1.0 + index
    return Case(name, Volume(image, geometry, name, "MR"), Volume(labels, geometry, name))


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Networks this small only wait for each other on several threads, and for minutes on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # for child processes
    yield
    torch.set_num_threads(before)


@pytest.fixture(name="bright_discs", scope="session")
def _bright_discs() -> Callable[..., Case]:
    return bright_discs


@pytest.fixture
def patients() -> Patients:
    """Three cases whose weak labels are the truth moved by two pixels, each another way."""
    true = [bright_discs(seed, f"p{seed}.nii.gz") for seed in range(3)]
    weak = tuple(Case(c.id, c.image, c.labels.like(np.roll(c.labels.array, 2 if i % 2 else -2, axis=1 + i % 2))) for i, c in enumerate(true))
    return Patients(weak, {c.id: c.labels for c in true})


@pytest.fixture
def base(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    plan = {"title": "tiny", "preprocessing": {"size": 32}}
    return save_model(tmp_path / "tiny.safetensors", UNet(widths=(4, 8)), plan)
