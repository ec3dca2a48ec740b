"""How soon and how often a growing label is on the canvas, beside what bare napari can do: `python benchmarks/window_live.py [--side 256]`; needs a display.

Three sides, a process each, on the same made-up scan, in a window of the same size. *Bare*: napari alone; a box of a Labels layer is written and refreshed in
the lightest way there is, and the next one as soon as the picture is there, with nothing else going on and then beside a level set that grows on a thread
and is not shown. *As ours shows it*: the same with two Labels layers over one map, fill and outline. *Ours*: Run on a level set. A picture is there when
the canvas says that it was swapped after it was painted. The first growth is the first picture with more in the slice in view than the front begins with.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QEventLoop
from qtpy.QtWidgets import QApplication
from window import Hand, Heartbeat, phantom

from napari_medseg.volume import Geometry, Volume
from napari_medseg.weaklabel.levelset import LevelSet, LevelSetSettings

FRAMES = 40
SIDES = ("bare", "two", "ours")
WAITING = QEventLoop.ProcessEventsFlag.AllEvents | QEventLoop.ProcessEventsFlag.WaitForMoreEvents
"""As a window waits: asking without a rest would take a core from the level set, and the interpreter's lock."""


def seeds_in(inside) -> np.ndarray:
    """Five seeds, the first in the slice in view."""
    deep = np.argwhere(inside)[:: max(1, int(inside.sum()) // 5)][:5]
    deep[0] = [n // 2 for n in inside.shape]
    return deep


def bare(image, inside, layers: int, beat: Heartbeat) -> dict[str, list[float]]:
    """Written to drawn, ms, and pictures a second: alone, then beside a level set."""
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.showMaximized()
    beat.rest(2)
    viewer.add_image(image)
    labels = np.zeros(image.shape, np.uint8)
    added = [viewer.add_labels(labels, opacity=0.25) for _ in range(layers)]
    if layers > 1:
        added[-1].contour, added[-1].opacity = 2, 1.0
    z, y, x = (n // 2 for n in image.shape)
    viewer.dims.set_current_step(0, z)
    beat.rest(2)
    swapped: list[float] = []
    Hand(viewer).canvas.frameSwapped.connect(lambda: swapped.append(time.perf_counter()))
    found = {}
    for name in ("alone", "beside a level set"):
        stop = threading.Event()
        busy = threading.Thread(target=_grow, args=(image, seeds_in(inside), stop)) if name != "alone" else None
        if busy is not None:
            busy.start()
            beat.rest(1)
        took, began = [], time.perf_counter()
        for frame in range(FRAMES):
            reach = 8 + 2 * (frame % 40)
            box = slice(z - 20, z + 20), slice(y - reach, y + reach), slice(x - reach, x + reach)
            swapped.clear()
            written = time.perf_counter()
            labels[box] = inside[box] * np.uint8(1 + frame % 2)
            for layer in added:
                layer.refresh(extent=False, thumbnail=False, highlight=False)
            while not swapped and time.perf_counter() - written < 5:
                QApplication.processEvents(WAITING)
            took.append(1000 * (time.perf_counter() - written))
        seconds = time.perf_counter() - began
        stop.set()
        if busy is not None:
            busy.join()
        found[name] = [statistics.median(took), max(took), FRAMES / seconds]
    viewer.close()
    return found


def _grow(image, seeds, stop: threading.Event) -> None:
    while not stop.is_set():
        for _ in LevelSet(image, (1.0, 1.0, 1.0), LevelSetSettings(), seeds=seeds):
            if stop.is_set():
                return


def ours(image, inside, repeats: int, beat: Heartbeat) -> dict[str, list[list[float]]]:
    """For each run: ms from Run to the first mask and to the first growth on the canvas, pictures that differ a second, updates a second."""
    from napari_medseg.gui.desk import desk_for
    from napari_medseg.gui.launch import open_window
    from napari_medseg.gui.layers import layer_data

    viewer = open_window()
    desk = desk_for(viewer)
    session = desk.session
    beat.rest(2)
    session.set(tab="weak", mode="levelset")
    beat.rest(15)  # the tools are made ready beside the window
    data, keywords, _ = layer_data(Volume(image, Geometry(image.shape, (1.0, 1.0, 1.0)), name="phantom", modality="MR"))
    viewer.add_image(data, **keywords)
    scan = session.current
    points = tuple(tuple(float(v) for v in p) for p in scan.display.geometry.world(seeds_in(inside).astype(float)))
    middle = image.shape[0] // 2
    viewer.dims.set_current_step(0, middle)
    first = int(np.count_nonzero(next(iter(LevelSet(image, (1.0, 1.0, 1.0), seeds=seeds_in(inside)))).mask[middle]))
    beat.rest(2)
    seen: list[tuple[float, int]] = []
    painted = [0]

    def paint(event) -> None:
        layer = desk.writer.of(scan).outline
        shows = layer is not None and scan.preview is not None and layer.data is scan.preview.labels
        painted[0] = int(np.count_nonzero(layer._slice.image.raw)) if shows else 0

    canvas = Hand(viewer).canvas  # the window is also put together without the canvas being painted anew: then it shows what it showed
    canvas._vispy_canvas.events.draw.connect(paint, position="last")
    canvas.frameSwapped.connect(lambda: seen.append((time.perf_counter(), painted[0])))
    runs = []
    for _ in range(repeats):
        desk.arm("seeds")
        session.set_seeds(scan, {session.chosen: points})
        beat.rest(2)
        seen.clear()
        painted[0] = 0
        began = time.perf_counter()
        session.run()
        front, end = session.front, began
        while session.job is not None and session.job.is_active and time.perf_counter() < began + 60:
            QApplication.processEvents(WAITING)
            end = time.perf_counter()
        held = [(at, count) for at, count in seen if count and at <= end]
        changed = [held[0], *(b for a, b in pairwise(held) if b[1] != a[1])]
        grown = next((at for at, count in changed if count > first), end)
        runs.append([1000 * (held[0][0] - began), 1000 * (grown - began), len(changed) / (end - began), front.updates / (end - began)])
        beat.rest(0.5)
        session.discard()
        session.set(tool="", mode="levelset")
        beat.rest(0.5)
    viewer.close()
    return {"runs": runs}


def alone(which: str, given: argparse.Namespace) -> None:
    """Measure one side and leave the figures in a file."""
    app = QApplication.instance() or napari.qt.get_qapp()
    image, inside = phantom([given.side] * 3)
    beat = Heartbeat()
    found = ours(image, inside, given.repeats, beat) if which == "ours" else bare(image, inside, 1 if which == "bare" else 2, beat)
    given.out.write_text(json.dumps(found))
    app.processEvents()


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--side", type=int, default=256)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--only", choices=SIDES, help=argparse.SUPPRESS)
    options.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.only:
        alone(given.only, given)
        return
    print(f"{given.side}^3; ms from written to swapped: median, largest; pictures a second")
    with tempfile.TemporaryDirectory() as folder:
        for which in SIDES:
            out = Path(folder) / f"{which}.json"
            command = [sys.executable, __file__, "--side", str(given.side), "--repeats", str(given.repeats), "--only", which, "--out", str(out)]
            subprocess.run(command, check=True)
            found = json.loads(out.read_text())
            for name, (middle, most, rate) in found.items() if which != "ours" else ():
                layers = "one Labels layer" if which == "bare" else "fill and outline"
                print(f"  bare napari, {layers}, {name}: {middle:.0f}, {most:.0f}; {rate:.1f}", flush=True)
    print("  ours, ms from Run to the first mask on the canvas; to the first growth; pictures that differ a second; updates a second: best, median, worst")
    for index, row in enumerate(zip(*found["runs"], strict=True)):
        best, worst = (max(row), min(row)) if index > 1 else (min(row), max(row))
        print(f"    {('first mask', 'first growth', 'pictures', 'updates')[index]}: {best:.1f}, {statistics.median(row):.1f}, {worst:.1f}")


if __name__ == "__main__":
    main()
