"""What the level sets run on: a made volume of 256^3 and the two sample tumours, with the maps that every solver is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage as ndi

from napari_medseg.testing import annotator
from napari_medseg.weaklabel import scene
from napari_medseg.weaklabel.settings import LevelSetSettings
from napari_medseg.weaklabel.speed import Speed

CASES = {"brain1": ("brain1_t1gd.nii.gz", "brain1_tumour.nii.gz"), "lung2": ("lung2_crop_ct.nii.gz", "lung2_crop_tumour.nii.gz")}
NAMES = ("phantom", *CASES)


@dataclass(frozen=True)
class Scene:
    """One volume, its truth, and the maps that drive every solver; arrays (z, y, x)."""

    name: str
    image: np.ndarray
    truth: np.ndarray
    spacing: tuple
    seeds: np.ndarray
    limit: np.ndarray | None


@dataclass(frozen=True)
class Maps:
    """What moves a front: `speed` -1 to 1 and `stopping` 1 (flat) to 0 (an edge), made once for all solvers, and the mask they start from."""

    speed: np.ndarray
    stopping: np.ndarray
    start: np.ndarray


def dice(a, b) -> float:
    """Overlap of two masks."""
    return float(2 * (a & b).sum() / max(a.sum() + b.sum(), 1))


def load(folder: Path, image: str, truth: str):
    """Scan and truth as arrays, and the spacing (z, y, x)."""
    scan, mask = sitk.ReadImage(str(folder / image)), sitk.ReadImage(str(folder / truth))
    return sitk.GetArrayFromImage(scan), sitk.GetArrayFromImage(mask) > 0, scan.GetSpacing()[::-1]


def phantom(side: int = 256) -> Scene:
    """A lumpy organ beside a brighter neighbour, under noise and a bias field, 1 mm voxels."""
    rng = np.random.default_rng(7)
    z, y, x = (np.linspace(-0.5, 0.5, side, dtype=np.float32).reshape([-1 if a == axis else 1 for a in range(3)]) for axis in range(3))
    lumps = ndi.zoom(rng.normal(size=(8, 8, 8)), side / 8, order=3).astype(np.float32)
    truth = np.sqrt((1.25 * z) ** 2 + y**2 + (0.9 * x) ** 2) + 0.025 * lumps < 0.25
    neighbour = np.sqrt(z**2 + (y - 0.1) ** 2 + (x - 0.42) ** 2) < 0.14
    image = np.where(truth, 110, 60) + np.where(neighbour & ~truth, 90, 0)
    image = image * (1 + 0.25 * y + 0.15 * x) + rng.normal(0, 14, truth.shape)
    image = np.asarray(image, np.float32)
    return Scene("phantom", image, truth, (1.0, 1.0, 1.0), annotator.seeds(truth, (1.0, 1.0, 1.0)), None)


def tumour(name: str, folder: Path) -> Scene:
    """A sample tumour with five seeds and a hand mask."""
    image, truth, spacing = load(folder, *CASES[name])
    return Scene(name, image, truth, spacing, annotator.seeds(truth, spacing), annotator.hand_mask(truth, spacing))


def scene_named(name: str, folder: Path) -> Scene:
    """The phantom or one of the tumours."""
    return phantom() if name == "phantom" else tumour(name, folder)


def maps(made: Scene) -> Maps:
    """Maps over the whole volume, as our level set learns them from the seeds; where a hand mask is, nothing grows out of it."""
    allowed = np.ones(made.truth.shape, bool) if made.limit is None else made.limit
    given = {"limit": made.limit, "allowed": allowed, "inward": False}
    grown = Speed(made.image, made.spacing, LevelSetSettings(), made.seeds, **given)
    grown.prepare(np.ones(grown.grid, bool))
    edges = Speed(made.image, made.spacing, LevelSetSettings(method="edge"), made.seeds, **given)
    edges.prepare(np.ones(edges.grid, bool))
    speed = np.where(allowed, grown.speed, np.float32(-1))
    stopping = np.where(allowed, edges.stopping, np.float32(0))
    marks = np.zeros(made.truth.shape, bool)
    marks[tuple(made.seeds.T)] = True
    return Maps(speed, stopping, (scene.distance_to(marks, made.spacing) <= max(5.0, 1.01 * min(made.spacing))) & allowed)


@dataclass
class Fixed:
    """Maps as a drive of our front: nothing is learned, nothing is made lazily."""

    speed: np.ndarray
    stopping: np.ndarray | None
    spacing: tuple
    edge: float
    curvature_mm: float
    balloon: float = 1.0
    advection: float = 1.0
    tile: int = 64
    version: int = 0
    method: str = "region"

    @property
    def shape(self) -> tuple:
        """(z, y, x)."""
        return self.speed.shape

    def prepare(self, tiles) -> None:
        """All is there."""

    def learn(self, inside) -> bool:
        """Nothing is."""
        return False

    def describe(self) -> str:
        """For people."""
        return "fixed maps"
