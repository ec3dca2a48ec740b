"""Weak labels beside their peers: `python benchmarks/weaklabel.py [--only speed memory accuracy scribbles gpu] [--data FOLDER] [--patience SECONDS]`.

Each peer runs beside ours in this process, on the same two cores, from the same start on the same maps; peaks of memory are taken in processes of their
own. Peers that are not installed are left out, and that is said. Nothing of what is reported here was used to choose a parameter.
"""

from __future__ import annotations

import argparse
import sys
from importlib import metadata
from pathlib import Path

from napari_medseg.catalogue import shipped

SECTIONS = ("speed", "memory", "accuracy", "scribbles", "gpu")
PACKAGES = ("numpy", "numba", "SimpleITK", "scikit-image", "itk-growcut", "pyamg", "torch")


def version(name: str) -> str:
    """An installed package's version, or that it is not there."""
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return f"{name} not installed"


def main() -> None:
    """Run the sections asked for."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    options.add_argument("--data", type=Path, default=shipped("sample_data"))
    options.add_argument("--patience", type=float, default=300.0, help="seconds after which a peer is stopped and said to need longer")
    chosen = options.parse_args()
    print(f"Python {sys.version.split()[0]}, " + ", ".join(version(name) for name in PACKAGES))
    if "speed" in chosen.only:
        import weaklabel_speed

        weaklabel_speed.report(chosen.data, chosen.patience)
    if "memory" in chosen.only:
        import weaklabel_memory

        weaklabel_memory.report(chosen.data)
    if "accuracy" in chosen.only:
        import weaklabel_accuracy

        weaklabel_accuracy.report(chosen.data)
    if "scribbles" in chosen.only:
        import weaklabel_scribbles

        weaklabel_scribbles.report(chosen.data)
    if "gpu" in chosen.only:
        import weaklabel_gpu

        weaklabel_gpu.report()


if __name__ == "__main__":
    main()
