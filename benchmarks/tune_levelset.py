"""How the level set's settings were chosen: `python benchmarks/tune_levelset.py [--hippocampus FOLDER] [--scans FOLDER] [--unseen] [name=value ...]`.

None of these cases is one that results are reported on. Tuned on: made-up tumours and livers of this file and of the testing room, breast1, six hippocampi
that are not every sixth name, and, where given, a folder of `NAME_image.nrrd` with `NAME_label.nrrd`. Each has sloppy hand masks (100, 101) and five seeds.
`--unseen` measures other scenes, other hippocampi and another hand (102), which no setting was chosen on. Further arguments change settings:
`curvature_mm=0.2 edge=0`.
"""

from __future__ import annotations

import argparse
import ast
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage as ndi

from napari_medseg.catalogue import shipped
from napari_medseg.metrics import dice
from napari_medseg.testing import annotator
from napari_medseg.testing.synthetic import ct_scene, mr_scene
from napari_medseg.weaklabel.levelset import LevelSetSettings, evolve

MARGIN_MM = 30.0
KINDS = ("plain", "pieces", "darker", "ring", "neighbour", "between", "bias", "wall", "uneven")
PLUS = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], bool)
SHAPE, SPACING = (18, 90, 90), (4.0, 1.0, 1.0)


class Clay:
    """Lumps and ellipsoids from one generator, in mm from the middle."""

    def __init__(self, seed: int, shape=SHAPE, spacing=SPACING) -> None:
        self.rng = np.random.default_rng([7, seed])
        self.shape, self.spacing = shape, spacing
        axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
        self.z, self.y, self.x = np.meshgrid(*axes, indexing="ij")

    def lumps(self, mm):
        """Smooth noise of mean 0 and SD 1."""
        noise = ndi.gaussian_filter(self.rng.uniform(-1, 1, self.shape), [mm / s for s in self.spacing])
        return (noise - noise.mean()) / noise.std()

    def blob(self, centre, radii):
        """A lumpy ellipsoid's level, above 0 inside."""
        parts = [((axis - c) / r) ** 2 for axis, c, r in zip((self.z, self.y, self.x), centre, radii, strict=True)]
        return 1 - np.sqrt(sum(parts)) + 0.15 * self.lumps(7)


def tumour(kind: str, seed: int):
    """A made-up tumour: image, truth, spacing."""
    clay = Clay(seed)
    r = clay.rng.uniform(11, 17, 3)
    level = clay.blob((0, 0, 0), r)
    if kind == "pieces":
        level = np.maximum(clay.blob((0, -8, -13), r * 0.7), clay.blob((2, 9, 14), r * 0.6))
    truth = level > 0
    image = 50 + 12 * clay.lumps(4)
    image[truth] = (5.0 if kind == "darker" else 100.0) + 8 * clay.lumps(4)[truth]
    if kind == "ring":
        image[level > 0.35] = 45
    elif kind == "neighbour":
        image[(clay.blob((0, r[1] + 13, 4), (12, 11, 12)) > 0) & ~truth] = 104
    elif kind == "between":
        image[~truth & (clay.x + 0.5 * clay.y > 0)] += 100
    elif kind == "wall":
        image -= 60 * (clay.lumps(9) > -0.7)
        image[truth] = 100 + 8 * clay.lumps(4)[truth]
        wall = (clay.x * np.cos(seed) + clay.y * np.sin(seed) + 0.1 * clay.z) > r.min() * 0.9 - 2 * clay.lumps(12)
        image[wall & ~truth] = (95 + 12 * clay.lumps(4))[wall & ~truth]
    elif kind == "uneven":
        level = np.maximum(clay.blob((0, -7, -12), r * 0.75), clay.blob((3, 8, 12), r * 0.6))
        truth = level > 0
        image = 50 + 14 * clay.lumps(5)
        image[truth] = (80 + 22 * clay.lumps(5))[truth]
        image[(clay.blob((0, -22, 16), (20, 3, 9)) > 0) & ~truth] = 110
        image[level > 0.45] -= 25
    elif kind == "bias":
        image *= np.exp(0.5 * np.sin(clay.x / 22 + clay.rng.uniform(0, 6)))
    image = ndi.gaussian_filter(image, (0.3, 0.7, 0.7)) + clay.rng.normal(0, 9, SHAPE)
    return image.astype(np.float32), truth, SPACING


