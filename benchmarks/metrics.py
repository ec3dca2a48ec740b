"""Our figures against MONAI's and DeepMind's surface-distance: how quick, and whether the same.

`python benchmarks/metrics.py [--only speed|agreement] [--repeats 3] [--pairs 200] [--surface-distance FOLDER]`

speed: a pair of blobs of about 10 million voxels on 512x512x300 (1 x 0.7 x 0.7 mm). MONAI and surface-distance give Dice, HD95, ASSD and surface Dice at 2
mm; ours gives all that `measure` does. Prints the best of the repeats, taken in turn, the ratios, and how far the figures lie apart.

agreement: random pairs of varied shapes, sizes, spacings and kinds, empty masks and single slices among them; prints the largest gaps and where conventions
differ.

surface-distance (pip install surface-distance, or a FOLDER that holds it) weighs surface elements of a mesh by area where MONAI and we count voxels, so its
HD95, ASSD and surface Dice are another quantity. Its distances are held against ours by giving both the same points: see `their_points`. It is left out where
it is not there.
"""

import argparse
import json
import math
import sys
import time

import numpy as np
import torch
from monai import metrics as monai
from monai.metrics.utils import get_mask_edges
from scipy import ndimage

from napari_medseg.metrics import measure

SHAPE, SPACING = (300, 512, 512), (1.0, 0.7, 0.7)
NAMES = ("dice", "hd95_mm", "assd_mm", "surface_dice_2mm")


def blob(seed):
    """An ellipsoid with a wavy surface."""
    coarse = tuple(n // 4 for n in SHAPE)
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=coarse), 5)
    z, y, x = np.mgrid[[slice(-1, 1, complex(n)) for n in coarse]]
    field = (z / 0.7) ** 2 + (y / 0.6) ** 2 + (x / 0.6) ** 2 + 0.12 * noise / noise.std()
    return ndimage.zoom(field.astype(np.float32), [n / c for n, c in zip(SHAPE, coarse, strict=True)], order=1) < 1


def ours(a, b, spacing=SPACING):
    """Every figure of `medseg measure`; the four that the others have."""
    row = measure(a, b, spacing).get("1")
    return [row[name] for name in NAMES] if row else [None] * 4


def with_monai(a, b, spacing=SPACING):
    """The four figures, each by MONAI's own function. A single slice is given as a picture: MONAI has no convention for it."""
    kept = [axis for axis in range(3) if a.shape[axis] > 1] if min(a.shape) == 1 else [0, 1, 2]
    a, b = (torch.from_numpy(np.ascontiguousarray(m.reshape([m.shape[axis] for axis in kept])))[None, None] for m in (a, b))
    both = {"include_background": True, "spacing": [spacing[axis] for axis in kept]}
    return [float(v) for v in (
        monai.compute_dice(a.float(), b.float(), ignore_empty=False),
        monai.compute_hausdorff_distance(a, b, percentile=95, **both),
        monai.compute_average_surface_distance(a, b, symmetric=True, **both),
        monai.compute_surface_dice(a, b, [2.0], **both),
    )]


def with_surface_distance(a, b, spacing=SPACING):
    """The four figures by DeepMind's package, from one computation of distances."""
    import surface_distance as deepmind

    found = deepmind.compute_surface_distances(a, b, spacing)
    there, back = deepmind.compute_average_surface_distance(found)
    return [
        deepmind.compute_dice_coefficient(a, b), deepmind.compute_robust_hausdorff(found, 95), (there + back) / 2,
        deepmind.compute_surface_dice_at_tolerance(found, 2.0),
    ]


def pair(number):
    """Two masks and a spacing: blobs, boxes, balls, crumbs, single slices; every tenth pair has an empty mask."""
    rng = np.random.default_rng(number)
    shape = tuple(int(n) for n in rng.integers(8, 40, 3))
    spacing = tuple(float(s) for s in rng.choice([0.5, 0.7, 1.0, 1.3, 2.0, 3.0, 5.0], 3))
    kind = ("blob", "box", "ball", "crumbs", "slice")[number % 5]
    if kind == "slice":
        axis = int(rng.integers(3))
        shape = tuple(1 if a == axis else n for a, n in enumerate(shape))
    masks = []
    for _ in range(2):
        if kind == "box":
            corners = [sorted(rng.integers(0, n + 1, 2)) for n in shape]
            masks.append(np.zeros(shape, bool))
            masks[-1][tuple(slice(low, max(high, low + 1)) for low, high in corners)] = True
        elif kind == "ball":
            grid = np.indices(shape).transpose(1, 2, 3, 0)
            masks.append((((grid - rng.uniform(0.3, 0.7, 3) * shape) * spacing) ** 2).sum(-1) < (rng.uniform(0.15, 0.5) * min(np.array(shape) * spacing)) ** 2)
        else:
            noise = ndimage.gaussian_filter(rng.normal(size=shape), 0.6 if kind == "crumbs" else 2)
            masks.append(noise > np.quantile(noise, rng.uniform(0.5, 0.97)))
    if number % 10 == 9:
        masks[int(rng.integers(2))][:] = False
    if number % 50 == 49:
        masks = [mask & False for mask in masks]
    return masks[0], masks[1], spacing


