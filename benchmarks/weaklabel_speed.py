"""How fast: our front and its peers to the same volume over the same maps; then the whole tool, from the click on."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

import numpy as np
import weaklabel_peers as peers
from weaklabel_scenes import NAMES, Fixed, dice, maps, phantom, scene_named

from napari_medseg.weaklabel.levelset import LevelSet, LevelSetSettings

SHARE = 0.9  # of the truth's volume: where every solver's clock stops
REPEATS = 3
COMPILE = """
import time, numpy as np
from napari_medseg.weaklabel.levelset import LevelSet, LevelSetSettings
image = np.zeros((24, 24, 24), np.float32); image[8:16, 8:16, 8:16] = 100; image += np.random.default_rng(0).normal(0, 5, image.shape)
began = time.perf_counter()
for method in ("region", "edge"):
    list(LevelSet(image, (1, 1, 1), LevelSetSettings(method=method), seeds=[[12, 12, 12], [11, 11, 11]]))
print(time.perf_counter() - began)
"""


def report(folder: Path, patience: float, cases: Collection[str] = NAMES) -> None:
    """Print it."""
    print("\n== Speed")
    with tempfile.TemporaryDirectory() as cache:
        child = subprocess.run([sys.executable, "-c", COMPILE], env={**os.environ, "NUMBA_CACHE_DIR": cache}, capture_output=True, text=True, check=True)
    print(f"First run ever on a machine (kernels are compiled, then kept on disk): {float(child.stdout):.1f} s. Below, everything is compiled.")
    list(LevelSet(*_small(), LevelSetSettings(), seeds=[[12, 12, 12], [11, 11, 11]]))
    list(LevelSet(*_small(), LevelSetSettings(method="edge"), seeds=[[12, 12, 12], [11, 11, 11]]))
    print(
        "Same volume: all start from balls of 5 mm at the five seeds, over the same maps; a clock stops when the mask holds "
        f"{SHARE:.0%} of the truth's volume. Ours looks after each update, scikit-image after each iteration; ITK runs a number of iterations, the fewest "
        f"that are enough (to 5 %). Who settles at less, or needs more than {patience:.0f} s, is compared at (nearly) the volume it did reach, ours stopped "
        f"there too. Tension {peers.CURVATURE} mm for all that have millimetres. Ours: best of {REPEATS}. Seconds by the clock, in brackets of the processor."
    )
    for name in NAMES:
        if name in cases:
            _same_volume(scene_named(name, folder), patience)
    if "phantom" in cases:
        _whole_tool()


def _small():
    image = np.zeros((24, 24, 24), np.float32)
    image[8:16, 8:16, 8:16] = 100
    return image + np.random.default_rng(0).normal(0, 5, image.shape), (1.0, 1.0, 1.0)


def _same_volume(scene, patience: float) -> None:
    given = maps(scene)
    voxels = int(SHARE * scene.truth.sum())
    print(f"\n{scene.name}, {'x'.join(map(str, scene.truth.shape))} voxels; start {given.start.sum() / scene.truth.sum():.1%} of the truth")
    for words, edge, others in (("grey values", 0.0, peers.REGION), ("edges", 1.0, peers.EDGE)):
        drive = Fixed(given.speed, given.stopping if edge else None, scene.spacing, edge, peers.CURVATURE)
        mine = _ours(scene, given, voxels, drive)
        print(f"  {words}: ours {_said(mine, scene, voxels)}")
        for name, run in others.items():
            try:
                found = run(scene, given, voxels, patience, drive)
            except ImportError as error:
                print(f"    {name}: left out, {error}")
                continue
            there = mine if found.enough and mine.enough else _ours(scene, given, int(found.mask.sum()), drive)
            compared = f"{found.seconds / there.seconds:.2g} times ours (of the processor, all threads: {found.busy / there.busy:.2g})"
            if there is not mine:
                compared += f" to that volume ({there.seconds:.2f} s, Dice {dice(there.mask, scene.truth):.3f})" if there.enough else ", which never gets there"
            print(f"    {name}: {_said(found, scene, voxels)}; {compared}", flush=True)


def _ours(scene, given, voxels: int, drive):
    return min((peers.ours(scene, given, voxels, 0.0, drive) for _ in range(REPEATS)), key=lambda each: each.busy)


def _said(found, scene, voxels) -> str:
    size = "" if found.enough else f" (stopped at {found.mask.sum() / voxels:.0%} of the volume asked)"
    each = f", {found.iterations} iterations of {1000 * found.seconds / found.iterations:.1f} ms" if found.iterations else ""
    return f"{found.seconds:.3g} s ({found.busy:.3g}), Dice {dice(found.mask, scene.truth):.3f}{each}{size}"


def _whole_tool() -> None:
    """From five seeds on 256^3: maps, front and closing; as the window runs it."""
    scene = phantom()
    firsts, rates = [], []
    for _ in range(REPEATS):
        began = time.perf_counter()
        running = iter(LevelSet(scene.image, scene.spacing, LevelSetSettings(), seeds=scene.seeds))
        start = next(running)
        seeds, shown = scene.seeds.shape[0], int(start.part.sum())
        first = time.perf_counter() - began if shown > seeds else None
        updates, last = 0, start
        for last in running:
            updates += 1
            if first is None and int(last.part.sum()) > seeds:
                first = time.perf_counter() - began
        seconds = time.perf_counter() - began
        firsts.append(first)
        rates.append(updates / seconds)
    print(
        f"\nThe whole tool on 256^3 from five seeds, nothing painted: first change beyond the seeds after {1000 * min(firsts):.0f} ms "
        f"(worst {1000 * max(firsts):.0f}), {max(rates):.0f} updates a second (worst {min(rates):.0f}); it ended after {seconds:.1f} s: "
        f"{last.stopped_because}, Dice {dice(last.mask, scene.truth):.3f}"
    )