def mottled(seed: int):
    """A tumour uneven in itself among several tissues: image, truth, spacing.

    Its values wander smoothly (they go together over 8 to 15 mm) into those of its surroundings, and parts near its rim are darker. Every other one has thick
    slices.
    """
    spacing = (5.0 + 0.5 * (seed // 2 % 4), 0.9, 0.9) if seed % 2 == 0 else (1.5, 1.0, 1.0)
    clay = Clay(1000 + seed, (int(78 / spacing[0]), 84, 84), spacing)
    level = clay.blob((0, 0, 0), clay.rng.uniform(12, 19, 3))
    truth = level > 0
    tissue, other = clay.lumps(9), clay.lumps(12)
    image = np.select([tissue > 0.7, tissue < -0.7, other > 0.5], [68.0, 20.0, 85.0], 50.0) + 5 * clay.lumps(3)
    inner = 105 + clay.rng.uniform(14, 20) * clay.lumps(clay.rng.uniform(4, 7.5))
    dim = np.clip((0.4 - level) / 0.3, 0, 1) * np.clip(clay.lumps(6) + 0.3, 0, 1)
    image[truth] = (inner - 28 * dim)[truth]
    image = ndi.gaussian_filter(image, [0.7 / s for s in spacing]) + clay.rng.normal(0, 7, clay.shape)
    return image.astype(np.float32), truth, spacing


def load(image: Path, label: Path):
    """A scan cut to its target's neighbourhood."""
    scan, mask = sitk.ReadImage(str(image)), sitk.ReadImage(str(label))
    values, truth, spacing = sitk.GetArrayFromImage(scan), sitk.GetArrayFromImage(mask) > 0, scan.GetSpacing()[::-1]
    places = np.argwhere(truth)
    margin = np.ceil(MARGIN_MM / np.array(spacing)).astype(int)
    box = tuple(slice(max(0, a), b) for a, b in zip(places.min(0) - margin, places.max(0) + 1 + margin, strict=True))
    return values[box].astype(np.float32), truth[box], spacing


def cases(hippocampus: Path | None, scans: Path | None, unseen: bool):
    """Kind, image, truth, spacing of every tuning case, or of unseen ones of the same kinds."""
    numbers = (2, 3) if unseen else (0, 1)
    if scans is not None:
        for image in sorted(scans.glob("*_image.nrrd")):
            yield "real", *load(image, image.with_name(image.name.replace("_image", "_label")))
    folder = shipped("sample_data")
    yield "breast", *load(folder / "breast1_image.nrrd", folder / "breast1_label.nrrd")
    if hippocampus is not None:
        names = sorted(path.name for path in (hippocampus / "images").iterdir())
        free = [name for i, name in enumerate(names) if i % 6]
        for name in free[10:16] if unseen else free[:6]:
            yield "hippocampus", *load(hippocampus / "images" / name, hippocampus / "labels" / name)
    for kind in KINDS:
        for number in numbers:
            yield "tumour", *tumour(kind, number)
    for number in range(4, 8) if unseen else range(4):
        yield "mottled", *mottled(number)
    for number in numbers:
        for scene in (ct_scene, mr_scene):
            image, truth = scene(number)
            yield "liver", image.channel().astype(np.float32), truth.channel() > 0, image.geometry.spacing


def main() -> None:
    """Print the mean Dice of each kind: ours in sloppy masks, the best blind erosion of these, ours from seeds alone."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--hippocampus", type=Path)
    options.add_argument("--scans", type=Path)
    options.add_argument("--unseen", action="store_true")
    options.add_argument("changes", nargs="*", metavar="name=value")
    given = options.parse_args()
    changes = {}
    for each in given.changes:
        name, _, value = each.partition("=")
        try:
            changes[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            changes[name] = value
    settings = replace(LevelSetSettings(), **changes)
    found = defaultdict(list)
    for kind, image, truth, spacing in cases(given.hippocampus, given.scans, given.unseen):
        seeds = annotator.seeds(truth, spacing)
        *_, alone = evolve(image, seeds, spacing, settings)
        for hand in (102,) if given.unseen else (100, 101):
            limit = annotator.sloppy_mask(truth, spacing, hand)
            *_, last = evolve(image, seeds, spacing, settings, limit=limit)
            eroded = [dice(ndi.binary_erosion(limit, PLUS, iterations=n) if n else limit, truth) for n in range(7)]
            found[kind].append((dice(last.mask, truth), *eroded, dice(alone.mask, truth)))
    for kind, rows in found.items():
        mean = np.mean(rows, axis=0)
        print(f"{kind:12} in sloppy masks {mean[0]:.3f}, these eroded at best {mean[1:8].max():.3f}, from seeds alone {mean[8]:.3f}  ({len(rows)} runs)")
    overall = np.mean([np.mean(rows, axis=0) for rows in found.values()], axis=0)
    print(f"{'mean':12} in sloppy masks {overall[0]:.3f}, from seeds alone {overall[8]:.3f}")


if __name__ == "__main__":
    main()