def their_points(a, b, spacing):
    """Our HD95 and ASSD, and surface-distance's percentile and mean over the distances of the voxels that MONAI holds to be surface, each weighing the same.

    The package's functions that make figures of distances take any distances and weights, so giving them ours shows whether they mean the same by a percentile.
    Its own distances are those of a Euclidean distance transform, as here.
    """
    import surface_distance as deepmind

    edges = [np.asarray(edge, bool).reshape(a.shape) for edge in get_mask_edges(a, b, crop=False)]
    fields = [ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in edges]
    there, back = np.sort(fields[1][edges[0]]), np.sort(fields[0][edges[1]])
    found = {
        "distances_gt_to_pred": there, "distances_pred_to_gt": back, "surfel_areas_gt": np.ones_like(there), "surfel_areas_pred": np.ones_like(back),
    }
    average = deepmind.compute_average_surface_distance(found)
    return {
        "hd95_mm": deepmind.compute_robust_hausdorff(found, 95), "surface_dice_2mm": deepmind.compute_surface_dice_at_tolerance(found, 2.0),
        "assd_mm": (average[0] * there.size + average[1] * back.size) / (there.size + back.size),
        "rank_mm": max(float(np.diff(np.append(line, line[-1]))[min(int(0.95 * line.size) + o, line.size - 1)]) for line in (there, back) for o in (-1, 0)),
    }


def agreement(count, deepmind):
    """Compare on random pairs."""
    gaps = {"monai": dict.fromkeys(NAMES, 0.0)}
    told = {"pairs": count, "both_empty": 0, "one_empty": 0, "single_slices": 0, "mismatches": []}
    if deepmind:
        gaps |= {"surface-distance, same points": dict.fromkeys(NAMES, 0.0), "surface-distance, its own surfaces (median gap)": {name: [] for name in NAMES}}
    for number in range(count):
        a, b, spacing = pair(number)
        mine, theirs = ours(a, b, spacing), with_monai(a, b, spacing)
        told["single_slices"] += min(a.shape) == 1
        if not a.any() or not b.any():
            told["both_empty" if not a.any() and not b.any() else "one_empty"] += 1
            # conventions: no row for a class in neither map; distances to nothing are None where MONAI has inf or NaN
            expected = [None] * 4 if not (a.any() or b.any()) else [0.0, None, None, 0.0]
            fits = mine == expected and (theirs[0] in (0.0, 1.0)) and not math.isfinite(theirs[1]) and not math.isfinite(theirs[2])
            told["mismatches"] += [] if fits else [{"pair": number, "ours": mine, "monai": theirs}]
            continue
        for name, one, other in zip(NAMES, mine, theirs, strict=True):
            gaps["monai"][name] = max(gaps["monai"][name], abs(one - other))
        if deepmind and min(a.shape) > 1:
            same, own = their_points(a, b, spacing), with_surface_distance(a, b, spacing)
            for name, one, other in zip(NAMES, mine, [own[0], *(same[name] for name in NAMES[1:])], strict=True):
                # its percentile takes a point where ours goes between two: they may differ by the way from that point to the next
                allowed = same["rank_mm"] if name == "hd95_mm" else 0.0
                gap = max(0.0, abs(one - other) - allowed)
                kept = gaps["surface-distance, same points"]
                kept[name] = max(kept[name], gap)
            for name, one, other in zip(NAMES, mine, own, strict=True):
                gaps["surface-distance, its own surfaces (median gap)"][name].append(abs(one - other))
    for name, found in gaps.get("surface-distance, its own surfaces (median gap)", {}).items():
        gaps["surface-distance, its own surfaces (median gap)"][name] = float(np.median(found))
    return {**told, "largest_gap": gaps}


def speed(repeats, deepmind):
    """Measure each in turn."""
    a, b = blob(1), blob(2)
    runs = {"ours": ours, "monai": with_monai} | ({"surface-distance": with_surface_distance} if deepmind else {})
    seconds, figures = {who: [] for who in runs}, {}
    for _ in range(repeats):
        for who, run in runs.items():
            start = time.perf_counter()
            figures[who] = run(a, b)
            seconds[who].append(time.perf_counter() - start)
    best = {who: min(times) for who, times in seconds.items()}
    return {
        "seconds": best, "times_faster": {who: best[who] / best["ours"] for who in runs if who != "ours"},
        "figures": figures, "largest_difference_to_monai": float(np.abs(np.subtract(figures["ours"], figures["monai"])).max()),
    }


def main():
    """Print one JSON line a part."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=["speed", "agreement"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--surface-distance", help="a folder that holds the package, where it is not installed")
    given = parser.parse_args()
    if given.surface_distance:
        sys.path.append(given.surface_distance)
    try:
        import surface_distance  # noqa: F401

        deepmind = True
    except ImportError:
        print("surface-distance is not installed; left out")
        deepmind = False
    if given.only != "speed":
        print(json.dumps({"agreement": agreement(given.pairs, deepmind)}))
    if given.only != "agreement":
        print(json.dumps({"speed": speed(given.repeats, deepmind)}))


if __name__ == "__main__":
    main()
