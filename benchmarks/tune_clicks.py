"""Clicks to Dice on cases that settings may be chosen on, such that show what goes wrong: bad first clicks, thick slices, objects of two pieces.

    python benchmarks/tune_clicks.py FOLDER --hippocampus FOLDER [--only brain2 two ...] [--method ours geodesic]

brain2 and lung1 (in FOLDER) from several first clicks, hippocampi that are not reported (also averaged to slices of 4 mm), made objects of two pieces in slices
of 5 mm, large made lesions in slices of 6 mm, small ones in slices of 2 mm, made volumes of 48 and 112 voxels. One line a case: Dice after every click, each
method corrected on its own errors.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
import torch
from clicks import EVERY, FALL, TUNED, Case, _made, geodesic, promptable
from scipy import ndimage as ndi
from weaklabel_scenes import dice, load

from napari_medseg.testing import annotator
from napari_medseg.testing.procedural import _scene
from napari_medseg.testing.procedural_shapes import any_shape, noise

METHODS = {"ours": promptable, "geodesic": geodesic}
MOST, COUNTS = 10, (1, 3, 5, 10)
FIRSTS = {"brain2": 4, "lung1": 2}  # first clicks of each
SIDE, THICK = 100, 5  # voxels of a volume of two pieces, and of them in a slice
LARGE, LEAST, GREATEST = 112, 20_000, 130_000  # voxels of a volume with a large lesion, and of the lesion before slices are made thick
SMALL = (220, 900)  # voxels of a small lesion before slices are made thick: 0.66 mm each, three in a slice


def two_pieces(seed: int) -> Case:
    """An object of two pieces, of any look of the generator's (rimmed, hollow, patchy, even), in slices of 5 mm."""
    rng = np.random.default_rng((77, seed))
    sizes = np.zeros(1, int)
    while len(sizes) < 2 or sizes[1] <= 600 or sizes[0] >= 40_000 or sizes[:2].sum() <= 0.95 * sizes.sum():
        middle, size = np.full(3, SIDE / 2) + rng.uniform(-8, 8, 3), rng.uniform(9, 17)
        way = rng.standard_normal(3)
        way /= np.linalg.norm(way)
        one = any_shape(rng, SIDE, size, middle.astype(np.float32)) > 0
        other = any_shape(rng, SIDE, size * rng.uniform(0.4, 0.9), (middle + way * size * rng.uniform(1.6, 2.4)).astype(np.float32)) > 0
        sizes = np.sort(np.bincount(ndi.label(one | other)[0].ravel())[1:])[::-1]
    image, truth = _scene(rng, one | other)
    image = ndi.gaussian_filter(image, 0.6) + rng.uniform(0.01, 0.06) * noise(rng, SIDE, SIDE) * 0.7
    image, truth, _ = thicker((image, truth, (1.0, 1.0, 1.0)), THICK)
    return (image * np.exp(rng.uniform(0, 0.2) * noise(rng, SIDE, 2)[: len(image)])).astype(np.float32), truth, (float(THICK), 1.0, 1.0)


def large_pieces(seed: int) -> Case:
    """A large lesion of one or two pieces and soft edges, of any look of the generator's, in slices of 6 mm: half as many voxels again as the window holds."""
    rng, mask = np.random.default_rng((78, seed)), np.zeros((LARGE,) * 3, bool)
    while not LEAST < np.count_nonzero(mask) < GREATEST or mask[[0, -1]].any():
        middle, size, way = np.full(3, LARGE / 2) + rng.uniform(-10, 10, 3), rng.uniform(16, 27), rng.standard_normal(3)
        way /= np.linalg.norm(way)
        mask = any_shape(rng, LARGE, size, middle.astype(np.float32)) > 0
        if seed % 2 == 0:
            mask |= any_shape(rng, LARGE, size * rng.uniform(0.4, 0.8), (middle + way * size * rng.uniform(1.4, 2.0)).astype(np.float32)) > 0
    image, truth = _scene(rng, mask)
    image = ndi.gaussian_filter(image, rng.uniform(0.6, 1.6)) + rng.uniform(0.01, 0.06) * noise(rng, LARGE, LARGE) * 0.7
    image, truth, spacing = thicker((image, truth, (0.78, 0.78, 0.78)), 8)
    return (image * np.exp(rng.uniform(0, 0.2) * noise(rng, LARGE, 2)[: len(image)])).astype(np.float32), truth, spacing


