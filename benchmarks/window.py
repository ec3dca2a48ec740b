"""Stalls of the event loop in our window beside bare napari: `python benchmarks/window.py [--side 256 | --shape 300 512 512]`; needs a display.

A timer beats every 2 ms while an action goes on; the longest gap between two beats is the stall a person would feel. The same actions are done in a napari
window without us and in ours, on the same made-up scan: a bright blob with noise. Each has a process of its own, so that what either does for the first time is
the first time. In ours a level set grows while the person scrolls, and scribbles answer while the person paints. Where ours takes a tool in hand or accepts a
first label, bare napari adds a layer of that kind and size. The rule: ours adds no more than 50 ms to the same action in bare napari.

Each action is repeated: its first time and the median of the others, since other programs disturb a single one. Beside each gap stands the time the window's
own thread computed in it, which a busy machine does not stretch so much.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QEvent, QEventLoop, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget

from napari_medseg.volume import Geometry, Volume

Step = Callable[[], None]
THREE_D = 128  # slices: software OpenGL takes seconds for a picture of more


def phantom(shape):
    """A blob of a third of the volume's width, 1000 on 400 with noise of 60, and its mask."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, count, dtype=np.float32) for count in shape), indexing="ij", sparse=True)
    inside = (z / 0.6) ** 2 + (y / 0.5) ** 2 + (x / 0.45) ** 2 + 0.15 * np.sin(6 * x) * np.cos(5 * y) < 1
    noise = np.random.default_rng(0).standard_normal(inside.shape, np.float32) * np.float32(60)
    return np.where(inside, np.float32(1000), np.float32(400)) + noise, inside


@dataclass(frozen=True)
class Gap:
    """The longest between two beats, and the most that the window's thread computed in one, in ms."""

    waited: float
    computed: float


Found = dict[str, list[Gap]]


class Heartbeat:
    """Runs the event loop for a while and tells the longest gap between two beats."""

    def __init__(self) -> None:
        self.gap = self.work = self.last = self.spent = 0.0
        self.timer = QTimer()
        self.timer.setInterval(2)
        self.timer.setTimerType(Qt.TimerType.PreciseTimer)
        self.timer.timeout.connect(self.beat)

    def beat(self) -> None:
        """One beat."""
        now, spent = time.perf_counter(), time.thread_time()
        self.gap, self.last = max(self.gap, now - self.last), now
        self.work, self.spent = max(self.work, spent - self.spent), spent

    def during(self, steps: list[Step], every: float, seconds: float = 0.0) -> Gap:
        """Do the steps one by one, `every` seconds; go on watching for some seconds more."""
        self.gap = self.work = 0.0
        self.last, self.spent = time.perf_counter(), time.thread_time()
        self.timer.start()
        for step in steps:
            step()
            self.rest(every)
        self.rest(seconds)
        self.timer.stop()
        return Gap(1000 * self.gap, 1000 * self.work)

    @staticmethod
    def rest(seconds: float) -> None:
        """Let the window live for a while."""
        loop = QEventLoop()
        QTimer.singleShot(int(1000 * seconds), loop.quit)
        loop.exec_() if hasattr(loop, "exec_") else loop.exec()


class Hand:
    """A mouse on the canvas of a viewer."""

    def __init__(self, viewer) -> None:
        window = viewer.window._qt_window
        self.canvas = next(w for w in window.findChildren(QWidget) if type(w).__name__ == "CanvasBackendDesktop")

    def drag(self, count: int = 40) -> list[Step]:
        """One stroke across the middle of the canvas, a step a movement."""
        places = [QPointF(self.canvas.width() * (0.42 + 0.16 * i / count), self.canvas.height() * 0.5) for i in range(count)]
        left = Qt.MouseButton.LeftButton
        steps = [lambda: self._send(QEvent.Type.MouseButtonPress, places[0], left, left)]
        steps += [lambda at=at: self._send(QEvent.Type.MouseMove, at, Qt.MouseButton.NoButton, left) for at in places]
        return [*steps, lambda: self._send(QEvent.Type.MouseButtonRelease, places[-1], left, Qt.MouseButton.NoButton)]

    def _send(self, kind, at, button, buttons) -> None:
        where = QPointF(self.canvas.mapToGlobal(QPoint(round(at.x()), round(at.y()))))
        QApplication.sendEvent(self.canvas, QMouseEvent(kind, at, where, button, buttons, Qt.KeyboardModifier.NoModifier))


