"""Does the gate refuse what is worse and adopt what is better: `python benchmarks/refinement_gate.py [--trials 20] [--design] [--quick]`.

A trial is a refinement as the product runs it, every round with a network really trained: 8 hippocampi (20 slices each) with weak labels (`deform` of
strength 16, Dice about 0.6), a small U-Net from nothing, salah2023's rounds. Three slices of each of 6 patients, one in each third of the organ, are verified
and checked against; nothing learns from them. Then, of each trial:

- round 1 learns from the weak labels. It is a *good round* when it is truly better than they are, by 0.02 Dice or more on the whole volumes, which the gate
  does not see; then it is to be adopted. Rounds between are counted apart: there is no right answer.
- round 2 is *poisoned*: every label it learns from is shifted by 2 to 4 voxels in one direction. It is to be refused. What it makes of the scans is also put
  against the weak labels, as if it were a first round; that is counted apart.

`--design` takes other hippocampi and other seeds: those on which this benchmark was set up. Give the folder as --hippocampus or MEDSEG_HIPPOCAMPUS.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from napari_medseg.io import read, read_labels
from napari_medseg.metrics import dice
from napari_medseg.refine import Case, RefineRequest, refine, salah2023
from napari_medseg.refine.gate import Gate, Verdict
from napari_medseg.refine.method import Learning
from napari_medseg.segmenters.unet import UNet
from napari_medseg.segmenters.weights import save_model
from napari_medseg.testing.annotator import deform
from napari_medseg.volume import Volume

PATIENTS, CHECKED, SLICES = 8, 6, 3
SHIFTS = (2, 3, 4)
GOOD = 0.02
DEPTH, SIZE, WIDTHS, EPOCHS, RATE = 20, 32, (6, 12, 24), 16, 3e-3
WEAK = {"strength": 16, "affine": 0.09, "shift": 3.0}
DESIGN, REPORT = slice(0, 15), slice(15, 30)
Labels = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Scene:
    """The cases of one trial."""

    cases: tuple[Case, ...]
    truths: Labels
    check: Labels


class Poisoned:
    """A recipe whose training labels are shifted in one round."""

    def __init__(self, recipe, number: int, shift: tuple[int, int, int]) -> None:
        self.recipe, self.number, self.shift = recipe, number, shift
        self.name, self.rounds = recipe.name, recipe.rounds

    def __getattr__(self, name: str):
        return getattr(self.recipe, name)

    def method(self):
        """The recipe's own, fed with shifted labels in that round."""
        return _PoisonedMethod(self.recipe.method(), self.number, self.shift)


class _PoisonedMethod:
    def __init__(self, method, number: int, shift: tuple[int, int, int]) -> None:
        self.method, self.number, self.shift = method, number, shift

    def base_model(self, *given):
        return self.method.base_model(*given)

    def learn(self, examples, values, *, number: int, **options) -> Iterator[Learning]:
        """Learn from labels that lie elsewhere."""
        if number == self.number:
            examples = [replace(one, labels=np.roll(one.labels, self.shift, (0, 1, 2))) for one in examples]
        return self.method.learn(examples, values, number=number, **options)


def scene(folder: Path, names: list[str], seed: int) -> Scene:
    """Some patients with weak labels, and verified slices of some of them."""
    rng = np.random.default_rng(seed)
    chosen = [names[i] for i in rng.permutation(len(names))[:PATIENTS]]
    cases, truths, check = [], {}, {}
    for place, name in enumerate(chosen):
        image = read(folder / "images" / name)
        truth = read_labels(folder / "labels" / name, like=image.geometry).array > 0
        weak = deform(truth, rng, **WEAK)
        box = _slab(truth)
        image, truth = image.cropped(box), truth[box]
        case = Case(name, image, Volume(weak[box].astype(np.uint8), image.geometry))
        truths[name] = truth.astype(np.uint8)
        cases.append(case)
        if place < CHECKED:
            verified = np.full(truth.shape, 255, np.uint8)
            slices = [int(rng.choice(third)) for third in np.array_split(np.flatnonzero(truth.any((1, 2))), SLICES)]
            verified[slices] = truths[name][slices]
            check[name] = verified
    return Scene(tuple(cases), truths, check)


