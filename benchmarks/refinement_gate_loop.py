"""The gate at work within whole runs: `python benchmarks/refinement_gate_loop.py [--recipe medseg|salah2023] [--trials 20] [--first 5000] [--out FILE]`.

Every verdict is the one that the run itself gives at a round's end, on slices that were handed over as verified; nothing is judged afterwards. A trial is one
run of `refine` with two rounds on 8 patients, three slices of each of 6 of them verified:

- *first*: from the weak labels. It is a *good round* when its labels are truly better by 0.02 Dice or more on the whole volumes, which the run does not see;
  then it is to be adopted. One that is not better at all (0 or less) is to be refused; between the two there is no right answer.
- *poisoned*: the second learns from labels that are all shifted by 2 to 4 voxels to one side. It is to be refused, whether the first was adopted (then it is
  put against that) or not (then against the weak labels).

Even trials take hippocampi that no setting was chosen on (31 to 40 by name), uneven ones made MR scans (`testing.synthetic`). Weak labels are true ones after a
deformation. Results are kept in a file as they come, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from refinement_gate import CHECKED, EPOCHS, GOOD, PATIENTS, RATE, SHIFTS, SLICES, Poisoned, Scene, base, scene

from napari_medseg.refine import Case, RefineRequest, refine, salah2023
from napari_medseg.refine.figures import RoundFigures
from napari_medseg.refine.medseg.recipe import medseg
from napari_medseg.testing.annotator import deform
from napari_medseg.testing.synthetic import mr_scene
from napari_medseg.volume import Geometry, Volume

HIPPOCAMPI = slice(30, 40)
UPDATES = 160
COARSER = 2  # pixels of a made scan that become one
WEAK = {"strength": 16, "affine": 0.09, "shift": 3.0}


@dataclass(frozen=True)
class Decision:
    """What the gate said of one round, and what was true of it."""

    trial: int
    recipe: str
    data: str
    round: str
    adopted: bool
    before: float
    after: float
    reason: str


def made_scene(seed: int) -> Scene:
    """Made MR scans at half their resolution in the slice, as `scene` gives hippocampi."""
    rng = np.random.default_rng(seed)
    cases, truths, check = [], {}, {}
    for place, number in enumerate(range(100 * seed, 100 * seed + PATIENTS)):
        image, mask = mr_scene(number)
        sides = (slice(None), slice(None, None, COARSER), slice(None, None, COARSER))
        grid, array = image.geometry, np.ascontiguousarray(image.channel()[sides])
        coarse = Geometry(array.shape, (grid.spacing[0], *(COARSER * side for side in grid.spacing[1:])), grid.origin, grid.direction)
        truth = np.ascontiguousarray(mask.channel()[sides] > 0)
        name = f"mr{number}.nii.gz"
        weak = deform(truth, rng, **WEAK)
        cases.append(Case(name, Volume(array, coarse, name, "MR"), Volume(weak.astype(np.uint8), coarse, name)))
        truths[name] = truth.astype(np.uint8)
        if place < CHECKED:
            check[name] = np.full(truth.shape, 255, np.uint8)
            slices = [int(rng.choice(third)) for third in np.array_split(np.flatnonzero(truth.any((1, 2))), SLICES)]
            check[name][slices] = truths[name][slices]
    return Scene(tuple(cases), truths, check)


def rounds(made: Scene, recipe: Any, network: Path | None, seed: int) -> tuple[RoundFigures, ...]:
    """The rounds of one run, as it reports them; round 0 is the weak labels."""
    check = {case.id: case.labels.like(made.check[case.id]) for case in made.cases if case.id in made.check}
    truth = {case.id: case.labels.like(made.truths[case.id]) for case in made.cases}
    ticks = refine(RefineRequest(made.cases, recipe, base=network, verified=check, truth=truth, seed=seed, device="cpu"))
    return next(tick.result.rounds for tick in ticks if tick.result is not None)


def decided(found: tuple[RoundFigures, ...]) -> Iterator[tuple[bool, float, float, str]]:
    """For each round: whether the gate took it, true Dice of what it was put against and of the round, and the gate's reason."""
    best = found[0]
    for one in found[1:]:
        adopted = one.reason.startswith("better")
        yield adopted, best.dice_refined or 0.0, one.dice_refined or 0.0, one.reason
        best = one if adopted else best


