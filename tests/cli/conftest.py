"""A small scan, its truth and what a person gives, on disk; and `medseg` as a program."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from napari_medseg.io import write
from napari_medseg.volume import Geometry, Volume

GRID = Geometry((10, 48, 56), (3.0, 1.0, 1.0), (-30.0, 12.0, -80.0), (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Done:
    """How a run of the program ended."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> dict:
        """The one JSON object on stdout."""
        assert self.out.count("\n") == 1, self.out + self.err
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


@pytest.fixture
def medseg(tmp_path):
    """Run `medseg` in a folder of its own, in a process of its own."""

    def run(*arguments, env=None) -> Done:
        command = [sys.executable, "-c", "from napari_medseg.cli import main; main()", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=env)
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@dataclass(frozen=True)
class Study:
    """Files of one patient."""

    folder: Path
    image: Path
    truth: Path
    hand: Path
    seeds: Path
    strokes: Path


@pytest.fixture
def study(tmp_path) -> Study:
    """A bright ball in noise, its truth, a rough hand mask, five seeds and two strokes."""
    z, y, x = np.indices(GRID.shape)
    depth = 11 - np.sqrt(((z - 5) * 3.0) ** 2 + (y - 22) ** 2 + (x - 30) ** 2)
    truth = depth > 0
    noise = np.random.default_rng(0).normal(0, 12, GRID.shape)
    image = Volume((100 + 80 * ndimage.gaussian_filter(truth.astype(float), 0.5) + noise).astype(np.int16), GRID)
    strokes = np.zeros(GRID.shape, np.uint8)
    strokes[5, 22, 25:36], strokes[5, 4:44, 8], strokes[1, 22, 20:40] = 1, 255, 255
    inside = np.array([(5, 22, 30), (5, 18, 30), (5, 26, 33), (4, 22, 26), (6, 24, 30)])
    paths = Study(tmp_path, *(tmp_path / name for name in ("scan.nii.gz", "truth.nii.gz", "hand.nii.gz", "seeds.json", "strokes.nii.gz")))
    write(image, paths.image)
    write(image.like(truth), paths.truth)
    write(image.like(depth > -4), paths.hand)
    write(image.like(strokes), paths.strokes)
    paths.seeds.write_text(json.dumps({"points": GRID.world(inside).tolist()}), encoding="utf-8")
    return paths


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """A small untrained network, as `medseg refine` writes one."""
    import torch

    from napari_medseg.segmenters.unet import UNet
    from napari_medseg.segmenters.weights import save_model

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, UNet(widths=(4, 8, 16)), {"title": "Small"})
    return folder
