"""Train the promptable network that ships with the package, on procedural volumes only.

    python benchmarks/train_promptable.py --minutes 70 --out /tmp/promptable                  two cores: one thread each
    python benchmarks/train_promptable.py --minutes 30 --device cuda --shards 6 --batch 8 --workers 2 --widths 32 64 128 192
    python benchmarks/train_promptable.py --minutes 90 --seed 1 --start napari_medseg/segmenters/weights/promptable.safetensors --rate 3e-4
    python benchmarks/train_promptable.py --minutes 1 --batch 1 --out /tmp/look               a look whether it runs
    python benchmarks/train_promptable.py --mean a.safetensors b.safetensors --out /tmp/mean  the mean of weights that began alike

Every volume is met by a simulated annotator for one to ten rounds (`simulated_annotator.py`): the network's own answer decides where the next prompt goes,
and each round is a step of the training, so that no forward pass is spent on clicks alone. It goes on from its own checkpoint when there is one, else from
the weights of `--start` (with another seed, so that no volume is met twice); the learning rate falls to nothing along a cosine over the minutes planned. What
ships are the running means of the weights, or the mean of several such (`--mean`: model soups, Wortsman et al., ICML 2022). No volume comes from a patient.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from copy import deepcopy
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread a shard: on a busy machine threads that wait for each other at every layer take twice as long

import numpy as np
import torch
from simulated_annotator import Sitting
from torch import Tensor
from torch.nn import functional

from napari_medseg.segmenters.promptable.encode import CHANNELS, SEEDED, Marks, encode
from napari_medseg.segmenters.promptable.model import load_promptable
from napari_medseg.segmenters.promptable.network import WIDTHS, PromptableNet
from napari_medseg.testing.procedural import Made, procedural_volume

DECAY, CLIP, WARM = 1e-3, 1.0, 100
MEAN_OVER = 0.998  # of the running mean of the weights, per update
OBEY = 20.0  # extra weight of prompted voxels
ROUNDS = (1, 2, 3, 5, 8, 10)


def loss_of(logits: Tensor, truth: Tensor, known: Tensor, marks: Marks) -> Tensor:
    """Cross-entropy with prompted voxels weighing more, and 1 - Dice, where the truth is known; all (n, z, y, x)."""
    points = torch.stack([marks.positive_points, marks.negative_points, marks.positive_strokes, marks.negative_strokes])
    weight = known * (1 + OBEY * (points.amax(dim=0) > SEEDED))
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, weight, reduction="sum") / weight.sum()
    answer, wanted = torch.sigmoid(logits) * known, truth * known
    shared, both = (answer * wanted).sum(dim=(1, 2, 3)), (answer + wanted).sum(dim=(1, 2, 3))
    return entropy + (1 - (2 * shared + 1) / (both + 1)).mean()


def volumes(first: int, every: int, workers: int) -> Iterator[Made]:
    """Volumes of seeds `first`, `first + every` ..., made here or by processes ahead of need."""
    seeds = iter(range(first, 2**62, every))
    if workers == 0:
        yield from map(procedural_volume, seeds)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        ahead: list[Future[Made]] = [pool.submit(procedural_volume, next(seeds)) for _ in range(4 * workers)]
        while True:
            ahead.append(pool.submit(procedural_volume, next(seeds)))
            yield ahead.pop(0).result()


class Shard:
    """Some sittings that are trained on together, in a thread of their own."""

    def __init__(self, network: PromptableNet, source: Iterator[Made], batch: int, seed: int, device: str) -> None:
        self.network, self.source, self.device = network, source, device
        self.rng = np.random.default_rng((seed, 7))
        self.sittings = [Sitting(next(source), self.rng) for _ in range(batch)]
        for number, sitting in enumerate(self.sittings):
            sitting.rounds = 1 + number % 10  # not all new at once

    def step(self) -> tuple[list[Tensor], float, list[tuple[int, float]]]:
        """One round with every sitting: gradients, loss, and (round, Dice) of each."""
        image, truth, known = (torch.stack([getattr(sitting, name) for sitting in self.sittings]).to(self.device) for name in ("image", "truth", "known"))
        marks = Marks.batch([sitting.marks for sitting in self.sittings])
        marks = Marks(**{name: value.to(self.device) for name, value in vars(marks).items()})
        with torch.no_grad():
            channels = encode(image, marks)
        with torch.autocast(self.device, torch.bfloat16):
            logits = self.network(channels)
        loss = loss_of(logits.float(), truth, known, marks)
        gradients = torch.autograd.grad(loss, list(self.network.parameters()))
        answers = torch.sigmoid(logits.detach().float()).cpu()
        reached = [(sitting.round, sitting.answered(answer)) for sitting, answer in zip(self.sittings, answers, strict=True)]
        self.sittings = [Sitting(next(self.source), self.rng) if sitting.over else sitting for sitting in self.sittings]
        return list(gradients), float(loss.detach()), reached


def main() -> None:
    """Train until the minutes are over."""
    args = _arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.mean:
        average(args.mean, args.out / "mean.safetensors")
        return
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    network = PromptableNet(len(CHANNELS), args.widths).to(args.device, memory_format=torch.channels_last_3d)
    record: dict[str, Any] = {}
    if args.start:
        started, plan = load_promptable(args.start)
        network.load_state_dict(started.state_dict())
        record["after"] = plan["training"]
    mean = deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=args.rate, weight_decay=DECAY)
    update, spent = _resumed(args.out / "checkpoint.pt", network, mean, optimiser)
    first = args.seed * 10_000_000 + update * args.batch * args.shards  # never the same volume twice
    shards = [
        Shard(network, volumes(first + number, args.shards, args.workers), args.batch, args.seed + first + number, args.device) for number in range(args.shards)
    ]
    began, saved = time.perf_counter() - spent, spent
    scores: defaultdict[int, float] = defaultdict(float)
    smoothed = 0.0
    with ThreadPoolExecutor(args.shards) as pool:
        while (elapsed := time.perf_counter() - began) < args.minutes * 60:
            for group in optimiser.param_groups:
                group["lr"] = args.rate * min(1, (update + 1) / WARM) * (0.5 + 0.5 * math.cos(math.pi * elapsed / (args.minutes * 60)))
            results = list(pool.map(Shard.step, shards))
            for weight, *gradients in zip(network.parameters(), *(gradients for gradients, _, _ in results), strict=True):
                weight.grad = sum(gradients[1:], gradients[0]) / len(gradients)
            torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimiser.step()
            update += 1
            keep = min(MEAN_OVER, (1 + update) / (10 + update))
            for running, weight in zip(mean.parameters(), network.parameters(), strict=True):
                running.data.lerp_(weight.data, 1 - keep)
            loss = sum(value for _, value, _ in results) / len(results)
            smoothed = loss if smoothed == 0 else 0.99 * smoothed + 0.01 * loss
            for number, score in (pair for _, _, reached in results for pair in reached):
                scores[number] = score if scores[number] == 0 else 0.98 * scores[number] + 0.02 * score
            if update % 50 == 0:
                dice = " ".join(f"{number}:{scores[number]:.3f}" for number in ROUNDS)
                print(f"{elapsed / 60:6.1f} min  update {update}  loss {smoothed:.3f}  Dice after prompts {dice}", flush=True)
            if elapsed - saved > args.every * 60:
                saved = elapsed
                _keep(args, network, mean, optimiser, update, elapsed, record)
    _keep(args, network, mean, optimiser, update, args.minutes * 60, record)


def average(paths: list[Path], out: Path) -> None:
    """Write the model whose weights are the mean of others'; they must have gone on from the same weights, or their mean is none."""
    from napari_medseg.segmenters.promptable.model import save_promptable

    models = [load_promptable(path) for path in paths]
    network, records = models[0][0], [plan["training"] for _, plan in models]
    states = [other.state_dict() for other, _ in models]
    network.load_state_dict({name: sum(state[name] for state in states) / len(states) for name in states[0]})
    save_promptable(out, network, {"training": {"mean of": records, "data": ", ".join(dict.fromkeys(record["data"] for record in records))}})


