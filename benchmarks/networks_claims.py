"""What the sources of the networks claim, tried in small: `python benchmarks/networks_claims.py RESULTS.jsonl [--only NAMES] [--seeds 0 1] [--table]`.

Hippocampi as in `networks.py` (of the first 30 by name, `--cases` are learnt from; the next 10 are held out), weak labels of a Dice of about 0.73, one thread,
small networks of the published build, so that all of it fits into an hour on a laptop. A row goes into the file as it comes, and is not made again.

- `gil`: the recipe `gil2023` on networks a quarter as wide: each member, their mean, and the clean-up as published and with its smallest piece left in
- `top-n`: the recipe `top-n` on small SegResNet, SwinUNETR, DiNTS and DynUNet: the scores it chose by, each kind on held-out cases, and the best two together
- `small`: losses on an object of about 150 voxels, the hind end of the hippocampus: Dice by seed
- `gates`: attention U-Net, and the same with every gate open
- `mixup`: without mixing, with it, and with pairs laid over each other by their labels first
- `scratch`: SegFormer B0 against U-Net Lite, on slices, both from nothing and as published
- `threshold`: what a cut at 0.9 leaves of the voxels marked wrongly at 0.5, and of those marked rightly
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from refinement_recipes import Scan, examples, load, weakened

from napari_medseg.metrics import dice
from napari_medseg.refine.medseg.recipe import Medseg, medseg, network
from napari_medseg.refine.method import AnyRecipe, Learned
from napari_medseg.refine.panel.recipe import gil2023, top_n
from napari_medseg.refine.panel.tidy import tidied
from napari_medseg.segmenters.volumetric.model import VolumetricModel, labelled
from napari_medseg.segmenters.volumetric.plan import Cleanup, MixedPlan

HELD_OUT = slice(30, 40)
LEVEL = "low"
UPDATES = 80
END = 3  # coronal slices of the hind end
QUARTER = {
    "deeplab-resnet50": {"width": 0.25}, "deeplab-mobilenetv2": {"width": 0.25}, "unet-sourget": {"widths": [16, 32, 64, 128, 256]},
}
LITTLE = {"segresnet": {"width": 8, "down": [1, 1, 1], "up": [1, 1]}, "swin-unetr": {"width": 12, "depths": [1, 1, 1, 1], "heads": [1, 2, 4, 8], "window": 4},
          "dints": {"width": 8}, "dynunet": {"width": 8}}
WIDTHS = [16, 32, 64]
Facts = dict[str, Any]


def learnt(recipe: AnyRecipe, scans: Sequence[Scan], masks: Sequence[np.ndarray], seed: int) -> Learned:
    """One round."""
    nothing = [np.zeros(scan.truth.shape, bool) for scan in scans]
    learned = [tick.learned for tick in recipe.method().learn(examples(scans, masks, nothing), (1,), number=1, base=None, seed=seed, device="cpu")][-1]
    if learned is None:
        raise SystemExit("ended without a model")
    return learned


def mean_dice(model: Any, held: Sequence[Scan]) -> float:
    """Of what a model labels."""
    return float(np.mean([dice(model.label(scan.image) > 0, scan.truth) for scan in held]))


def gil(scans: Sequence[Scan], held: Sequence[Scan], seed: int) -> Facts:
    """The ensemble, its members and its clean-up."""
    learned = learnt(gil2023(parameters=QUARTER, updates=UPDATES), scans, weakened(scans, LEVEL, seed), seed)
    model: Any = learned.model
    plan, kinds = model.described, gil2023(parameters=QUARTER).candidates
    members = {}
    for part, kind, member in zip(plan.network.parts, kinds, model.network.networks, strict=True):
        alone = VolumetricModel(plan.model_copy(update={"network": MixedPlan(parts=[part]), "cleanup": None}), [member], "cpu")
        members[kind.title] = mean_dice(alone, held)
    bare = [labelled(model.predict(scan.image), plan.values) for scan in held]
    ways = {"none": None, "published": Cleanup(), "pieces of any size": Cleanup(smallest_mm2=0)}
    tidy: dict[str, float] = {}
    for name, way in ways.items():
        each = [labels if way is None else tidied(labels, scan.image.geometry.spacing, way) for labels, scan in zip(bare, held, strict=True)]
        tidy[name] = float(np.mean([dice(labels > 0, scan.truth) for labels, scan in zip(each, held, strict=True)]))
    return {"members": members, "ensemble": tidy}


def best(scans: Sequence[Scan], held: Sequence[Scan], seed: int) -> Facts:
    """Several networks compared, and the best two together."""
    recipe = top_n(networks=", ".join(LITTLE), parameters=LITTLE, updates=UPDATES, folds=2, best=0)
    learned = learnt(recipe, scans, weakened(scans, LEVEL, seed), seed)
    model: Any = learned.model
    plan, each = model.described, {}
    for place, part in enumerate(plan.network.parts):
        some = [*model.network.networks][2 * place : 2 * place + 2]
        each[part.name] = mean_dice(VolumetricModel(plan.model_copy(update={"network": MixedPlan(parts=[part])}), some, "cpu"), held)
    two = VolumetricModel(plan.model_copy(update={"network": MixedPlan(parts=plan.network.parts[:2])}), [*model.network.networks][:4], "cpu")
    return {"table": learned.notes, "each": each, "best two": mean_dice(two, held), "all four": mean_dice(model, held)}


def small(scans: Sequence[Scan], held: Sequence[Scan], seed: int) -> Facts:
    """Losses on a small object, on its true masks."""
    ends, wanted = [hind_end(scan) for scan in scans], [hind_end(scan) for scan in held]
    found: Facts = {"voxels": float(np.mean([end.sum() for end in ends]))}
    for loss in ("ce", "dice", "ce + dice"):
        model = learnt(medseg(updates=120, folds=1, phases=(), loss=loss), scans, ends, seed).model
        found[loss] = float(np.mean([dice(model.label(scan.image) > 0, end) for scan, end in zip(held, wanted, strict=True)]))
    return found


def hind_end(scan: Scan) -> np.ndarray:
    """The first coronal slices of a mask that hold anything."""
    first = int(np.flatnonzero(scan.truth.any((0, 2)))[0])
    kept = np.zeros_like(scan.truth)
    kept[:, first : first + END] = scan.truth[:, first : first + END]
    return kept


def gates(scans: Sequence[Scan], held: Sequence[Scan], seed: int) -> Facts:
    """Gated skips against open ones."""
    from napari_medseg.segmenters.networks.attention_unet import Gate

    weak, found, gated = weakened(scans, LEVEL, seed), {}, Gate.forward
    recipe = network(network="attention-unet", dims=2, parameters={"widths": WIDTHS}, updates=UPDATES)
    for name in ("gated", "open"):
        if name == "open":
            Gate.forward = lambda self, skip, below: torch.ones_like(skip[:, :1])  # type: ignore[method-assign]
        found[name] = mean_dice(learnt(recipe, scans, weak, seed).model, held)
    Gate.forward = gated  # type: ignore[method-assign]
    return found


def mixup(scans: Sequence[Scan], held: Sequence[Scan], seed: int) -> Facts:
    """Mixing scans."""
    weak = weakened(scans, LEVEL, seed)
    ways: dict[str, dict[str, float]] = {"none": {}, "mixup": {"mixup": 0.4}, "aligned": {"mixup": 0.4, "aligned": 1.0}}
    return {name: mean_dice(learnt(medseg(updates=UPDATES, folds=1, phases=(), **way), scans, weak, seed).model, held) for name, way in ways.items()}


def scratch(scans: Sequence[Scan], held: Sequence[Scan], seed: int) -> Facts:
    """A transformer against a U-Net."""
    weak = weakened(scans, LEVEL, seed)
    recipes: dict[str, Medseg] = {name: network(network=name, dims=2, updates=UPDATES) for name in ("segformer-b0", "unet-lite")}
    return {name: mean_dice(learnt(recipe, scans, weak, seed).model, held) for name, recipe in recipes.items()}


def threshold(scans: Sequence[Scan], held: Sequence[Scan], seed: int) -> Facts:
    """A stricter cut."""
    model = learnt(medseg(updates=UPDATES, folds=1, phases=()), scans, [scan.truth for scan in scans], seed).model
    counts = np.zeros((2, 2))
    for scan in held:
        chance = model.predict(scan.image)[0]
        for place, cut in enumerate((0.5, 0.9)):
            counts[place] += (chance > cut)[~scan.truth].sum(), (chance > cut)[scan.truth].sum()
    return {"wrong left": float(counts[1, 0] / counts[0, 0]), "right left": float(counts[1, 1] / counts[0, 1])}


CLAIMS = {"small": small, "gil": gil, "mixup": mixup, "gates": gates, "threshold": threshold, "top-n": best, "scratch": scratch}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows, claim by claim."""
    lines = []
    for claim in CLAIMS:
        lines += [f"{claim}, seed {row['seed']}, {row['cases']} cases: {json.dumps(row['found'])}" for row in rows if row["claim"] == claim]
    return "\n".join(lines)