def thicker(case: Case, times: int) -> Case:
    """A case in slices so many times as thick."""
    image, truth, spacing = case
    count = len(image) // times * times
    slices = (-1, times, *image.shape[1:])
    return image[:count].astype(np.float32).reshape(slices).mean(1), truth[:count].reshape(slices).mean(1) > 0.5, (spacing[0] * times, *spacing[1:])


def small_lesions(count: int) -> list[Case]:
    """Objects of 2 to 4 mm radius in slices of 2 mm: a click's ball is as large as they are."""
    made = (_made(9_200_000 + seed, 64) for seed in range(1000))
    small = (case for case in made if SMALL[0] < np.count_nonzero(case[1]) < SMALL[1])
    return [(*thicker(case, 3)[:2], (2.1, 0.66, 0.66)) for case in itertools.islice(small, count)]


def cases(folder: Path, hippocampus: Path):
    """Sets of (case, first click or None)."""
    for name, count in FIRSTS.items():
        case = load(folder, *TUNED[name])
        firsts = annotator.seeds(case[1], case[2], max(3, count))[1:count]
        yield name, [(case, None), *((case, tuple(int(v) for v in first)) for first in firsts)]
    names = sorted(path.name for path in (hippocampus / "images").iterdir())[:30]
    some = [load(hippocampus, f"images/{name}", f"labels/{name}") for name in [name for i, name in enumerate(names) if i % EVERY][2:20:4]]
    yield "hippocampi", [(case, None) for case in some]
    yield "thick hippocampi", [(thicker(some[index], 4), None) for index in (0, 2)]
    yield "two pieces", [(two_pieces(seed), None) for seed in range(8)]
    yield "large pieces", [(large_pieces(seed), None) for seed in range(8)]
    yield "small lesions", [(case, None) for case in small_lesions(8)]
    yield "made", [(_made(9_000_000 + seed, 48), None) for seed in range(3)]
    yield "large", [(_made(9_100_000 + seed, 112), None) for seed in range(2)]


def worked(method, case: Case, first) -> list[float]:
    """Dice after every click."""
    image, truth, spacing = case
    answer, current, clicks, found = method(image, spacing), np.zeros(truth.shape, bool), [], []
    while len(found) < MOST:
        wrong = (first, 1) if first is not None and not clicks else annotator.next_click(truth, current, spacing)
        if wrong is None:
            return found + [found[-1]] * (MOST - len(found))
        clicks.append((tuple(int(v) for v in wrong[0]), wrong[1]))
        current = answer(clicks)
        found.append(dice(current, truth))
    return found


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--hippocampus", type=Path, required=True)
    options.add_argument("--only", nargs="+", help="sets whose name holds one of these")
    options.add_argument("--method", nargs="+", default=list(METHODS), choices=METHODS)
    options.add_argument("--threads", type=int, default=1)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    for name, some in cases(chosen.folder, chosen.hippocampus):
        if chosen.only and not any(word in name for word in chosen.only):
            continue
        for method in chosen.method:
            began, rows = time.process_time(), []
            for case, first in some:
                rows.append(worked(METHODS[method], case, first))
                print(f"  {name}, {method}: {' '.join(f'{v:.2f}' for v in rows[-1])}", flush=True)
            values = np.array(rows)
            falls = 100 * np.mean(values[:, 1:] < values[:, :-1] - FALL)
            mean = " ".join(f"{values[:, count - 1].mean():.3f}" for count in COUNTS)
            print(f"{name} ({len(some)}), {method}: {mean}   falls {falls:.0f} %   {time.process_time() - began:.0f} s of processor", flush=True)


if __name__ == "__main__":
    main()
