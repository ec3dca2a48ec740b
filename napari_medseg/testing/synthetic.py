"""Abdomen-like scenes with known truth, grown from a seed: a CT cohort to learn from and an MR cohort to transfer to.

The two differ as real ones do. In the CT scenes fat is dark, the liver a little darker than the spleen, and organs are lumpy superellipsoids; in the MR scenes
fat is the brightest tissue, the liver brighter than the spleen, a coil's bias field and Rician noise lie over everything, the body is built to other
proportions and the liver is a chain of merged balls. All of it is ours: no value comes from a patient, so no shipped weight has seen one.

Arrays are (z, y, x) with z towards the head, y towards the back, x towards the patient's left (LPS), 6 mm slices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from math import pi

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from napari_medseg.metrics import dice
from napari_medseg.refine.cases import Case
from napari_medseg.volume import BoolArray, FloatArray, Geometry, LabelArray, Volume

Field = npt.NDArray[np.float64]
Point = tuple[float, float, float]

SIDE = 96
SPACING = (6.0, 3.4, 3.4)


class Tissue(IntEnum):
    """What a voxel is made of; the numbers are internal."""

    AIR = 0
    FAT = 1
    MUSCLE = 2
    BONE = 3
    MARROW = 4
    LUNG = 5
    LIVER = 6
    LIVER_VESSEL = 7
    LESION = 8
    SPLEEN = 9
    KIDNEY = 10
    VESSEL = 11
    STOMACH = 12
    GAS = 13
    BOWEL = 14
    BILE = 15


@dataclass(frozen=True, slots=True)
class Look:
    """How one tissue appears: mean, how much the mean differs between scenes, and its texture's SD, all in the image's unit."""

    mean: float
    between: float
    texture: float


# Portal-venous CT, HU.
CT: Mapping[Tissue, Look] = {
    Tissue.AIR: Look(-1000, 0, 0), Tissue.FAT: Look(-100, 8, 10), Tissue.MUSCLE: Look(55, 6, 8), Tissue.BONE: Look(480, 60, 60),
    Tissue.MARROW: Look(170, 30, 35), Tissue.LUNG: Look(-840, 25, 40), Tissue.LIVER: Look(102, 12, 6), Tissue.LIVER_VESSEL: Look(150, 12, 5),
    Tissue.LESION: Look(50, 15, 10), Tissue.SPLEEN: Look(122, 10, 6), Tissue.KIDNEY: Look(175, 15, 14), Tissue.VESSEL: Look(160, 15, 4),
    Tissue.STOMACH: Look(30, 20, 14), Tissue.GAS: Look(-900, 30, 20), Tissue.BOWEL: Look(45, 20, 18), Tissue.BILE: Look(8, 5, 3),
}
# T1-weighted MR in arbitrary units: the order of fat, liver, spleen and kidney is another one.
MR: Mapping[Tissue, Look] = {
    Tissue.AIR: Look(0, 0, 0), Tissue.FAT: Look(820, 60, 45), Tissue.MUSCLE: Look(290, 25, 22), Tissue.BONE: Look(90, 15, 15),
    Tissue.MARROW: Look(480, 50, 45), Tissue.LUNG: Look(40, 8, 10), Tissue.LIVER: Look(440, 35, 18), Tissue.LIVER_VESSEL: Look(250, 30, 12),
    Tissue.LESION: Look(290, 40, 20), Tissue.SPLEEN: Look(290, 30, 15), Tissue.KIDNEY: Look(340, 35, 40), Tissue.VESSEL: Look(190, 35, 12),
    Tissue.STOMACH: Look(210, 70, 45), Tissue.GAS: Look(15, 4, 4), Tissue.BOWEL: Look(330, 70, 70), Tissue.BILE: Look(150, 40, 12),
}


@dataclass(frozen=True, slots=True)
class WeakLabelSettings:
    """How a true mask is made weak (Salah et al. 2023: random affine, then a smoothed random field, threshold 0.5).

    The amounts are ours, set on development seeds so that the mean Dice against the truth is near the paper's 0.875.

    Attributes
    ----------
    affine : float
        Largest change of any entry of the 3x3 matrix about the mask's centre.
    shift_mm : float
        Largest shift along each axis.
    elastic_mm : float
        SD of the elastic displacement along each in-plane axis, at most; half of it at least, a third of it across slices.
    smooth_mm : (float, float)
        Range of the Gaussian that smooths the displacement.
    """

    affine: float = 0.08
    shift_mm: float = 4.0
    elastic_mm: float = 4.8
    smooth_mm: tuple[float, float] = (16.0, 28.0)


def ct_scene(seed: int) -> tuple[Volume, Volume]:
    """A CT-like abdomen and the mask of its liver.

    Returns
    -------
    image : Volume, float32 (z, y, x) in HU
    truth : Volume, uint8 (z, y, x), 1 in the liver, its vessels and lesions
    """
    rng = np.random.default_rng([1, seed])
    grid = _Grid(rng)
    body = _Body(grid, rng, half_x=rng.uniform(128, 152), half_y=rng.uniform(88, 112), rind=rng.uniform(6, 26), power=2.4)
    liver = _superellipsoid_liver(grid, rng)
    tissues = _paint(grid, rng, body, liver)
    image = _render(tissues, CT, rng)
    radius = np.hypot(grid.y / 110, grid.x / 140)
    image += rng.uniform(-12, 12) * (radius**2 - 0.5)  # cupping left by beam hardening
    image += rng.uniform(3, 8) * grid.noise(rng, 5.0)
    image += ndi.gaussian_filter(rng.normal(0, rng.uniform(25, 45), image.shape), (0, 0.7, 0.7))  # quantum noise, correlated by the kernel
    return _volumes(grid, np.maximum(image, -1024), tissues, f"ct{seed:04d}", "CT")


def mr_scene(seed: int) -> tuple[Volume, Volume]:
    """A T1-like MR abdomen and the mask of its liver: other shapes, proportions and contrasts than `ct_scene`.

    Returns
    -------
    image : Volume, float32 (z, y, x) in arbitrary units
    truth : Volume, uint8 (z, y, x), 1 in the liver, its vessels and lesions
    """
    rng = np.random.default_rng([2, seed])
    grid = _Grid(rng)
    body = _Body(grid, rng, half_x=rng.uniform(118, 140), half_y=rng.uniform(98, 122), rind=rng.uniform(10, 32), power=2.0)
    liver = _chain_liver(grid, rng)
    tissues = _paint(grid, rng, body, liver)
    image = _render(tissues, MR, rng) * np.exp(rng.uniform(0.15, 0.35) * grid.noise(rng, 110.0))
    noise = rng.uniform(14, 30)
    image = np.hypot(image + rng.normal(0, noise, image.shape), rng.normal(0, noise, image.shape))  # Rician: the magnitude of a complex signal
    return _volumes(grid, image * rng.uniform(0.5, 2.0), tissues, f"mr{seed:04d}", "MR")


def weaken(truth: Volume, seed: int, settings: WeakLabelSettings = WeakLabelSettings()) -> Volume:
    """A weak label: the true mask after a random affine and elastic deformation in millimetres.

    Parameters
    ----------
    truth : Volume, label map (z, y, x) with some foreground; classes stay together, as one field moves them all
    seed : int

    Returns
    -------
    Volume
        uint8 label map on the same grid.
    """
    rng = np.random.default_rng([3, seed])
    labels = truth.channel()
    spacing = np.array(truth.geometry.spacing)
    where = np.indices(labels.shape).reshape(3, -1) * spacing[:, None]
    centre = where[:, labels.ravel() > 0].mean(axis=1, keepdims=True) if labels.any() else where.mean(axis=1, keepdims=True)
    matrix = np.eye(3) + rng.uniform(-settings.affine, settings.affine, (3, 3))
    shift = rng.uniform(-settings.shift_mm, settings.shift_mm, (3, 1))
    smooth = rng.uniform(*settings.smooth_mm)
    reach = rng.uniform(0.5, 1.0) * settings.elastic_mm * np.array([1 / 3, 1.0, 1.0])
    elastic = np.stack([amount * smooth_noise(rng, labels.shape, spacing, smooth) for amount in reach])
    source = (matrix @ (where - centre) + centre + shift + elastic.reshape(3, -1)) / spacing[:, None]
    weak = np.zeros(labels.shape, np.uint8)
    for value in np.unique(labels[labels > 0]):
        moved = ndi.map_coordinates((labels == value).astype(np.float32), source, order=1, mode="nearest").reshape(labels.shape)
        weak[moved > 0.5] = value
    return truth.like(weak)


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Cases to refine, their truth, and cases held out.

    Attributes
    ----------
    weak : cases with weak labels
    truth : the refined cases' true label maps, by case id
    heldout : other cases with true labels
    """

    weak: tuple[Case, ...]
    truth: Mapping[str, Volume]
    heldout: tuple[Case, ...]

    @property
    def weak_dice(self) -> float:
        """Mean Dice of the weak labels against the truth."""
        return float(np.mean([dice(case.labels.array, self.truth[case.id].array) for case in self.weak]))


