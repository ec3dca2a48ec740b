"""Every network of the catalogue through the same small budget: `python benchmarks/networks.py RESULTS.jsonl [--part budget] [--only NAMES] [--quick]`.

Hippocampi (Medical Segmentation Decathlon, Task04; both parts as one class): the first 30 by name are learnt from, the next 10 are held out; the rest are left
alone. Weak labels are the true ones deformed as in `refinement_recipes.py` ("low", a Dice of about 0.72). Each run is a process of its own, so that its memory
is its own; its row goes into the file as it comes, and a row that is there is not made again.

- `budget`: one round of 200 updates of each network, plainly trained (recipe `network`), in each number of dimensions it has; `--seeds 0 1 2` for several.
  `medseg` is the product's own recipe, `own` its network plainly trained, `bound` the same on the true masks.
- `super`: a super image of slices against its twin in 3D.
- `prune`: the product's own network and two of the catalogue's, well trained on true masks, at falling shares of their work.
- `pretrain`: with an encoder that has learnt from the scans alone, against as many updates on labels, and as many in all.
- `losses`: every loss, one round each, on the product's own network.
- `export`: every network as TorchScript and ONNX, and by how much it then answers otherwise.

recovered = (held out - weak) / (bound - weak). `--table` prints Markdown of what is in the file. Give the folder as --hippocampus or MEDSEG_HIPPOCAMPUS.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from refinement_recipes import Scan, examples, load, weakened

from napari_medseg import catalogue
from napari_medseg.metrics import dice
from napari_medseg.refine.cases import Case
from napari_medseg.refine.medseg.recipe import Medseg, medseg, network
from napari_medseg.refine.method import Learned
from napari_medseg.volume import Volume

LEARNT, HELD_OUT = slice(0, 30), slice(30, 40)
UPDATES, LONG = 200, 600
LEVEL = "low"
BOUND = "bound"
LOSSES = (
    "ce", "weighted-ce", "balanced-ce", "focal", "ce + 0.2*conservative", "dice", "generalised-dice", "jaccard", "tversky", "lovasz", "exponential-logarithmic",
    "combo", "generalised-dice + 0.01*boundary", "dice + 0.01*hausdorff", "active-contour", "ce + 0.1*level-set-term", "ce + dice",
)
TWINS = {"super-image": "unet-lite"}  # the network inside, in 3D
PRUNED = (("own", 3), ("unet-lite", 2), ("segresnet", 3))
PARTS = ("budget", "super", "prune", "pretrain", "losses", "export")

Job = dict[str, Any]


def jobs(part: str, seeds: Sequence[int], quick: bool) -> Iterator[Job]:
    """What there is to run, cheap networks first."""
    updates = 2 if quick else UPDATES
    nets = [(entry.id, dims) for entry in catalogue.load().of_kind("network") if not entry.needs() for dims in entry.capabilities["dims"]]
    if part == "budget":
        for seed in seeds:
            for name in (BOUND, "own", "medseg"):
                yield {"name": name, "dims": 3, "seed": seed, "updates": updates}
            for name, dims in sorted(nets, key=lambda one: (one[1], _size(*one))):
                yield {"name": name, "dims": dims, "seed": seed, "updates": updates}
    elif part == "super":
        for seed in seeds:
            for name in (word for pair in TWINS.items() for word in pair):
                yield {"name": name, "dims": 3, "seed": seed, "updates": updates}
    elif part == "prune":
        yield from ({"name": name, "dims": dims, "seed": seed, "updates": 4 if quick else LONG} for seed in seeds for name, dims in PRUNED)
    elif part == "pretrain":
        yield from ({"name": name, "dims": 3, "seed": seed, "updates": updates} for seed in seeds for name in ("efficientnet-b3", "segresnet"))
    elif part == "losses":
        yield from ({"name": "own", "dims": 3, "seed": seed, "updates": updates, "loss": loss} for seed in seeds for loss in LOSSES)
    else:
        yield from ({"name": name, "dims": dims, "seed": 0, "updates": 0} for name, dims in nets)


def _size(name: str, dims: int) -> int:
    with torch.device("meta"):
        built = catalogue.load().find(name, "network").build(in_channels=1, classes=1, dims=dims)
    return sum(value.numel() for value in built.parameters())


def recipe(job: Job) -> Medseg:
    """How a job trains."""
    more = {"loss": job["loss"]} if job.get("loss") else {}
    if job["name"] == "medseg":
        return medseg(updates=job["updates"])
    if job["name"] in (BOUND, "own"):
        return medseg(updates=job["updates"], folds=1, phases=(), **more)
    return network(network=job["name"], dims=job["dims"], updates=job["updates"], **more)


def trained(job: Job, scans: Sequence[Scan], masks: Sequence[np.ndarray], start: Path | None = None) -> tuple[Learned, float]:
    """One round, and its seconds."""
    nothing = [np.zeros(scan.truth.shape, bool) for scan in scans]
    chosen = recipe(job)
    if start is not None:
        chosen = network(network=job["name"], dims=job["dims"], updates=job["updates"], start=str(start))
    begun = time.perf_counter()
    learned = None
    for tick in chosen.method().learn(examples(scans, masks, nothing), (1,), number=1, base=None, seed=job["seed"], device="cpu"):
        learned = tick.learned
    if learned is None:
        raise SystemExit(f"{job['name']} ended without a model")
    return learned, time.perf_counter() - begun


def budget(job: Job, scans: Sequence[Scan], held: Sequence[Scan]) -> dict[str, Any]:
    """One network through the budget."""
    weak = weakened(scans, LEVEL, job["seed"])
    learned, seconds = trained(job, scans, [scan.truth for scan in scans] if job["name"] == BOUND else weak)
    return {**scored(learned, scans, weak, held), **sizes(learned), "seconds": seconds}


def scored(learned: Learned, scans: Sequence[Scan], weak: Sequence[np.ndarray], held: Sequence[Scan]) -> dict[str, Any]:
    """Dice of a model and of the labels it proposes."""
    each = [dice(learned.model.label(scan.image) > 0, scan.truth) for scan in held]
    return {
        "weak": float(np.mean([dice(mask, scan.truth) for mask, scan in zip(weak, scans, strict=True)])), "held_out": float(np.mean(each)),
        "worst": float(np.min(each)), "same": float(np.mean([dice(learned.proposals[scan.name] > 0, scan.truth) for scan in scans])), "notes": learned.notes,
    }


def sizes(learned: Learned) -> dict[str, Any]:
    """Parameters, and milliseconds for a window."""
    from napari_medseg.refine.pruning.timing import flops, milliseconds

    model: Any = learned.model
    members = [*model.network.networks]
    window = (1, model.described.network.in_channels, *model.described.patch)
    (times,) = milliseconds(members[:1], window)
    counted = sum(value.numel() for value in members[0].parameters())
    return {"members": len(members), "parameters": counted, "ms": float(np.median(times)), "window": list(window[2:]), "flops": flops(members[0], window)}


def prune(job: Job, scans: Sequence[Scan], held: Sequence[Scan]) -> dict[str, Any]:
    """The curve of a well-trained network; every other held-out case judges."""
    from napari_medseg.refine.pruning.curve import CURVE, PruneRequest
    from napari_medseg.refine.pruning.pruning import prune as pruned

    learned, seconds = trained(job, scans, [scan.truth for scan in scans])
    with tempfile.TemporaryDirectory() as folder:
        file = learned.model.save(Path(folder), {})
        cases = tuple(Case(s.name, s.image, Volume(s.truth.astype(np.uint8), s.image.geometry, name=s.name)) for s in (*scans, *held))
        request = PruneRequest(file, cases, 0.5, CURVE, judges=frozenset(scan.name for scan in held))
        result = [tick.result for tick in pruned(request)][-1]
    if result is None:
        raise SystemExit("nothing was pruned")
    points = [{name: getattr(point, name) for name in ("asked", "share", "flops", "parameters", "dice", "ms", "whole_ms", "faster")} for point in result.points]
    return {"seconds": seconds, "curve": points}


def pretrain(job: Job, scans: Sequence[Scan], held: Sequence[Scan]) -> dict[str, Any]:
    """The same updates on labels from nothing, and from an encoder that has seen the scans alone; and from nothing with the updates of both."""
    from napari_medseg.refine.pretraining.request import PretrainRequest
    from napari_medseg.refine.pretraining.training import pretrain as learn_encoder

    weak = weakened(scans, LEVEL, job["seed"])
    facts: dict[str, Any] = {}
    plain, _ = trained(job, scans, weak)
    facts["from_nothing"] = scored(plain, scans, weak, held)["held_out"]
    longer, _ = trained({**job, "updates": 2 * job["updates"]}, scans, weak)
    facts["from_nothing_longer"] = scored(longer, scans, weak, held)["held_out"]
    for task in ("denoise", "masked"):
        with tempfile.TemporaryDirectory() as folder:
            asked = PretrainRequest([scan.image for scan in scans], job["name"], task=task, updates=job["updates"], out=Path(folder), dims=job["dims"])
            file = [tick.file for tick in learn_encoder(asked)][-1]
            after, _ = trained(job, scans, weak, start=file)
        facts[f"after_{task}"] = scored(after, scans, weak, held)["held_out"]
    return facts


def export(job: Job, scans: Sequence[Scan], held: Sequence[Scan]) -> dict[str, Any]:
    """A fresh network in other formats."""
    from napari_medseg.segmenters.portable import WRITERS, portable

    learned, _ = trained({**job, "updates": 1}, scans[:2], [scan.truth for scan in scans[:2]])
    facts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        model = portable(learned.model.save(Path(folder), {}))
        for name, write in WRITERS.items():
            begun = time.perf_counter()
            try:
                written = write(Path(folder), model)
                facts[name] = {"seconds": time.perf_counter() - begun, "mb": written.stat().st_size / 1e6}
            except (RuntimeError, ValueError) as error:
                facts[name] = {"refused": str(error)}
    return facts


RUNS = {"budget": budget, "super": budget, "losses": budget, "prune": prune, "pretrain": pretrain, "export": export}


def run_one(part: str, job: Job, folder: Path, quick: bool) -> dict[str, Any]:
    """A job in this process, with the most memory it had."""
    held_out = slice(30, 32) if quick else HELD_OUT
    scans, held = load(folder, slice(0, 4) if quick else LEARNT), load(folder, held_out)
    before = psutil.Process().memory_info().rss
    facts = RUNS[part](job, scans, held)
    return {"part": part, **job, **facts, "memory_mb": (_peak() - before) / 1e6, "threads": torch.get_num_threads(), "load": psutil.getloadavg()[0]}


def _peak() -> int:
    facts = psutil.Process().memory_info()
    if hasattr(facts, "peak_wset"):
        return int(facts.peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else 1024 * most)


def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells one row from another."""
    return row["part"], row["name"], row["dims"], row["seed"], row["updates"], row.get("loss", "")


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown of the rows."""
    parts = []
    bounds = {row["seed"]: row["held_out"] for row in rows if row["part"] == "budget" and row["name"] == BOUND}
    for part in ("budget", "super", "losses"):
        chosen = [row for row in rows if row["part"] == part and row["name"] != BOUND]
        if chosen:
            lines = [
                f"{part}: {chosen[0]['updates']} updates, weak labels {np.mean([row['weak'] for row in chosen]):.3f}"
                + (f", bound {np.mean(list(bounds.values())):.3f}" if bounds else ""), "",
                "| network | dims | loss | seed | parameters | Dice held out | worst | same cases | recovered | s | MB | ms a window |", "|" + "---|" * 12,
            ]
            lines += [_line(row, bounds) for row in sorted(chosen, key=lambda row: -row["held_out"])]
            parts.append("\n".join(lines))
    for row in (row for row in rows if row["part"] == "prune"):
        lines = ["| work asked | work left | parameters | Dice | ms | of the whole | times faster |", "|---|---|---|---|---|---|---|"]
        lines += [
            f"| {p['asked']:.0%} | {p['share']:.0%} | {p['parameters']:,} | {p['dice']:.3f} | {p['ms']:.0f} | {p['whole_ms']:.0f} | {p['faster']:.2f} |"
            for p in row["curve"]
        ]
        parts.append(f"prune {row['name']}, {row['dims']}D, seed {row['seed']}\n\n" + "\n".join(lines))
    for row in (row for row in rows if row["part"] in ("pretrain", "export")):
        kept = {name: value for name, value in row.items() if name not in ("part", "updates", "memory_mb", "threads", "load")}
        parts.append(f"{row['part']}: {json.dumps(kept)}")
    return "\n\n".join(parts)


def _line(row: Mapping[str, Any], bounds: Mapping[int, float]) -> str:
    bound = bounds.get(row["seed"], float(np.mean(list(bounds.values()))) if bounds else float("nan"))
    recovered = (row["held_out"] - row["weak"]) / (bound - row["weak"])
    return (
        f"| {row['name']} | {row['dims']} | {row.get('loss', '')} | {row['seed']} | {row['parameters']:,} x {row['members']} | {row['held_out']:.3f} "
        f"| {row['worst']:.3f} | {row['same']:.3f} | {recovered:.0%} | {row['seconds']:.0f} | {row['memory_mb']:.0f} | {row['ms']:.0f} |"
    )


def main(arguments: Sequence[str] = ()) -> None:
    """Run what is not in the file yet."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("results", type=Path)
    options.add_argument("--part", choices=PARTS, default="budget")
    options.add_argument("--only", nargs="+", default=[], help="names of networks, losses, or NAME-2d")
    options.add_argument("--seeds", nargs="+", type=int, default=[0])
    options.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves them as they are")
    options.add_argument("--hippocampus", type=Path, default=Path(os.environ.get("MEDSEG_HIPPOCAMPUS", "../shared/data/hippocampus")))
    options.add_argument("--quick", action="store_true", help="two updates on four cases: whether everything runs")
    options.add_argument("--table", action="store_true", help="print what is in the file, and run nothing")
    options.add_argument("--one", help=argparse.SUPPRESS)
    chosen = options.parse_args(arguments)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    if chosen.one:
        print(json.dumps(run_one(chosen.part, json.loads(chosen.one), chosen.hippocampus, chosen.quick)))
        return
    rows = [json.loads(line) for line in chosen.results.read_text(encoding="utf-8").splitlines()] if chosen.results.is_file() else []
    if chosen.table:
        print(table(rows))
        return
    there = {key(row) for row in rows}
    for job in jobs(chosen.part, chosen.seeds, chosen.quick):
        named = {job["name"], f"{job['name']}-{job['dims']}d", job.get("loss", "")}
        if (chosen.only and not named & set(chosen.only)) or key({"part": chosen.part, **job}) in there:
            continue
        command = [sys.executable, __file__, str(chosen.results), "--part", chosen.part, "--one", json.dumps(job), "--threads", str(chosen.threads)]
        command += ["--hippocampus", str(chosen.hippocampus), *(["--quick"] if chosen.quick else [])]
        print(f"{time.strftime('%H:%M:%S')} {chosen.part} {job}", flush=True)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"  failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}", flush=True)
            continue
        line = done.stdout.strip().splitlines()[-1]
        with chosen.results.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(f"  {line[:300]}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
