"""What napari's start costs more with this plugin installed than without it.

    python benchmarks/startup.py [--pairs 15] [--show]

Each run is a process of its own that opens napari's window and lets it settle. Without: the same environment, with the plugin's distribution hidden from
`importlib.metadata`, which is where napari looks for plugins. Runs come in pairs in changing order; processor time of the process (all threads) is what
counts, since the clock says more about what else the machine does. What the plugin imported is told too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys

CHILD = """
import importlib.metadata as metadata, json, sys, time
if {hidden}:
    real = metadata.Distribution.discover
    metadata.Distribution.discover = classmethod(
        lambda cls, **given: (d for d in real(**given) if (d.metadata["Name"] or "").lower() != "napari-medseg")
    )
clock, processor = time.perf_counter(), time.process_time()
import napari
viewer = napari.Viewer(show={show})
from qtpy.QtWidgets import QApplication
QApplication.processEvents()
spent = [time.perf_counter() - clock, time.process_time() - processor]
from npe2 import PluginManager
known = "napari-medseg" in [manifest.name for manifest in PluginManager.instance().iter_manifests()]
ours = sorted(name for name in sys.modules if name.split(".")[0] == "napari_medseg")
print(json.dumps({{"clock": spent[0], "processor": spent[1], "known": known, "modules": ours, "all": len(sys.modules)}}))
viewer.close()
"""


def run(hidden: bool, show: bool) -> dict:
    """One start."""
    told = subprocess.run([sys.executable, "-c", CHILD.format(hidden=hidden, show=show)], capture_output=True, text=True, check=True).stdout
    found = json.loads(told.splitlines()[-1])
    if found["known"] == hidden:
        raise RuntimeError(f"the plugin is {'there' if hidden else 'not there'} where it should not be")
    return found


def main() -> int:
    """Measure and tell; ends with 1 when the plugin costs 0.3 s or more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--show", action="store_true", help="show the window; needs a display")
    options = parser.parse_args()
    if not options.show:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    run(True, options.show)  # compiled files and the system's cache
    run(False, options.show)
    more: dict[str, list[float]] = {"clock": [], "processor": []}
    bare: dict[str, list[float]] = {"clock": [], "processor": []}
    for pair in range(options.pairs):
        order = (True, False) if pair % 2 else (False, True)
        found = {hidden: run(hidden, options.show) for hidden in order}
        for kind in more:
            bare[kind].append(found[True][kind])
            more[kind].append(found[False][kind] - found[True][kind])
    for kind in ("processor", "clock"):
        low, middle, high = statistics.quantiles(more[kind], n=4)
        told = f"{middle:+.3f} s more (quartiles {low:+.3f} to {high:+.3f}; {options.pairs} pairs)"
        print(f"{kind:<10} without {statistics.median(bare[kind]):.2f} s; with it {told}")
    print(f"modules of ours after the start: {', '.join(found[False]['modules']) or 'none'}; in all {found[True]['all']} and {found[False]['all']}")
    print(f"load {' '.join(f'{one:.1f}' for one in os.getloadavg())}" if hasattr(os, "getloadavg") else "load unknown")
    return 0 if statistics.median(more["processor"]) < 0.3 else 1


if __name__ == "__main__":
    sys.exit(main())