def mr_cohort(seed: int, cases: int = 16, heldout: int = 8, settings: WeakLabelSettings = WeakLabelSettings()) -> Cohort:
    """The target cohort: MR-like patients `seed` on, the first ones with weak labels, the last ones held out."""
    scenes = {number: mr_scene(number) for number in range(seed, seed + cases + heldout)}
    refined = range(seed, seed + cases)
    return Cohort(
        weak=tuple(Case(f"mr{n:04d}.nii.gz", scenes[n][0], weaken(scenes[n][1], n, settings)) for n in refined),
        truth={f"mr{n:04d}.nii.gz": scenes[n][1] for n in refined},
        heldout=tuple(Case(f"mr{n:04d}.nii.gz", *scenes[n]) for n in range(seed + cases, seed + cases + heldout)),
    )


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], spacing: npt.ArrayLike, smooth_mm: float) -> Field:
    """White noise smoothed by a Gaussian of `smooth_mm`, scaled to mean 0 and SD 1."""
    noise = ndi.gaussian_filter(rng.uniform(-1, 1, shape), smooth_mm / np.asarray(spacing, dtype=float), mode="reflect")
    return np.asarray((noise - noise.mean()) / max(float(noise.std()), 1e-9))


class _Grid:
    """Millimetres from the middle of the scan; x to the left, y to the back, z to the head."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.shape = (int(rng.integers(12, 15)), SIDE, SIDE)
        self.spacing = SPACING
        axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(self.shape, SPACING, strict=True)]
        self.z, self.y, self.x = np.meshgrid(*axes, indexing="ij")

    def noise(self, rng: np.random.Generator, smooth_mm: float) -> Field:
        return smooth_noise(rng, self.shape, self.spacing, smooth_mm)

    def blob(self, centre: Point, radii: Point, *, tilt: float = 0.0, power: float = 2.0) -> Field:
        """A superellipsoid's level, 1 at its centre and 0 on its surface; centre and radii (z, y, x) mm, turned by `tilt` radians in the slice."""
        dz, dy, dx = self.z - centre[0], self.y - centre[1], self.x - centre[2]
        along, across = np.cos(tilt) * dx + np.sin(tilt) * dy, np.cos(tilt) * dy - np.sin(tilt) * dx
        level = np.abs(dz / radii[0]) ** power + np.abs(across / radii[1]) ** power + np.abs(along / radii[2]) ** power
        return np.asarray(1.0 - level ** (1 / power))


