"""Sites that exchange weights instead of scans, played through: whether the mean is better than each alone, and staying close to the base helps.

Site A has the scans as they are, site B twice as many from a worse scanner (bias field, blur, thick slices, Rician noise). Both begin from one base that
learnt from four other scans, train, export what changed, merge, and begin again from the mean. Beside it: each site alone and all scans in one place, with as
many updates. Dice on scans nobody learnt from, as they are and as B's scanner makes them.

Example: python benchmarks/exchange.py hippocampus -o exchange.json --updates 60 --rounds 3 --mu 0 0.1 1
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_medseg.io import read
from napari_medseg.metrics import dice
from napari_medseg.refine.augmentation.degrade import MR, degraded
from napari_medseg.refine.cases import Case
from napari_medseg.refine.examples import weak_examples
from napari_medseg.refine.exchange import export_change, merge_changes
from napari_medseg.refine.medseg.recipe import medseg
from napari_medseg.segmenters.volumetric.model import load_volumetric

DEVELOPMENT = 30  # of the sorted names; the rest is kept for reports
BASE, SITE_A, SITE_B, TEST = 4, 4, 8, 12


def cases(folder: Path) -> Iterator[Case]:
    """Scans with their true labels, as one class."""
    for path in sorted((folder / "images").glob("*.nii.gz"))[:DEVELOPMENT]:
        image, labels = read(path), read(folder / "labels" / path.name)
        yield Case(path.name, image, labels.like((labels.channel() > 0).astype(np.uint8)))


def worse(case: Case, seed: int) -> Case:
    """The same scan as site B's scanner makes it."""
    array = case.image.channel().astype(np.float32)
    middle, spread = array.mean(), array.std()
    seen = degraded(torch.from_numpy((array - middle) / spread)[None, None], torch.Generator().manual_seed(seed), chance=1.0, kinds=MR)
    return replace(case, image=case.image.like(seen[0, 0].numpy() * spread + middle))


def learn(some: Sequence[Case], base: Path | None, folder: Path, *, updates: int, seed: int, mu: float = 0.0, rate: float = 1e-3) -> Path:
    """One network trained on cases."""
    recipe = medseg(folds=1, phases=[], updates=updates, proximal=mu, learning_rate=rate)
    *_, last = recipe.method().learn(weak_examples(some), [1], number=1, base=base, seed=seed, device="cpu")
    assert last.learned is not None
    return last.learned.model.save(folder, {})


def scores(model: Path, tests: Mapping[str, Sequence[Case]]) -> dict[str, float]:
    """Mean Dice by kind of scan."""
    loaded = load_volumetric(model, "cpu")
    return {kind: float(np.mean([dice(loaded.label(c.image) > 0, c.labels.channel() > 0) for c in some])) for kind, some in tests.items()}


def federation(sites: Sequence[Sequence[Case]], base: Path, folder: Path, *, rounds: int, updates: int, seed: int, mu: float) -> Iterator[Path]:
    """The merged model after each round."""
    for number in range(1, rounds + 1):
        changes = []
        for place, site in enumerate(sites):
            trained = learn(site, base, folder / f"r{number}s{place}", updates=updates, seed=seed + 10 * number + place, mu=mu)
            changes.append(export_change(trained, base, folder / f"r{number}s{place}.safetensors", samples=len(site)).file)
        base = merge_changes(changes, base, folder / f"merged{number}").file
        yield base


def main() -> None:
    """Play it through and write the figures as they come."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="Folder with images/ and labels/ of the same names.")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--updates", type=int, default=60, help="Of each site in each round.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mu", type=float, nargs="+", default=[0.0, 0.1])
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    known = list(cases(asked.data))
    first, a, b, test = (known[start:end] for start, end in zip(np.cumsum([0, BASE, SITE_A, SITE_B]), np.cumsum([BASE, SITE_A, SITE_B, TEST]), strict=True))
    b = [worse(case, 100 + number) for number, case in enumerate(b)]
    tests = {"as they are": test, "as B's scanner": [worse(case, 200 + number) for number, case in enumerate(test)]}
    done: dict[str, Any] = {"asked": {**vars(asked), "data": asked.data.name, "output": asked.output.name}, "dice": {}}

    def told(name: str, model: Path, began: float) -> None:
        done["dice"][name] = {**scores(model, tests), "seconds": time.perf_counter() - began}
        asked.output.write_text(json.dumps(done, indent=2) + "\n", encoding="utf-8")

    with tempfile.TemporaryDirectory() as scratch:
        folder, began = Path(scratch), time.perf_counter()
        base = learn(first, None, folder / "base", updates=asked.updates * 2, seed=asked.seed, rate=3e-3)
        told("base", base, began)
        whole = asked.updates * asked.rounds
        for name, some, count in (("A alone", a, whole), ("B alone", b, whole), ("all in one place", [*a, *b], 2 * whole)):
            began = time.perf_counter()
            told(name, learn(some, base, folder / name, updates=count, seed=asked.seed), began)
        for mu in asked.mu:
            began = time.perf_counter()
            for number, merged in enumerate(
                federation([a, b], base, folder / f"mu{mu}", rounds=asked.rounds, updates=asked.updates, seed=asked.seed, mu=mu), start=1,
            ):
                told(f"exchange, mu {mu:g}, round {number}", merged, began)


if __name__ == "__main__":
    main()