def trial(seed: int, number: int, recipe_name: str, folder: Path, quick: bool) -> list[Decision]:
    """One run, its second round poisoned."""
    names = sorted(path.name for path in (folder / "images").iterdir())[HIPPOCAMPI]
    data = "made MR" if number % 2 else "hippocampi"
    made = made_scene(seed) if number % 2 else scene(folder, names, seed)
    rng = np.random.default_rng([11, seed])
    shift = [0, 0, 0]
    shift[int(rng.integers(1, 3))] = int(rng.choice(SHIFTS)) * int(rng.choice([-1, 1]))
    if recipe_name == "medseg":
        recipe = medseg(rounds=2, updates=20 if quick else UPDATES)
    else:
        recipe = salah2023(rounds=2, epochs=3 if quick else EPOCHS, learning_rate=RATE)
    with tempfile.TemporaryDirectory() as scratch:
        network = None if recipe_name == "medseg" else base(Path(scratch), seed)
        found = rounds(made, Poisoned(recipe, 2, tuple(shift)), network, seed)
    return [Decision(seed, recipe_name, data, kind, *facts) for kind, facts in zip(("first", "poisoned"), decided(found), strict=False)]


def told(decisions: list[Decision]) -> None:
    """How many of which kind were taken."""
    first = [d for d in decisions if d.round == "first"]
    groups = {
        "good rounds": [d for d in first if d.after - d.before >= GOOD], "rounds that are not better": [d for d in first if d.after <= d.before],
        "rounds between": [d for d in first if 0 < d.after - d.before < GOOD], "poisoned rounds": [d for d in decisions if d.round == "poisoned"],
    }
    for name, found in groups.items():
        for data in ("hippocampi", "made MR"):
            some = [d for d in found if d.data == data]
            print(f"{name}, {data}: {sum(d.adopted for d in some)} adopted, {sum(not d.adopted for d in some)} refused")


def main(quick: bool = False, arguments: list[str] | None = None) -> None:
    """Run the trials that are not in the file yet."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--recipe", choices=("medseg", "salah2023"), default="medseg")
    options.add_argument("--trials", type=int, default=20)
    options.add_argument("--first", type=int, default=5000)
    options.add_argument("--out", type=Path, default=Path("refinement_gate_loop.jsonl"))
    options.add_argument("--hippocampus", type=Path, default=Path(os.environ.get("MEDSEG_HIPPOCAMPUS", "../shared/data/hippocampus")))
    options.add_argument("--quick", action="store_true")
    chosen = options.parse_args(arguments or [])
    quick = quick or chosen.quick
    if not (chosen.hippocampus / "images").is_dir():
        print("left out: give the hippocampi's folder (images/, labels/) as --hippocampus or MEDSEG_HIPPOCAMPUS")
        return
    torch.set_num_threads(1)
    decisions = [Decision(**json.loads(line)) for line in chosen.out.read_text().splitlines()] if chosen.out.is_file() and not quick else []
    for number in range(2 if quick else chosen.trials):
        seed = chosen.first + number
        if any((d.trial, d.recipe) == (seed, chosen.recipe) for d in decisions):
            continue
        for decision in trial(seed, number, chosen.recipe, chosen.hippocampus, quick):
            decisions.append(decision)
            print(json.dumps(decision.__dict__), flush=True)
            if not quick:
                with chosen.out.open("a") as file:
                    file.write(json.dumps(decision.__dict__) + "\n")
    told([d for d in decisions if d.recipe == chosen.recipe])


if __name__ == "__main__":
    import sys

    main(arguments=sys.argv[1:])
