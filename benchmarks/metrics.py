"""All figures of one pair of masks against MONAI and DeepMind's surface-distance: `python benchmarks/metrics.py [--repeats 3]`.

The pair is two blobs of about 10 million voxels on 512x512x300 (1 x 0.7 x 0.7 mm). Each gives Dice, HD95, ASSD and surface Dice at 2 mm; ours gives all
that `measure` does. Prints the best of the repeats, taken in turn, the ratios, and how far the figures lie apart. surface-distance (pip install
surface-distance) weighs surface elements by area where MONAI and we count voxels, so its figures differ; it is left out where it is not installed.
"""

import argparse
import json
import time

import numpy as np
import torch
from monai import metrics as monai
from scipy import ndimage

from napari_medseg.metrics import measure

SHAPE, SPACING = (300, 512, 512), (1.0, 0.7, 0.7)


def blob(seed):
    """An ellipsoid with a wavy surface."""
    coarse = tuple(n // 4 for n in SHAPE)
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=coarse), 5)
    z, y, x = np.mgrid[[slice(-1, 1, complex(n)) for n in coarse]]
    field = (z / 0.7) ** 2 + (y / 0.6) ** 2 + (x / 0.6) ** 2 + 0.12 * noise / noise.std()
    return ndimage.zoom(field.astype(np.float32), [n / c for n, c in zip(SHAPE, coarse, strict=True)], order=1) < 1


def ours(a, b):
    """Every figure of `medseg measure`."""
    row = measure(a, b, SPACING)["1"]
    return [row[name] for name in ("dice", "hd95_mm", "assd_mm", "surface_dice_2mm")]


def with_monai(a, b):
    """The four figures, each by MONAI's own function."""
    a, b = (torch.from_numpy(m[None, None]) for m in (a, b))
    both = {"include_background": True, "spacing": SPACING}
    return [float(v) for v in (
        monai.compute_dice(a.float(), b.float()),
        monai.compute_hausdorff_distance(a, b, percentile=95, **both),
        monai.compute_average_surface_distance(a, b, symmetric=True, **both),
        monai.compute_surface_dice(a, b, [2.0], **both),
    )]


def with_surface_distance(a, b):
    """The four figures by DeepMind's package, from one computation of distances."""
    import surface_distance as deepmind

    found = deepmind.compute_surface_distances(a, b, SPACING)
    there, back = deepmind.compute_average_surface_distance(found)
    return [
        deepmind.compute_dice_coefficient(a, b), deepmind.compute_robust_hausdorff(found, 95), (there + back) / 2,
        deepmind.compute_surface_dice_at_tolerance(found, 2.0),
    ]


def main():
    """Measure each in turn and print one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    a, b = blob(1), blob(2)
    runs = {"ours": ours, "monai": with_monai}
    try:
        import surface_distance  # noqa: F401

        runs["surface-distance"] = with_surface_distance
    except ImportError:
        print("surface-distance is not installed; left out")
    seconds, figures = {who: [] for who in runs}, {}
    for _ in range(repeats):
        for who, run in runs.items():
            start = time.perf_counter()
            figures[who] = run(a, b)
            seconds[who].append(time.perf_counter() - start)
    best = {who: min(times) for who, times in seconds.items()}
    print(json.dumps({
        "seconds": best, "times_faster": {who: best[who] / best["ours"] for who in runs if who != "ours"},
        "figures": figures, "largest_difference_to_monai": float(np.abs(np.subtract(figures["ours"], figures["monai"])).max()),
    }))


if __name__ == "__main__":
    main()
