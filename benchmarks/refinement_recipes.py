"""How much of what weak labels lack does a recipe recover: `python benchmarks/refinement_recipes.py [--seeds 0 1 2] [--levels low high] [--tune] [--quick]`.

Real hippocampi (Medical Segmentation Decathlon, Task04; both parts as one class): the first 40 by name are refined, the last 20 are held out. Their true masks
are deformed (`testing.annotator.deform`) to a mean Dice of about 0.72 ("low") and 0.79 ("high"). With the same number of updates, over all networks:

- `plain`: MONAI's 3D U-Net (widths 16 to 128), Adam, Jaccard loss, whole scans in batches of 2, from nothing; its own prediction is the new label
- `bound`: the same on the true masks
- `medseg`: our recipe
- `medseg corrected`: our recipe with every tenth labelled slice of each case set right beforehand; no corrected voxel counts in any Dice

recovered = (refined - weak) / (bound - weak) on the 20 held out: refined is the Dice of the final model, weak the mean Dice of the 40 weak labels. `same` is
the Dice of the new labels of the 40. Each result is kept in a file as it comes (`--out`), so that a run that was stopped goes on.

`--tune` takes 20 of the first 30 cases, scored on the other 10, and other seeds: on those everything was chosen. Give the folder as --hippocampus or
MEDSEG_HIPPOCAMPUS.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from monai.networks.nets import UNet
from torch.nn import functional as nnf

from napari_medseg.io import read, read_labels
from napari_medseg.metrics import dice
from napari_medseg.refine.medseg.recipe import medseg
from napari_medseg.refine.method import Example
from napari_medseg.refine.trust import Trust
from napari_medseg.testing.annotator import deform
from napari_medseg.volume import Volume

LEVELS = {"low": {"strength": 12.0, "affine": 0.07, "shift": 2.0}, "high": {"strength": 10.0, "affine": 0.055, "shift": 1.4}}
REFINED, HELD_OUT = slice(0, 40), slice(-20, None)
TUNE_REFINED, TUNE_HELD_OUT = slice(0, 20), slice(20, 30)
EPOCHS, BATCH = 40, 2
SLICES = 0.1
MULTIPLE = 8


@dataclass(frozen=True, eq=False)
class Scan:
    """One case and its truth (z, y, x)."""

    name: str
    image: Volume
    truth: np.ndarray


@dataclass(frozen=True)
class Result:
    """One run of one recipe."""

    recipe: str
    level: str
    seed: int
    weak: float
    held_out: float
    same: float
    worst_case: float
    volume: float
    updates: int
    seconds: float
    notes: str = ""


def load(folder: Path, which: slice) -> list[Scan]:
    """Scans of the set by place in the sorted names."""
    names = sorted(path.name for path in (folder / "images").glob("*.nii.gz"))[which]
    scans = []
    for name in names:
        image = read(folder / "images" / name)
        scans.append(Scan(name, image, read_labels(folder / "labels" / name, like=image.geometry).channel() > 0))
    return scans


def weakened(scans: Sequence[Scan], level: str, seed: int) -> list[np.ndarray]:
    """Their deformed masks."""
    rng = np.random.default_rng(1000 * seed + len(level))
    return [deform(scan.truth, rng, **LEVELS[level]) for scan in scans]


def corrected_slices(scans: Sequence[Scan], weak: Sequence[np.ndarray], seed: int) -> list[np.ndarray]:
    """A tenth of the slices that hold anything, drawn at random in each case, as bool (z, y, x)."""
    rng = np.random.default_rng(seed)
    out = []
    for scan, mask in zip(scans, weak, strict=True):
        places = np.flatnonzero((scan.truth | mask).any((1, 2)))
        chosen = np.zeros(scan.truth.shape, bool)
        chosen[rng.choice(places, max(1, round(SLICES * len(places))), replace=False)] = True
        out.append(chosen)
    return out


def examples(scans: Sequence[Scan], weak: Sequence[np.ndarray], settled: Sequence[np.ndarray]) -> list[Example]:
    """As the loop hands them to a recipe."""
    found = []
    for scan, mask, done in zip(scans, weak, settled, strict=True):
        trust = np.where(done, Trust.CORRECTED, Trust.WEAK).astype(np.uint8)
        found.append(Example(scan.name, scan.name, scan.image, np.where(done, scan.truth, mask).astype(np.uint8), trust))
    return found


def plain(scans: Sequence[Scan], masks: Sequence[np.ndarray], held: Sequence[Scan], updates: int, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Masks of the scans and of those held out, by a plain network."""
    everyone = [*scans, *held]
    side = [-(-max(scan.truth.shape[axis] for scan in everyone) // MULTIPLE) * MULTIPLE for axis in range(3)]
    images = torch.stack([_padded(_standard(scan.image.channel()), side) for scan in everyone])[:, None]
    targets = torch.stack([_padded(mask.astype(np.float32), side) for mask in masks])[:, None]
    torch.manual_seed(seed)
    network = UNet(3, 1, 1, (16, 32, 64, 128), (2, 2, 2))
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    order: list[int] = []
    for _ in range(updates):
        if len(order) < BATCH:
            order += torch.randperm(len(scans)).tolist()
        chosen, order = order[:BATCH], order[BATCH:]
        shown, target = network(images[chosen]).sigmoid(), targets[chosen]
        both = (shown * target).sum()
        loss = 1 - (both + 1) / ((shown + target).sum() - both + 1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()
    with torch.no_grad():
        answers = [_unpadded(network(image[None])[0, 0].numpy() > 0, scan.truth.shape) for image, scan in zip(images, everyone, strict=True)]
    return answers[: len(scans)], answers[len(scans) :]


def ours(found: Sequence[Example], held: Sequence[Scan], updates: int, seed: int) -> tuple[list[np.ndarray], list[np.ndarray], int, str]:
    """The same by `medseg`, with the updates it made and what it noted."""
    ticks = medseg(updates=updates).method().learn(found, (1,), number=1, base=None, seed=seed, device="cpu")
    learned = [tick.learned for tick in ticks][-1]
    assert learned is not None
    return [learned.proposals[e.id] > 0 for e in found], [learned.model.label(scan.image) > 0 for scan in held], learned.updates, learned.notes


def _standard(array: np.ndarray) -> np.ndarray:
    values = array.astype(np.float32)
    return (values - values.mean()) / values.std()


def _padded(array: np.ndarray, side: Sequence[int]) -> torch.Tensor:
    room = [(want - have) for want, have in zip(side, array.shape, strict=True)]
    pads = [part for gap in reversed(room) for part in (gap // 2, gap - gap // 2)]
    return nnf.pad(torch.from_numpy(array), pads)


def _unpadded(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return array[tuple(slice((have - want) // 2, (have - want) // 2 + want) for have, want in zip(array.shape, shape, strict=True))]


def _score(
    recipe: str, level: str, seed: int, scans: Sequence[Scan], weak: Sequence[np.ndarray], settled: Sequence[np.ndarray], held: Sequence[Scan],
    run: Callable[[], tuple[list[np.ndarray], list[np.ndarray], int, str]],
) -> Result:
    started = time.perf_counter()
    same, apart, updates, notes = run()
    seconds = time.perf_counter() - started
    each = [dice(mask, scan.truth) for mask, scan in zip(apart, held, strict=True)]
    return Result(
        recipe, level, seed, float(np.mean([dice(m[~done], s.truth[~done]) for m, s, done in zip(weak, scans, settled, strict=True)])), float(np.mean(each)),
        float(np.mean([dice(m[~done], s.truth[~done]) for m, s, done in zip(same, scans, settled, strict=True)])), float(np.min(each)),
        float(sum(m.sum() for m in apart) / sum(s.truth.sum() for s in held)), updates, seconds, notes,
    )


def report(results: Sequence[Result]) -> None:
    """Tables of what there is."""
    bounds = {r.seed: r.held_out for r in results if r.recipe == "bound"}
    if not bounds:
        return
    bound = float(np.mean(list(bounds.values())))
    print(f"\nbound (plain on true masks): {bound:.3f}")
    print("| weak labels | recipe | seed | weak | same cases | held out | worst held out | recovered | volume | updates | seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    groups: dict[tuple[str, str], list[float]] = {}
    for r in sorted((r for r in results if r.recipe != "bound"), key=lambda r: (r.level, r.recipe, r.seed)):
        share = (r.held_out - r.weak) / (bounds.get(r.seed, bound) - r.weak)
        groups.setdefault((r.level, r.recipe), []).append(share)
        print(f"| {r.level} | {r.recipe} | {r.seed} | {r.weak:.3f} | {r.same:.3f} | {r.held_out:.3f} | {r.worst_case:.3f} | {share:.0%} | {r.volume:.2f} "
              f"| {r.updates} | {r.seconds:.0f} |", flush=True)
    for (level, recipe), shares in groups.items():
        print(f"{level}, {recipe}: recovered {np.mean(shares):.0%} on average, {min(shares):.0%} at least ({len(shares)} seeds)")


def main(quick: bool = False, arguments: Sequence[str] = ()) -> None:
    """Run what is not in the file yet, and print all of it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--hippocampus", type=Path, default=Path(os.environ.get("MEDSEG_HIPPOCAMPUS", "../shared/data/hippocampus")))
    options.add_argument("--levels", nargs="+", choices=LEVELS, default=list(LEVELS))
    options.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options.add_argument("--updates", type=int)
    options.add_argument("--out", type=Path, default=Path("refinement_recipes.jsonl"))
    options.add_argument("--tune", action="store_true")
    options.add_argument("--quick", action="store_true")
    chosen = options.parse_args(arguments)
    quick = quick or chosen.quick
    if not (chosen.hippocampus / "images").is_dir():
        print(f"{chosen.hippocampus} is not there, so this part is left out", flush=True)
        return
    parts = (slice(0, 3), slice(-1, None)) if quick else (TUNE_REFINED, TUNE_HELD_OUT) if chosen.tune else (REFINED, HELD_OUT)
    scans, held = (load(chosen.hippocampus, part) for part in parts)
    updates = chosen.updates or (4 if quick else EPOCHS * len(scans) // BATCH)
    seeds = [0] if quick else [seed + 100 * chosen.tune for seed in chosen.seeds]
    results = [Result(**json.loads(line)) for line in chosen.out.read_text().splitlines()] if chosen.out.is_file() and not quick else []
    nothing = [np.zeros(scan.truth.shape, bool) for scan in scans]
    for seed in seeds:
        for level in ["", *chosen.levels]:
            weak = weakened(scans, level, seed) if level else [scan.truth for scan in scans]
            some = corrected_slices(scans, weak, seed)
            runs: dict[str, tuple[list[np.ndarray], Callable[[], tuple[list[np.ndarray], list[np.ndarray], int, str]]]] = {
                "medseg": (nothing, lambda weak=weak, seed=seed: ours(examples(scans, weak, nothing), held, updates, seed)),
                "medseg corrected": (some, lambda weak=weak, some=some, seed=seed: ours(examples(scans, weak, some), held, updates, seed)),
                "plain": (nothing, lambda weak=weak, seed=seed: (*plain(scans, weak, held, updates, seed), updates, "")),
            } if level else {"bound": (nothing, lambda weak=weak, seed=seed: (*plain(scans, weak, held, updates, seed), updates, ""))}
            for recipe, (settled, run) in runs.items():
                if any((r.recipe, r.level, r.seed) == (recipe, level, seed) for r in results):
                    continue
                results.append(_score(recipe, level, seed, scans, weak, settled, held, run))
                print(json.dumps(asdict(results[-1])), flush=True)
                if not quick:
                    with chosen.out.open("a") as file:
                        file.write(json.dumps(asdict(results[-1])) + "\n")
    report([r for r in results if r.seed in seeds])


if __name__ == "__main__":
    import sys

    main(arguments=sys.argv[1:])
