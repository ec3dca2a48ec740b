"""kill -9 of a training process at random moments: it goes on, ends with the same figures, and no label is lost.

    python benchmarks/refinement_kills.py [--recipe salah2023|medseg] [--quick]

A small cohort of made scans, so that twenty kills take minutes. Moments are drawn evenly over start-up and a quarter of the rest of an undisturbed run; after
each kill what lies on the disk is compared with what was given. The run that was killed is set beside an undisturbed one of the same seed, and that one beside
another seed, which is the noise.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from napari_medseg.errors import MissingFileError, TrainingError
from napari_medseg.io import read_labels
from napari_medseg.refine import Case, RefineRequest, RefineResult, RefineRun, last_result, salah2023
from napari_medseg.refine.kept import kept
from napari_medseg.refine.medseg.recipe import medseg
from napari_medseg.volume import Geometry, LabelArray, Volume

KILL = signal.SIGTERM if os.name == "nt" else signal.SIGKILL  # on Windows both end it without a word
SHAPE = (12, 64, 64)
GRID = Geometry(SHAPE, (4.0, 1.0, 1.0))


def cohort(count: int) -> tuple[tuple[Case, ...], dict[str, Volume]]:
    """Bright ellipsoids on a noisy ground, their labels moved by three voxels, each another way; and the truth."""
    cases, truth = [], {}
    places = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    for number in range(count):
        rng = np.random.default_rng(number)
        middle, radii = np.array(SHAPE) / 2 + rng.uniform(-3, 3, 3), rng.uniform(0.2, 0.33, 3) * SHAPE
        true = sum(((p - m) / r) ** 2 for p, m, r in zip(places, middle, radii, strict=True)) < 1
        image = rng.normal(0, 0.4, SHAPE) + true
        name = f"case{number}.nii.gz"
        weak = np.roll(true, (-3, 3)[number % 2], axis=1 + number // 2 % 2)
        cases.append(Case(name, Volume(image.astype(np.float32), GRID, name), Volume(weak.astype(np.uint8), GRID, name)))
        truth[name] = Volume(true.astype(np.uint8), GRID, name)
    return tuple(cases), truth


def base(folder: Path) -> Path:
    """A small U-Net that has seen nothing."""
    import torch

    from napari_medseg.segmenters.unet import UNet
    from napari_medseg.segmenters.weights import save_model

    torch.manual_seed(0)
    return save_model(folder / "base.safetensors", UNet(widths=(8, 16, 32)), {"title": "small", "preprocessing": {"size": 64}})


def lost(out: Path, given: dict[str, LabelArray]) -> list[str]:
    """What is not on the disk as it should be after a kill."""
    problems = []
    with suppress(MissingFileError):  # killed before the run had begun: whoever asked still holds it all
        there = {case.id: case.labels.array for case in kept(out).cases}  # type: ignore[union-attr]
        problems += [f"{name}: the label given is another" for name, labels in given.items() if not np.array_equal(there[name], labels)]
    record = out / "rounds.json"
    rounds = json.loads(record.read_text())["rounds"] if record.is_file() else []
    for number in [figures["round"] for figures in rounds if figures["round"]]:
        for name in given:
            try:
                read_labels(out / f"round{number}" / name, like=GRID)
            except OSError as error:
                problems.append(f"round {number}, {name}: {error}")
    return problems


def killed(request: RefineRequest, kills: int, within_s: float, rng: np.random.Generator) -> tuple[RefineResult, list[str], list[str]]:
    """Run to the end through at most this many kills; gives the result, what was lost, and where the kills fell."""
    given = {case.id: case.labels.array for case in request.cases}  # type: ignore[union-attr]
    problems: list[str] = []
    fell: list[str] = []
    while True:
        try:
            run = RefineRun.resume(request.out or "")
        except MissingFileError:
            run = RefineRun(request)
        timer = threading.Timer(rng.uniform(0, within_s), lambda run=run: run.pid and os.kill(run.pid, KILL))  # type: ignore[misc]
        if len(fell) < kills:
            timer.start()
        result, message = None, "starting"
        try:
            for tick in run:
                result, message = tick.result or result, tick.message
        except TrainingError as error:
            if "stopped by itself" not in str(error):
                problems.append(str(error))
            fell.append(message)
            problems += lost(Path(request.out or ""), given)
            print(f"  kill {len(fell)}: {message}", file=sys.stderr)
            continue
        finally:
            timer.cancel()
        if result is not None:
            return result, problems, fell


def timed(request: RefineRequest) -> tuple[RefineResult, float, float]:
    """An undisturbed run: its result, when its first update was done and when it ended, seconds."""
    started, begins = time.monotonic(), 0.0
    result = None
    for tick in RefineRun(request):
        if tick.loss is not None and not begins:
            begins = time.monotonic() - started
        result = tick.result or result
    if result is None:
        raise SystemExit("the undisturbed run ended without a result")
    return result, begins, time.monotonic() - started


def main(quick: bool = False, recipe_name: str = "salah2023") -> dict[str, object]:
    """Run it and print what came out."""
    kills = 4 if quick else 20
    cases, truth = cohort(2 if quick else 4)
    ours = recipe_name == "medseg"
    published = salah2023(rounds=2, epochs=40 if quick else 60, batch=8, small_batch=8, small_passes=1, learning_rate=3e-3)
    recipe = medseg(rounds=2, updates=120 if quick else 300) if ours else published
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network = None if ours else base(folder)

        def asked(out: str, seed: int = 0) -> RefineRequest:
            return RefineRequest(cases, recipe, network, folder / out, truth=truth, seed=seed)

        whole, begins, seconds = timed(asked("whole"))
        other = last_result(iter(RefineRun(asked("other", seed=1))))
        started = time.monotonic()
        rng, runs, fell, problems = np.random.default_rng(5), [], [], []
        while len(fell) < kills:  # a run that ends before its next kill is followed by another
            result, lost_there, places = killed(asked(f"killed{len(runs)}"), kills - len(fell), begins + (seconds - begins) / 4, rng)
            runs.append(result)
            fell, problems = fell + places, problems + lost_there
        took = time.monotonic() - started
    figures = [[round(r.dice_refined or 0.0, 4) for r in each.rounds] for each in (whole, *runs, other)]
    answer: dict[str, object] = {
        "recipe": recipe.name, "kills": len(fell), "runs": len(runs),
        "first_update_s": round(begins, 1), "undisturbed_s": round(seconds, 1), "killed_s": round(took, 1),
        "lost": problems, "dice_undisturbed": figures[0], "dice_killed": figures[1:-1], "dice_other_seed": figures[-1],
        "same_labels": [all(np.array_equal(whole.labels[n], run.labels[n]) for n in whole.labels) for run in runs],
        "updates": [each.updates for each in (whole, *runs)], "fell": fell,
    }
    print(json.dumps(answer, indent=2))
    return answer


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="four kills")
    parser.add_argument("--recipe", choices=("salah2023", "medseg"), default="salah2023")
    chosen = parser.parse_args()
    main(chosen.quick, chosen.recipe)
