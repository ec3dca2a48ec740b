"""deepbet through its catalogue entry, on Colin27: `python benchmarks/deepbet_colin27.py FOLDER [--device auto] [--json]`.

FOLDER holds ch2.nii.gz (T1 head) and ch2bet.nii.gz (its brain), from Debian's package mricron-data, fetched by hand::

    apt-get download mricron-data && dpkg-deb -x mricron-data_*.deb colin && python benchmarks/deepbet_colin27.py colin/usr/share/mricron/templates

Needs the optional package deepbet. The network has not seen this head in our hands, and nothing here is tuned on it. Exits 1 below a Dice of 0.93.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from napari_medseg import catalogue
from napari_medseg.io import read
from napari_medseg.metrics.overlap import dice
from napari_medseg.segmenters import collect, to_labels

GOAL = 0.93


def measure(folder: Path, device: str) -> dict[str, float]:
    """Dice against ch2bet > 0, volumes in ml, and the seconds of a first and a second run."""
    volume, truth = read(folder / "ch2.nii.gz"), read(folder / "ch2bet.nii.gz").channel() > 0
    segmenter = catalogue.load().find("deepbet", "segmenter").build()
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        chance = collect(segmenter.predict(volume, device=device), volume.geometry.shape)
        seconds.append(time.perf_counter() - started)
    found = to_labels(chance, segmenter.capabilities.threshold) > 0
    ml = volume.geometry.voxel_ml
    return {"dice": dice(found, truth), "ml": found.sum() * ml, "ml_truth": truth.sum() * ml, "first_s": seconds[0], "second_s": seconds[1]}


def main() -> None:
    """Measure, print, and say whether the goal was met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = {name: round(float(value), 4) for name, value in measure(given.folder, given.device).items()}
    sizes = f"brain {found['ml']:.0f} ml, truth {found['ml_truth']:.0f} ml"
    told = f"Dice {found['dice']:.4f} (goal {GOAL}); {sizes}; {found['first_s']:.1f} s, then {found['second_s']:.1f} s"
    print(json.dumps(found) if given.json else told)
    sys.exit(found["dice"] < GOAL)


if __name__ == "__main__":
    main()
