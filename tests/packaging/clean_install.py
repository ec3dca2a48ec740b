"""Install a wheel into an environment of its own, as a user does, and use it there: a script, since it fetches gigabytes.

    python tests/packaging/clean_install.py WHEEL --binding pyqt6 --into FOLDER [--torch "torch==2.13.0"] [--demo]

PyTorch first, then the wheel with one binding. Everything runs outside of the checkout with an empty home folder. A folder that holds an environment
already is taken again: only the wheel is installed anew. Prints a line a check and ends with 1 when one failed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger("clean_install")
WHERE = "import napari_medseg, pathlib; print(pathlib.Path(napari_medseg.__file__).parent)"
WINDOW = """
from qtpy import API_NAME
from napari_medseg.gui.launch import open_window
from qtpy.QtWidgets import QApplication
from napari_medseg.gui.window import MedsegWidget
viewer = open_window(show={show})
QApplication.processEvents()
found = [w for w in QApplication.allWidgets() if isinstance(w, MedsegWidget)]
print(API_NAME, len(found), "dock,", found[0].tabs.count(), "tabs")
viewer.close()
"""
SAMPLES = """
from napari_medseg.gui import samples
print([tuple(sample(key)[0][0].shape) for sample in (samples.sample,) for key in samples.FILES])
"""
PLUGIN = """
from npe2 import PluginManager
manager = PluginManager.instance()
manager.discover()
manifest = manager.get_manifest("napari-medseg")
manifest.validate_imports()
print(manifest.display_name, len(manifest.contributions.commands), "commands")
"""


class Environment:
    """One environment and what is run in it.

    Parameters
    ----------
    folder : where it is, or is made
    binding : "pyqt5" or "pyqt6"
    """

    def __init__(self, folder: Path, binding: str) -> None:
        self.folder, self.binding = folder.absolute(), binding
        self.bin = self.folder / ("Scripts" if os.name == "nt" else "bin")
        self.desk = Path(tempfile.mkdtemp(prefix="medseg-clean-"))
        gone = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MEDSEG_PLUGINS", "MEDSEG_PREFERENCES")
        self.variables = {name: value for name, value in os.environ.items() if name not in gone}
        homes = {name: str(self.desk / "home") for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")}
        self.variables |= homes | {"QT_API": binding}
        if os.name != "nt" and sys.platform != "darwin" and not os.environ.get("DISPLAY"):
            self.variables["QT_QPA_PLATFORM"] = "offscreen"
        (self.desk / "home").mkdir()

    def __call__(self, *command: str) -> str:
        """What a command of the environment prints; raises RuntimeError with its last words when it fails."""
        done = subprocess.run([str(self.bin / command[0]), *command[1:]], cwd=self.desk, env=self.variables, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)[:80]}: {(done.stderr or done.stdout).strip()[-600:]}")
        return done.stdout.strip()

    def install(self, wheel: Path, torch: str) -> None:
        """PyTorch where there is none yet, then the wheel."""
        if not (self.folder / "pyvenv.cfg").exists():
            subprocess.run([sys.executable, "-m", "venv", str(self.folder)], check=True)
        pip = ("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        self(*pip, *torch.split())
        self(*pip, f"{wheel.absolute()}[{self.binding}]")
        self(*pip, "--force-reinstall", "--no-deps", str(wheel.absolute()))

    def segment(self) -> str:
        """The smallest real job: a network's weights are there, and a file is written."""
        found = self("python", "-c", "from napari_medseg.catalogue import shipped; print(shipped('sample_data') / 'lung2_crop_ct.nii.gz')")
        told = json.loads(self("medseg", "segment", found, "--with", "unet", "-o", "mask.nii.gz", "--json"))
        return f"{told['segmenter']} in {told['seconds']:.1f} s, {(self.desk / 'mask.nii.gz').stat().st_size} bytes"

    def doctor(self) -> str:
        """All that is needed is found."""
        told = json.loads(self("medseg", "doctor", "--json"))
        missing = [check["name"] for check in told["checks"] if not check["ok"]]
        if not told["ok"]:
            raise RuntimeError(f"misses {missing}")
        return f"{len(told['checks'])} checks" + (f", notes on {missing}" if missing else "")

    def catalogue(self) -> str:
        """Every part is listed and none is faulty."""
        told = json.loads(self("medseg", "catalogue", "--json"))
        if told["problems"]:
            raise RuntimeError(str(told["problems"]))
        return f"{len(told['entries'])} parts, {sum(entry['available'] for entry in told['entries'])} of them ready"

    def demo(self) -> str:
        """The whole job."""
        told = json.loads(self("medseg", "demo", "--out", "demo", "--json"))
        return f"{len(told['cases'])} cases, {len(told['rounds'])} rounds, report {(self.desk / 'demo' / 'report.html').stat().st_size // 1024} kB"


def main() -> int:
    """Install, check, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--binding", choices=["pyqt5", "pyqt6"], default="pyqt6")
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--torch", default="torch==2.13.0")
    parser.add_argument("--demo", action="store_true", help="run the demo too; minutes")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    inside = Environment(options.into, options.binding)
    inside.install(options.wheel, options.torch)
    shown = "QT_QPA_PLATFORM" not in inside.variables
    checks: dict[str, Callable[[], str]] = {
        "pip check": lambda: inside("python", "-m", "pip", "check"),
        "import": lambda: inside("python", "-c", WHERE),
        "version": lambda: inside("medseg", "--version"),
        "doctor": inside.doctor,
        "catalogue": inside.catalogue,
        "manifest": lambda: inside("python", "-c", PLUGIN),
        "samples": lambda: inside("python", "-c", SAMPLES),
        "segment": inside.segment,
        f"window ({'on a display' if shown else 'offscreen'})": lambda: inside("python", "-c", WINDOW.format(show=shown)).splitlines()[-1],
    }
    if options.demo:
        checks["demo"] = inside.demo
    failed = 0
    for name, check in checks.items():
        began = time.monotonic()
        try:
            told = check()
        except (RuntimeError, ValueError, OSError) as error:
            failed, told = failed + 1, f"FAILED: {error}"
        log.info("%-24s %5.1f s  %s", name, time.monotonic() - began, told)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
