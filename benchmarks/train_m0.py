"""Train the base model M0 that ships with the package, on synthetic CT-like scenes only.

    python benchmarks/train_m0.py            about 6 minutes on two idle cores
    python benchmarks/train_m0.py --epochs 1 --scenes 4 --out /tmp/m0   a look whether it runs

On a busy machine set OMP_WAIT_POLICY=PASSIVE first, or threads that wait for each other take several times as long.
The scenes come from seeds, so there is no data to fetch, and no weight has seen a patient. Training: seeds 0 on; validation (which epoch is kept): 800 on;
test (reported, never looked at before): 900 on. A seed is a patient, so the split is by patient.

Recipe of Salah et al., MIUA 2023, as far as two cores allow: U-Net, Jaccard distance, Adam 1e-3, augmentation C*I+B. The paper trains 100 epochs with
batch 64; ours are fewer, with batch 16 and a learning rate that falls to nothing along a cosine. The paper's augmentation works on 8-bit intensities and
only with clipping (min-max afterwards would undo it exactly), so it comes after the min-max here, is clipped at 255 and not normalised again; half of the
slices get it (ours), as C up to 2 turns the liver white.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import scipy
import torch

from napari_medseg import __version__
from napari_medseg.metrics import dice
from napari_medseg.refine.cases import Case
from napari_medseg.refine.examples import weak_examples
from napari_medseg.refine.salah.recipe import salah2023
from napari_medseg.refine.salah.training import SliceSet, fine_tune, predict_labels, slice_set
from napari_medseg.segmenters.unet import UNet
from napari_medseg.segmenters.weights import BASE, read_plan, save_model
from napari_medseg.testing.synthetic import ct_scene

SEED = 0
VALIDATION, TEST = range(800, 806), range(900, 920)
HALF = 0.5


def paper_augmentation(images: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """C*I + B on 8-bit intensities, clipped; C in U(1.01, 2), B in U(20, 70); for half of the slices."""

    def each(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(len(images), 1, 1, 1, generator=draw)

    brighter = ((each(1.01, 2.0) * images * 255 + each(20, 70)).clamp(max=255)) / 255
    return torch.where(each(0, 1) < HALF, brighter, images)


def scenes(seeds: range) -> list[Case]:
    """Cases of the CT-like cohort."""
    return [Case(f"ct{seed:04d}", *ct_scene(seed)) for seed in seeds]


def mean_dice(network: UNet, cases: list[Case]) -> tuple[float, list[float]]:
    """Mean Dice over cases, and each."""
    each = [dice(predict_labels(network, case.image), case.labels.array) for case in cases]
    return float(np.mean(each)), each


def train(data: SliceSet, validation: list[Case], epochs: int, minutes: float) -> tuple[UNet, dict[str, object]]:
    """The network of the epoch with the best validation Dice."""
    torch.manual_seed(SEED)
    network = UNet()
    recipe = salah2023(epochs=epochs)
    best, kept, curve, started, epoch, updates = -1.0, network.state_dict(), [], time.perf_counter(), 0, 0
    ticks = fine_tune(network, data, recipe, seed=SEED, augment=paper_augmentation, cosine=True)
    last = None
    for tick in ticks:
        if last is not None and tick.epoch != last.epoch and (tick.epoch % 3 == 1 or tick.epoch == epochs):
            score, _ = mean_dice(network, validation)
            network.train()
            curve.append({"epoch": last.epoch, "loss": round(last.loss, 4), "dice_validation": round(score, 4)})
            print(f"{time.perf_counter() - started:6.0f} s  epoch {last.epoch:3d}  loss {last.loss:.4f}  validation Dice {score:.4f}", flush=True)
            if score > best:
                best, epoch, updates, kept = score, last.epoch, last.updates, {k: v.clone() for k, v in network.state_dict().items()}
            if time.perf_counter() - started > minutes * 60:
                break
        last = tick
    else:
        score, _ = mean_dice(network, validation)
        if score > best and last is not None:
            best, epoch, updates, kept = score, last.epoch, last.updates, network.state_dict()
            curve.append({"epoch": last.epoch, "loss": round(last.loss, 4), "dice_validation": round(score, 4)})
    network.load_state_dict(kept)
    return network.eval(), {
        "epochs": epochs, "epoch_kept": epoch, "updates": updates, "batch": recipe.batch, "learning_rate": recipe.learning_rate, "schedule": "cosine to 0",
        "dice_validation": round(best, 4), "seconds": round(time.perf_counter() - started), "curve": curve,
    }


def main() -> None:
    """Train, test, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=30.0, help="stop after this long, at the end of an epoch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=BASE)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    data = slice_set(weak_examples(scenes(range(args.scenes))))
    print(f"{len(data)} slices of {args.scenes} scenes", flush=True)
    network, record = train(data, scenes(VALIDATION), args.epochs, args.minutes)
    mean, each = mean_dice(network, scenes(TEST))
    print(f"test Dice {mean:.4f} (worst {min(each):.4f})")
    record |= {
        "recipe": "salah2023 pre-training", "cohort": "napari_medseg.testing.synthetic.ct_scene", "seeds_training": [0, args.scenes - 1],
        "seeds_validation": [VALIDATION[0], VALIDATION[-1]], "seeds_test": [TEST[0], TEST[-1]], "seed": SEED, "slices": len(data),
        "loss": "Jaccard distance over the batch", "augmentation": "C*I+B on 8-bit intensities, C U(1.01, 2), B U(20, 70), clipped at 255, half of the slices",
        "dice_test": round(mean, 4), "dice_test_worst": round(min(each), 4), "made": datetime.now(UTC).date().isoformat(),
        "versions": {
            "napari-medseg": __version__, "torch": torch.__version__, "numpy": np.__version__, "scipy": scipy.__version__, "python": platform.python_version(),
        },
    }
    plan = {"title": "M0, synthetic CT", "classes": ["liver"], "modalities": ["CT"], "licence": "BSD-3-Clause", "training": record}
    path = save_model(args.out, network, plan)
    record = {"model": path.name, "sha256": read_plan(path).sha256, "bytes": path.stat().st_size, **record}
    path.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