class _Body:
    """Skin, fat rind, muscle wall and the cavity that holds the organs."""

    def __init__(self, grid: _Grid, rng: np.random.Generator, *, half_x: float, half_y: float, rind: float, power: float) -> None:
        outline = grid.blob((0, 0, 0), (900, half_y, half_x), power=power) + 0.02 * grid.noise(rng, 40)
        depth = outline * min(half_x, half_y)  # about mm under the skin
        wall = rng.uniform(9, 15)
        self.half_x, self.half_y = half_x - rind - wall, half_y - rind - wall
        self.inside = depth > 0
        self.wall = depth > rind
        self.cavity = depth > rind + wall + 2 * grid.noise(rng, 15)
        self.depth, self.rind, self.thickness = depth, rind, wall


def _superellipsoid_liver(grid: _Grid, rng: np.random.Generator) -> Field:
    """Right lobe and a flatter left lobe as lumpy superellipsoids (the CT family)."""
    u = rng.uniform
    z = u(0, 22)
    right = grid.blob((z, u(-8, 10), u(-66, -50)), (u(40, 58), u(54, 68), u(42, 56)), tilt=u(-0.35, 0.25), power=u(2.0, 2.8))
    left = grid.blob((z + u(4, 18), u(-46, -30), u(-20, 5)), (u(24, 38), u(20, 32), u(42, 62)), tilt=u(-0.3, 0.2))
    return np.maximum(right, left) + 0.07 * grid.noise(rng, 14)


