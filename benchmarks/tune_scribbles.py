"""What the scribbles' constants were chosen on: `python benchmarks/tune_scribbles.py [--hippocampus FOLDER] [--more IMAGE:LABEL ...]`.

None of the scans that benchmarks/weaklabel_scribbles.py reports is among them: made-up tumours in thick slices and in lungs, breast1, hippocampi that are not
every sixth, and whatever else is given. Prints the mean Dice of each kind after 2, 6 and 12 strokes, each setting with an annotator of its own, and the mean
of the kinds.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
from scipy import ndimage as ndi
from weaklabel_scenes import dice, load

from napari_medseg.catalogue import shipped
from napari_medseg.testing import annotator
from napari_medseg.weaklabel.scribble import Scribbler, ScribbleSettings

STROKES = (2, 6, 12)
SETTINGS = {
    "automatic": ScribbleSettings(),
    "geodesic, classifier": ScribbleSettings(method="geodesic", classifier=True),
    "geodesic": ScribbleSettings(method="geodesic", classifier=False),
    "GrowCut": ScribbleSettings(method="growcut"),
    "walker, classifier": ScribbleSettings(method="walker", classifier=True),
    "walker": ScribbleSettings(method="walker", classifier=False),
    **{f"walker, classifier, beta {beta}": ScribbleSettings(method="walker", classifier=True, beta=beta) for beta in (15.0, 60.0)},
}


def tumour(seed: int):
    """A tumour in mottled tissue beside a bright vessel: of one piece or two, bright or dark, whole or with necrosis, slices of 5 or 6.5 mm."""
    rng, shape = np.random.default_rng(seed), (15, 128, 128)
    spacing = (6.5, 0.78, 0.78) if seed % 2 == 0 else (5.0, 0.63, 0.63)

    def field(scale_mm):
        found = ndi.gaussian_filter(rng.normal(0, 1, shape), [scale_mm / step for step in spacing])
        return found / found.std()

    z, y, x = (np.arange(n).reshape([-1 if a == axis else 1 for a in range(3)]) * spacing[axis] for axis, n in enumerate(shape))
    cz, cy, cx = (n * step / 2 for n, step in zip(shape, spacing, strict=True))
    image = np.where(field(4) > 0.4, 300, 220) + np.where(field(6) > 1.2, -120, 0) + 25 * field(8)
    truth = np.sqrt((z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2) + 4 * field(6) < 12 + 4 * rng.random()
    if seed % 3 == 0:
        truth |= np.sqrt((z - cz - 6) ** 2 + (y - cy - 18) ** 2 + (x - cx + 8) ** 2) + 3 * field(5) < 8
    image[truth] = (450, 380, 420, 160)[seed % 4] + 60 * field(4)[truth]
    if seed % 2 == 0:
        image[(ndi.distance_transform_edt(truth, sampling=spacing) > 5) & (field(3) > -0.3)] = 150
    vessel = (np.hypot(y - cy - 26, x - cx + 5) < 4) & ~truth
    image[vessel] = 480
    return (ndi.gaussian_filter(image, [0, 0.7, 0.7]) + rng.normal(0, 14, shape)).astype(np.float32), truth, spacing


def lung(seed: int):
    """A solid tumour in lung beside the chest wall, whose muscle is as bright as it, and so are vessels; every third is darker within; slices of 5 mm."""
    rng, shape, spacing = np.random.default_rng(100 + seed), (22, 150, 150), (5.0, 0.63, 0.63)
    size = np.array(shape) * spacing

    def field(scale_mm):
        found = ndi.gaussian_filter(rng.normal(0, 1, shape), [scale_mm / step for step in spacing])
        return found / found.std()

    z, y, x = (np.arange(n).reshape([-1 if a == axis else 1 for a in range(3)]) * spacing[axis] for axis, n in enumerate(shape))
    image, vessels = -850 + 25 * field(5), np.zeros(shape, bool)
    for _ in range(rng.integers(25, 45)):
        at, way, radius = rng.uniform(0, 1, 3) * size, rng.normal(0, 1, 3), rng.uniform(0.7, 2.8)
        for _ in range(60):
            way = way / np.linalg.norm(way) + 0.25 * rng.normal(0, 1, 3)
            way /= np.linalg.norm(way)
            at, radius = at + 1.5 * way, max(0.985 * radius, 0.6)
            box = tuple(slice(max(0, int((a - radius) / s)), max(0, int((a + radius) / s) + 2)) for a, s in zip(at, spacing, strict=True))
            vessels[box] |= 0.15 * (z[box[0]] - at[0]) ** 2 + (y[:, box[1]] - at[1]) ** 2 + (x[:, :, box[2]] - at[2]) ** 2 < radius**2
    wall = x + 6 * field(12) > size[2] - 18 - seed % 2 * 6
    centre = size[0] / 2, size[1] / 2, size[2] - 30 - seed % 2 * 4
    far = np.sqrt((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2)
    truth = (far + 2.5 * field(6) < 14 + 5 * rng.random()) & ~wall
    fat, ribs = wall & (field(6) > 0.6), wall & (np.abs((z + 0.5 * y) % 30 - 15) < 4)
    for where, value, uneven in ((vessels, 40, 15), (wall, 50, 20), (fat, -90, 0), (ribs, 500, 0), (truth, 45, 12)):
        image[where] = value + uneven * field(4)[where]
    if seed % 3 == 0:
        image[truth & (ndi.distance_transform_edt(truth, sampling=spacing) > 6) & (field(4) > 0.2)] = 5
    return (ndi.gaussian_filter(image, [0, 0.8, 0.8]) + rng.normal(0, 22, shape)).astype(np.float32), truth, spacing


def kinds(folder: Path, hippocampus: Path | None, more: list[str]):
    """Kinds of cases, each a list of (image, truth, spacing)."""
    found = {"made-up tumours": [tumour(seed) for seed in range(4)], "made-up lungs": [lung(seed) for seed in range(5)]}
    found["breast1"] = [load(folder, "breast1_image.nrrd", "breast1_label.nrrd")]
    if hippocampus is not None:
        names = [name for index, name in enumerate(sorted(path.name for path in (hippocampus / "images").iterdir())) if index % 6]
        found["hippocampi"] = [load(hippocampus, f"images/{name}", f"labels/{name}") for name in names[3::7]]
    for pair in more:
        image, label = pair.split(":")
        found[Path(image).stem] = [load(Path(), image, label)]
    return found


def followed(image, truth, spacing, settings) -> list[float]:
    """Dice after each number of strokes, the annotator correcting this setting's own answers."""
    scribbler, strokes, figures = Scribbler(image, spacing, settings), annotator.first_strokes(truth, spacing), []
    for count in range(STROKES[0], STROKES[-1] + 1):
        for _ in scribbler.update(strokes):
            pass
        if count in STROKES:
            figures.append(dice(scribbler.labels > 0, truth))
        annotator.stroke(strokes, truth, scribbler.labels > 0)
    return figures


def main() -> None:
    """Run every setting on every case."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=shipped("sample_data"))
    options.add_argument("--hippocampus", type=Path, default=os.environ.get("MEDSEG_HIPPOCAMPUS"))
    options.add_argument("--more", nargs="*", default=[], metavar="IMAGE:LABEL")
    chosen = options.parse_args()
    cases = kinds(chosen.data, None if chosen.hippocampus is None else Path(chosen.hippocampus), chosen.more)
    for name, settings in SETTINGS.items():
        began = time.perf_counter()
        means = {kind: np.mean([followed(*case, settings) for case in of_kind], 0) for kind, of_kind in cases.items()}
        rows = {"mean of kinds": np.mean(list(means.values()), 0), **means}
        words = "; ".join(f"{kind} " + " ".join(f"{v:.3f}" for v in row) for kind, row in rows.items())
        print(f"{name}: {words}; {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
