"""Stalls of the event loop in the Refine tab, beside bare napari: `python benchmarks/window_refine.py [--side 128 256] [--repeats 2] [--why]`; needs a display.

A study of two made-up scans is refined by a small network in its own process, while the window's timer beats every 2 ms (`window.py`). The longest gap between
two beats is the stall a person would feel; beside it stands the most that the window's own thread computed in one gap, which other programs disturb less. In
bare napari the same kind of action is done: a page of a dock is turned, slices are scrolled, a label map of that size is put into the layers, written, or gone
to a place of. The rule: ours adds no more than 50 ms. `--why` prints where the window's thread was in each long gap of ours.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import napari
import numpy as np
from qtpy.QtWidgets import QTabWidget, QTextEdit
from window import Found, Gap, Heartbeat, phantom

from napari_medseg import io
from napari_medseg.volume import Geometry, Volume

SCROLLED, EVERY = 40, 0.05


def slices(viewer, count: int):
    """Some slices to and fro around the middle."""
    around = [count // 2 + step for step in (*range(10), *range(10, -10, -1), *range(-10, 0))]
    return [lambda z=z: viewer.dims.set_current_step(0, z) for z in around[:SCROLLED]]


def bare(image, inside, beat: Heartbeat, repeats: int) -> Found:
    """Napari alone."""
    found: Found = defaultdict(list)
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.showMaximized()
    tabs = QTabWidget()
    for title in ("One", "Two"):
        tabs.addTab(QTextEdit(title), title)
    viewer.window.add_dock_widget(tabs)
    viewer.add_image(image)
    mask = inside.astype(np.uint8)
    labels, fill, outline = (viewer.add_labels(each) for each in (mask.copy(), np.zeros_like(mask), np.zeros_like(mask)))
    outline.contour = 2
    beat.rest(2)
    moved = np.roll(mask, 4, axis=2)

    def put(array) -> None:
        for layer in (fill, outline):
            layer.data = array

    def write(array) -> None:
        labels.data[:] = array
        labels.refresh()

    def go(z: int) -> None:
        viewer.dims.set_point(range(3), (z, 40.0, 40.0))
        viewer.scene.camera.center = (40.0, 40.0)

    for turn in range(repeats + 1):
        now = {
            "turn to the tab": beat.during([lambda: tabs.setCurrentIndex(1 - tabs.currentIndex())], 0, 0.5),
            "start": beat.during([lambda: tabs.setCurrentIndex(1 - tabs.currentIndex())], 0, 0.5),
            "scroll in training": beat.during(slices(viewer, len(image)), EVERY, 0.3),
            "train, a round comes": beat.during([lambda: put(moved.copy())], 0, 1),
            "look at a round": beat.during([lambda: tabs.setCurrentIndex(1 - tabs.currentIndex())], 0, 0.5),
            "next place": beat.during([lambda z=z: go(z) for z in (5, 20, 9)], 0.5, 0.3),
            "adopt": beat.during([lambda: write(moved)], 0, 0.7),
            "roll back": beat.during([lambda: write(mask)], 0, 0.7),
            "propose the rest": beat.during([lambda: put(mask.copy())], 0, 1),
        }
        if turn:  # what happens for the first time is not measured here, in ours neither
            for name, gap in now.items():
                found[name].append(gap)
    viewer.close()
    return found


def ours(image, inside, beat: Heartbeat, repeats: int) -> Found:
    """The Refine tab."""
    from napari_medseg.gui.desk import desk_for
    from napari_medseg.gui.launch import open_window
    from napari_medseg.session.history import change
    from napari_medseg.session.making import Making
    from napari_medseg.session.state import Preview

    made = Path(tempfile.mkdtemp())
    os.environ.update(MEDSEG_PREFERENCES=str(made / "preferences.json"), XDG_DATA_HOME=str(made / "data"), OMP_NUM_THREADS="1")
    found: Found = defaultdict(list)
    viewer = open_window()
    session = desk_for(viewer).session
    desk, study, refining = desk_for(viewer), session.study, session.refining
    beat.rest(2)

    def until(met, seconds: float = 600.0) -> Gap:
        """Watch until something is met, and a moment longer."""
        end = time.monotonic() + seconds
        beat.begin()
        while not met():
            if time.monotonic() > end or session.trouble:
                raise TimeoutError(session.trouble or "it did not happen in time")
            beat.rest(0.05)
        beat.rest(0.7)
        return beat.end()

    weak = np.roll(inside, 3, axis=2).astype(np.uint8)
    paths = []
    for number in range(2):
        paths.append(made / f"scan {number}.nii")
        io.write(Volume(image + number, Geometry(image.shape, (1.0, 1.0, 1.0)), modality="MR"), paths[-1])
    study.create(made / "Blobs")
    until(lambda: study.is_open)
    study.add(paths)
    until(lambda: len(study.cases) == 2)
    for case in list(study.cases):
        study.go(case.id)
        until(lambda case=case: study.current == case.id and study.scan is not None)
        study.scan.preview = Preview(study.scan.axes.apply(weak), "test", (session.label_class,), finished=True, made=Making("levelset"))
        session.accept()
        until(lambda: study.saved == "saved")
    session.refine.recipe, session.refine.rounds, session.refine.base = "salah2023", 1, small_base(made / "base")
    session.set(tab="refine")
    until(lambda: not session.jobs.active)
    for turn in range(repeats + 1):
        now: dict[str, Gap] = {}
        session.set(tab="weak")
        beat.rest(0.5)
        now["turn to the tab"] = beat.during([lambda: session.set(tab="refine")], 0, 0.5)
        now["start"] = beat.during([desk.run], 0, 1)
        until(lambda: len(session.refine.losses) > 2 or not refining.is_training)
        now["scroll in training"] = beat.during(slices(viewer, len(image)), EVERY, 0.3)
        viewer.dims.set_current_step(0, len(image) // 2)
        glimpse = refining.glimpse.labels is not None
        now["train, a round comes"] = until(lambda: not refining.is_training and refining.row(1) is not None and refining.row(1).changes)
        now["look at a round"] = beat.during([lambda: refining.look_at(0), lambda: refining.look_at(1)], 0.5, 0.3)
        for place, spot in enumerate(refining.spots):
            if spot.case == study.current:
                now["next place"] = beat.during([lambda place=place: refining.visit(place)], 0, 0.7)
        beat.begin()
        refining.adopt(1)
        now["adopt"] = until(lambda: refining.in_use == 1 and not study.busy)
        beat.begin()
        refining.roll_back()
        now["roll back"] = until(lambda: refining.in_use == 0 and not study.busy)
        scan = study.scan
        for index in (len(image) // 2 - 9, len(image) // 2, len(image) // 2 + 9):
            box = slice(index, index + 1), slice(0, image.shape[1]), slice(0, image.shape[2])
            step = change(scan.labels, box, scan.axes.apply(inside.astype(np.uint8))[box])
            if step is not None:
                session.painted(scan, step)
        beat.rest(0.5)
        beat.begin()  # before the button is pressed
        desk.propose_rest()
        now["propose the rest"] = until(lambda scan=scan: scan.preview is not None and not session.jobs.active)
        session.discard()
        study.settle()
        until(lambda: study.saved == "saved")
        print(f"  our turn {turn}; a glimpse while scrolling: {glimpse}", flush=True)
        if turn:
            for name, gap in now.items():
                found[name].append(gap)
    viewer.close()
    return found


def small_base(folder: Path) -> Path:
    """A network nobody trained, small enough that a round takes seconds."""
    import torch

    from napari_medseg.segmenters.unet import UNet
    from napari_medseg.segmenters.weights import save_model

    torch.manual_seed(0)
    return save_model(folder / "model.safetensors", UNet(widths=(4, 8)), {"title": "small", "preprocessing": {"size": 32}})


class Watched(Heartbeat):
    """A heartbeat that can be begun and ended."""

    def begin(self) -> None:
        """Watch from now on."""
        self.on = True
        if not self.timer.isActive():
            self.gap = self.work = 0.0
            self.last, self.spent = time.perf_counter(), time.thread_time()
            self.timer.start()

    def end(self) -> Gap:
        """What was seen."""
        self.on = False
        self.timer.stop()
        return Gap(1000 * self.gap, 1000 * self.work)


def child(kind: str, side: int, out: Path, repeats: int, why: bool) -> None:
    """One process's part."""
    image, inside = phantom((side, side, side))
    beat = Watched(why)
    napari.qt.get_qapp()
    found = {"bare": bare, "ours": ours}[kind](image, inside, beat, repeats)
    beat.tell()
    out.write_text(json.dumps({name: [(gap.waited, gap.computed) for gap in gaps] for name, gaps in found.items()}))


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--side", type=int, nargs="+", default=[128, 256])
    options.add_argument("--repeats", type=int, default=2)
    options.add_argument("--why", action="store_true")
    options.add_argument("--only", choices=("bare", "ours"))
    options.add_argument("--child", nargs=3, metavar=("KIND", "SIDE", "OUT"), help="for its own use")
    given = options.parse_args()
    if given.child:
        child(given.child[0], int(given.child[1]), Path(given.child[2]), given.repeats, given.why)
        return
    for side in given.side:
        found = {}
        for kind in ("bare", "ours") if given.only is None else (given.only,):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "found.json"
                command = [sys.executable, __file__, "--repeats", str(given.repeats), "--child", kind, str(side), str(out)]
                subprocess.run([*command, *(["--why"] if given.why else [])], check=True)
                found[kind] = json.loads(out.read_text())
        print(f"longest gap on {side}^3, ms, median of {given.repeats}: waited (computed by the window's thread)")
        print(f"{'':24}" + "".join(f"{kind:>16}" for kind in found) + f"{'added':>9}")
        for name in next(iter(found.values())):
            middle = {kind: [statistics.median(each) for each in zip(*of[name], strict=True)] for kind, of in found.items() if name in of}
            added = f"{middle['ours'][0] - middle['bare'][0]:>+9.0f}" if len(middle) == 2 else ""
            print(f"{name:24}" + "".join(f"{f'{waited:.0f} ({computed:.0f})':>16}" for waited, computed in middle.values()) + added, flush=True)


if __name__ == "__main__":
    main()
