"""Whether several processes learn what one learns: loss curves of the same training, and how far another seed lies off.

Generated CT-like abdomens with their true livers as labels; the recipe `medseg` on the processor (gloo). The curves are compared at the same number of updates.

Example: python benchmarks/ddp.py -o ddp.json --cases 4 --updates 40 --processes 2
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg.metrics import dice
from napari_medseg.refine import Case, RefineRequest, refine
from napari_medseg.refine.medseg.recipe import medseg
from napari_medseg.testing.synthetic import ct_scene


def learnt(cases: tuple[Case, ...], updates: int, seed: int, processes: int, device: str) -> dict[str, Any]:
    """Loss by updates, seconds of learning, and Dice of the proposals with the labels."""
    curve: dict[int, float] = {}
    began = ended = 0.0
    labels = None
    for tick in refine(RefineRequest(cases, medseg(updates=updates, patience=5), seed=seed, processes=processes, device=device)):
        if tick.loss is not None and tick.updates:
            began, ended = began or time.perf_counter(), time.perf_counter()
            curve[tick.updates] = tick.loss
        labels = tick.labels or labels
    assert labels is not None
    found = [dice(labels[case.id] == 1, case.labels.channel() == 1) for case in cases]
    return {"processes": processes, "seed": seed, "seconds": round(ended - began, 1), "dice": round(float(np.mean(found)), 4), "loss": curve}


def apart(one: dict[str, Any], other: dict[str, Any]) -> dict[str, float]:
    """How far two curves lie apart where both have a point: mean and most, as shares of the loss."""
    both = sorted(one["loss"].keys() & other["loss"].keys())
    gaps = [abs(one["loss"][at] - other["loss"][at]) / one["loss"][at] for at in both]
    return {"points": len(both), "mean": float(np.mean(gaps)), "most": float(np.max(gaps))}


def main() -> None:
    """One process, several, and one with another seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    cases = tuple(Case(image.name, image, truth) for image, truth in map(ct_scene, range(asked.cases)))
    runs = [learnt(cases, asked.updates, seed, n, asked.device) for seed, n in ((0, 1), (0, asked.processes), (1, 1))]
    found = {
        "cores": os.cpu_count(), "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None, "processes_apart": apart(runs[0], runs[1]),
        "seeds_apart": apart(runs[0], runs[2]), "runs": runs,
    }
    asked.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print({key: value for key, value in found.items() if key != "runs"}, [{k: v for k, v in run.items() if k != "loss"} for run in runs])


if __name__ == "__main__":
    main()