def _chain_liver(grid: _Grid, rng: np.random.Generator) -> Field:
    """Balls of shrinking size along a bent line from the right flank forwards to the midline, merged (the MR family)."""
    u = rng.uniform
    steps = int(rng.integers(5, 8))
    reach, bend, z = u(55, 85), u(15, 40), u(0, 20)
    field = np.zeros(grid.shape)
    for t in np.linspace(0, 1, steps):
        centre = (z + 14 * t + rng.normal(0, 4), u(18, 26) - 62 * t + bend * t * (1 - t) + rng.normal(0, 4), -68 + reach * t**1.2 + rng.normal(0, 5))
        radius = (42 - 18 * t) * u(0.9, 1.15)
        distance = ((grid.z - centre[0]) / 1.15) ** 2 + (grid.y - centre[1]) ** 2 + (grid.x - centre[2]) ** 2
        field += np.exp(-distance / radius**2)
    return np.asarray(0.5 * np.log(np.maximum(field, 1e-9) / 0.55)) + 0.06 * grid.noise(rng, 10)


def _paint(grid: _Grid, rng: np.random.Generator, body: _Body, liver: Field) -> LabelArray:
    """Lay the tissues over each other, back to front."""
    u = rng.uniform
    t = np.zeros(grid.shape, np.uint8)
    t[body.inside] = Tissue.FAT
    t[body.wall] = Tissue.MUSCLE
    t[body.cavity] = Tissue.FAT
    room = body.cavity

    def lay(level: Field, tissue: Tissue, where: BoolArray = room, over: float = 0.0) -> BoolArray:
        mask = (level > over) & where
        t[mask] = tissue
        return mask

    for _ in range(int(rng.integers(9, 15))):  # bowel: blobs in the lower front, some with gas that rises to the front
        centre = (u(-50, -10), u(-0.75, 0.3) * body.half_y, u(-0.6, 0.8) * body.half_x)
        size = u(11, 21)
        loop = grid.blob(centre, (size * 1.3, size, size * u(1, 1.8)), tilt=u(0, pi)) + 0.1 * grid.noise(rng, 8)
        part = lay(loop, Tissue.BOWEL)
        if rng.random() < 0.45:
            lay(loop, Tissue.GAS, part & (grid.y < centre[1] - 0.25 * size), 0.15)
    for side in (-1.0, 1.0):  # kidneys with a fatty sinus
        centre = (u(-38, -8), u(28, 44), side * u(48, 62))
        kidney = grid.blob(centre, (u(42, 52), u(23, 30), u(20, 27)), tilt=side * u(0.3, 0.8)) + 0.05 * grid.noise(rng, 9)
        lay(kidney, Tissue.KIDNEY)
        lay(grid.blob((centre[0], centre[1] - 5, centre[2] - side * 12), (22, 8, 12)), Tissue.FAT)
    stomach = grid.blob((u(0, 32), u(-38, -18), u(34, 58)), (u(30, 44), u(26, 40), u(26, 42)), tilt=u(0, 1)) + 0.1 * grid.noise(rng, 16)
    inside = lay(stomach, Tissue.STOMACH)
    lay(stomach, Tissue.GAS, inside & (grid.y < u(-60, -25)), 0.12)
    spleen = grid.blob((u(4, 30), u(18, 42), u(76, 92)), (u(32, 46), u(32, 44), u(19, 29)), tilt=u(-0.9, -0.2)) + 0.07 * grid.noise(rng, 13)
    lay(spleen, Tissue.SPLEEN)

    organ = lay(liver, Tissue.LIVER)
    for _ in range(int(rng.integers(5, 9))):  # vessels: thin bent tubes
        lay(0.13 - np.abs(grid.noise(rng, 26)) - np.abs(grid.noise(rng, 30)), Tissue.LIVER_VESSEL, organ & (liver > 0.12))
    spots = np.argwhere(organ & (liver > 0.15))
    for _ in range(int(rng.integers(0, 4)) if len(spots) else 0):
        z, y, x = spots[rng.integers(len(spots))]
        size = u(6, 14)
        lay(grid.blob((grid.z[z, 0, 0], grid.y[0, y, 0], grid.x[0, 0, x]), (size, size, size)), Tissue.LESION, organ)
    if rng.random() < 0.8 and organ.any():  # gallbladder: it dents the liver's lower face
        lay(grid.blob((u(-26, -4), u(-40, -14), u(-48, -26)), (26, u(11, 17), u(11, 17))), Tissue.BILE)

    off_centre = ((np.abs(grid.x) - 0.5 * body.half_x) / (0.5 * body.half_x)) ** 2 + (grid.y / body.half_y) ** 2
    lay((grid.z - u(34, 70) + 26 * np.minimum(off_centre, 1.6)) / 30 + 0.05 * grid.noise(rng, 20), Tissue.LUNG)  # deepest round the domes' rims
    lay(grid.blob((64, -22, u(0, 14)), (u(36, 52), u(34, 44), u(38, 48))), Tissue.VESSEL)  # heart
    lay(grid.blob((60, 30, 0), (60, 40, 24)), Tissue.FAT, room & (t == Tissue.LUNG))
    back = body.half_y - 16
    for x, radius in ((u(8, 18), u(10, 14)), (u(-24, -14), u(10, 14))):  # aorta and cava before the spine
        lay(grid.blob((0, back - 32, x), (900, radius, radius)), Tissue.VESSEL, body.wall)
    for side in (-1, 1):
        lay(grid.blob((-40, back - 4, side * 38), (70, 20, 22)), Tissue.MUSCLE, room)
    spine = grid.blob((0, back, 0), (900, 21, 24))
    lay(spine, Tissue.BONE, body.wall)
    lay(spine, Tissue.MARROW, body.wall, 0.14)
    lay(grid.blob((0, back + 32, 0), (900, 16, 6)), Tissue.BONE, body.wall)
    angle = np.arctan2(grid.y, grid.x)
    middle = body.rind + 0.5 * body.thickness
    ribs = (np.sin(grid.z / 12 + 9 * angle + u(0, 6)) > 0.62) & (np.abs(body.depth - middle) < 4) & (grid.y < body.half_y * 0.9)
    t[ribs & (np.sin(angle) > -0.85)] = Tissue.BONE
    return t