def scroll(viewer, count: int) -> list[Step]:
    """Twenty slices, one after the other."""
    return [lambda z=z: viewer.dims.set_current_step(0, z) for z in range(count // 2 - 10, count // 2 + 10)]


def bare(image, inside, beat: Heartbeat, repeats: int) -> Found:
    """The actions in napari alone."""
    count = len(image)
    found: Found = defaultdict(list)
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.showMaximized()
    beat.rest(2)
    found["open the scan"].append(beat.during([lambda: viewer.add_image(image)], 0, 1.5))
    viewer.dims.set_current_step(0, count // 2)
    beat.rest(1)
    hand, mask = Hand(viewer), inside.astype(np.uint8)

    def points() -> None:
        layer = viewer.add_points(np.empty((0, 3)), ndim=3, border_color="white")
        layer.mode = "add"

    def labels() -> None:
        viewer.add_labels(np.zeros(image.shape, np.uint8))

    def brush() -> None:
        labels()
        viewer.layers[-1].mode, viewer.layers[-1].brush_size = "paint", 5

    def fill() -> None:
        viewer.layers[-1].data[:] = mask
        viewer.layers[-1].refresh()

    def grow(step: int) -> None:
        viewer.layers[-1].data[count // 2 - step : count // 2 + step] = mask[count // 2 - step : count // 2 + step]
        viewer.layers[-1].refresh(extent=False, thumbnail=False, highlight=False)

    for _ in range(repeats):
        for name, steps in (("take seeds in hand", [points]), ("layers for a result", [labels]), ("grow and scroll", scroll(viewer, count))):
            found[name].append(beat.during(steps, 0.03, 0.5))
        found["accept"].append(beat.during([fill] if len(found["accept"]) else [labels, fill], 0, 0.5))
        found["take it back"].append(beat.during([lambda: viewer.layers[-1].data.fill(0), viewer.layers[-1].refresh], 0, 0.5))
        found["take strokes in hand"].append(beat.during([brush], 0, 0.5))
        found["paint a stroke"].append(beat.during(hand.drag(), 0.03, 0.5))
        del viewer.layers[-2:]
        print(f"  bare turn {len(found['accept'])} done", flush=True)
    if repeats and count <= THREE_D:
        labels()
        viewer.dims.ndisplay = 3
        beat.rest(3)
        for _ in range(repeats):
            found["a label grows in 3D"].append(beat.during([lambda s=s: grow(s) for s in range(2, count // 2, max(1, count // 24))], 0.1, 0.5))
            viewer.layers[-1].data[:] = 0
    viewer.close()
    return found


def ours(image, inside, beat: Heartbeat, repeats: int) -> Found:
    """The same in our window, with the engines at work."""
    from napari_medseg.gui.desk import desk_for
    from napari_medseg.gui.launch import open_window
    from napari_medseg.gui.layers import layer_data

    count = len(image)
    found: Found = defaultdict(list)
    viewer = open_window()
    desk = desk_for(viewer)
    session = desk.session
    beat.rest(2)
    session.set(tab="weak", mode="levelset")
    beat.rest(15)  # the tools are made ready beside the window
    data, keywords, _ = layer_data(Volume(image, Geometry(image.shape, (1.0, 1.0, 1.0)), name="phantom", modality="MR"))
    found["open the scan"].append(beat.during([lambda: viewer.add_image(data, **keywords)], 0, 1.5))
    scan = session.current
    deep = np.argwhere(inside)[:: max(1, int(inside.sum()) // 5)][:5]
    points = tuple(tuple(float(v) for v in p) for p in scan.display.geometry.world(deep.astype(float)))
    viewer.dims.set_current_step(0, count // 2)
    beat.rest(1)

    def run() -> None:
        session.set_seeds(scan, {session.chosen: points})
        session.run()

    def settled() -> None:
        end = time.monotonic() + 60
        while session.job is not None and session.job.is_active and time.monotonic() < end:
            beat.rest(0.05)

    for _ in range(repeats):
        found["take seeds in hand"].append(beat.during([lambda: desk.arm("seeds")], 0, 0.0))
        found["layers for a result"].append(beat.during([], 0, 2))
        found["grow and scroll"].append(beat.during([run, *scroll(viewer, count)], 0.03, 0.5))
        settled()
        found["accept"].append(beat.during([session.accept], 0, 0.5))
        found["take it back"].append(beat.during([lambda: session.undo(scan)], 0, 0.5))
        session.set(tool="", mode="scribbles")
        beat.rest(0.5)
        found["take strokes in hand"].append(beat.during([lambda: desk.arm("scribbles")], 0, 1))
        found["paint a stroke"].append(beat.during(Hand(viewer).drag(), 0.03, 0.5))
        settled()
        session.discard()
        session.set(tool="", mode="levelset")
        beat.rest(0.5)
        print(f"  our turn {len(found['accept'])} done", flush=True)
    if repeats and count <= THREE_D:
        viewer.dims.ndisplay = 3
        beat.rest(3)
        for _ in range(repeats):
            found["a label grows in 3D"].append(beat.during([run], 0, 3))
            settled()
            session.discard()
            beat.rest(0.5)
    viewer.close()
    return found


def measured(which: str, given: argparse.Namespace) -> Found:
    """One of the two, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        command = [sys.executable, __file__, "--shape", *map(str, given.shape), "--repeats", str(given.repeats), "--only", which, "--out", str(out)]
        subprocess.run(command, check=True)
        return {name: [Gap(*gap) for gap in gaps] for name, gaps in json.loads(out.read_text()).items()}


def alone(which: str, given: argparse.Namespace) -> None:
    """Measure one side and leave the figures in a file."""
    app = QApplication.instance() or napari.qt.get_qapp()
    image, inside = phantom(given.shape)
    found = {"bare": bare, "ours": ours}[which](image, inside, Heartbeat(), given.repeats)
    given.out.write_text(json.dumps({name: [(gap.waited, gap.computed) for gap in gaps] for name, gaps in found.items()}))
    app.processEvents()


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--side", type=int, default=256)
    options.add_argument("--shape", type=int, nargs=3, metavar=("Z", "Y", "X"))
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--only", choices=("bare", "ours"), help=argparse.SUPPRESS)
    options.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    given.shape = given.shape or [given.side] * 3
    if given.only:
        alone(given.only, given)
        return
    sides = measured("bare", given), measured("ours", given)
    print(f"longest gap of the event loop on {'x'.join(map(str, given.shape))}, ms (computed by the window's thread): first time; median of the later, largest")
    print(f"{'':22}{'bare napari':>34}{'Medseg':>34}{'added first':>13}{'later':>8}")
    for name, gaps in sides[0].items():
        both = [gaps, sides[1][name]]
        first = [each[0].waited for each in both]
        later = [statistics.median([gap.waited for gap in each[1:] or each]) for each in both]
        print(f"{name:22}" + "".join(f"{_words(each):>34}" for each in both) + f"{first[1] - first[0]:>+13.0f}{later[1] - later[0]:>+8.0f}")


def _words(gaps: list[Gap]) -> str:
    rest = gaps[1:]
    words = f"{gaps[0].waited:.0f} ({gaps[0].computed:.0f})"
    if rest:
        middle = statistics.median([gap.waited for gap in rest]), statistics.median([gap.computed for gap in rest])
        words += f"; {middle[0]:.0f} ({middle[1]:.0f}), {max(gap.waited for gap in rest):.0f}"
    return words


if __name__ == "__main__":
    main()
