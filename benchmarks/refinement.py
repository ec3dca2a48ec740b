"""Refinement measured: `python benchmarks/refinement.py [--only recipes cohort gate gate_loop next single kills] [--quick]`.

| part | asks |
|---|---|
| recipes | how much of what weak labels lack does each recipe recover, on real hippocampi |
| cohort | the published loop on a made CT to MR cohort, round by round |
| gate | are poisoned rounds refused and good ones adopted |
| gate_loop | the same, decided within whole runs of the recipe that is the default |
| next | is a correction worth more where the ranking says so |
| single | three corrected slices of one scan: what becomes of the others |
| kills | does a killed training go on and end with the same figures |

Each part lives in a file of its own, runs alone, and prints its figures as tables. `--quick` runs each as small as it can be, to see that it works.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import sys
from importlib import metadata, util

PARTS = ("recipes", "cohort", "gate", "gate_loop", "next", "single", "kills")
PACKAGES = ("numpy", "scipy", "torch", "monai", "SimpleITK")


def version(name: str) -> str:
    """An installed package's version, or that it is not there."""
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return f"{name} not installed"


def main() -> None:
    """Run the parts asked for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    options.add_argument("--quick", action="store_true")
    chosen = options.parse_args()
    print(f"Python {sys.version.split()[0]} on {platform.machine()}, " + ", ".join(version(name) for name in PACKAGES), flush=True)
    for part in chosen.only:
        module = f"refinement_{part}"
        if util.find_spec(module) is None:
            print(f"\n## {part}: benchmarks/{module}.py is not there, so this part is left out", flush=True)
            continue
        print(f"\n## {part}", flush=True)
        importlib.import_module(module).main(chosen.quick)


if __name__ == "__main__":
    main()