def main(arguments: Sequence[str] = ()) -> None:
    """Run what is not in the file yet."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("results", type=Path)
    options.add_argument("--only", nargs="+", choices=list(CLAIMS), default=list(CLAIMS))
    options.add_argument("--seeds", nargs="+", type=int, default=[0])
    options.add_argument("--cases", type=int, default=16)
    options.add_argument("--hippocampus", type=Path, default=Path(os.environ.get("MEDSEG_HIPPOCAMPUS", "../shared/data/hippocampus")))
    options.add_argument("--table", action="store_true", help="print what is in the file, and run nothing")
    options.add_argument("--one", nargs=2, metavar=("CLAIM", "SEED"), help=argparse.SUPPRESS)
    chosen = options.parse_args(arguments)
    torch.set_num_threads(1)
    if chosen.one:
        claim, seed = chosen.one[0], int(chosen.one[1])
        begun = time.perf_counter()
        found = CLAIMS[claim](load(chosen.hippocampus, slice(0, chosen.cases)), load(chosen.hippocampus, HELD_OUT), seed)
        print(json.dumps({"claim": claim, "seed": seed, "cases": chosen.cases, "found": found, "seconds": time.perf_counter() - begun}))
        return
    rows = [json.loads(line) for line in chosen.results.read_text(encoding="utf-8").splitlines()] if chosen.results.is_file() else []
    if chosen.table:
        print(table(rows))
        return
    there = {(row["claim"], row["seed"], row["cases"]) for row in rows}
    for seed in chosen.seeds:
        for claim in chosen.only:
            if (claim, seed, chosen.cases) in there:
                continue
            command = [sys.executable, __file__, str(chosen.results), "--cases", str(chosen.cases), "--hippocampus", str(chosen.hippocampus)]
            done = subprocess.run([*command, "--one", claim, str(seed)], capture_output=True, text=True, check=False)
            line = (done.stdout if not done.returncode else done.stderr).strip().splitlines()[-1:]
            if not done.returncode:
                with chosen.results.open("a", encoding="utf-8") as file:
                    file.write(f"{line[0]}\n")
            print(time.strftime("%H:%M:%S"), claim, *line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
