"""How much memory: the highest resident size of a process that runs one solver, less what it held with the volume and the maps loaded and all compiled."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Collection
from pathlib import Path

import weaklabel_peers as peers
from weaklabel_scenes import NAMES, Fixed, Scene, maps, phantom, scene_named

SHARE = 0.9
PATIENCE = 5.0  # seconds: a solver has all its arrays by then


def report(folder: Path, cases: Collection[str] = NAMES) -> None:
    """Print it."""
    print("\n== Memory: peak above the loaded volume and its maps, MB")
    if not Path("/proc/self/clear_refs").exists():
        print(f"  left out: {sys.platform} does not tell a process's peak anew")
        return
    solvers = {"ours, grey values": (peers.ours, 0.0), "ours, edges": (peers.ours, 1.0), **{name: (run, 0.0) for name, run in peers.REGION.items()}}
    solvers |= {name: (run, 1.0) for name, run in peers.EDGE.items()}
    context = multiprocessing.get_context("spawn")
    for name in (each for each in NAMES if each in cases):
        print(f"  {name}", flush=True)
        for solver, (run, edge) in solvers.items():
            answers = context.Queue()
            child = context.Process(target=_child, args=(answers, name, folder, run, edge))
            child.start()
            child.join(600)
            if child.is_alive():
                child.terminate()
                child.join()
            print(f"    {solver}: {answers.get_nowait() if child.exitcode == 0 else 'no answer'}")


def _child(answers, name: str, folder: Path, run, edge: float) -> None:
    small = phantom(32)
    _run(small, maps(small), run, edge)
    scene = scene_named(name, folder)
    given = maps(scene)
    held = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    try:
        _run(scene, given, run, edge)
    except ImportError as error:
        answers.put(f"left out, {error}")
        return
    answers.put(f"{(_status('VmHWM') - held) / 1024:.0f} ({scene.truth.size * 4 / 2**20:.0f} MB is one float map)")


def _run(scene: Scene, given, run, edge: float) -> None:
    drive = Fixed(given.speed, given.stopping if edge else None, scene.spacing, edge, peers.CURVATURE)
    run(scene, given, int(SHARE * scene.truth.sum()), PATIENCE, drive)


def _status(field: str) -> int:
    """Kilobytes, as the kernel tells them."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise LookupError(field)