def _slab(truth: np.ndarray) -> tuple[slice, slice, slice]:
    """The slices around the middle of the organ, whole."""
    inside = np.flatnonzero(truth.any((1, 2)))
    first = max(0, min((inside[0] + inside[-1] + 1 - DEPTH) // 2, len(truth) - DEPTH))
    return slice(first, first + DEPTH), slice(None), slice(None)


def base(folder: Path, seed: int) -> Path:
    """A small network that has learnt nothing."""
    torch.manual_seed(seed)
    return save_model(folder / "start.safetensors", UNet(widths=WIDTHS), {"title": "nothing", "classes": ["organ"], "preprocessing": {"size": SIZE}})


def true_dice(answers: Labels, truths: Labels) -> float:
    """Mean Dice on whole volumes."""
    return float(np.mean([dice(answers[name] > 0, truth > 0) for name, truth in truths.items()]))


def trained(made: Scene, seed: int, epochs: int) -> list[Labels]:
    """The weak labels, what round 1 makes of the scans, and what the poisoned round 2 does."""
    rng = np.random.default_rng([7, seed])
    shift = [0, 0, 0]
    shift[int(rng.integers(1, 3))] = int(rng.choice(SHIFTS)) * int(rng.choice([-1, 1]))
    recipe = Poisoned(salah2023(rounds=2, epochs=epochs, learning_rate=RATE), 2, tuple(shift))
    with tempfile.TemporaryDirectory() as folder:
        request = RefineRequest(made.cases, recipe, base=base(Path(folder), seed), seed=seed, device="cpu", every_round=True)
        rounds = [dict(tick.labels) for tick in refine(request) if tick.labels]
    given = {case.id: case.labels.channel() for case in made.cases}
    return [given, rounds[0], rounds[-1]]  # a first round that found nothing ends the run


def judged(made: Scene, versions: list[Labels]) -> tuple[list[float], list[Verdict]]:
    """True Dice of each version; verdicts on round 1, on round 2 after it, and on round 2 against the weak labels."""
    gate = Gate(versions[0], made.check, (1,), {case.id: case.image.geometry.spacing for case in made.cases})
    first, second = gate.judge(1, versions[1]), gate.judge(2, versions[2])
    gate.roll_back(0)
    return [true_dice(version, made.truths) for version in versions], [first, second, gate.judge(3, versions[2])]


def told(folder: Path, names: list[str], first: int, trials: int, epochs: int) -> None:
    """Run the trials and print what became of them."""
    seen, started = Counter(), time.perf_counter()
    for seed in range(first, first + trials):
        made = scene(folder, names, seed)
        scores, (plain, poisoned, alone) = judged(made, trained(made, seed, epochs))
        kind = "good" if scores[1] - scores[0] >= GOOD else "other"
        seen.update({kind: 1, f"{kind} adopted": plain.adopted, "refused": not poisoned.adopted, "refused alone": not alone.adopted})
        print(f"trial {seed}: true Dice {scores[0]:.3f} weak, {scores[1]:.3f} round 1, {scores[2]:.3f} poisoned", flush=True)
        for verdict in (plain, poisoned, alone):
            print(f"    round {verdict.round} {'adopted' if verdict.adopted else 'refused'}: {verdict.reason}", flush=True)
    print(f"good rounds adopted: {seen['good adopted']} of {seen['good']}; rounds not better by {GOOD}: {seen['other adopted']} of {seen['other']}")
    print(f"poisoned rounds refused: {seen['refused']} of {trials} in the run, {seen['refused alone']} of {trials} against the weak labels")
    print(f"{(time.perf_counter() - started) / max(trials, 1):.1f} s a trial")


def main(quick: bool = False, trials: int = 20, design: bool = False, hippocampus: Path | None = None) -> None:
    """Run the reported trials, or those of the design."""
    folder = hippocampus or (Path(os.environ["MEDSEG_HIPPOCAMPUS"]) if "MEDSEG_HIPPOCAMPUS" in os.environ else None)
    if folder is None:
        print("left out: give the hippocampi's folder (images/, labels/) as --hippocampus or MEDSEG_HIPPOCAMPUS")
        return
    torch.set_num_threads(1)
    names = sorted(path.name for path in (folder / "images").iterdir())
    told(folder, names[DESIGN if design else REPORT], 100 if design else 3000, 1 if quick else trials, 3 if quick else EPOCHS)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--trials", type=int, default=20)
    options.add_argument("--design", action="store_true")
    options.add_argument("--quick", action="store_true")
    options.add_argument("--hippocampus", type=Path)
    chosen = options.parse_args()
    main(chosen.quick, chosen.trials, chosen.design, chosen.hippocampus)
