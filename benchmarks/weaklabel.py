"""Weak labels beside their peers: `python benchmarks/weaklabel.py [--only PART ...] [--cases NAME ...] [--data FOLDER] [--hippocampus FOLDER]`.

Parts are speed, memory, accuracy, scribble-speed, scribble-large, scribble-accuracy, scribble-memory and gpu; cases phantom, brain1, lung2 and hippocampi.
Each part of each case stands for itself, so that a run can be made in pieces; how long each took is printed.

Each peer runs beside ours in this process, on the same two cores, from the same start on the same maps; peaks of memory are taken in processes of their
own. Peers that are not installed are left out, and that is said. Nothing of what is reported here was used to choose a parameter.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from importlib import metadata
from pathlib import Path

from napari_medseg.catalogue import shipped

SECTIONS = ("speed", "memory", "accuracy", "scribble-speed", "scribble-large", "scribble-accuracy", "scribble-memory", "gpu")
CASES = ("phantom", "brain1", "lung2", "hippocampi")
PACKAGES = ("numpy", "numba", "SimpleITK", "scikit-image", "itk-growcut", "pyamg", "torch")


def version(name: str) -> str:
    """An installed package's version, or that it is not there."""
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return f"{name} not installed"


def run(section: str, given: argparse.Namespace) -> None:
    """One part, on the cases asked for."""
    if section == "speed":
        import weaklabel_speed

        weaklabel_speed.report(given.data, given.patience, given.cases)
    elif section == "memory":
        import weaklabel_memory

        weaklabel_memory.report(given.data, given.cases)
    elif section == "accuracy":
        import weaklabel_accuracy

        weaklabel_accuracy.report(given.data, given.cases)
    elif section == "gpu":
        import weaklabel_gpu

        weaklabel_gpu.report()
    else:
        import weaklabel_scribbles

        weaklabel_scribbles.report(given.data, given.hippocampus, (section.removeprefix("scribble-"),), given.cases)


def main() -> None:
    """Run the parts asked for."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    options.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    options.add_argument("--data", type=Path, default=shipped("sample_data"))
    options.add_argument("--hippocampus", type=Path)
    options.add_argument("--patience", type=float, default=120.0, help="seconds after which a peer is stopped and said to need longer")
    given = options.parse_args()
    print(f"Python {sys.version.split()[0]}, " + ", ".join(version(name) for name in PACKAGES))
    for section in given.only:
        began = time.perf_counter()
        run(section, given)
        load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
        print(f"[{section} took {time.perf_counter() - began:.0f} s{load}]", flush=True)


if __name__ == "__main__":
    main()