def _render(tissues: LabelArray, looks: Mapping[Tissue, Look], rng: np.random.Generator) -> Field:
    """Means, textures and the scanner's blur."""
    fine = smooth_noise(rng, tissues.shape, SPACING, 3.5)
    coarse = smooth_noise(rng, tissues.shape, SPACING, 11.0)
    image = np.zeros(tissues.shape)
    for tissue, look in looks.items():
        mask = tissues == tissue
        image[mask] = look.mean + look.between * rng.normal() + look.texture * (0.8 * fine[mask] + 0.6 * coarse[mask])
    return np.asarray(ndi.gaussian_filter(image, (0.35, 0.6, 0.6)))


def _volumes(grid: _Grid, image: Field, tissues: LabelArray, name: str, modality: str) -> tuple[Volume, Volume]:
    origin = (float(grid.x[0, 0, 0]), float(grid.y[0, 0, 0]), float(grid.z[0, 0, 0]))
    geometry = Geometry(grid.shape, SPACING, origin)
    pixels: FloatArray = image.astype(np.float32)
    truth = np.isin(tissues, (Tissue.LIVER, Tissue.LIVER_VESSEL, Tissue.LESION)).astype(np.uint8)
    return Volume(pixels, geometry, name, modality), Volume(truth, geometry, name, modality)