def _resumed(path: Path, network: PromptableNet, mean: PromptableNet, optimiser: torch.optim.Optimizer) -> tuple[int, float]:
    """Updates made and seconds spent so far."""
    if not path.is_file():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    network.load_state_dict(state["network"])
    mean.load_state_dict(state["mean"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["update"]), float(state["spent"])


def _keep(
    args: argparse.Namespace, network: PromptableNet, mean: PromptableNet, optimiser: torch.optim.Optimizer, update: int, spent: float, record: dict[str, Any]
) -> None:
    """Write the checkpoint to go on from and the model to use."""
    from napari_medseg.segmenters.promptable.model import save_promptable

    state = {"network": network.state_dict(), "mean": mean.state_dict(), "optimiser": optimiser.state_dict(), "update": update, "spent": spent}
    part = args.out / "checkpoint.part"
    torch.save(state, part)
    part.replace(args.out / "checkpoint.pt")
    shown = update * args.batch * args.shards
    record = {**record, "updates": update, "volume rounds": shown, "minutes": round(spent / 60, 1), "device": args.device, "seed": args.seed}
    record["data"] = "procedural volumes"
    save_promptable(args.out / "latest.safetensors", deepcopy(mean).cpu(), {"training": record})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=70, help="of training in all, earlier runs of the checkpoint included")
    parser.add_argument("--out", type=Path, default=Path("promptable"), help="folder of checkpoint.pt and latest.safetensors")
    parser.add_argument("--every", type=float, default=5, help="minutes between checkpoints")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--shards", type=int, default=2, help="threads that train side by side")
    parser.add_argument("--batch", type=int, default=2, help="volumes a shard")
    parser.add_argument("--workers", type=int, default=0, help="processes that make volumes for each shard; 0: the shard makes its own")
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="a trained model to go on from, of the same widths")
    parser.add_argument("--mean", type=Path, nargs="+", help="trained models: write the mean of their weights to mean.safetensors in --out, and end")
    parser.add_argument("--rate", type=float, default=2e-3, help="the highest learning rate")
    return parser.parse_args()


if __name__ == "__main__":
    main()
