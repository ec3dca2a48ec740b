"""Is a correction worth more where the ranking says so: `python benchmarks/refinement_next.py [--seeds 0 1 2] [--slices 5] [--quick]`.

Hippocampi of the first 30 by name, weak labels by `deform` at Dice about 0.72, the recipe medseg. One round is learnt from the weak labels. Then a person puts
five slices right, and a second round is learnt from the first one's labels with these in them; in three ways, each from the same start with the same draws:

- *ranked*: the five slices that `refine.next_up` puts first, from what changed, the network's doubt and the looks
- *random*: five slices drawn from all that hold a label
- *none*: nothing is put right

Told is the Dice of the second round's labels on slices that neither way put right, and of its model on other cases. Give the folder as --hippocampus or
MEDSEG_HIPPOCAMPUS.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from refinement_recipes import Scan, load, weakened

from napari_medseg.metrics import dice
from napari_medseg.refine.medseg.recipe import medseg
from napari_medseg.refine.method import Example, Learned
from napari_medseg.refine.next_up import Candidate, rank
from napari_medseg.refine.trust import Trust

REFINED, HELD_OUT, UPDATES, SLICES = 6, 4, 120, 5
Chosen = Mapping[str, Sequence[int]]


def learned(examples: Sequence[Example], updates: int, seed: int) -> Learned:
    """One round of the recipe."""
    ticks = medseg(updates=updates).method().learn(examples, (1,), number=1, base=None, seed=seed, device="cpu")
    return next(tick.learned for tick in ticks if tick.learned is not None)


def examples(scans: Sequence[Scan], labels: Sequence[np.ndarray], level: Trust, chosen: Chosen) -> list[Example]:
    """The scans with these labels, the chosen slices put right."""
    found = []
    for scan, given in zip(scans, labels, strict=True):
        mask, trust = given.astype(np.uint8), np.full(given.shape, level, np.uint8)
        for index in chosen.get(scan.name, ()):
            mask[index], trust[index] = scan.truth[index], Trust.CORRECTED
        found.append(Example(scan.name, scan.name, scan.image, mask, trust))
    return found


def by_case(places: Sequence[tuple[str, int]]) -> dict[str, list[int]]:
    """Slices of each case."""
    return {name: [index for other, index in places if other == name] for name, _ in places}


def trial(scans: Sequence[Scan], held: Sequence[Scan], seed: int, updates: int, slices: int) -> dict[str, object]:
    """One round, then a second one in three ways."""
    weak = weakened(scans, "low", seed)
    first = learned(examples(scans, weak, Trust.WEAK, {}), updates, seed)
    masks = [first.proposals[scan.name] for scan in scans]
    candidates = [
        Candidate(s.name, mask, s.image.geometry.spacing, before=given.astype(np.uint8), doubt=first.doubt[s.name], image=s.image.channel(), axis=0)
        for s, mask, given in zip(scans, masks, weak, strict=True)
    ]
    ranked = [(p.case, p.index) for p in rank(candidates, count=slices + 1, seed=seed) if not p.control]
    every = [(s.name, int(z)) for s, mask, given in zip(scans, masks, weak, strict=True) for z in np.flatnonzero((mask > 0).any((1, 2)) | given.any((1, 2)))]
    drawn = np.random.default_rng([13, seed]).choice(len(every), slices, replace=False)
    ways = {"none": {}, "ranked": by_case(ranked), "random": by_case([every[i] for i in drawn])}
    wrong = {way: sum(int((masks[i] != s.truth)[z].sum()) for i, s in enumerate(scans) for z in chosen.get(s.name, ())) for way, chosen in ways.items()}
    touched = {s.name: {z for chosen in ways.values() for z in chosen.get(s.name, ())} for s in scans}
    answer: dict[str, object] = {"seed": seed, "weak": mean(scans, weak, touched), "round 1": mean(scans, masks, touched), "wrong voxels put right": wrong}
    for way, chosen in ways.items():
        second = learned(examples(scans, masks, Trust.PROPOSED, chosen), updates, seed + 1)
        labels = [second.proposals[s.name] for s in scans]
        answer[way] = {"same": mean(scans, labels, touched), "held out": mean(held, [second.model.label(s.image) for s in held], {})}
    return answer


def mean(scans: Sequence[Scan], labels: Sequence[np.ndarray], without: Mapping[str, set[int]]) -> float:
    """Mean Dice, leaving some slices out."""
    each = []
    for scan, mask in zip(scans, labels, strict=True):
        kept = [z for z in range(len(mask)) if z not in without.get(scan.name, set())]
        each.append(dice(np.asarray(mask[kept] > 0), scan.truth[kept]))
    return round(float(np.mean(each)), 4)


def main(quick: bool = False, arguments: Sequence[str] = ()) -> None:
    """Run the seeds; one line each."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--hippocampus", type=Path, default=Path(os.environ.get("MEDSEG_HIPPOCAMPUS", "../shared/data/hippocampus")))
    options.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options.add_argument("--slices", type=int, default=SLICES)
    options.add_argument("--quick", action="store_true")
    chosen = options.parse_args(arguments)
    if not (chosen.hippocampus / "images").is_dir():
        print(f"{chosen.hippocampus} is not there, so this part is left out", flush=True)
        return
    torch.set_num_threads(1)
    for seed in [0] if quick or chosen.quick else chosen.seeds:
        places = np.random.default_rng([17, seed]).permutation(30)[: REFINED + HELD_OUT]
        scans = [load(chosen.hippocampus, slice(int(place), int(place) + 1))[0] for place in places]
        print(json.dumps(trial(scans[:REFINED], scans[REFINED:], 900 + seed, 6 if quick or chosen.quick else UPDATES, chosen.slices)), flush=True)


if __name__ == "__main__":
    import sys

    main(arguments=sys.argv[1:])
